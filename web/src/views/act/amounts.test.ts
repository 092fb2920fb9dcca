import { expect, test } from "vitest";
import { addressOf, amountOf, wholeOf } from "./amounts";

test.each([
  ["1", 18, { value: 10n ** 18n }],
  ["0.000001", 6, { value: 1n }],
  ["1.50", 1, { value: 15n }],
  ["115792089237316195423570985008687907853", 0, { value: 115792089237316195423570985008687907853n }],
  ["", 18, { wrong: "empty" }],
  ["0", 18, { wrong: "zero" }],
  ["0.0000001", 6, { wrong: "digits" }],
  ["1,5", 18, { wrong: "form" }],
  ["1.", 18, { wrong: "form" }],
  [".5", 18, { wrong: "form" }],
  ["1.2.3", 18, { wrong: "form" }],
  ["1e3", 18, { wrong: "form" }],
  ["-1", 18, { wrong: "form" }],
  ["0x10", 18, { wrong: "form" }],
  ["１", 18, { wrong: "form" }],
])("%j with %d decimals", (text, decimals, expected) => {
  expect(amountOf(text, decimals)).toEqual(expected);
});

test("an address with capitals needs its checksum", () => {
  const right = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
  expect(addressOf(` ${right} `)).toEqual({ value: right });
  expect(addressOf(right.toLowerCase())).toEqual({ value: right });
  expect(addressOf(right.replace("F", "f"))).toEqual({ wrong: "address" });
  expect(addressOf("vitalik.eth")).toEqual({ wrong: "address" });
});

test("a whole number stays below its limit", () => {
  expect(wholeOf("6", 7n)).toEqual({ value: 6n });
  expect(wholeOf("7", 7n)).toEqual({ wrong: "range" });
  expect(wholeOf("1.5", 7n)).toEqual({ wrong: "form" });
});
