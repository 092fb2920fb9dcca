import { expect, test } from "vitest";
import { accountsOf, chainOf, walletError } from "./provider";

test.each([
  [{ code: 4001 }, "declined"],
  [{ code: -32603, data: { originalError: { code: 4902 } } }, "unknownChain"],
  [{ code: -32603, cause: { code: 4100 } }, "unauthorized"],
  [{ code: -32000, message: "user rejected the request" }, "other"],
  [new Error("User denied"), "other"],
  ["4001", "other"],
  [null, "other"],
])("%j is told by its code alone", (error, reason) => {
  expect(walletError(error).reason).toBe(reason);
});

test("an error that contains itself ends", () => {
  const error: { code: number; cause?: unknown } = { code: 1 };
  error.cause = error;
  expect(walletError(error).reason).toBe("other");
});

test("what is no account or chain is left out", () => {
  const account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
  expect(accountsOf([account.toLowerCase(), account, "0x12", 7, null])).toEqual([account]);
  expect(accountsOf("0x")).toEqual([]);
  expect([chainOf("0x7a69"), chainOf(31337), chainOf("31337"), chainOf({}), chainOf("0x0")]).toEqual([
    31337,
    31337,
    undefined,
    undefined,
    undefined,
  ]);
});
