/** What anybody says of a campaign's proposal: found by hash, in files or in a link, and shown once it is checked. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Address } from "viem";
import { type Campaign, readCampaign } from "../chain/campaign";
import { type Created, listCampaigns } from "../chain/factory";
import { call } from "../chain/read";
import { readRoles, rolesIn } from "../chain/roles";
import { addressOf, MOST_REVIEWS, passedOn, type Review } from "../evidence/reviews";
import { campaignAbi } from "../generated/abi";
import { MAX_MANIFEST_BYTES } from "../generated/constants";
import {
  Amount,
  Button,
  Facts,
  Field,
  Hash,
  Loading,
  Notice,
  Origin,
  Problem,
  Prose,
  Section,
  Time,
  Title,
} from "../look/parts";
import { printable } from "../look/printable";
import { useReading } from "../look/reading";
import { roleName } from "../look/roles";
import { hashOf, type Options } from "../router";
import { fetchReview, type Judged, judgeReview, type Opened, opened } from "../verify/reviews";
import type { Where } from "../where";
import { type Key, t } from "../words";
import { fileName, SaveFile, WriteReview } from "./reviewForm";
import type { PageProps } from "./slots";

export default function ReviewsView({ route, where }: PageProps) {
  if (route.view !== "reviews" || where === null) return null;
  return <Reviews key={route.campaign} where={where} address={route.campaign} named={route.reviews} />;
}

function Reviews({ where, address, named }: { where: Where; address: Address; named: string[] }) {
  const [reading, again] = useReading(address, () => readCampaign(where.reader, where.chainId, address));
  return (
    <>
      <Title text={t("reviews.title")} />
      <p>
        <a href={hashOf(`${where.chainId}/${address}`, where.options)}>{t("verify.back")}</a>
      </p>
      <p>{t("reviews.lead")}</p>
      {reading.state === "loading" && <Loading what={t("loading.campaign")} lines={12} />}
      {reading.state === "trouble" && <Problem trouble={reading.trouble} again={again} />}
      {reading.state === "there" && (
        <>
          {reading.stale && <Problem trouble={reading.stale} again={again} />}
          <OfCampaign where={where} campaign={reading.value} named={named} />
          <Origin block={reading.value.block} where={where.reader.where} again={again} />
        </>
      )}
    </>
  );
}

function OfCampaign({ where, campaign, named }: { where: Where; campaign: Campaign; named: string[] }) {
  const [files, setFiles] = useState<Opened[]>([]);
  const [judged, retry] = useJudged(where, campaign, files, named);
  const created = useCreated(where, campaign);
  const add = (more: readonly Opened[]) =>
    setFiles((before) => {
      const fresh = more.filter((one) => !before.some(({ sha256 }) => sha256 === one.sha256));
      return [...before, ...fresh].slice(-MOST_REVIEWS);
    });
  return (
    <>
      <Section id="reviews-found" title={t("reviews.found")}>
        {judged.length === 0 && <p>{t("reviews.none")}</p>}
        <p class="small soft">{t("reviews.complete")}</p>
        {judged.map(([sha256, one]) => (
          <Shown key={sha256} {...{ where, campaign, created, sha256, judged: one }} again={() => retry(sha256)} />
        ))}
      </Section>
      <FindReviews where={where} campaign={campaign} named={named} add={add} />
      <WriteReview where={where} campaign={campaign} written={(bytes) => add([opened(bytes)])} />
    </>
  );
}

/** All campaigns of the chain at the campaign's block, read once and only if somebody asks. */
function useCreated(where: Where, campaign: Campaign): () => Promise<Created[]> {
  return useMemo(() => {
    let read: Promise<Created[]> | null = null;
    return () => {
      read ??= listCampaigns(where.reader, where.chainId, campaign.block).catch((thrown: unknown) => {
        read = null;
        throw thrown;
      });
      return read;
    };
  }, [campaign.block.hash]);
}

