import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Campaign } from "../chain/campaign";
import { isNodeUrl } from "../chain/client";
import { only } from "../chain/events";
import { type Attested, MOST_CONTENT } from "../evidence/content";
import { bytes, decimal, odds, share } from "../look/numbers";
import { Button, Facts, Field, Notice, Section } from "../look/parts";
import { printable } from "../look/printable";
import { hashOf } from "../router";
import { checkWhole, draw, missedBy, SAMPLE_BYTES, SAMPLES, type Sample, samplePositions } from "../verify/sampling";
import type { Where } from "../where";
import { t } from "../words";

/** Shares of the bytes, in hundredths of a percent, for which it is said how likely samples miss them. */
const SHARES = [100, 500, 2_000];
/** Pieces that are named, if some could not be fetched. */
const MOST_NAMED = 5;

/** Whether the attested files are there and have the attested bytes: all of them, or random samples. */
export function Files({ where, campaign }: { where: Where; campaign: Campaign }) {
  const [other, setOther] = useState<string | null>(null);
  const gateways = other === null ? where.gateways : [other, ...where.gateways.filter((one) => one !== other)];
  const attested = only(campaign.events, "MilestoneAttested").filter(({ args }) => args.attestation.contentSize > 0n);
  return (
    <Section id="files" title={t("verify.files")}>
      <p>{t(attested.length === 0 ? "verify.files.none" : "verify.files.lead")}</p>
      {attested.map(({ args: { milestone, attestation } }) => {
        const { evidence, contentRoot, contentSize } = attestation;
        const content = { evidence: evidence.slice(2), root: contentRoot.slice(2), size: contentSize };
        return (
          <div key={milestone}>
            <h3>{t("verify.milestone", { number: `${milestone + 1}` })}</h3>
            <FilesOf
              attested={content}
              gateways={gateways}
              campaign={hashOf(`${where.chainId}/${campaign.address}`, where.options)}
            />
          </div>
        );
      })}
      {attested.length > 0 && <OtherGateway choose={setOther} />}
    </Section>
  );
}

class Stopped extends Error {}

type Result = { samples: Sample[] } | { whole: Awaited<ReturnType<typeof checkWhole>> };

function FilesOf({
  attested,
  gateways,
  campaign,
}: {
  attested: Attested;
  gateways: readonly string[];
  campaign: string;
}) {
  const [progress, setProgress] = useState<string | null>(null);
  const [result, setResult] = useState<Result | null>(null);
  // Work that was stopped, or whose view is gone, tells nobody anything.
  const work = useRef(0);
  const stop = () => {
    work.current += 1;
    setProgress(null);
  };
  useEffect(
    () => () => {
      work.current += 1;
    },
    [],
  );
  const start = (
    run: (step: (done: number) => void) => Promise<Result>,
    all: number,
    say: (value: number) => string,
  ) => {
    work.current += 1;
    const mine = work.current;
    const step = (done: number) => {
      if (work.current !== mine) throw new Stopped();
      setProgress(t("verify.files.busy", { done: say(done), all: say(all) }));
    };
    step(0);
    run(step)
      .then((found) => {
        if (work.current !== mine) return;
        setResult(found);
        setProgress(null);
      })
      .catch((thrown: unknown) => {
        if (thrown instanceof Stopped) return;
        setProgress(null);
        throw thrown;
      });
  };
  const size = Number(attested.size);
  const before = result !== null && "samples" in result ? result.samples : [];
  const sample = (positions: number[], kept: Sample[]) => {
    const run = async (step: (done: number) => void) => ({
      samples: [...kept, ...(await samplePositions(attested, positions, gateways, step))],
    });
    start(run, positions.length, (value) => decimal(`${value}`));
  };
  const missing = before.filter((one) => one.outcome === "absent" || one.outcome === "wrong");
  const others = before.filter((one) => !missing.includes(one));
  return (
    <>
      {result !== null && ("samples" in result ? <Sampled {...result} /> : <Checked {...result} size={size} />)}
      {missing.length > 0 && (
        <p>
          {t("verify.files.challenge", { pieces: namesOf(missing) })} <a href={campaign}>{t("verify.back")}</a>
        </p>
      )}
      {progress === null ? (
        <p class="row">
          {missing.length > 0 && (
            <Button
              quiet
              onClick={() =>
                sample(
                  missing.map((one) => one.position),
                  others,
                )
              }
            >
              {t("verify.files.retry")}
            </Button>
          )}
          <Button quiet onClick={() => sample(draw(size, SAMPLES), before)}>
            {before.length > 0
              ? t("verify.files.more", { count: `${SAMPLES}` })
              : t("verify.files.sample", { count: `${SAMPLES}`, size: bytes(Math.min(SAMPLE_BYTES, size)) })}
          </Button>
          {size <= MOST_CONTENT && (
            <Button
              quiet
              onClick={() =>
                start(async (step) => ({ whole: await checkWhole(attested, gateways, step) }), size, bytes)
              }
            >
              {t("verify.files.all", { size: bytes(size) })}
            </Button>
          )}
        </p>
      ) : (
        <p class="row">
          <span role="status">{progress}</span>
          <Button quiet onClick={stop}>
            {t("verify.files.stop")}
          </Button>
        </p>
      )}
      {size > MOST_CONTENT && (
        <p class="small soft">{t("verify.files.large", { size: bytes(size), most: bytes(MOST_CONTENT) })}</p>
      )}
    </>
  );
}

