/** Whether a block's hash follows from its header: Keccak-256 of the fields in RLP (Yellow Paper, 4.4). */

import { fromHex, minimal, toHex } from "./bytes";
import { encode } from "./rlp";
import type { Keccak } from "./state";

/** `unknown` where the chain has fields of its own in its headers. That is nobody's fault. */
export type HashCheck = "recomputed" | "different" | "unknown";

/** What is hashed, in this order. Upgrades add fields at the end; a header has those of its time. */
export const HASHED: readonly string[] = [
  ...["parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"],
  ...["difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"],
  ...["baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash"],
  ...["blockAccessListHash", "slotNumber"],
];
/** The fields of every header; and those whose order may still change, so that a hash that does not fit accuses nobody. */
const FIRST = HASHED.slice(0, HASHED.indexOf("nonce") + 1);
const COMING = ["blockAccessListHash", "slotNumber"];
const NUMBERS = [
  ...["difficulty", "number", "gasLimit", "gasUsed", "timestamp"],
  ...["baseFeePerGas", "blobGasUsed", "excessBlobGas", "slotNumber"],
];

/**
 * Compares a hash with a header's fields in hexadecimal, by the names that nodes give them.
 * Throws an Error if a field is not hexadecimal.
 */
export function checkHash(hash: string, fields: Readonly<Record<string, string>>, keccak: Keccak): HashCheck {
  const values = HASHED.flatMap((name) => {
    const text = fields[name];
    return text === undefined ? [] : [NUMBERS.includes(name) ? minimal(BigInt(text)) : fromHex(text)];
  });
  if (toHex(keccak(encode(values))) === hash.replace(/^0x/, "").toLowerCase()) return "recomputed";
  const known =
    FIRST.every((name) => fields[name] !== undefined) &&
    Object.keys(fields).every((name) => HASHED.includes(name) && !COMING.includes(name));
  return known ? "different" : "unknown";
}
