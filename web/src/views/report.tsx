/** An audit's report that somebody sent: checked again here, from what the file carries. */

import { useMemo, useState } from "preact/hooks";
import { type Hex, numberToHex } from "viem";
import type { Source } from "../chain/client";
import { Trouble, troubleOf } from "../chain/trouble";
import { MAX_REPORT_BYTES } from "../generated/constants";
import { Button, Facts, Field, Hash, Loading, Notice, Problem, Section, Time, Title, type Tone } from "../look/parts";
import { printable } from "../look/printable";
import { useReading } from "../look/reading";
import { hashOf, type Options, optionsOf } from "../router";
import {
  type Item,
  type ReportFile,
  readReport,
  recheck,
  type Told,
  told,
  type Unfit,
  UnfitReport,
} from "../verify/report";
import { knownSource, look } from "../where";
import { t } from "../words";
import { chainTitle, NodeForm } from "./node";
import type { PageProps } from "./slots";

/** A report with what came out of it alone, without a node. */
type Opened = { name: string; file: ReportFile; first: ReturnType<typeof recheck> };
type State = "empty" | "reading" | UnfitReport | Opened;

export default function ReportView({ route }: PageProps) {
  const [state, setState] = useState<State>("empty");
  const open = async (input: HTMLInputElement) => {
    const chosen = input.files?.[0];
    if (!chosen) return;
    setState("reading");
    try {
      if (chosen.size > MAX_REPORT_BYTES) throw new UnfitReport("long");
      const bytes = new Uint8Array(await chosen.arrayBuffer());
      // A long file keeps the browser busy: what is going on is drawn first.
      await new Promise((resolve) => setTimeout(resolve));
      const file = readReport(bytes);
      setState({ name: chosen.name, file, first: recheck(file, null) });
    } catch (thrown) {
      setState(thrown instanceof UnfitReport ? thrown : new UnfitReport("unread"));
    }
    // The same file can be opened again after it was changed.
    input.value = "";
  };
  return (
    <>
      <Title text={t("report.title")} />
      <p>{t("report.lead")}</p>
      <Section id="report-open" title={t("report.open")}>
        <Field id="report-file" label={t("report.file")} hint={t("report.file.hint")}>
          <input
            id="report-file"
            type="file"
            accept=".html,.htm,.json,text/html,application/json"
            aria-describedby="report-file-hint"
            onChange={(event) => void open(event.currentTarget)}
          />
        </Field>
        {state instanceof UnfitReport && <NotReport error={state} />}
      </Section>
      {state === "reading" && <Loading what={t("report.reading")} lines={8} />}
      {typeof state === "object" && "file" in state && (
        <Checked key={state.first} opened={state} options={optionsOf(route)} />
      )}
    </>
  );
}

function NotReport({ error }: { error: UnfitReport }) {
  return (
    <Notice tone="bad" title={t(`report.unfit.${error.why satisfies Unfit}`)}>
      <p>{t("report.unfit.do")}</p>
      {error.said && (
        <p class="small soft" lang="en">
          {printable(error.said, 300)}
        </p>
      )}
    </Notice>
  );
}

const TONES: Record<Item["status"], Tone> = { holds: "good", broken: "bad", unknown: "care" };
const TAGS: Record<Item["status"], string> = { holds: "tag-good", broken: "tag-bad", unknown: "tag-care" };

function Checked({ opened, options }: { opened: Opened; options: Options }) {
  const { file, name } = opened;
  const said = useMemo(() => told(file), [file]);
  const [same, setSame] = useState(false);
  // What a node says of the block counts for the report only if it agrees: one of the two may be wrong.
  const { outcome, items } = useMemo(() => (same ? recheck(file, said.blockHash) : opened.first), [opened, same]);
  return (
    <>
      <Section id="report-checked" title={t("report.checked")}>
        <p class="small soft">{printable(name, 100)}</p>
        <Notice tone={TONES[outcome]} title={t(`report.outcome.${outcome}`)} />
        <ul class="report-items">
          {items.map((item) => (
            <li key={item.item} data-item={item.item} data-status={item.status}>
              <span class={`tag ${TAGS[item.status]}`}>{t(`report.item.${item.status}`)}</span>{" "}
              <span lang="en">{printable(item.detail, 1_000)}</span>
            </li>
          ))}
        </ul>
        {file.page !== null && <p class="small soft">{t("report.page")}</p>}
        <p>{t("report.command")}</p>
        <p>
          <code>llamafund audit verify-report FILE</code>
        </p>
      </Section>
      <About file={file} said={said} options={options} />
      <OfChain said={said} options={options} found={setSame} />
    </>
  );
}