function namesOf(samples: readonly Sample[]): string {
  const chunks = [...new Set(samples.map((one) => one.chunk))].sort((a, b) => a - b);
  return chunks.slice(0, MOST_NAMED).join(", ") + (chunks.length > MOST_NAMED ? ", …" : "");
}

type Outcome = Sample["outcome"];

/** The worst outcome first. What contradicts itself can be no gateway's doing. */
const ORDER: readonly Outcome[] = ["content", "malformed", "wrong", "absent", "held"];

function Sampled({ samples }: { samples: Sample[] }) {
  const worst = ORDER.find((outcome) => samples.some((one) => one.outcome === outcome)) ?? "held";
  const held = samples.filter((one) => one.outcome === "held").length;
  const counts = { held: decimal(`${held}`), all: decimal(`${samples.length}`) };
  const liars = samples.flatMap((one) => one.liars);
  return (
    <Told outcome={worst} liars={liars}>
      <p>{t("verify.files.sampled", counts)}</p>
      {worst === "held" && (
        <>
          <p>{t("verify.files.odds.lead")}</p>
          <Facts
            rows={SHARES.map((bps) => [
              t("verify.files.odds", { share: share(bps) }),
              odds(missedBy(samples.length, bps / 10_000)),
            ])}
          />
          <p class="small soft">{t("verify.files.sampled.limits")}</p>
        </>
      )}
    </Told>
  );
}

function Checked({ whole, size }: { whole: { outcome: Outcome; liars: readonly string[] }; size: number }) {
  return (
    <Told {...whole}>{whole.outcome === "held" && <p>{t("verify.files.all.held", { size: bytes(size) })}</p>}</Told>
  );
}

function Told({
  outcome,
  liars,
  children,
}: {
  outcome: Outcome;
  liars: readonly string[];
  children: ComponentChildren;
}) {
  const gateways = [...new Set(liars)].map((one) => printable(one, 80)).join(", ");
  const tone = outcome === "held" ? "good" : outcome === "absent" ? "care" : "bad";
  return (
    <Notice tone={tone} title={t(`verify.files.${outcome}`, { gateways })}>
      {children}
    </Notice>
  );
}

function OtherGateway({ choose }: { choose: (gateway: string) => void }) {
  const [url, setUrl] = useState("");
  const [outcome, setOutcome] = useState<"chosen" | "refused" | null>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    const gateway = url.trim().replace(/\/+$/, "");
    const fit = isNodeUrl(gateway);
    setOutcome(fit ? "chosen" : "refused");
    if (fit) choose(gateway);
  };
  return (
    <form onSubmit={submit}>
      <Field id="gateway" label={t("verify.gateway")} hint={t("verify.gateway.hint")}>
        <input
          id="gateway"
          type="url"
          spellcheck={false}
          autocomplete="off"
          value={url}
          aria-describedby="gateway-hint"
          aria-invalid={outcome === "refused"}
          onInput={(event) => setUrl(event.currentTarget.value)}
        />
      </Field>
      {outcome !== null && (
        <Notice tone={outcome === "refused" ? "bad" : "open"} title={t(`verify.gateway.${outcome}`)} />
      )}
      <Button type="submit" quiet>
        {t("verify.gateway.go")}
      </Button>
    </form>
  );
}
