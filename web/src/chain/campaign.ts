/** A campaign at one block: its terms, which its address proves, and its state, which a node tells. */

import { type Address, erc20Abi, type Hex } from "viem";
import { campaignAbi } from "../generated/abi";
import { type Asset, assetAt } from "./assets";
import type { Reader } from "./client";
import { type CampaignEvent, campaignEvents } from "./events";
import { type Created, findCampaign } from "./factory";
import { atOneBlock, type Block, balanceAt, call } from "./read";
import { isNative, type Terms } from "./terms";
import { Trouble } from "./trouble";

export const STATUSES = ["Funding", "Active", "Completed", "Failed"] as const;
export type Status = (typeof STATUSES)[number];

/** Amounts in smallest units, times in unix seconds. */
export type Progress = {
  status: Status;
  pledged: bigint;
  attestedAt: number;
  challengedAt: number;
  slackUsed: number;
  attested: number;
  active: boolean;
  stopped: boolean;
  withheld: boolean;
  contested: boolean;
};

export type State = Progress & {
  released: bigint;
  stopSupport: bigint;
  votesFrom: number;
  trainingSeed: Hex;
  latestContent: Hex;
  latestEvidence: Hex;
  openChallenges: number;
  balance: bigint;
  claimable: bigint[];
  claimed: bigint[];
};

export type Campaign = {
  chainId: number;
  address: Address;
  created: Created;
  terms: Terms;
  asset: Asset;
  block: Block;
  state: State;
  events: CampaignEvent[];
};

/** Reads a campaign at the latest block. Throws a `Trouble`, or what the node's client throws. */
export function readCampaign(reader: Reader, chainId: number, address: Address): Promise<Campaign> {
  return atOneBlock(reader, async (block) => {
    const created = await findCampaign(reader, chainId, block, address);
    const { terms } = created;
    const [asset, state, events] = await Promise.all([
      assetAt(reader, chainId, block, terms.asset),
      readState(reader, block, created.campaign, terms),
      campaignEvents(reader, created.campaign, created.block, block.number),
    ]);
    return { chainId, address: created.campaign, created, terms, asset, block, state, events };
  });
}

export async function readProgress(reader: Reader, block: Block, address: Address): Promise<Progress> {
  const [status, ledger] = await Promise.all([
    call(reader, block, address, campaignAbi, "status"),
    call(reader, block, address, campaignAbi, "ledger"),
  ]);
  const named = STATUSES[status];
  if (named === undefined) throw new Trouble("contradicts");
  return { ...ledger, status: named };
}

async function readState(reader: Reader, block: Block, address: Address, terms: Terms): Promise<State> {
  const ask = <N extends "released" | "stopSupport" | "votesFrom" | "openChallenges">(name: N) =>
    call(reader, block, address, campaignAbi, name);
  const hash = (name: "trainingSeed" | "latestContent" | "latestEvidence") =>
    call(reader, block, address, campaignAbi, name);
  const of = (name: "claimable" | "claimed") =>
    Promise.all(terms.payees.map((_, payee) => call(reader, block, address, campaignAbi, name, [BigInt(payee)])));
  const [progress, released, stopSupport, votesFrom, open, seed, content, evidence, balance, claimable, claimed] =
    await Promise.all([
      readProgress(reader, block, address),
      ...([ask("released"), ask("stopSupport"), ask("votesFrom"), ask("openChallenges")] as const),
      ...([hash("trainingSeed"), hash("latestContent"), hash("latestEvidence")] as const),
      isNative(terms)
        ? balanceAt(reader, block, address)
        : call(reader, block, terms.asset, erc20Abi, "balanceOf", [address]),
      ...([of("claimable"), of("claimed")] as const),
    ]);
  const hashes = { trainingSeed: seed, latestContent: content, latestEvidence: evidence };
  const counts = { votesFrom: Number(votesFrom), openChallenges: Number(open) };
  return { ...progress, ...hashes, ...counts, released, stopSupport, balance, claimable, claimed };
}

/** A milestone's deadline with the slack used so far. */
export function deadlineOf(terms: Terms, progress: Progress, milestone: number): number {
  const moved = milestone >= progress.attested ? progress.slackUsed : 0;
  return (terms.milestones[milestone]?.deadline ?? 0) + moved;
}

/** When the window of the latest attestation ends, with the time for a ruling; 0 if there is none. */
export function windowEnd(terms: Terms, progress: Progress): number {
  if (progress.attested === 0) return 0;
  return progress.attestedAt + terms.challengeWindow + (progress.contested ? terms.rulingWindow : 0);
}

export function takesPledges(terms: Terms, progress: Progress, now: number): boolean {
  return progress.status === "Funding" && now < terms.fundingDeadline && progress.pledged < terms.cap;
}

export type Deadline = { what: "funding" | "activation" | "milestone" | "answer" | "release"; at: number };

/** What happens next by itself; null if nothing does any more. */
export function nextDeadline(terms: Terms, progress: Progress, now: number): Deadline | null {
  const { status, challengedAt, attested } = progress;
  if (status === "Funding") {
    if (now < terms.fundingDeadline) return { what: "funding", at: terms.fundingDeadline };
    return { what: "activation", at: deadlineOf(terms, progress, 0) };
  }
  if (status !== "Active") return null;
  if (challengedAt > 0) return { what: "answer", at: challengedAt + terms.answerWindow };
  if (attested === terms.milestones.length) return { what: "release", at: windowEnd(terms, progress) };
  return { what: "milestone", at: deadlineOf(terms, progress, attested) };
}

export type Cause = "goal" | "start" | "milestone" | "answer" | "stop" | "refusal";

/** Why a campaign failed, told apart as the contract does; null if it has not. */
export function failureOf(terms: Terms, progress: Progress): Cause | null {
  if (progress.status !== "Failed") return null;
  if (!progress.active) return progress.pledged < terms.goal ? "goal" : "start";
  if (progress.stopped) return progress.contested ? "refusal" : "stop";
  return progress.challengedAt > 0 ? "answer" : "milestone";
}