/** Checks that did not pass, at most. */
const MOST_SHOWN = 200;

function About({ file, said, options }: { file: ReportFile; said: Told; options: Options }) {
  const open = said.checks.filter((one) => one.status !== "pass");
  const auditor = file.signature ? `${file.signature.auditor}` : null;
  return (
    <Section id="report-says" title={t("report.says")}>
      <p>
        <strong>{printable(said.headline, 600)}</strong>
      </p>
      <Facts
        rows={[
          [
            t("report.campaign"),
            <a key="c" class="hash" href={hashOf(`${said.chainId}/${said.campaign}`, options)}>
              {said.campaign}
            </a>,
          ],
          [t("report.chain"), chainTitle(said.chainId)],
          [t("report.block"), `${said.block}`],
          [t("report.time"), <Time key="t" at={said.time} />],
          [t("report.hash"), <Hash key="h" value={`0x${said.blockHash}`} />],
          [t("report.auditor"), auditor ? <Hash key="a" value={auditor} /> : t("report.auditor.none")],
        ]}
      />
      <h3>{t("report.open.checks", { open: `${open.length}`, all: `${said.checks.length}` })}</h3>
      <ul class="report-items">
        {open.slice(0, MOST_SHOWN).map((one, place) => (
          <li key={`${place} ${one.name}`} lang="en">
            <strong>
              {printable(one.status, 20)}: {printable(one.group, 100)}, {printable(one.name, 100)}
            </strong>{" "}
            {printable(one.detail, 1_000)}
          </li>
        ))}
      </ul>
      {open.length > MOST_SHOWN && <p>{t("report.open.more", { count: `${open.length - MOST_SHOWN}` })}</p>}
    </Section>
  );
}

type Compared = { where: string; outcome: "same" | "other" | "behind" };

/** Asks the node that the reader looks through whether its chain has the audited block. */
function OfChain({ said, options, found }: { said: Told; options: Options; found: (agrees: boolean) => void }) {
  const [source, setSource] = useState(() => knownSource(said.chainId, options));
  return (
    <Section id="report-chain" title={t("report.node")}>
      <p>{t("report.node.why")}</p>
      {source === null ? (
        <NodeForm chainId={said.chainId} bad={options.rpc} choose={setSource} heading={false} />
      ) : (
        <Asked
          said={said}
          source={source}
          options={options}
          found={found}
          other={() => {
            found(false);
            setSource(null);
          }}
        />
      )}
    </Section>
  );
}

type AskedProps = {
  said: Told;
  source: Source;
  options: Options;
  found: (agrees: boolean) => void;
  other: () => void;
};

function Asked({ said, source, options, found, other }: AskedProps) {
  const [reading, again] = useReading(`${said.chainId} ${said.blockHash}`, async () => {
    const compared = await compare(said, source, options);
    found(compared.outcome === "same");
    return compared;
  });
  const tones: Record<Compared["outcome"], Tone> = { same: "good", other: "bad", behind: "care" };
  return (
    <>
      {reading.state === "loading" && <Loading what={t("loading.node")} />}
      {reading.state === "trouble" && <Problem trouble={reading.trouble} again={again} />}
      {reading.state === "there" && (
        <Notice
          tone={tones[reading.value.outcome]}
          title={t(`report.node.${reading.value.outcome}`, { where: reading.value.where })}
        />
      )}
      <Button quiet onClick={other}>
        {t("report.node.change")}
      </Button>
    </>
  );
}

async function compare(said: Told, source: Source, options: Options): Promise<Compared> {
  const { reader } = await look(said.chainId, source, options);
  const params = [numberToHex(said.block), false] as const;
  try {
    const block: { hash?: unknown } | null = await reader.client.request({
      method: "eth_getBlockByNumber",
      params: params as never,
    });
    if (block === null) return { where: reader.where, outcome: "behind" };
    if (typeof block.hash !== "string") throw new Trouble("contradicts");
    const same = block.hash.toLowerCase() === (`0x${said.blockHash}` as Hex);
    return { where: reader.where, outcome: same ? "same" : "other" };
  } catch (thrown) {
    throw troubleOf(thrown);
  }
}
