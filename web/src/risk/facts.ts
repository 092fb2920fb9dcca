/** The facts that the rules need, as far as this page can tell them. What it cannot is left out, so it stays unknown. */

import type { Address } from "viem";
import { coinOf } from "../chain/assets";
import type { Campaign } from "../chain/campaign";
import type { Reader } from "../chain/client";
import { call, codeAt } from "../chain/read";
import { floorOf, isNative, type Terms } from "../chain/terms";
import { fetchHash } from "../evidence/gateways";
import type { Json, Manifest, Proposal } from "../evidence/manifests";
import { isReplayable } from "../evidence/recipes";
import { campaignAbi } from "../generated/abi";
import {
  BPS,
  ENGLISH,
  FACTORY,
  KNOWN_ACCOUNTS,
  MAX_MANIFEST_BYTES,
  TEST_CHAINS,
  UNIFORM,
} from "../generated/constants";
import { answerCost } from "./answerCost";
import type { Facts } from "./rules";

const METRIC = "heldout_bits_per_byte";
const UNNAMED_COIN = "of the chain's coin";

/** Everything that is known of a campaign. What the node does not answer stays unknown. */
export async function gatherFacts(
  reader: Reader,
  campaign: Campaign,
  proposal: Manifest<Proposal>,
  gateways: readonly string[],
): Promise<Facts> {
  const [accounts, cost, training] = await Promise.all([
    accountFacts(reader, campaign).catch(() => ({})),
    answerCost(reader, campaign.block).catch(() => null),
    trainingFacts(proposal, gateways),
  ]);
  return {
    ...assetFacts(campaign),
    ...termFacts(campaign.terms),
    ...moneyFacts(campaign),
    ...accounts,
    ...proposalFacts(campaign.terms, proposal),
    ...training,
    answer_cost: cost === null ? null : `${cost}`,
  };
}

function assetFacts({ asset, chainId }: Campaign): Facts {
  return {
    asset_symbol: asset.symbol || UNNAMED_COIN,
    asset_decimals: asset.decimals,
    coin_symbol: coinOf(chainId).symbol || UNNAMED_COIN,
    test_chain: (TEST_CHAINS as readonly number[]).includes(chainId),
    // The address was computed again from the terms.
    genuine: true,
    factory: FACTORY,
  };
}

export function termFacts(terms: Terms): Facts {
  const payees = new Set(terms.payees.map((payee) => payee.account));
  const floor = terms.milestones.at(-1);
  const least = floor ? floorOf(floor) : null;
  const named = [terms.researcher, ...terms.attestors, ...payees, ...(terms.arbiter ? [terms.arbiter] : [])];
  const roles = [
    ["the researcher", [terms.researcher]],
    ["a payee", [...payees]],
    ["an attestor", terms.attestors],
  ] as const;
  return {
    native: isNative(terms),
    quorum: terms.quorum,
    attestors: terms.attestors.length,
    researcher_attests: terms.attestors.includes(terms.researcher),
    attestors_paid: terms.attestors.filter((account) => payees.has(account)),
    only_weights: terms.milestones.length === 1,
    dataset_fixed: terms.dataset !== null,
    answer_window: terms.answerWindow,
    ruling_window: terms.rulingWindow,
    min_bond: `${terms.minBond}`,
    floor_set: least !== null,
    floor_score: least === null ? null : `${least}`,
    arbiter_named: terms.arbiter !== null,
    arbiter: terms.arbiter,
    arbiter_roles: roles
      .filter(([, accounts]) => terms.arbiter !== null && (accounts as readonly Address[]).includes(terms.arbiter))
      .map(([role]) => role)
      .join(" and "),
    known_keys: [...new Set(named.flatMap((account) => (KNOWN_ACCOUNTS as Record<string, string>)[account] ?? []))],
  };
}

