/** A link that wallets on phones understand (EIP-681), for pledges in the chain's coin. */

import type { Address } from "viem";

/** A pledge of `amount` wei, credited to `backer`. */
export function pledgeLink(campaign: Address, chainId: number, backer: Address, amount: bigint): string {
  return `ethereum:${campaign}@${chainId}/pledgeCoin?address=${backer}&value=${amount}`;
}
