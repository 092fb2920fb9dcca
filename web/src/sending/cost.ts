/**
 * The most that a transaction costs beside what it sends: its gas at today's fees with room for them to rise, and what
 * some rollups charge for its data.
 *
 * Sources: https://specs.optimism.io/protocol/predeploys.html, https://docs.scroll.io/en/developers/transaction-fees-on-scroll
 */

import { type Address, concatHex, decodeFunctionResult, encodeFunctionData, type Hex, parseAbi, toHex } from "viem";
import type { Call } from "./call";
import { asked, asParams, head, hexOf, type Node, number } from "./node";
import { refusalOf } from "./simulation";

export interface Cost {
  /** Units of gas, with room. */
  readonly gas: bigint;
  /** Wei for them, if the base fee doubles. */
  readonly fee: bigint;
  /** Wei for the data, 0 on most chains; `undefined` if the chain charges it and does not say how much. */
  readonly dataFee: bigint | undefined;
}

const ORACLES: readonly { readonly address: Address; readonly operator: boolean }[] = [
  // GasPriceOracle of the OP stack, L1GasPriceOracle of Scroll.
  { address: "0x420000000000000000000000000000000000000F", operator: true },
  { address: "0x5300000000000000000000000000000000000002", operator: false },
];
const ORACLE_ABI = parseAbi([
  "function getL1Fee(bytes) view returns (uint256)",
  "function getOperatorFee(uint256) view returns (uint256)",
]);
/** As long as what a signed transaction has beside its call data, and as hard to compress. */
const ENVELOPE = toHex(Uint8Array.from({ length: 120 }, (_, at) => (at * 167 + 59) % 256));
/** No fee is that high. */
const MOST = 2n ** 96n;

/** Arbitrum and others count data as gas, which the estimate has in it. */
export async function costOf(node: Node, from: Address, call: Call): Promise<Cost> {
  const [estimate, latest, tip, oracle] = await Promise.all([
    number(node, "eth_estimateGas", [asParams(from, call)]),
    head(node, "latest"),
    number(node, "eth_maxPriorityFeePerGas").catch(() => number(node, "eth_gasPrice")),
    oracleOf(node),
  ]);
  const gas = (estimate * 5n) / 4n;
  return {
    gas,
    fee: gas * (2n * (latest?.baseFee ?? 0n) + tip),
    dataFee: oracle === undefined ? 0n : await dataFee(node, oracle, call.data, gas).catch(() => undefined),
  };
}

async function oracleOf(node: Node) {
  const codes = await Promise.all(ORACLES.map(({ address }) => asked(node, "eth_getCode", [address, "latest"])));
  return ORACLES.find((_, at) => typeof codes[at] === "string" && codes[at] !== "0x");
}

async function dataFee(node: Node, oracle: (typeof ORACLES)[number], data: Hex, gas: bigint): Promise<bigint> {
  const read = async (call: Hex, name: "getL1Fee" | "getOperatorFee") => {
    const answer = await asked(node, "eth_call", [{ to: oracle.address, data: call }, "latest"]);
    const value = decodeFunctionResult({ abi: ORACLE_ABI, functionName: name, data: answer as Hex });
    if (value >= MOST) throw new RangeError(hexOf(value));
    return value;
  };
  const sent = encodeFunctionData({ abi: ORACLE_ABI, functionName: "getL1Fee", args: [concatHex([ENVELOPE, data])] });
  const fee = await read(sent, "getL1Fee");
  if (!oracle.operator) return fee;
  const asked_ = encodeFunctionData({ abi: ORACLE_ABI, functionName: "getOperatorFee", args: [gas] });
  // Before Isthmus the contract has no such function.
  return fee + (await read(asked_, "getOperatorFee").catch(withoutIt));
}

function withoutIt(error: unknown): bigint {
  if (refusalOf(error).outcome === "refused") return 0n;
  throw error;
}