/** Each review with what became of its check, the newest first by what they say themselves; null while it is read. */
function useJudged(
  where: Where,
  campaign: Campaign,
  files: readonly Opened[],
  named: readonly string[],
): [[string, Judged | null][], (sha256: string) => void] {
  const [found, setFound] = useState<ReadonlyMap<string, Judged>>(new Map());
  const begun = useRef(new Set<string>());
  const [round, setRound] = useState(0);
  const all = [...new Set([...files.map(({ sha256 }) => sha256), ...named])];
  const { reader, gateways } = where;
  useEffect(() => {
    for (const sha256 of all) {
      const bytes = files.find((file) => file.sha256 === sha256)?.bytes;
      const key = `${campaign.block.hash} ${sha256} ${bytes ? "opened" : "named"}`;
      if (begun.current.has(key)) continue;
      begun.current.add(key);
      const reading = bytes ? judgeReview(reader, campaign, bytes) : fetchReview(reader, campaign, sha256, gateways);
      // A gateway that says nothing takes nothing back that a file has shown.
      const keeps = (before?: Judged, one?: Judged) => before?.verdict === "genuine" && one?.verdict === "unchecked";
      void reading.then((one) =>
        setFound((before) => (keeps(before.get(sha256), one) ? before : new Map(before).set(sha256, one))),
      );
    }
  }, [all.join(" "), campaign.block.hash, round]);
  const retry = (sha256: string) => {
    for (const how of ["opened", "named"]) begun.current.delete(`${campaign.block.hash} ${sha256} ${how}`);
    setRound((number) => number + 1);
  };
  const listed = all.map((sha256): [string, Judged | null] => [sha256, found.get(sha256) ?? null]);
  const age = ([, one]: [string, Judged | null]) => (one?.verdict === "genuine" ? one.review.written : -1);
  return [listed.sort((one, other) => age(other) - age(one)), retry];
}

type ShownProps = { where: Where; campaign: Campaign; created: () => Promise<Created[]>; sha256: string };

function Shown({ judged, again, ...props }: ShownProps & { judged: Judged | null; again: () => void }) {
  if (judged === null) return <Loading what={t("reviews.checking")} lines={4} />;
  if (judged.verdict === "genuine") return <Genuine {...props} {...judged} />;
  return (
    <article class="review" data-verdict={judged.verdict}>
      <Notice tone={judged.verdict === "refused" ? "bad" : "care"} title={t(`reviews.${judged.verdict}`)}>
        <p>{t(`reviews.why.${judged.why}` as Key)}</p>
        <Hash value={props.sha256} />
        {judged.verdict === "unchecked" && (
          <p>
            <Button quiet onClick={again}>
              {t("again")}
            </Button>
          </p>
        )}
      </Notice>
    </article>
  );
}

/** Characters of a text that are shown at once. */
const AT_ONCE = 2_000;
/** The last second that a date of ECMAScript can hold. */
const LAST_SECOND = 8_640_000_000_000;

function Genuine({
  where,
  campaign,
  created,
  sha256,
  review,
  bytes,
}: ShownProps & { review: Review; bytes: Uint8Array<ArrayBuffer> }) {
  const { text, written, reviewer } = review;
  const link = hashOf(`${campaign.chainId}/${campaign.address}/reviews`, toPassOn(where.options), [sha256]);
  return (
    <article class="review" data-verdict="genuine" aria-label={t("reviews.by", { reviewer })}>
      <p class="row">
        <span class="tag tag-good">{t("reviews.genuine")}</span>
        <Hash value={reviewer} chainId={campaign.chainId} kind="address" />
      </p>
      <p class="small soft">
        {written <= LAST_SECOND ? <Time at={written} /> : `${written}`} {t("reviews.says")}
      </p>
      <Standing {...{ where, campaign, created, reviewer }} />
      {text.length <= AT_ONCE ? (
        <Prose text={text} />
      ) : (
        <details>
          <summary>
            {printable(text, 200)} <strong>{t("reviews.all")}</strong>
          </summary>
          <Prose text={text} />
        </details>
      )}
      <details>
        <summary>{t("reviews.pass")}</summary>
        <p>{t("reviews.pass.means")}</p>
        <Facts
          rows={[
            [t("reviews.hash"), <Hash key="h" value={sha256} />],
            ["IPFS", <Hash key="c" value={addressOf(sha256)} />],
            [
              t("reviews.place"),
              <a key="l" href={link}>
                {t("reviews.place.open")}
              </a>,
            ],
          ]}
        />
        <SaveFile bytes={bytes} name={fileName(sha256)} />
      </details>
    </article>
  );
}

