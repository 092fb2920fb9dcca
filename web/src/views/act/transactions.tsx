/** What was sent, and what became of it. Nothing is called done before it is final. */

import type { Campaign } from "../../chain/campaign";
import { when } from "../../look/numbers";
import { Button, Hash, Notice, type Tone } from "../../look/parts";
import { printable } from "../../look/printable";
import type { Fate } from "../../sending/fate";
import { type Entry, OPEN } from "../../sending/journal";
import type { Tracker } from "../../sending/tracker";
import { type Key, t } from "../../words";
import { ACTIONS } from "./offers";

const STEPS = [...ACTIONS, "allow", "reset"] as const;

/** A transaction's state in one word. Each has sentences of its own in the message files. */
export type Phase =
  | "asked"
  | "looking"
  | "declined"
  | "pool"
  | "missing"
  | "replaced"
  | "cancelled"
  | "mined"
  | "safe"
  | "final"
  | "reverted"
  | "failed"
  | "undone"
  | "undoneMissing"
  | "behind"
  | "unknown"
  | "void";

export function phaseOf(entry: Entry, fate: Fate | undefined): Phase {
  if (!OPEN.has(entry.state)) return entry.state as Phase;
  if (!fate) return entry.state === "asked" ? "asked" : "looking";
  switch (fate.kind) {
    case "replaced":
      return fate.cancelled ? "cancelled" : "replaced";
    case "mined":
      return fate.settled === "latest" ? "mined" : fate.settled;
    case "reverted":
      return fate.settled === "final" ? "failed" : "reverted";
    case "undone":
      return fate.now === "pool" ? "undone" : "undoneMissing";
    default:
      return fate.kind;
  }
}

const TONES: Partial<Record<Phase, Tone>> = {
  final: "good",
  reverted: "bad",
  failed: "bad",
  missing: "care",
  replaced: "care",
  cancelled: "care",
  undone: "care",
  undoneMissing: "care",
  behind: "care",
  unknown: "care",
};

export function Transactions({ tracker, campaign }: { tracker: Tracker; campaign?: Campaign["address"] }) {
  const entries = tracker.journal.entries().filter((entry) => campaign === undefined || entry.campaign === campaign);
  if (entries.length === 0) return null;
  return (
    <div class="transactions">
      <h3 id="transactions" tabIndex={-1}>
        {t("tx.title")}
      </h3>
      <ol aria-labelledby="transactions" aria-live="polite">
        {entries.reverse().map((entry) => (
          <Transaction key={entry.id} entry={entry} tracker={tracker} />
        ))}
      </ol>
    </div>
  );
}

function Transaction({ entry, tracker }: { entry: Entry; tracker: Tracker }) {
  const fate = tracker.fate(entry.id);
  const phase = phaseOf(entry, fate);
  const by = fate?.kind === "replaced" ? fate.by : undefined;
  const over = !OPEN.has(entry.state);
  const giveUp = phase === "asked" || phase === "missing" || phase === "undoneMissing" || phase === "replaced";
  return (
    <li class="transaction" data-phase={phase} data-action={entry.action}>
      <Notice tone={TONES[phase] ?? "open"} title={`${titleOf(entry)}: ${t(`tx.${phase}` as Key)}`}>
        <p>{t(`tx.${phase}.means` as Key, { block: `${entry.block ?? ""}` })}</p>
        {entry.before && <p>{t("tx.sped")}</p>}
        {entry.differs && entry.differs.length > 0 && (
          <Notice tone="bad" title={t("tx.differs")}>
            <p>
              {t("tx.differs.means", { what: entry.differs.map((one) => t(`tx.differs.${one}` as Key)).join(", ") })}
            </p>
          </Notice>
        )}
        <p class="small soft">{t("tx.at", { time: when(Math.floor(entry.at / 1000)) })}</p>
        {entry.hash && <Hash value={entry.hash} chainId={entry.chain} kind="tx" />}
        {by && by !== entry.hash && (
          <p>
            {t("tx.by")} <Hash value={by} chainId={entry.chain} kind="tx" />
          </p>
        )}
        {(over || giveUp) && (
          <Button
            quiet
            onClick={() =>
              over || phase === "asked"
                ? tracker.journal.forget(entry.id)
                : tracker.journal.change(entry.id, { state: "void" })
            }
          >
            {t(over ? "tx.forget" : "tx.giveUp")}
          </Button>
        )}
      </Notice>
    </li>
  );
}

/** What was asked for, in the words that were shown then. They come back from the browser's memory. */
export function titleOf(entry: Entry): string {
  const step = STEPS.find((one) => one === entry.action);
  const values = Object.fromEntries(
    Object.entries(entry.shown).map(([name, value]) => [name, printable(value, 120)] as const),
  );
  return step ? t(`tx.action.${step}` as Key, values) : printable(entry.action, 20);
}
