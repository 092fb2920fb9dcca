/** A node's answer to `eth_getBlockByNumber`, with its hash computed again. */

import { type Hex, isHex, keccak256, size } from "viem";
import { Trouble } from "../chain/trouble";
import { checkHash, HASHED, type HashCheck } from "../proofs/header";

export type Header = { number: number; hash: Hex; stateRoot: Hex; timestamp: number; check: HashCheck };

/** What nodes tell beside the header. */
const BESIDE = [
  ...["hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals", "author", "sealFields"],
];
const MOST_BYTES = 4096;

/** Throws a `Trouble` if it is no header, or another's. */
export function readHeader(raw: unknown): Header {
  const given = raw as Record<string, unknown> | null;
  const text = (name: string): Hex => {
    const value = given?.[name];
    if (!isHex(value) || size(value) > MOST_BYTES) throw new Trouble("contradicts");
    return value;
  };
  const there = Object.keys(given ?? {}).filter((name) => !BESIDE.includes(name));
  // A field of another chain says only that there is one; the others are hashed. Null is none.
  const names = there.filter((name) => !HASHED.includes(name) || (given?.[name] ?? null) !== null);
  const fields = Object.fromEntries(names.map((name) => [name, HASHED.includes(name) ? text(name) : "0x"]));
  const hash = text("hash");
  return {
    number: Number(text("number")),
    hash,
    stateRoot: text("stateRoot"),
    timestamp: Number(text("timestamp")),
    check: sound(() => checkHash(hash, fields, (data) => keccak256(data, "bytes"))),
  };
}

/** What a computation gives; where a node's words make it fail, they contradict themselves. */
export function sound<T>(compute: () => T): T {
  try {
    return compute();
  } catch {
    throw new Trouble("contradicts");
  }
}
