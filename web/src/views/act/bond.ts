/** What a challenge must bring, computed from the block's header: many nodes run calls with a base fee of 0. */

import type { Campaign } from "../../chain/campaign";

/** Gas that the contract prices a challenge at, and the number of open challenges that doubles the price. */
const ANSWER_GAS = 1_250_000n;
const DOUBLING = 512n;

/** Wei. */
export function requiredBond({ terms, block, state }: Campaign): bigint {
  const fee = ANSWER_GAS * block.baseFee;
  const base = terms.minBond > fee ? terms.minBond : fee;
  const open = BigInt(state.openChallenges);
  return ((base << (open / DOUBLING)) * (DOUBLING + (open % DOUBLING))) / DOUBLING;
}

/** What is offered by default: half as much again, so that fees and the queue may rise meanwhile. */
export function offeredBond(campaign: Campaign): bigint {
  const least = requiredBond(campaign);
  return least + least / 2n;
}
