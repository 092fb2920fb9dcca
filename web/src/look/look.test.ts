import { expect, test } from "vitest";
import { readRoute } from "../router";
import { t } from "../words";
import { bytes, duration, fromNow, millionths, money, percent, share } from "./numbers";
import { paragraphs, printable } from "./printable";

const ether = {
  address: "0x0000000000000000000000000000000000000000",
  native: true,
  symbol: "ETH",
  decimals: 18,
} as const;

test("an amount keeps every digit", () => {
  expect(money(2n ** 128n - 1n, ether)).toBe("340,282,366,920,938,463,463.374607431768211455 ETH");
  expect(money(1n, { ...ether, symbol: "" })).toBe("0.000000000000000001 of the chain's coin");
  expect(millionths(-2_200_000)).toBe("-2.2");
  expect(millionths(10_000_000)).toBe("10");
  expect(percent(999n, 1000n)).toBe(99);
  expect(share(1_111)).toBe("11.11%");
});

test("times are said in the largest unit that fits", () => {
  expect(duration(172_800)).toBe("2 days");
  expect(duration(90)).toBe("90 seconds");
  expect(fromNow(100_000, 0)).toBe("in 1 day");
  expect(fromNow(0, 7_300)).toBe("2 hours ago");
  expect(bytes(1_500_000)).toBe("1.5 MB");
});

test("every character of a stranger's text is seen", () => {
  expect(printable("a\u202eb\u0000\tc\u{e0041}")).toBe("a\\u{202e}b\\u{0} c\\u{e0041}");
  expect(printable("x".repeat(30), 10)).toBe(`${"x".repeat(10)}… (20 more characters)`);
  expect(printable("\ud800")).toBe("\\u{d800}");
  expect(paragraphs("one\ntwo\n\n\n three ")).toEqual([["one", "two"], ["three"]]);
});

test("a route is read from any hash, and nothing else is taken for one", () => {
  const campaign = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
  expect(readRoute("")).toMatchObject({ view: "start", rpc: null });
  expect(readRoute("#/1")).toMatchObject({ view: "list", chainId: 1 });
  expect(readRoute(`#/31337/${campaign.toLowerCase()}?rpc=http://127.0.0.1:1`)).toMatchObject({
    ...{ view: "campaign", campaign, rpc: "http://127.0.0.1:1" },
  });
  expect(readRoute(`#/1/${campaign}/verify`)).toMatchObject({ view: "verify" });
  const named = `review=${"ab".repeat(32)}`;
  expect(readRoute(`#/1/${campaign}/reviews?${named}&${named}&review=x`)).toMatchObject({
    ...{ view: "reviews", campaign, reviews: ["ab".repeat(32)] },
  });
  expect(readRoute("#/report?rpc=http://127.0.0.1:1")).toMatchObject({ view: "report", rpc: "http://127.0.0.1:1" });
  for (const lost of ["#/0", "#/1/0x12", `#/1/${campaign}/x`, `#/1/${campaign}/verify/x`, "#/<script>", "#/report/x"]) {
    expect(readRoute(lost).view, lost).toBe("lost");
  }
});

test("a value's braces are not filled again", () => {
  expect(t("chain.unknown", { id: "{id}" })).toBe("chain {id}");
});
