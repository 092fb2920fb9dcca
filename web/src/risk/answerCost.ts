/** What an answer to a challenge costs now, where no rollup charges for its data beside the gas. */

import { hexToBigInt, toHex } from "viem";
import type { Reader } from "../chain/client";
import { type Block, codeAt } from "../chain/read";
import { ANSWER_BYTES, ANSWER_GAS, ANSWER_ZEROS } from "../generated/constants";

/** Contracts by which rollups charge for data; where one is, this page cannot tell the cost. */
const ORACLES = [
  "0x420000000000000000000000000000000000000F",
  "0x000000000000000000000000000000000000006C",
  "0x5300000000000000000000000000000000000002",
] as const;
const NOBODY = "0x000000000000000000000000000000000000dEaD";

/** Wei; null if it could not be told. */
export async function answerCost(reader: Reader, block: Block): Promise<bigint | null> {
  const codes = await Promise.all(ORACLES.map((oracle) => codeAt(reader, block, oracle)));
  if (codes.some((code) => code !== "0x")) return null;
  // Gas depends on how many bytes are zero, not on which.
  const data = toHex(Uint8Array.from({ length: ANSWER_BYTES }, (_, place) => (place < ANSWER_ZEROS ? 0 : 1)));
  const [estimate, paid] = await Promise.all([
    reader.client.request({ method: "eth_estimateGas", params: [{ to: NOBODY, data }] }),
    reader.client.request({ method: block.baseFee > 0n ? "eth_maxPriorityFeePerGas" : "eth_gasPrice" }),
  ]);
  const price = block.baseFee + hexToBigInt(paid);
  const gas = hexToBigInt(estimate);
  const least = BigInt(ANSWER_GAS);
  return (gas > least ? gas : least) * price;
}
