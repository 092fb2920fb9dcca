/**
 * Two calls with one confirmation (EIP-5792). Offered only where the wallet says that it does all of them or none, and
 * used only if the person asks for it: some wallets turn the account into a contract for it.
 */

import { type Address, type Hex, isHex } from "viem";
import { ask, type Provider, WalletError } from "../wallet/provider";
import { type Connected, providerOf } from "../wallet/session";
import type { Call } from "./call";

export type Batching = "none" | "ready" | "upgrade";

/** Whether a wallet can do several calls or none, and whether that would change the account. */
export async function batching(provider: Provider, account: Address, chain: number): Promise<Batching> {
  const id = `0x${chain.toString(16)}`;
  let answer: unknown;
  try {
    answer = await ask(provider, "wallet_getCapabilities", [account, [id]]);
  } catch {
    return "none";
  }
  const of = (at: unknown, key: string) =>
    typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined;
  const status = of(of(of(answer, id), "atomic"), "status");
  return status === "supported" ? "ready" : status === "ready" ? "upgrade" : "none";
}

const LONGEST_ID = 4096;

/** Asks for all of the calls or none; returns the wallet's name for them. */
export async function sendBatch(from: Connected, chain: number, calls: readonly Call[]): Promise<string> {
  const answer = await ask(providerOf(from.wallet), "wallet_sendCalls", [
    {
      version: "2.0.0",
      chainId: `0x${chain.toString(16)}`,
      from: from.account,
      atomicRequired: true,
      calls: calls.map((call) => ({ to: call.to, data: call.data, value: `0x${call.value.toString(16)}` })),
    },
  ]);
  const id = typeof answer === "string" ? answer : (answer as { id?: unknown } | null)?.id;
  if (typeof id !== "string" || id === "" || id.length > LONGEST_ID) throw new WalletError("invalid", undefined);
  return id;
}

/** What became of a batch, as far as the wallet says; the hash of the transaction that did it, once there is one. */
export async function batchHash(provider: Provider, id: string): Promise<Hex | "waits" | "failed" | "unknown"> {
  let answer: unknown;
  try {
    answer = await ask(provider, "wallet_getCallsStatus", [id]);
  } catch {
    return "unknown";
  }
  const { status, receipts } = (answer ?? {}) as { status?: unknown; receipts?: unknown };
  const code = typeof status === "number" ? status : 0;
  const last: unknown = Array.isArray(receipts) ? receipts.at(-1) : undefined;
  const hash = (last as { transactionHash?: unknown } | undefined)?.transactionHash;
  if (typeof hash === "string" && isHex(hash) && hash.length === 66) return hash;
  if (code >= 400) return "failed";
  return code >= 100 && code < 200 ? "waits" : "unknown";
}
