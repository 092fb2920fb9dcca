import { useState } from "preact/hooks";
import { type Address, getAddress, isAddress, numberToHex } from "viem";
import { type Campaign, readCampaign } from "../chain/campaign";
import { isNodeUrl, openReader } from "../chain/client";
import { only } from "../chain/events";
import { type Trouble, troubleOf } from "../chain/trouble";
import { Amount, Button, Facts, Field, Hash, Loading, Notice, Problem, Section, Title, type Tone } from "../look/parts";
import { useReading } from "../look/reading";
import { hashOf } from "../router";
import { addUp } from "../verify/books";
import { compareNode, type Proven, proveCampaign } from "../verify/proof";
import { type Signed, signersOf } from "../verify/signatures";
import type { Where } from "../where";
import { t } from "../words";
import { Files } from "./files";
import type { PageProps } from "./slots";

/** Checks a campaign here, in the browser, and says what only the command line can check. */
export default function VerifyView({ route, where }: PageProps) {
  if (route.view !== "verify" || where === null) return null;
  return <Checked where={where} address={route.campaign} />;
}

function Checked({ where, address }: { where: Where; address: Address }) {
  const [reading, again] = useReading(address, () => readCampaign(where.reader, where.chainId, address));
  return (
    <>
      <Title text={t("verify.title")} />
      <p>
        <a href={hashOf(`${where.chainId}/${address}`, where.options)}>{t("verify.back")}</a>
      </p>
      <p>{t("verify.lead")}</p>
      {reading.state === "loading" && <Loading what={t("loading.campaign")} lines={12} />}
      {reading.state === "trouble" && <Problem trouble={reading.trouble} again={again} />}
      {reading.state === "there" && (
        <>
          <Books campaign={reading.value} />
          <Proof where={where} campaign={reading.value} />
          <Signatures where={where} campaign={reading.value} />
          <Files where={where} campaign={reading.value} />
          <Section id="elsewhere" title={t("verify.elsewhere")}>
            <p>{t("verify.elsewhere.text")}</p>
            <p>
              <code>llamafund audit {address} --prove</code>
            </p>
            <p>
              <a href={hashOf("report", where.options)}>{t("report.link")}</a>
            </p>
          </Section>
        </>
      )}
    </>
  );
}

function Books({ campaign }: { campaign: Campaign }) {
  const { asset, state } = campaign;
  const books = addUp(campaign);
  const amount = (value: bigint) => <Amount value={value} asset={asset} />;
  const outcome = !books.agrees ? "disagrees" : books.covered ? "balance" : "short";
  return (
    <Section id="books" title={t("verify.books")}>
      <Notice tone={outcome === "balance" ? "good" : "bad"} title={t(`verify.books.${outcome}`)} />
      <Facts
        rows={[
          [t("verify.deposited"), amount(books.deposited)],
          [t("verify.takenBack"), amount(books.takenBack)],
          [t("verify.claimed"), amount(books.claimed)],
          [t("verify.refunded"), amount(books.refunded)],
          [t("verify.held"), amount(books.held)],
          [t("verify.balance"), amount(state.balance)],
        ]}
      />
    </Section>
  );
}

function Proof({ where, campaign }: { where: Where; campaign: Campaign }) {
  const [backer, setBacker] = useState("");
  const [asked, setAsked] = useState<Address[]>([]);
  const [bad, setBad] = useState(false);
  const key = `${campaign.block.hash} ${asked.join(" ")}`;
  const [reading, again] = useReading(key, () => proveCampaign(where.reader, campaign, asked));
  const submit = (event: Event) => {
    event.preventDefault();
    const known = isAddress(backer.trim(), { strict: false });
    setBad(!known);
    if (known) setAsked([getAddress(backer.trim())]);
  };
  return (
    <Section id="proof" title={t("verify.proof")}>
      {reading.state === "loading" && <Loading what={t("verify.proving")} />}
      {reading.state === "trouble" && <Unproven trouble={reading.trouble} again={again} />}
      {reading.state === "there" && <Found where={where} campaign={campaign} proven={reading.value} />}
      <form onSubmit={submit}>
        <Field id="backer" label={t("verify.mine")} hint={t("verify.mine.hint")}>
          <input
            id="backer"
            spellcheck={false}
            autocomplete="off"
            value={backer}
            aria-describedby="backer-hint"
            aria-invalid={bad}
            onInput={(event) => setBacker(event.currentTarget.value)}
          />
        </Field>
        {bad && <Notice tone="bad" title={t("verify.mine.bad")} />}
        <Button type="submit" quiet>
          {t("verify.mine.go")}
        </Button>
      </form>
    </Section>
  );
}

