/** The page's small parts. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Asset } from "../chain/assets";
import type { Status as CampaignStatus } from "../chain/campaign";
import type { Block } from "../chain/read";
import { type Trouble, troubleKey } from "../chain/trouble";
import { PROJECT } from "../generated/constants";
import { NETWORKS } from "../generated/networks";
import { t } from "../words";
import { fromNow, money, when } from "./numbers";
import { paragraphs, printable } from "./printable";

type Children = { children?: ComponentChildren };

export function Amount({ value, asset }: { value: bigint; asset: Asset }) {
  return <span class="amount">{money(value, asset)}</span>;
}

/** A time, and how far it is from the chain's own time `now`. */
export function Time({ at, now }: { at: number; now?: number }) {
  const iso = new Date(at * 1000).toISOString();
  return (
    <time dateTime={iso}>
      {when(at)}
      {now !== undefined && <span class="soft"> ({fromNow(at, now)})</span>}
    </time>
  );
}

export function explorerUrl(chainId: number, kind: "address" | "tx", name: string): string | null {
  const explorer = (NETWORKS as Record<number, { explorer: string | null }>)[chainId]?.explorer;
  return explorer ? `${explorer}/${kind}/${name}` : null;
}

/** An address or hash, in full, to copy. */
export function Hash({ value, chainId, kind }: { value: string; chainId?: number; kind?: "address" | "tx" }) {
  const url = chainId !== undefined && kind !== undefined ? explorerUrl(chainId, kind, value) : null;
  const text = <code class="hash">{value}</code>;
  return (
    <span class="hash-line">
      {url ? (
        <a href={url} rel="noreferrer" target="_blank">
          {text}
        </a>
      ) : (
        text
      )}
      <Copy text={value} />
    </span>
  );
}

export function Copy({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  const copy = () => {
    navigator.clipboard
      ?.writeText(text)
      .then(() => setDone(true))
      .catch(() => setDone(false));
  };
  return (
    <button type="button" class="copy" onClick={copy} aria-label={t("copy.label", { what: text.slice(0, 12) })}>
      {done ? t("copy.done") : t("copy")}
    </button>
  );
}

/** Who somebody is: the name that the proposal gives it, and its address. */
export function Person({ address, name, chainId }: { address: string; name?: string | undefined; chainId: number }) {
  return (
    <span class="person">
      {name && <strong>{printable(name, 80)} </strong>}
      <Hash value={address} chainId={chainId} kind="address" />
    </span>
  );
}

export function StatusMark({ status }: { status: CampaignStatus }) {
  return <span class={`mark mark-${status.toLowerCase()}`}>{t(`status.${status}`)}</span>;
}

export type Tone = "good" | "bad" | "care" | "open";

/** Something to read. Bad news is announced to screen readers at once. */
export function Notice({ tone = "open", title, children }: Children & { tone?: Tone; title?: ComponentChildren }) {
  return (
    <div class={`notice notice-${tone}`} role={tone === "bad" ? "alert" : undefined}>
      {title && <p class="notice-title">{title}</p>}
      {children}
    </div>
  );
}

export function Button({
  children,
  onClick,
  quiet = false,
  disabled = false,
  type = "button",
}: Children & { onClick?: () => void; quiet?: boolean; disabled?: boolean; type?: "button" | "submit" }) {
  return (
    <button type={type} class={quiet ? "button quiet" : "button"} {...(onClick ? { onClick } : {})} disabled={disabled}>
      {children}
    </button>
  );
}

export function Field({ label, hint, children, id }: Children & { label: string; hint?: string; id: string }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && (
        <p class="soft small" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** Where what is shown comes from, and a warning if it is old. */
export function Origin({ block, where, again }: { block: Block; where: string; again: () => void }) {
  const age = Math.floor(Date.now() / 1000) - block.timestamp;
  return (
    <>
      {age > OLD && (
        <Notice tone="care" title={t("origin.old", { age: fromNow(block.timestamp, block.timestamp + age) })}>
          <p>{t("origin.old.do")}</p>
        </Notice>
      )}
      <div class="row soft small">
        <p>{t("list.block", { block: `${block.number}`, where })}</p>
        <Button quiet onClick={again}>
          {t("again")}
        </Button>
      </div>
    </>
  );
}

/** Seconds after which a chain's newest block is old: every chain that we know makes one in less than a minute. */
const OLD = 600;

/** Room for what is on its way, as high as what comes, so that nothing jumps. */
export function Loading({ what, lines = 4 }: { what: string; lines?: number }) {
  return (
    <div class={`loading loading-${Math.min(lines, 12)}`} role="status">
      <p>{what}</p>
    </div>
  );
}

/** A view's error state: what happened, what it does not mean, and what to do. */
export function Problem({ trouble, again }: { trouble: Trouble; again?: () => void }) {
  return (
    <Notice tone={trouble.kind === "notCampaign" || trouble.kind === "contradicts" ? "bad" : "care"}>
      <p class="notice-title">{t(troubleKey(trouble.kind), trouble.values)}</p>
      <p>{t(`${troubleKey(trouble.kind) as "trouble.offline"}.do`, trouble.values)}</p>
      {trouble.values.said && <p class="small soft">{printable(trouble.values.said, 300)}</p>}
      {again && <Button onClick={again}>{t("again")}</Button>}
    </Notice>
  );
}

/** A stranger's text with its paragraphs. It is only ever text. */
export function Prose({ text }: { text: string }) {
  return (
    <>
      {paragraphs(text).map((lines, place) => (
        <p key={`${place} ${lines[0]}`}>
          {lines.map((line, number) => (
            <>
              {number > 0 && <br />}
              {line}
            </>
          ))}
        </p>
      ))}
    </>
  );
}

/** A view's heading, which is also the window's title. */
export function Title({ text }: { text: string }) {
  useEffect(() => {
    document.title = `${text} – ${PROJECT}`;
  }, [text]);
  return <h1>{text}</h1>;
}

export function Section({ title, id, children }: Children & { title: string; id: string }) {
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  );
}

/** Names with their values. */
export function Facts({ rows }: { rows: (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