export function moneyFacts({ terms, state }: Pick<Campaign, "terms" | "state">): Facts {
  const { status, pledged } = state;
  const pool = pledged > terms.goal ? pledged : terms.goal;
  const unreleased = status === "Funding" ? pool : status === "Active" ? pledged - state.released : 0n;
  const room = status === "Funding" && terms.cap > pool ? terms.cap - pool : 0n;
  const bps = BigInt(terms.stopBps);
  const all = BigInt(BPS);
  const running = status === "Funding" || status === "Active";
  const claimed = state.claimed.reduce((sum, one) => sum + one, 0n);
  return {
    status,
    pledged: `${pledged}`,
    unreleased: `${unreleased}`,
    room: `${room}`,
    blocking_stake: `${pool - (pool * bps + all - 1n) / all + 1n}`,
    forcing_stake: `${(pool * bps + all - bps - 1n) / (all - bps)}`,
    ...(running ? { balance: `${state.balance}`, owed: `${pledged - claimed}` } : {}),
  };
}

/** Pledges and wallets of the accounts in the terms. */
async function accountFacts(reader: Reader, { terms, address, block }: Campaign): Promise<Facts> {
  const holders = [terms.researcher, ...terms.attestors, ...(terms.arbiter ? [terms.arbiter] : [])];
  const everybody = [...new Set([...holders, ...terms.payees.map((payee) => payee.account)])];
  const [pledges, codes] = await Promise.all([
    Promise.all(holders.map((account) => call(reader, block, address, campaignAbi, "pledgeOf", [account]))),
    Promise.all(everybody.map((account) => codeAt(reader, block, account))),
  ]);
  const pledgeOf = new Map(holders.map((account, place) => [account, pledges[place] ?? 0n]));
  const facts: Facts = {
    researcher_pledge: `${pledgeOf.get(terms.researcher)}`,
    attestors_backing: terms.attestors.filter((account) => pledgeOf.get(account)),
    ...(terms.arbiter ? { arbiter_pledge: `${pledgeOf.get(terms.arbiter)}` } : {}),
    ...arbiterFacts(terms, codes[everybody.indexOf(terms.arbiter ?? terms.researcher)] ?? "0x"),
  };
  // Who owns a contract wallet is more than a page can find out: only the command line follows that.
  if (codes.some((code) => code !== "0x")) return facts;
  const insiders = new Set([terms.researcher, ...terms.payees.map((payee) => payee.account)]);
  return {
    ...facts,
    insider_seats: terms.attestors.filter((account) => insiders.has(account)).length,
    attestors_with_code: [],
    shared_wallets: [],
    seats_of_one: 1,
  };
}

function arbiterFacts(terms: Terms, code: string): Facts {
  if (terms.arbiter === null || code !== "0x") return {};
  return {
    arbiter_kind: "key",
    arbiter_told: "The arbiter is an account without code: a single key",
    arbiter_asks_court: false,
  };
}

function proposalFacts(terms: Terms, proposal: Manifest<Proposal>): Facts {
  const floor = terms.milestones.at(-1);
  const least = floor ? floorOf(floor) : null;
  if (proposal.outcome !== "read") {
    const problem = proposal.outcome === "malformed" ? proposal.why : "no gateway has its bytes";
    return { proposal_problem: problem, baselines_problem: "the proposal, which names the metric, could not be read" };
  }
  const { outcome } = proposal.value;
  const sign = outcome.direction === "higher" ? 1n : -1n;
  const differences = differencesOf(proposal.value, terms);
  const known = outcome.metric === METRIC && outcome.direction === "lower";
  return {
    proposal_problem: "",
    proposal_matches: differences.length === 0,
    differences,
    target_score: `${sign * BigInt(outcome.target)}`,
    english_counting: ENGLISH,
    ...(least === null ? {} : { floor: `${sign * least}` }),
    ...(known ? { uniform_score: `-${UNIFORM}` } : {}),
    baselines_problem: known
      ? "only the command line counts letters in the dataset"
      : "the promised metric is not one whose baselines this package knows",
  };
}