/** A link for others names neither the node, whose address may hold a key, nor a gateway that only this machine has. */
function toPassOn({ gateway }: Options): Options {
  return { rpc: null, gateway: gateway?.startsWith("https://") ? gateway : null };
}

/** What the reviewer has pledged here, and what it did elsewhere. */
function Standing({
  where,
  campaign,
  created,
  reviewer,
}: Pick<ShownProps, "where" | "campaign" | "created"> & { reviewer: Address }) {
  const { block, address } = campaign;
  const key = `${block.hash} ${reviewer}`;
  const [pledge] = useReading(key, () => call(where.reader, block, address, campaignAbi, "pledgeOf", [reviewer]));
  const [roles] = useReading(key, async () => readRoles(where.reader, block, await created(), reviewer));
  const parts =
    roles.state === "there" ? roles.value.map(([role, count]) => t(`reviews.role.${role}`, { count: `${count}` })) : [];
  const here = rolesIn(campaign, reviewer).map(roleName).join(", ");
  return (
    <Facts
      rows={[
        // Whoever gets or releases the money does not review as a stranger.
        ...(here ? [[t("reviews.here"), <strong key="r">{here}</strong>] as const] : []),
        [
          t("reviews.pledge"),
          pledge.state === "there" ? (
            <Amount value={pledge.value} asset={campaign.asset} />
          ) : (
            t(pledge.state === "loading" ? "loading.part" : "reviews.untold")
          ),
        ],
        [
          t("reviews.record"),
          roles.state === "there"
            ? parts.join(", ") || t("reviews.record.none")
            : t(roles.state === "loading" ? "loading.part" : "reviews.untold"),
        ],
      ]}
    />
  );
}

type FindProps = { where: Where; campaign: Campaign; named: string[]; add: (more: readonly Opened[]) => void };

/** Reviews that the reader brings: by hash, or from files. */
function FindReviews({ where, campaign, named, add }: FindProps) {
  const [given, setGiven] = useState("");
  const [bad, setBad] = useState<"hash" | "full" | "long" | "file" | null>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    const hashes = passedOn(given);
    const all = [...new Set([...named, ...hashes])];
    if (hashes.length === 0 || all.length > MOST_REVIEWS) return setBad(hashes.length === 0 ? "hash" : "full");
    setBad(null);
    setGiven("");
    location.hash = hashOf(`${campaign.chainId}/${campaign.address}/reviews`, where.options, all);
  };
  const open = async (input: HTMLInputElement) => {
    const list = [...(input.files ?? [])];
    setBad(null);
    if (list.length > MOST_REVIEWS) return setBad("full");
    if (list.some((file) => file.size > MAX_MANIFEST_BYTES)) return setBad("long");
    try {
      add((await Promise.all(list.map((file) => file.arrayBuffer()))).map((data) => opened(new Uint8Array(data))));
    } catch {
      setBad("file");
    }
    // The same file can be opened again after it was changed.
    input.value = "";
  };
  return (
    <Section id="reviews-find" title={t("reviews.find")}>
      <form onSubmit={submit}>
        <Field id="review-hash" label={t("reviews.find.hash")} hint={t("reviews.find.hint")}>
          <input
            id="review-hash"
            spellcheck={false}
            autocomplete="off"
            value={given}
            aria-describedby="review-hash-hint"
            aria-invalid={bad === "hash"}
            onInput={(event) => setGiven(event.currentTarget.value)}
          />
        </Field>
        <Button type="submit" quiet>
          {t("reviews.find.go")}
        </Button>
      </form>
      <Field id="review-files" label={t("reviews.find.files")} hint={t("reviews.find.files.hint")}>
        <input
          id="review-files"
          type="file"
          accept=".json,application/json"
          multiple
          aria-describedby="review-files-hint"
          onChange={(event) => void open(event.currentTarget)}
        />
      </Field>
      {bad && <Notice tone="bad" title={t(`reviews.bad.${bad}`, { most: `${MOST_REVIEWS}` })} />}
    </Section>
  );
}
