/** The answer to a challenge: one chunk and its path to the attested content root (RFC 9162). */

import { bytesToHex } from "@noble/hashes/utils.js";
import type { Hex } from "viem";
import { Content, hashChunks, Missed, MOST_CONTENT } from "../../evidence/content";
import { pathOf, rootOf } from "../../evidence/merkle";

export type ChunkProof = { chunk: bigint; data: Hex; path: Hex[] };

/** Why no answer could be made here. The command line may still make one. */
export type Unproven = "large" | Missed["why"];

export class NoProof extends Error {
  constructor(readonly why: Unproven) {
    super(why);
  }
}

/** Fetches the attested content, hashes all of it, and proves one chunk. Throws `NoProof`. */
export async function proveChunk(
  evidence: Hex,
  { root, size }: { root: Hex; size: bigint },
  chunk: bigint,
  gateways: readonly string[],
): Promise<ChunkProof> {
  if (size > BigInt(MOST_CONTENT)) throw new NoProof("large");
  const at = Number(chunk);
  try {
    const content = await Content.open({ evidence: evidence.slice(2), root: root.slice(2), size }, gateways);
    const { leaves, chunk: data } = await hashChunks(content, () => {}, at);
    if (data === null || `0x${bytesToHex(rootOf(leaves))}` !== root) throw new NoProof("content");
    return {
      chunk,
      data: `0x${bytesToHex(data)}`,
      path: pathOf(leaves, at).map((node): Hex => `0x${bytesToHex(node)}`),
    };
  } catch (thrown) {
    throw thrown instanceof Missed ? new NoProof(thrown.why) : thrown;
  }
}
