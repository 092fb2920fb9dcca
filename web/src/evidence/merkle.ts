/** The content root: an RFC 9162 Merkle tree with SHA-256 over chunks of 16 KiB (docs/evidence.md). */

import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";

export function leafOf(chunk: Uint8Array): Uint8Array {
  return sha256(concatBytes(Uint8Array.of(0), chunk));
}

export function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  const [first, second] = leaves;
  if (!first) return sha256(new Uint8Array());
  if (!second) return first;
  const split = splitOf(leaves.length);
  return sha256(concatBytes(Uint8Array.of(1), rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split))));
}

/** Hashes from the leaf's sibling upwards. */
export function pathOf(leaves: readonly Uint8Array[], at: number): Uint8Array[] {
  if (leaves.length <= 1) return [];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return at < split ? [...pathOf(left, at), rootOf(right)] : [...pathOf(right, at - split), rootOf(left)];
}

/** The largest power of two below the number of leaves. */
function splitOf(leaves: number): number {
  return 2 ** Math.floor(Math.log2(leaves - 1));
}
