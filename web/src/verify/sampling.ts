/** Whether the attested content is there: all of it against its root, or random blocks against their addresses. */

import { bytesToHex } from "@noble/hashes/utils.js";
import { type Attested, Content, hashChunks, Missed } from "../evidence/content";
import { rootOf } from "../evidence/merkle";
import { CHUNK_SIZE, LEAF_SIZE } from "../generated/constants";

/** Samples in one go. */
export const SAMPLES = 20;
/** Bytes of the blocks of one go; the nodes above them and the manifest come on top. */
export const SAMPLE_BYTES = SAMPLES * LEAF_SIZE;
/** Samples that are on their way at the same time. */
const AT_ONCE = 4;

/** One position of the content that was drawn: held, or why not. */
export type Sample = { position: number; chunk: number; outcome: "held" | Missed["why"]; liars: readonly string[] };

/** All of it: held, or why not. */
export type Whole = { outcome: "held" | Missed["why"]; liars: readonly string[] };

/** Positions of bytes, each as likely as any other. Drawn here, so that nobody could know them. */
export function draw(size: number, count: number): number[] {
  const numbers = crypto.getRandomValues(new BigUint64Array(count));
  return Array.from(numbers, (one) => Number((one * BigInt(size)) >> 64n));
}

/** Fetches the blocks that have the bytes at some positions. `step` is told how many were asked for so far. */
export async function samplePositions(
  attested: Attested,
  positions: readonly number[],
  gateways: readonly string[],
  step: (done: number) => void,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const content = await Content.open(attested, gateways).catch(missedOf);
  const waiting = [...positions];
  const work = async () => {
    for (let position = waiting.shift(); position !== undefined; position = waiting.shift()) {
      const missed = content instanceof Missed ? content : await held(content, position);
      const chunk = Math.floor(position / CHUNK_SIZE);
      samples.push({ position, chunk, outcome: missed?.why ?? "held", liars: missed?.liars ?? [] });
      step(samples.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return samples;
}

/** Fetches everything. `step` is told the bytes so far; what it throws ends the work. */
export async function checkWhole(
  attested: Attested,
  gateways: readonly string[],
  step: (done: number) => void,
): Promise<Whole> {
  try {
    const { leaves } = await hashChunks(await Content.open(attested, gateways), step);
    return { outcome: bytesToHex(rootOf(leaves)) === attested.root ? "held" : "content", liars: [] };
  } catch (thrown) {
    const { why, liars } = missedOf(thrown);
    return { outcome: why, liars };
  }
}

/** How likely so many samples all miss what is wrong, if that is a share of the bytes. */
export function missedBy(samples: number, share: number): number {
  return (1 - share) ** samples;
}

/** Null if the block with the byte at a position is there. */
function held(content: Content, position: number): Promise<Missed | null> {
  return content.blockAt(position).then(() => null, missedOf);
}

function missedOf(thrown: unknown): Missed {
  if (thrown instanceof Missed) return thrown;
  throw thrown;
}