/** Who can repeat the training, from the recipe that the proposal names. */
async function trainingFacts(proposal: Manifest<Proposal>, gateways: readonly string[]): Promise<Facts> {
  if (proposal.outcome !== "read") return { recipe_problem: "the proposal, which names the recipe, could not be read" };
  const { recipe } = proposal.value;
  if (recipe === null) return { recipe_named: false };
  const fetched = await fetchHash(recipe, gateways, MAX_MANIFEST_BYTES);
  if (fetched.outcome !== "found")
    return { recipe_named: true, recipe_problem: `no gateway has the bytes of the recipe ${recipe}` };
  const replayable = isReplayable(fetched.bytes);
  if (replayable === null) return { recipe_named: true, recipe_problem: "only the command line can read this recipe" };
  return { recipe_named: true, recipe_replayable: replayable, recipe_problem: "" };
}

/** What the proposal says otherwise than the terms, which alone bind. */
export function differencesOf(proposal: Proposal, terms: Terms): string[] {
  const same = (words: string, proposed: unknown, agreed: unknown) => {
    const [said, is] = [proposed, agreed].map((one) => JSON.stringify(one)?.toLowerCase());
    return said === is
      ? []
      : [`${words} is ${JSON.stringify(proposed)} in the proposal, but ${JSON.stringify(agreed)} in the terms`];
  };
  return [
    ...same("The researcher", proposal.researcher.address, terms.researcher),
    ...same(
      "The list of attestors",
      proposal.attestors.map((party) => party.address),
      terms.attestors,
    ),
    ...same(
      "The list of milestones",
      proposal.milestones.map((one) => one.kind),
      terms.milestones.map((one) => one.kind),
    ),
    ...same("The dataset's hash", proposal.dataset.manifest, terms.dataset?.slice(2) ?? null),
    ...(proposal.terms === null ? [] : promisedDifferences(proposal.terms, terms)),
  ];
}

function promisedDifferences(promised: Json, terms: Terms): string[] {
  const said = flat(promised);
  const agreed = flat(promisedBy(terms));
  const names = [...new Set([...Object.keys(said), ...Object.keys(agreed)])].sort();
  const other = names.filter((name) => said[name] !== agreed[name]);
  const [first] = other;
  if (first === undefined) return [];
  const more = other.length > 1 ? `; ${other.length - 1} more fields differ` : "";
  return [`The proposal promises ${said[first]} for ${first}, but the terms say ${agreed[first]}${more}`];
}

/** The terms as a proposal promises them. */
function promisedBy(terms: Terms): Json {
  return {
    asset: terms.asset,
    goal: `${terms.goal}`,
    cap: `${terms.cap}`,
    funding_deadline: terms.fundingDeadline,
    stop_bps: terms.stopBps,
    challenge_window: terms.challengeWindow,
    answer_window: terms.answerWindow,
    min_bond: `${terms.minBond}`,
    slack: terms.slack,
    quorum: terms.quorum,
    payees: terms.payees.map(({ account, bps }) => ({ account, bps })),
    milestones: terms.milestones.map((one) => {
      const least = floorOf(one);
      return { kind: one.kind, bps: one.bps, deadline: one.deadline, min_score: least === null ? null : `${least}` };
    }),
    arbiter: terms.arbiter,
    ruling_window: terms.rulingWindow,
  };
}

/** Each field by its path; texts in lower case, because addresses have two spellings. */
function flat(value: Json, path = ""): Record<string, Json> {
  if (Array.isArray(value)) {
    const parts = value.map((one, place) => flat(one, `${path}[${place}]`));
    return Object.assign({ [`${path}.count`]: value.length }, ...parts);
  }
  if (value !== null && typeof value === "object") {
    return Object.assign({}, ...Object.entries(value).map(([name, one]) => flat(one, path ? `${path}.${name}` : name)));
  }
  return { [path]: typeof value === "string" ? value.toLowerCase() : value };
}