/** A node that proves nothing is not a campaign that is wrong. */
function Unproven({ trouble, again }: { trouble: Trouble; again: () => void }) {
  if (trouble.kind === "contradicts") return <Problem trouble={trouble} again={again} />;
  return (
    <Notice tone="care" title={t("verify.unproven")}>
      <Button quiet onClick={again}>
        {t("again")}
      </Button>
    </Notice>
  );
}

function Found({ where, campaign, proven }: { where: Where; campaign: Campaign; proven: Proven }) {
  const { header } = proven;
  const sound = proven.code && proven.agrees && header.check !== "different";
  return (
    <>
      <Notice tone={sound ? "good" : "bad"} title={t(sound ? "verify.proof.holds" : "verify.proof.fails")} />
      <Facts
        rows={[
          [t("verify.pledged"), <Amount key="p" value={proven.pledged} asset={campaign.asset} />],
          ...proven.pledges.map(
            (one) =>
              [
                t("verify.pledge", { backer: one.backer }),
                <span key={one.backer}>
                  <Amount value={one.pledge} asset={campaign.asset} />
                  {one.votes && ` (${t("verify.votes")})`}
                </span>,
              ] as const,
          ),
          [t("verify.block"), `${header.number}`],
          [t("verify.hash"), <Hash key="h" value={header.hash} />],
        ]}
      />
      <p class="small soft">
        {t(header.check === "unknown" ? "verify.hash.unknown" : "verify.hash.from", { where: where.reader.where })}
      </p>
      <SecondNode where={where} proven={proven} />
    </>
  );
}

function SecondNode({ where, proven }: { where: Where; proven: Proven }) {
  const [url, setUrl] = useState("");
  const [outcome, setOutcome] = useState<"same" | "other" | "silent" | "refused" | "asking" | null>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    const rpc = url.trim();
    if (!isNodeUrl(rpc)) return setOutcome("refused");
    setOutcome("asking");
    return void compareNode(openReader({ rpc }), numberToHex(where.chainId), proven.header).then((same) =>
      setOutcome(same === null ? "silent" : same ? "same" : "other"),
    );
  };
  const tones: Record<string, Tone> = { same: "good", other: "bad", silent: "care", refused: "bad" };
  return (
    <form onSubmit={submit}>
      <Field id="second" label={t("verify.second")} hint={t("verify.second.hint")}>
        <input
          id="second"
          type="url"
          spellcheck={false}
          autocomplete="off"
          value={url}
          aria-describedby="second-hint"
          onInput={(event) => setUrl(event.currentTarget.value)}
        />
      </Field>
      {outcome !== null && outcome !== "asking" && (
        <Notice tone={tones[outcome] ?? "open"} title={t(`verify.second.${outcome}`)} />
      )}
      <Button type="submit" quiet disabled={outcome === "asking"}>
        {t("verify.second.go")}
      </Button>
    </form>
  );
}

function Signatures({ where, campaign }: { where: Where; campaign: Campaign }) {
  const attested = only(campaign.events, "MilestoneAttested");
  const [reading, again] = useReading(campaign.block.hash, () =>
    Promise.all(
      attested.map((event) =>
        signersOf(where.reader, campaign, event).catch((thrown: unknown): Trouble => troubleOf(thrown)),
      ),
    ),
  );
  return (
    <Section id="signatures" title={t("verify.signatures")}>
      {attested.length === 0 && <p>{t("verify.signatures.none")}</p>}
      {reading.state === "loading" && attested.length > 0 && <Loading what={t("loading.part")} />}
      {reading.state === "trouble" && <Problem trouble={reading.trouble} again={again} />}
      {reading.state === "there" &&
        reading.value.map((found, place) => (
          <div key={attested[place]?.log.transactionHash}>
            <h3>{t("verify.milestone", { number: `${(attested[place]?.args.milestone ?? 0) + 1}` })}</h3>
            {Array.isArray(found) ? <Signers signed={found} /> : <Problem trouble={found} again={again} />}
          </div>
        ))}
    </Section>
  );
}

function Signers({ signed }: { signed: Signed[] }) {
  const tags = { signed: "tag-good", not: "tag-bad", unknown: "tag-care" } as const;
  return (
    <ul>
      {signed.map((one) => (
        <li key={one.attestor}>
          <span class={`tag ${tags[one.outcome]}`}>{t(`verify.signer.${one.outcome}`)}</span>{" "}
          <Hash value={one.attestor} />
        </li>
      ))}
    </ul>
  );
}
