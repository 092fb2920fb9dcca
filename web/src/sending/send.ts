/**
 * From a plan to the wallet: nothing leaves before it is in the journal, and nothing that may still happen is asked for
 * again unless the person says so.
 */

import { type Address, type Hash, isHex } from "viem";
import { ask, WalletError } from "../wallet/provider";
import { type Connected, providerOf, type Session } from "../wallet/session";
import { sendBatch } from "./batches";
import type { Call } from "./call";
import { dataHashOf, type Entry, type Journal } from "./journal";
import { asParams, head, hexOf, type Node, nonce } from "./node";

/** What the wallet is to be asked for. */
export interface Plan {
  readonly action: string;
  readonly campaign: Address;
  readonly account: Address;
  readonly chain: number;
  readonly call: Call;
  /** Calls that must come before it in the same transaction, if the wallet can do several. */
  readonly together?: readonly Call[];
  readonly intent: string;
  readonly shown: Readonly<Record<string, string>>;
  /** Units of gas, with room; `undefined` if they could not be told. */
  readonly gas: bigint | undefined;
}

/** The same was asked for before, and may still happen. */
export class AlreadyAsked extends Error {
  constructor(readonly entry: Entry) {
    super(entry.id);
  }
}

/** The wallet stands on another account or chain than the plan was made for. */
export class Moved extends Error {
  constructor(readonly what: "account" | "chain" | "nothing") {
    super(what);
  }
}

/** After these it is sure that nothing was sent. */
const NOTHING_SENT: ReadonlySet<string> = new Set([
  "declined",
  "unauthorized",
  "unsupported",
  "disconnected",
  "wrongChain",
  "unknownChain",
  "invalid",
]);

/**
 * Asks the wallet to sign and send.
 *
 * @param again - Whether the person wants it although the same may still be under way.
 * @returns The journal's entry.
 * @throws AlreadyAsked, Moved, WalletError, JournalTrouble, NodeTrouble
 */
export async function send(session: Session, node: Node, journal: Journal, plan: Plan, again: boolean): Promise<Entry> {
  const from = await standing(session, plan);
  const [latest, next] = await Promise.all([head(node, "latest"), nonce(node, plan.account, "pending")]);
  const before = journal.open(plan.account, plan.intent);
  if (before && !again) throw new AlreadyAsked(before);
  const at = Number(latest?.number ?? 0n);
  const entry: Entry = {
    id: `${Date.now().toString(36)}-${next}-${journal.entries().length}`,
    chain: plan.chain,
    genesis: journal.genesis,
    account: plan.account,
    campaign: plan.campaign,
    action: plan.action,
    shown: plan.shown,
    intent: plan.intent,
    to: plan.call.to,
    dataHash: dataHashOf(plan.call),
    value: plan.call.value.toString(),
    at: Date.now(),
    head: at,
    since: at,
    nonce: Number(next),
    state: "asked",
  };
  journal.add(entry);
  try {
    const told = plan.together ? await asBatch(from, plan, plan.together) : { hash: await asOne(from, plan) };
    journal.change(entry.id, { ...told, state: "sent" });
    return { ...entry, ...told, state: "sent" };
  } catch (error) {
    if (error instanceof WalletError && NOTHING_SENT.has(error.reason)) {
      journal.change(entry.id, { state: error.reason === "declined" ? "declined" : "void" });
    }
    throw error;
  }
}

/** What the wallet stands on, asked just now. */
export async function standing(session: Session, plan: Pick<Plan, "account" | "chain">): Promise<Connected> {
  const from = await session.refresh();
  if (!from) throw new Moved("nothing");
  if (from.account !== plan.account) throw new Moved("account");
  if (from.chain !== plan.chain) throw new Moved("chain");
  return from;
}

async function asOne(from: Connected, plan: Plan): Promise<Hash> {
  // With the chain in it, a wallet that moves at this very moment refuses.
  const chainId = hexOf(BigInt(plan.chain));
  const params = { ...asParams(plan.account, plan.call), chainId, ...(plan.gas ? { gas: hexOf(plan.gas) } : {}) };
  const answer = await ask(providerOf(from.wallet), "eth_sendTransaction", [params]);
  // It may have sent something all the same: the entry stays as it is, and the chain is asked.
  if (!isHex(answer) || answer.length !== 66) throw new WalletError("other", undefined);
  return answer;
}

async function asBatch(from: Connected, plan: Plan, together: readonly Call[]): Promise<{ batch: string }> {
  return { batch: await sendBatch(from, plan.chain, [...together, plan.call]) };
}
