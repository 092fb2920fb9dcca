/** What a call would do now, asked before the wallet is: it works, the contract refuses it, or nobody can tell. */

import { type Address, type Hex, isHex } from "viem";
import type { Call } from "./call";
import { asked, asParams, type Node, NodeTrouble } from "./node";

export type Simulated =
  | { readonly outcome: "works" }
  /** `data`: what the contract said, `0x` if nothing. */
  | { readonly outcome: "refused"; readonly data: Hex }
  | { readonly outcome: "unknown"; readonly error: unknown };

/** Codes with which nodes say that a call reverted: the common one, and Nethermind's. */
const REVERTED: ReadonlySet<unknown> = new Set([3, -32015]);
const DEPTH = 8;

export async function simulate(node: Node, from: Address, call: Call): Promise<Simulated> {
  try {
    await asked(node, "eth_call", [asParams(from, call), "latest"]);
    return { outcome: "works" };
  } catch (error) {
    return refusalOf(error);
  }
}

/** A node's error as a refusal by the contract, if it is one: by its code or by the data that it carries. */
export function refusalOf(error: unknown): Simulated {
  let reverted = false;
  let at: unknown = error instanceof NodeTrouble ? error.cause : error;
  for (let depth = 0; depth < DEPTH && typeof at === "object" && at !== null; depth += 1) {
    const { code, data, cause } = at as { code?: unknown; data?: unknown; cause?: unknown };
    const inner = typeof data === "object" && data !== null ? (data as { data?: unknown }).data : data;
    if (isHex(inner) && inner.length >= 10) return { outcome: "refused", data: inner };
    reverted ||= REVERTED.has(code);
    at = cause;
  }
  return reverted ? { outcome: "refused", data: "0x" } : { outcome: "unknown", error };
}
