import { expect, test } from "vitest";
import { readJson } from "./strictJson";

test("it reads what JSON.parse reads", () => {
  const document = { a: [1, -2.5, 1e3, true, false, null, ""], ü: { "\\": '"\\" \u2028\u0000' }, n: {} };
  for (const text of [
    JSON.stringify(document),
    JSON.stringify(document, null, 2),
    ` ${JSON.stringify([])}\n`,
    '"\\\\"',
  ]) {
    expect(readJson(text)).toEqual(JSON.parse(text));
  }
  const named = readJson('{"__proto__": {"a": 1}, "b": 2}');
  expect(Object.keys(named as object)).toEqual(["__proto__", "b"]);
  expect((named as { a?: number }).a).toBeUndefined();
});

test("numbers that would be rounded stay text", () => {
  expect(readJson("[9007199254740991, 9007199254740993, -100000000000000000000]")).toEqual([
    ...[9007199254740991, "9007199254740993", "-100000000000000000000"],
  ]);
});

test.each([
  ...["", "{", "[1,]", "[1 2]", '{"a"}', '{"a":1,}', "{a:1}", "01", "1.", "+1", "1e999", "nul", "truefalse", "NaN"],
  ...[
    "1 2",
    '"a',
    '"\\"',
    '"\n"',
    '"\\x"',
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    `${"[".repeat(40)}${"]".repeat(40)}`,
  ],
])("%j is none", (text) => {
  expect(() => readJson(text)).toThrow();
});
