/**
 * An audit's report from a file: the page that `llamafund audit --html` wrote, or the JSON that it printed. Of a page
 * only the data are taken: nothing in it is rendered or run. They are checked by the code that the report's own page
 * carries, and with the outcomes of `llamafund audit verify-report`.
 */

import { secp256k1 } from "@noble/curves/secp256k1";
import {
  conclusion,
  type Item,
  reverify,
  type Shown,
  shown,
} from "../../../llamafund_chain/audit/report/verifier/items.js";
import { fields, type Json, list, text, whole } from "../evidence/manifests";
import { readJson } from "../evidence/strictJson";
import { MAX_ATTESTORS, MAX_MILESTONES, MAX_REPORT_BYTES } from "../generated/constants";

export type { Item };

type Fields = { [name: string]: Json };

/** A report, the auditor's signature if somebody signed it, and the whole page if it is one. */
export type ReportFile = { report: Fields; signature: Fields | null; page: string | null };

/** What this page shows of a report. */
export type Told = {
  chainId: number;
  campaign: string;
  block: number;
  /** 64 hexadecimal digits. */
  blockHash: string;
  /** Unix seconds. */
  time: number;
  headline: string;
  checks: { group: string; name: string; status: string; detail: string }[];
};

/** `unread`: the browser could not read it. */
export type Unfit = "long" | "page" | "form" | "unread";

/** The file is no report: that says nothing about anybody. */
export class UnfitReport extends Error {
  constructor(
    readonly why: Unfit,
    readonly said = "",
  ) {
    super(`${why} ${said}`);
  }
}

const SCHEMA = "llamafund/audit/1";
const OPENING = '<script type="application/json" id="report">';
const MOST_CHECKS = 20_000;

/** Throws an `UnfitReport`. */
export function readReport(bytes: Uint8Array): ReportFile {
  if (bytes.length > MAX_REPORT_BYTES) throw new UnfitReport("long");
  try {
    const whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const page = whole.trimStart().slice(0, 9).toLowerCase() === "<!doctype" ? whole : null;
    const said = fields(readJson(page === null ? whole : carried(page)));
    const report = fields("report" in said ? said.report : said);
    const given = "report" in said ? (said.signature ?? null) : null;
    const signature = given === null ? null : fields(given);
    const file = { report, signature, page };
    told(file);
    return file;
  } catch (thrown) {
    throw thrown instanceof UnfitReport ? thrown : new UnfitReport("form", messageOf(thrown));
  }
}

/** The text of the one element that carries the report. */
function carried(page: string): string {
  const first = page.indexOf(OPENING);
  const end = page.indexOf("</script>", first);
  if (first < 0 || end < 0 || page.lastIndexOf(OPENING) !== first) throw new UnfitReport("page");
  return page.slice(first + OPENING.length, end);
}

/** What a report says, with the bounds that every report keeps. Throws an Error if it does not. */
export function told({ report, signature }: ReportFile): Told {
  if (report.schema !== SCHEMA) throw new Error(`the schema is not ${SCHEMA}`);
  const chain = /^eip155:([1-9][0-9]{0,14})$/.exec(text(report.chain, 40));
  const campaign = text(report.campaign, 42);
  const block = whole(report.block);
  const blockHash = text(report.block_hash, 64);
  const named = /^0x[0-9a-fA-F]{40}$/.test(campaign) && /^[0-9a-f]{64}$/.test(blockHash) && block >= 0;
  if (chain === null || !named) {
    throw new Error("chain, campaign or block make no sense");
  }
  const time = Math.floor(Date.parse(text(report.time, 40)) / 1000);
  if (!Number.isFinite(time)) throw new Error("the time makes no sense");
  if (signature !== null) {
    const hex = /^0x([0-9a-f]{2}){1,8192}$/;
    if (!/^0x[0-9a-fA-F]{40}$/.test(text(signature.auditor, 42)) || !hex.test(text(signature.signature, 16_386))) {
      throw new Error("the auditor's signature makes no sense");
    }
  }
  // More of them than a campaign can have would only keep the browser busy.
  for (const milestone of list(report.milestones, fields, MAX_MILESTONES)) {
    if (milestone.attested) list(fields(milestone.attested).signers, fields, MAX_ATTESTORS);
  }
  return {
    ...{ chainId: Number(chain[1]), campaign, block, blockHash, time },
    headline: text(fields(report.verdict).headline),
    checks: list(
      report.checks,
      (one) => {
        const check = fields(one);
        const [group, name, status] = [text(check.group, 200), text(check.name, 200), text(check.status, 20)];
        return { group, name, status, detail: text(check.detail) };
      },
      MOST_CHECKS,
    ),
  };
}

/**
 * Checks all that a report carries the evidence for.
 *
 * @param blockHash - Of the audited block, from elsewhere, 64 digits; null if there is none.
 * @throws UnfitReport if it is not built as reports are, so that nothing follows from it.
 */
export function recheck(file: ReportFile, blockHash: string | null): { outcome: Item["status"]; items: Item[] } {
  try {
    const page = file.page === null ? [] : [shown(namedValues(file.page), file.report)];
    const items = [...page, ...reverify(file, recover, blockHash)];
    return { outcome: conclusion(items), items };
  } catch (thrown) {
    throw new UnfitReport("form", messageOf(thrown));
  }
}

function recover(hash: Uint8Array, signature: Uint8Array, parity: number): Uint8Array {
  const parsed = secp256k1.Signature.fromCompact(signature).addRecoveryBit(parity);
  return parsed.recoverPublicKey(hash).toRawBytes(false);
}

/** With bounds: a hostile page must not keep the browser busy. */
const NAMED =
  /(?:<details class="exact"><summary>([^<]{0,200})<\/summary>)?<[a-z][a-z0-9]{0,20}(?=\s)[^<>]{0,200}\sdata-of="([^"<>]{0,200})"[^<>]{0,200}>([^<]*)</g;

/** The values that a page shows by name, read from its text as its own script reads them from its elements. */
export function namedValues(page: string): { querySelectorAll(selector: string): Shown[] } {
  const found = [...page.matchAll(NAMED)].map(([, summary, of = "", value = ""]): Shown => {
    const opened = { querySelector: () => ({ textContent: plain(summary ?? "") }) };
    return {
      dataset: { of: plain(of) },
      textContent: plain(value),
      closest: () => (summary === undefined ? null : opened),
    };
  });
  return { querySelectorAll: () => found };
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#34": '"', "#39": "'" };

function plain(escaped: string): string {
  return escaped.replace(/&(#?\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
