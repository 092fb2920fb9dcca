/** What became of a transaction, from the chain alone: each state is one that a person would act on in another way. */

import { type Hash, isAddressEqual, keccak256 } from "viem";
import type { Difference, Entry } from "./journal";
import { head, type Included, type Node, NodeTrouble, nonce, receipt, type Shown, transaction, usedBy } from "./node";

export type Settled = "latest" | "safe" | "final";

export type Fate =
  /** The wallet has not said whether it sent it, and nothing of it is on the chain. */
  | { readonly kind: "asked" }
  /** In the node's pool, in no block. */
  | { readonly kind: "pool" }
  /** The node does not know it, and its number is free: it was dropped, or never arrived. */
  | { readonly kind: "missing" }
  /** Something else has used its number; `undefined` if the node does not show what. */
  | { readonly kind: "replaced"; readonly by: Hash | undefined; readonly cancelled: boolean }
  | { readonly kind: "mined" | "reverted"; readonly settled: Settled; readonly block: number }
  /** It was in a block that the chain has left. */
  | { readonly kind: "undone"; readonly now: "pool" | "missing" }
  /** The node is behind what another answer showed before. */
  | { readonly kind: "behind" }
  /** The node does not answer, or answers nonsense. */
  | { readonly kind: "unknown" };

/** A fate, and what the journal learns from it. */
export interface Found {
  readonly fate: Fate;
  readonly changes: Partial<Omit<Entry, "id">>;
}

export async function fateOf(node: Node, entry: Entry): Promise<Found> {
  try {
    const latest = await head(node, "latest");
    const at = Number(latest?.number ?? 0n);
    const found = await look(node, entry, at);
    // A node that is behind may not know yet what others know: what it lacks says nothing. The block may be newer than
    // the head, which was read before it.
    const seen = Math.max(entry.head, entry.block ?? 0);
    if (at < seen && LACKING.has(found.fate.kind)) return { fate: { kind: "behind" }, changes: {} };
    return { fate: found.fate, changes: { ...found.changes, head: Math.max(at, entry.head) } };
  } catch (error) {
    if (error instanceof NodeTrouble) return { fate: { kind: "unknown" }, changes: {} };
    throw error;
  }
}

const LACKING: ReadonlySet<Fate["kind"]> = new Set(["asked", "missing", "replaced", "undone"]);

async function look(node: Node, entry: Entry, at: number): Promise<Found> {
  if (entry.hash) {
    const [shown, included] = await Promise.all([transaction(node, entry.hash), receipt(node, entry.hash)]);
    const told = shown ? learned(entry, shown) : {};
    if (included) return settledFate(node, included, told);
    if (shown) return { fate: left(entry, "pool"), changes: told };
  }
  // A batch may come from another account and under any number: only its wallet knows it.
  if (entry.batch) return { fate: entry.hash ? left(entry, "missing") : { kind: "asked" }, changes: {} };
  const used = await nonce(node, entry.account, "latest");
  if (used <= BigInt(entry.nonce)) {
    return { fate: entry.hash ? left(entry, "missing") : { kind: "asked" }, changes: {} };
  }
  const by = await usedBy(node, entry.account, BigInt(entry.nonce), BigInt(entry.since), BigInt(at));
  if (by && differences(entry, by).length === 0) {
    // The same under another hash: sped up, or sent although the page never heard of it.
    const included = await receipt(node, by.hash);
    const before = entry.before ?? entry.hash;
    const told = { hash: by.hash, state: "sent" as const, differs: [], ...(before ? { before } : {}) };
    if (included) return settledFate(node, included, told);
    return { fate: { kind: "pool" }, changes: told };
  }
  const cancelled = by?.to !== undefined && isAddressEqual(by.to, entry.account) && by.data === "0x";
  const over = await isOver(node, entry);
  return { fate: { kind: "replaced", by: by?.hash, cancelled }, changes: over ? { state: "void" } : {} };
}

/** Whether its number is used up for good. */
async function isOver(node: Node, entry: Entry): Promise<boolean> {
  const final = await head(node, "finalized");
  if (!final) return false;
  return (await nonce(node, entry.account, final.number).catch(() => 0n)) > BigInt(entry.nonce);
}

function learned(entry: Entry, shown: Shown): Partial<Entry> {
  return entry.batch ? {} : { nonce: Number(shown.nonce), differs: differences(entry, shown) };
}

function left(entry: Entry, now: "pool" | "missing"): Fate {
  return entry.block === undefined ? { kind: now } : { kind: "undone", now };
}

async function settledFate(node: Node, included: Included, told: Partial<Entry>): Promise<Found> {
  const settled = await settledOf(node, included.block);
  const block = Number(included.block);
  const over = included.succeeded ? "final" : "failed";
  return {
    fate: { kind: included.succeeded ? "mined" : "reverted", settled, block },
    changes: { ...told, block, blockHash: included.blockHash, ...(settled === "final" ? { state: over } : {}) },
  };
}

async function settledOf(node: Node, block: bigint): Promise<Settled> {
  const [final, safe] = await Promise.all([head(node, "finalized"), head(node, "safe")]);
  if (final && final.number >= block) return "final";
  return safe && safe.number >= block ? "safe" : "latest";
}

/** What a transaction does otherwise than was asked for. */
export function differences(entry: Entry, shown: Shown): Difference[] {
  const found: Difference[] = [];
  if (!isAddressEqual(shown.from, entry.account)) found.push("from");
  if (!shown.to || !isAddressEqual(shown.to, entry.to)) found.push("to");
  if (keccak256(shown.data) !== entry.dataHash) found.push("data");
  if (shown.value !== BigInt(entry.value)) found.push("value");
  return found;
}
