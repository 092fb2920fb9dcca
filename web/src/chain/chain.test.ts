import { concatHex, encodePacked, getAddress, type Hex, numberToHex } from "viem";
import { expect, test } from "vitest";
import { NO_MINIMUM } from "../generated/constants";
import { deadlineOf, failureOf, nextDeadline, type Progress, takesPledges, windowEnd } from "./campaign";
import { isNodeUrl, shownUrl } from "./client";
import { campaignAddress } from "./factory";
import { floorOf, unpackTerms } from "./terms";
import { Trouble, troubleOf } from "./trouble";

const account = (number: number) => getAddress(numberToHex(number, { size: 20 }));
const hash = (byte: string): Hex => `0x${byte.repeat(32)}`;

function packed(arbiter = true): Hex {
  const head = encodePacked(
    ["address", "address", "uint128", "uint128", "uint40", "uint16", "uint32", "uint32", "uint96", "uint32"],
    [account(1), account(0), 50n, 1000n, 100, 5000, 200, 300, 10n ** 12n, 400],
  );
  const rest = encodePacked(
    ["bytes32", "bytes32", "uint8", "uint8", "uint8", "uint8", "address", "address", "uint16"],
    [hash("11"), hash("00"), 1, 1, 1, 2, account(2), account(3), 10_000],
  );
  const milestone = ["uint8", "uint16", "uint40", "int64"] as const;
  const milestones = [
    encodePacked(milestone, [0, 4_000, 1000, BigInt(NO_MINIMUM)]),
    encodePacked(milestone, [2, 10_000, 2000, -5n]),
  ];
  const judge = arbiter ? [encodePacked(["address", "uint32"], [account(4), 700])] : [];
  return concatHex([head, rest, ...milestones, ...judge]);
}

test("terms are unpacked as the contract packs them", () => {
  const terms = unpackTerms(packed());
  expect(terms).toMatchObject({ researcher: account(1), goal: 50n, cap: 1000n, stopBps: 5000, quorum: 1 });
  expect(terms).toMatchObject({ dataset: null, arbiter: account(4), rulingWindow: 700, attestors: [account(2)] });
  expect(terms.milestones.map((one) => [one.kind, one.bps])).toEqual([
    ["DATASET", 4_000],
    ["WEIGHTS", 6_000],
  ]);
  expect(terms.milestones.map(floorOf)).toEqual([null, -5n]);
  expect(unpackTerms(packed(false))).toMatchObject({ arbiter: null, rulingWindow: 0 });
});

test("bytes that are not packed terms are refused", () => {
  for (const bytes of ["0x", packed().slice(0, -2), `${packed()}00`]) {
    expect(() => unpackTerms(bytes as Hex)).toThrow(RangeError);
  }
});

test("any other bit of the terms or the salt gives another address", () => {
  const address = campaignAddress(packed(), hash("22"));
  expect(campaignAddress(packed(false), hash("22"))).not.toBe(address);
  expect(campaignAddress(packed(), hash("23"))).not.toBe(address);
});

const progress: Progress = {
  ...{ status: "Active", pledged: 50n, attestedAt: 0, challengedAt: 0, slackUsed: 7, attested: 0 },
  ...{ active: true, stopped: false, withheld: false, contested: false },
};

test("deadlines move with the slack, and the next one is what happens by itself", () => {
  const terms = unpackTerms(packed());
  expect(deadlineOf(terms, progress, 1)).toBe(2007);
  expect(nextDeadline(terms, progress, 0)).toEqual({ what: "milestone", at: 1007 });
  expect(nextDeadline(terms, { ...progress, challengedAt: 5 }, 0)).toEqual({ what: "answer", at: 305 });
  expect(nextDeadline(terms, { ...progress, status: "Funding" }, 99)).toEqual({ what: "funding", at: 100 });
  expect(nextDeadline(terms, { ...progress, status: "Funding" }, 100)).toEqual({ what: "activation", at: 1007 });
  expect(nextDeadline(terms, { ...progress, status: "Failed" }, 0)).toBeNull();
  const last = { ...progress, attested: 2, attestedAt: 10 };
  expect(nextDeadline(terms, last, 0)).toEqual({ what: "release", at: 210 });
  expect(windowEnd(terms, { ...last, contested: true })).toBe(910);
  expect(takesPledges(terms, { ...progress, status: "Funding" }, 99)).toBe(true);
  expect(takesPledges(terms, { ...progress, status: "Funding" }, 100)).toBe(false);
});

test("a failure has the cause that the contract's fields tell", () => {
  const terms = unpackTerms(packed());
  const failed: Progress = { ...progress, status: "Failed" };
  expect(failureOf(terms, progress)).toBeNull();
  expect(failureOf(terms, failed)).toBe("milestone");
  expect(failureOf(terms, { ...failed, challengedAt: 9 })).toBe("answer");
  expect(failureOf(terms, { ...failed, stopped: true })).toBe("stop");
  expect(failureOf(terms, { ...failed, stopped: true, contested: true })).toBe("refusal");
  expect(failureOf(terms, { ...failed, active: false })).toBe("start");
  expect(failureOf(terms, { ...failed, active: false, pledged: 1n })).toBe("goal");
});

test("only https and this machine are asked, and secrets of an address are not shown", () => {
  for (const good of ["https://node.example/key", "http://127.0.0.1:8545", "http://localhost:1"]) {
    expect(isNodeUrl(good)).toBe(true);
  }
  for (const bad of [
    "http://node.example",
    "ws://127.0.0.1",
    "javascript:alert(1)",
    "",
    "http://127.0.0.1.evil.example",
  ]) {
    expect(isNodeUrl(bad)).toBe(false);
  }
  expect(shownUrl("https://me:pass@node.example/v2/SECRET?key=1")).toBe("https://node.example/…");
});

test("trouble is told apart by name, not by its words", () => {
  const timeout = Object.assign(new Error("x"), { name: "TimeoutError" });
  expect(troubleOf(new Error("call failed", { cause: timeout })).kind).toBe("offline");
  const status = Object.assign(new Error("x"), { name: "HttpRequestError", status: 400 });
  expect(troubleOf(status).kind).toBe("refused");
  expect(troubleOf(new Error("timeout offline")).kind).toBe("refused");
  expect(troubleOf(new Trouble("lags")).kind).toBe("lags");
});
