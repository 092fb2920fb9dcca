/** Calls and logs at one block. */

import {
  type Abi,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeFunctionResult,
  type EncodeFunctionDataParameters,
  encodeFunctionData,
  type Hex,
  hexToBigInt,
  hexToNumber,
  numberToHex,
} from "viem";
import type { Reader } from "./client";
import { Trouble, troubleOf } from "./trouble";

export type Block = { number: number; hash: Hex; timestamp: number; baseFee: bigint };

export type Log = {
  address: Hex;
  topics: Hex[];
  data: Hex;
  blockNumber: number;
  blockHash: Hex;
  logIndex: number;
  transactionHash: Hex;
};

/** Most logs that are taken from one node, so that none can fill the memory. */
const MOST_LOGS = 50_000;
const MOST_SEARCHES = 400;
const HASH = /^0x[0-9a-f]{64}$/i;
const HEX = /^0x[0-9a-f]*$/i;

export async function blockAt(reader: Reader, at: number | "latest" | "finalized"): Promise<Block> {
  const tag = typeof at === "number" ? numberToHex(at) : at;
  const found = await reader.client.request({ method: "eth_getBlockByNumber", params: [tag, false] });
  if (!found?.hash || !HASH.test(found.hash) || !found.number) throw new Trouble("contradicts");
  return {
    number: hexToNumber(found.number),
    hash: found.hash,
    timestamp: hexToNumber(found.timestamp),
    baseFee: hexToBigInt(found.baseFeePerGas ?? "0x0"),
  };
}

/** Reads again until the chain kept its block while it was read. */
export async function atOneBlock<T>(reader: Reader, read: (block: Block) => Promise<T>): Promise<T> {
  for (let attempt = 0; attempt < 4; attempt += 1) {
    const block = await blockAt(reader, "latest");
    const before = reader.newest;
    reader.newest = block.number;
    // Several nodes behind one address, or a chain that was reorganised: what follows may be older than what was shown.
    if (block.number < before) throw new Trouble("lags", { before: `${before}`, now: `${block.number}` });
    const result = await read(block);
    if ((await blockAt(reader, block.number)).hash === block.hash) return result;
  }
  throw new Trouble("moved");
}

/** What a view function returns at a block. */
export async function call<const A extends Abi, N extends ContractFunctionName<A, "view" | "pure">>(
  reader: Reader,
  block: Block,
  address: Hex,
  abi: A,
  functionName: N,
  args: ContractFunctionArgs<A, "view" | "pure", N> = [] as never,
): Promise<ContractFunctionReturnType<A, "view" | "pure", N>> {
  const request = { abi, functionName, args } as unknown as EncodeFunctionDataParameters;
  const data = await rawCall(reader, block, address, encodeFunctionData(request));
  return decodeFunctionResult({ abi, functionName, args, data } as never) as never;
}

export async function rawCall(reader: Reader, block: Block, to: Hex, data: Hex): Promise<Hex> {
  const params = [{ to, data }, numberToHex(block.number)] as const;
  const answer = await reader.client.request({ method: "eth_call", params: params as never });
  if (typeof answer !== "string" || !HEX.test(answer)) throw new Trouble("contradicts");
  return answer;
}

export async function codeAt(reader: Reader, block: Block, address: Hex): Promise<Hex> {
  const code = await reader.client.request({ method: "eth_getCode", params: [address, numberToHex(block.number)] });
  if (typeof code !== "string" || !HEX.test(code)) throw new Trouble("contradicts");
  return code;
}

export async function balanceAt(reader: Reader, block: Block, address: Hex): Promise<bigint> {
  const params = [address, numberToHex(block.number)] as const;
  return hexToBigInt(await reader.client.request({ method: "eth_getBalance", params: params as never }));
}

type Topics = (Hex | Hex[] | null)[];

/** All logs of some contracts up to a block, oldest first. A node that takes only short ranges is asked for those. */
export async function logsOf(
  reader: Reader,
  addresses: Hex | Hex[],
  topics: Topics,
  first: number,
  last: number,
): Promise<Log[]> {
  const found: Log[] = [];
  const waiting: [number, number][] = [[first, last]];
  let searches = 0;
  while (waiting.length > 0) {
    const [from, to] = waiting.pop() as [number, number];
    searches += 1;
    let part: unknown;
    try {
      const filter = { address: addresses, topics, fromBlock: numberToHex(from), toBlock: numberToHex(to) };
      part = await reader.client.request({ method: "eth_getLogs", params: [filter as never] });
    } catch (thrown) {
      // Nodes refuse long ranges each with words of their own. Half of it may be short enough.
      if (troubleOf(thrown).kind === "offline" || from === to || searches > MOST_SEARCHES) throw thrown;
      const middle = from + Math.floor((to - from) / 2);
      waiting.push([middle + 1, to], [from, middle]);
      continue;
    }
    if (!Array.isArray(part)) throw new Trouble("contradicts");
    for (const one of part) {
      const log = logFrom(one);
      const asked = [addresses].flat().map((address) => address.toLowerCase());
      if (log === null || !asked.includes(log.address.toLowerCase())) throw new Trouble("contradicts");
      if (log.blockNumber < from || log.blockNumber > to) throw new Trouble("contradicts");
      found.push(log);
      if (found.length > MOST_LOGS) throw new Trouble("refused", { said: `> ${MOST_LOGS} logs` });
    }
  }
  return found.sort((a, b) => a.blockNumber - b.blockNumber || a.logIndex - b.logIndex);
}

function logFrom(given: unknown): Log | null {
  const raw = given as Record<string, unknown>;
  const { address, topics, data, blockNumber, blockHash, logIndex, transactionHash } = raw ?? {};
  const texts = [address, data, blockNumber, blockHash, logIndex, transactionHash];
  if (!texts.every((text) => typeof text === "string" && HEX.test(text))) return null;
  if (!Array.isArray(topics) || topics.length > 4 || !topics.every((t) => typeof t === "string" && HASH.test(t))) {
    return null;
  }
  return {
    address: address as Hex,
    topics: topics as Hex[],
    data: data as Hex,
    blockNumber: hexToNumber(blockNumber as Hex),
    blockHash: blockHash as Hex,
    logIndex: hexToNumber(logIndex as Hex),
    transactionHash: transactionHash as Hex,
  };
}
