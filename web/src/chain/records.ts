/** What a campaign's researcher and attestors did in all campaigns of the chain, as `llamafund people` counts it. */

import { type Address, type Hex, toEventSelector } from "viem";
import { campaignAbi } from "../generated/abi";
import { type Campaign, failureOf, type Progress, readProgress } from "./campaign";
import type { Reader } from "./client";
import { type CampaignEvent, decode, only } from "./events";
import { type Created, listCampaigns } from "./factory";
import { type Log, logsOf } from "./read";

/** Counts. `partly` if the account is named in more campaigns than are read. */
export type History = {
  role: "researcher" | "attestor";
  campaigns: number;
  completed: number;
  failed: number;
  /** Milestones attested in time. */
  kept: number;
  missed: number;
  /** Challenges that nobody answered. */
  lost: number;
  refused: number;
  signed: number;
  /** Signed, and then refused by the arbiter or never shown when challenged. */
  contradicted: number;
  partly: boolean;
};

const MOST_CAMPAIGNS = 200;
const STORY = ["MilestoneAttested", "Challenged", "ChallengeAnswered", "Ruled"];

type Story = { created: Created; progress: Progress; events: CampaignEvent[] };

/** By account, in the role that it has in this campaign. */
export async function readRecords(reader: Reader, campaign: Campaign): Promise<Map<Address, History[]>> {
  const { terms, block, chainId } = campaign;
  const people = [...new Set([terms.researcher, ...terms.attestors])];
  const all = await listCampaigns(reader, chainId, block);
  const naming = all.filter(({ terms: one }) => people.includes(one.researcher) || names(one.attestors, people));
  const read = naming.slice(-MOST_CAMPAIGNS);
  const partly = read.length < naming.length;
  const topics = campaignAbi.flatMap((entry) =>
    entry.type === "event" && STORY.includes(entry.name) ? [toEventSelector(entry)] : [],
  );
  const first = Math.min(...read.map((one) => one.block));
  const addresses = read.map((one) => one.campaign as Hex);
  const [logs, progresses] = await Promise.all([
    logsOf(reader, addresses, [topics], first, block.number),
    Promise.all(read.map((one) => readProgress(reader, block, one.campaign))),
  ]);
  const logsBy = new Map<string, Log[]>();
  for (const log of logs)
    logsBy.set(log.address.toLowerCase(), [...(logsBy.get(log.address.toLowerCase()) ?? []), log]);
  const stories = read.map((created, place): Story => {
    const events = (logsBy.get(created.campaign.toLowerCase()) ?? []).flatMap(decode);
    return { created, progress: progresses[place] as Progress, events };
  });
  return new Map(people.map((account) => [account, recordsOf(account, campaign, stories, partly)]));
}

function recordsOf(account: Address, { terms }: Campaign, stories: Story[], partly: boolean): History[] {
  const found: History[] = [];
  if (terms.researcher === account) {
    const mine = stories.filter((one) => one.created.terms.researcher === account);
    found.push({ ...count(mine), ...NONE_SIGNED, role: "researcher", partly });
  }
  if (terms.attestors.includes(account)) {
    const mine = stories.filter((one) => one.created.terms.attestors.includes(account));
    found.push({ ...count(mine), ...signedBy(account, mine), role: "attestor", partly });
  }
  return found;
}

const NONE_SIGNED = { signed: 0, contradicted: 0 };

function count(stories: Story[]) {
  const sum = (of: (one: Story) => number) => stories.reduce((total, one) => total + of(one), 0);
  const cause = ({ created, progress }: Story) => failureOf(created.terms, progress);
  return {
    campaigns: stories.length,
    completed: sum((one) => Number(one.progress.status === "Completed")),
    failed: sum((one) => Number(cause(one) !== null)),
    kept: sum((one) => only(one.events, "MilestoneAttested").length),
    missed: sum((one) => Number(["milestone", "start"].includes(cause(one) ?? ""))),
    lost: sum((one) => Number(unanswered(one) !== null)),
    refused: sum((one) => Number(isRefused(one))),
  };
}

function signedBy(account: Address, stories: Story[]) {
  const totals = { signed: 0, contradicted: 0 };
  for (const one of stories) {
    const seat = BigInt(one.created.terms.attestors.indexOf(account));
    const mine = only(one.events, "MilestoneAttested")
      .filter((event) => (event.args.signers >> seat) & 1n)
      .map((event) => event.args.milestone);
    const lost = unanswered(one);
    totals.signed += mine.length;
    totals.contradicted += Number(isRefused(one) && mine.includes(one.created.terms.milestones.length - 1));
    totals.contradicted += Number(lost !== null && mine.includes(lost));
  }
  return totals;
}

/** The milestone whose challenge nobody answered, which failed the campaign; null if none did. */
function unanswered({ created, progress, events }: Story): number | null {
  if (failureOf(created.terms, progress) !== "answer") return null;
  const answered = only(events, "ChallengeAnswered").map(({ args }) => `${args.milestone} ${args.chunk}`);
  const open = only(events, "Challenged").find(({ args }) => !answered.includes(`${args.milestone} ${args.chunk}`));
  return open?.args.milestone ?? null;
}

function isRefused({ events }: Story): boolean {
  return only(events, "Ruled").some((event) => !event.args.upheld);
}

function names(attestors: readonly Address[], people: readonly Address[]): boolean {
  return attestors.some((one) => people.includes(one));
}
