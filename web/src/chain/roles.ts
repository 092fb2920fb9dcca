/** In which roles an account takes part in a chain's campaigns. */

import { type Address, isAddressEqual, padHex, toEventSelector } from "viem";
import { campaignAbi } from "../generated/abi";
import type { Reader } from "./client";
import type { Created } from "./factory";
import { type Block, logsOf } from "./read";

export const ROLES = ["researcher", "attestor", "payee", "backer"] as const;
export type Role = (typeof ROLES)[number];

/** The events with which backers, challengers and answerers act, each with them in its first or third topic. */
export const OWN = ["Pledged", "Unpledged", "Refunded", "StopVoted"];
export const OWN_IN_CHALLENGES = ["Challenged", "ChallengeAnswered", "BondReturned"];

/** The number of campaigns in each role that an account has, as `llamafund people` counts them. */
export async function readRoles(
  reader: Reader,
  block: Block,
  created: readonly Created[],
  account: Address,
): Promise<[Role, number][]> {
  const own = await campaignsOf(reader, created, account, block.number, OWN, OWN_IN_CHALLENGES);
  const is = (other: Address) => isAddressEqual(other, account);
  const count = (holds: (one: Created) => boolean) => created.filter(holds).length;
  const counts: Record<Role, number> = {
    researcher: count(({ terms }) => is(terms.researcher)),
    attestor: count(({ terms }) => terms.attestors.some(is)),
    payee: count(({ terms }) => terms.payees.some((payee) => is(payee.account))),
    backer: own.size,
  };
  return ROLES.filter((role) => counts[role] > 0).map((role) => [role, counts[role]]);
}

/** What the terms of a campaign call an account, for example `attestor 0`. */
export function rolesIn({ terms }: Pick<Created, "terms">, account: Address): string[] {
  const is = (other: Address | null) => other !== null && isAddressEqual(other, account);
  return [
    ...(is(terms.researcher) ? ["researcher"] : []),
    ...terms.attestors.flatMap((one, place) => (is(one) ? [`attestor ${place}`] : [])),
    ...terms.payees.flatMap(({ account: one }, place) => (is(one) ? [`payee ${place}`] : [])),
    ...(is(terms.arbiter) ? ["arbiter"] : []),
  ];
}

/** The campaigns, in lower case, with events of an account: of some kinds as a backer, of others in challenges. */
export async function campaignsOf(
  reader: Reader,
  created: readonly Created[],
  account: Address,
  last: number,
  own: readonly string[],
  inChallenges: readonly string[],
): Promise<Set<string>> {
  if (created.length === 0) return new Set<string>();
  const first = Math.min(...created.map((one) => one.block));
  const addresses = created.map((one) => one.campaign);
  const me = padHex(account, { size: 32 });
  const found = await Promise.all([
    logsOf(reader, addresses, [own.map(selector), me], first, last),
    logsOf(reader, addresses, [inChallenges.map(selector), null, null, me], first, last),
  ]);
  return new Set(found.flat().map((log) => log.address.toLowerCase()));
}

function selector(name: string) {
  const entry = campaignAbi.find((one) => one.type === "event" && one.name === name);
  if (entry?.type !== "event") throw new Error(name);
  return toEventSelector(entry);
}
