import { encodeAbiParameters, toFunctionSelector } from "viem";
import { expect, test } from "vitest";
import { costOf } from "./cost";
import { NodeTrouble } from "./node";
import { refusalOf } from "./simulation";

const DATA = "0x12345678";
const CALL = { to: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8", data: DATA, value: 1n } as const;
const ME = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

test.each([
  [{ code: 3, data: DATA }, "refused"],
  [{ code: -32603, data: { data: DATA } }, "refused"],
  [{ code: -32015 }, "refused"],
  [{ code: 1, cause: { code: 3, data: "0x" } }, "refused"],
  [{ code: -32000, message: "execution reverted" }, "unknown"],
  [new TypeError("Failed to fetch"), "unknown"],
])("%j from a node", (cause, outcome) => {
  expect(refusalOf(new NodeTrouble("eth_call", { cause })).outcome).toBe(outcome);
});

function node(codes: Record<string, string>, answers: Record<string, unknown>) {
  return {
    request: async ({ method, params }: { method: string; params?: unknown }) => {
      const [first] = params as [unknown];
      if (method === "eth_getCode") return codes[first as string] ?? "0x";
      if (method === "eth_call") return answers[(first as { data: string }).data.slice(0, 10)];
      return answers[method];
    },
  };
}

const FEES = {
  eth_estimateGas: "0x186a0",
  eth_maxPriorityFeePerGas: "0x2",
  eth_getBlockByNumber: { number: "0x1", hash: `0x${"33".repeat(32)}`, timestamp: "0x1", baseFeePerGas: "0xa" },
};
const DATA_FEE = toFunctionSelector("getL1Fee(bytes)");
const OPERATOR_FEE = toFunctionSelector("getOperatorFee(uint256)");
const number = (value: bigint) => encodeAbiParameters([{ type: "uint256" }], [value]);

test("a fee is that of gas with room, at twice the base fee and the tip", async () => {
  expect(await costOf(node({}, FEES), ME, CALL)).toEqual({ gas: 125_000n, fee: 125_000n * 22n, dataFee: 0n });
});

test("the OP stack charges for data and for its operator, Scroll for data alone", async () => {
  const op = { "0x420000000000000000000000000000000000000F": "0x01" };
  const answers = { ...FEES, [DATA_FEE]: number(1_000n), [OPERATOR_FEE]: number(7n) };
  expect((await costOf(node(op, answers), ME, CALL)).dataFee).toBe(1_007n);
  const scroll = { "0x5300000000000000000000000000000000000002": "0x01" };
  expect((await costOf(node(scroll, answers), ME, CALL)).dataFee).toBe(1_000n);
});

test.each([undefined, "0x", number(2n ** 96n)])("a data fee of %s is not believed", async (answer) => {
  const op = { "0x420000000000000000000000000000000000000F": "0x01" };
  expect((await costOf(node(op, { ...FEES, [DATA_FEE]: answer }), ME, CALL)).dataFee).toBeUndefined();
});
