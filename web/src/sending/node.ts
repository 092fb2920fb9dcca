/**
 * What sending asks a node. Its answers are a stranger's: what has not the form that it should have is trouble with the
 * node, never news about a transaction.
 */

import { type Address, type Hash, type Hex, isAddressEqual, isHex } from "viem";
import type { Call } from "./call";

/** The part of a viem client that is used here. */
export interface Node {
  request(request: { method: string; params?: unknown }): Promise<unknown>;
}

/** A node that did not answer, or answered what makes no sense. */
export class NodeTrouble extends Error {
  constructor(
    readonly method: string,
    options?: ErrorOptions,
  ) {
    super(method, options);
    this.name = "NodeTrouble";
  }
}

export interface Head {
  readonly number: bigint;
  readonly hash: Hash;
  /** Unix seconds. */
  readonly timestamp: bigint;
  /** Wei per unit of gas; `undefined` before EIP-1559. */
  readonly baseFee: bigint | undefined;
}

/** A transaction as a node shows it. */
export interface Shown {
  readonly hash: Hash;
  readonly from: Address;
  readonly to: Address | undefined;
  readonly data: Hex;
  readonly value: bigint;
  readonly nonce: bigint;
}

export interface Included {
  readonly block: bigint;
  readonly blockHash: Hash;
  readonly succeeded: boolean;
}

export type Tag = "latest" | "safe" | "finalized" | "earliest";

export async function asked(node: Node, method: string, params: readonly unknown[] = []): Promise<unknown> {
  try {
    return await node.request({ method, params });
  } catch (error) {
    throw new NodeTrouble(method, { cause: error });
  }
}

export async function number(node: Node, method: string, params: readonly unknown[] = []): Promise<bigint> {
  return quantity(await asked(node, method, params), method);
}

/** The newest block with that much certainty; `undefined` if the node has none, or does not know the word. */
export async function head(node: Node, tag: Tag): Promise<Head | undefined> {
  let answer: unknown;
  try {
    answer = await asked(node, "eth_getBlockByNumber", [tag, false]);
  } catch (error) {
    if (tag === "latest" || tag === "earliest") throw error;
    return undefined;
  }
  if (answer === null && tag !== "latest") return undefined;
  const { number: at, hash, timestamp, baseFeePerGas } = record(answer, "eth_getBlockByNumber");
  return {
    number: quantity(at, "eth_getBlockByNumber"),
    hash: hashOf(hash, "eth_getBlockByNumber"),
    timestamp: quantity(timestamp, "eth_getBlockByNumber"),
    baseFee: baseFeePerGas == null ? undefined : quantity(baseFeePerGas, "eth_getBlockByNumber"),
  };
}

export async function transaction(node: Node, hash: Hash): Promise<Shown | undefined> {
  const answer = await asked(node, "eth_getTransactionByHash", [hash]);
  if (answer === null) return undefined;
  const shown = shownOf(answer, "eth_getTransactionByHash");
  if (shown.hash.toLowerCase() !== hash.toLowerCase()) throw new NodeTrouble("eth_getTransactionByHash");
  return shown;
}

export async function receipt(node: Node, hash: Hash): Promise<Included | undefined> {
  const method = "eth_getTransactionReceipt";
  const answer = await asked(node, method, [hash]);
  if (answer === null) return undefined;
  const { blockNumber, blockHash, status, transactionHash } = record(answer, method);
  if (hashOf(transactionHash, method).toLowerCase() !== hash.toLowerCase()) throw new NodeTrouble(method);
  const result = quantity(status, method);
  if (result > 1n) throw new NodeTrouble(method);
  return { block: quantity(blockNumber, method), blockHash: hashOf(blockHash, method), succeeded: result === 1n };
}

export async function nonce(node: Node, account: Address, at: bigint | "latest" | "pending"): Promise<bigint> {
  const block = typeof at === "bigint" ? hexOf(at) : at;
  return number(node, "eth_getTransactionCount", [account, block]);
}

/**
 * The transaction that used an account's number, in the blocks from `from` to `to`; `undefined` if the node cannot tell
 * (some keep the state of the newest blocks alone).
 */
export async function usedBy(
  node: Node,
  account: Address,
  which: bigint,
  from: bigint,
  to: bigint,
): Promise<Shown | undefined> {
  let [low, high] = [from, to];
  try {
    while (low < high) {
      const middle = (low + high) / 2n;
      if ((await nonce(node, account, middle)) > which) high = middle;
      else low = middle + 1n;
    }
    const method = "eth_getBlockByNumber";
    const { transactions } = record(await asked(node, method, [hexOf(low), true]), method);
    if (!Array.isArray(transactions)) throw new NodeTrouble(method);
    const all = transactions.map((one) => shownOf(one, method));
    return all.find((one) => isAddressEqual(one.from, account) && one.nonce === which);
  } catch (error) {
    if (error instanceof NodeTrouble) return undefined;
    throw error;
  }
}

/** A call as nodes take it. */
export function asParams(from: Address, call: Call): Record<string, string> {
  return { from, to: call.to, data: call.data, value: hexOf(call.value) };
}

export function hexOf(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}

function shownOf(value: unknown, method: string): Shown {
  const { hash, from, to, input, value: wei, nonce: which } = record(value, method);
  if (!isHex(input)) throw new NodeTrouble(method);
  return {
    hash: hashOf(hash, method),
    from: addressOf(from, method),
    to: to == null ? undefined : addressOf(to, method),
    data: input,
    value: quantity(wei, method),
    nonce: quantity(which, method),
  };
}

function record(value: unknown, method: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new NodeTrouble(method);
  return value as Record<string, unknown>;
}

function quantity(value: unknown, method: string): bigint {
  if (typeof value !== "string" || !/^0x[0-9a-f]{1,64}$/i.test(value)) throw new NodeTrouble(method);
  return BigInt(value);
}

function hashOf(value: unknown, method: string): Hash {
  if (typeof value !== "string" || !/^0x[0-9a-f]{64}$/i.test(value)) throw new NodeTrouble(method);
  return value as Hash;
}

function addressOf(value: unknown, method: string): Address {
  if (typeof value !== "string" || !/^0x[0-9a-f]{40}$/i.test(value)) throw new NodeTrouble(method);
  return value as Address;
}
