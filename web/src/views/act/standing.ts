/** What an account has in a campaign, read at the campaign's block. */

import { type Address, erc20Abi, isAddressEqual } from "viem";
import type { Campaign } from "../../chain/campaign";
import { type EventOf, only } from "../../chain/events";
import { type Block, balanceAt, call, codeAt } from "../../chain/read";
import { campaignAbi } from "../../generated/abi";
import type { Where } from "../../where";

/** The bond of an own challenge that nobody has answered, in wei. */
export type Bond = { milestone: number; chunk: bigint; bond: bigint };

export type Standing = {
  account: Address;
  /** Whether the account is a contract, which signs in its own way. */
  isContract: boolean;
  /** The chain's coin that it has, in wei. */
  coin: bigint;
  pledge: bigint;
  votes: boolean;
  refundable: bigint;
  refunded: bigint;
  bonds: Bond[];
  /** Of the campaign's token: what the account has, and what it lets the campaign take. Null for the coin. */
  token: { balance: bigint; allowance: bigint } | null;
};

export async function readStanding(where: Where, campaign: Campaign, account: Address): Promise<Standing> {
  const { address, block, terms, asset } = campaign;
  const { reader } = where;
  const of = (name: "pledgeOf" | "refundable") => call(reader, block, address, campaignAbi, name, [account]);
  const [pledge, refundable, votes, coin, code, token] = await Promise.all([
    of("pledgeOf"),
    of("refundable"),
    call(reader, block, address, campaignAbi, "hasVotedStop", [account]),
    balanceAt(reader, block, account),
    codeAt(reader, block, account),
    asset.native ? null : readToken(where, block, terms.asset, account, address),
  ]);
  const mine = only(campaign.events, "Refunded").filter((event) => isAddressEqual(event.args.backer, account));
  const refunded = mine.reduce((sum, event) => sum + event.args.amount, 0n);
  const bonds = openBonds(campaign, account);
  return { account, isContract: code !== "0x", coin, pledge, votes, refundable, refunded, bonds, token };
}

async function readToken(where: Where, block: Block, token: Address, account: Address, campaign: Address) {
  const [balance, allowance] = await Promise.all([
    call(where.reader, block, token, erc20Abi, "balanceOf", [account]),
    call(where.reader, block, token, erc20Abi, "allowance", [account, campaign]),
  ]);
  return { balance, allowance };
}

/** An account's challenges that nobody has answered and whose bond it has not taken back. */
export function openBonds(campaign: Campaign, account: Address): Bond[] {
  const open = new Map<string, Bond>();
  for (const { name, args } of campaign.events) {
    if (name === "Challenged" && isAddressEqual(args.challenger, account)) {
      open.set(keyOf(args), { milestone: args.milestone, chunk: args.chunk, bond: args.bond });
    } else if (name === "ChallengeAnswered" || name === "BondReturned") {
      open.delete(keyOf(args));
    }
  }
  return [...open.values()];
}

/** The latest attestation; undefined before the first. */
export function latestAttestation(campaign: Campaign): EventOf<"MilestoneAttested">["args"]["attestation"] | undefined {
  return only(campaign.events, "MilestoneAttested").at(-1)?.args.attestation;
}

function keyOf({ milestone, chunk }: { milestone: number; chunk: bigint }): string {
  return `${milestone}/${chunk}`;
}
