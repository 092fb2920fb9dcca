import { keccak256 } from "viem";
import { expect, test } from "vitest";
import { type Fate, fateOf } from "./fate";
import type { Entry } from "./journal";
import type { Node } from "./node";

const ME = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const TO = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const [FIRST, SECOND, BLOCK] = ["11", "22", "33"].map((pair) => `0x${pair.repeat(32)}` as const) as [
  `0x${string}`,
  `0x${string}`,
  `0x${string}`,
];

const entry: Entry = {
  ...{ id: "1", chain: 1, genesis: BLOCK, account: ME, campaign: TO, action: "pledge", shown: {}, intent: "pledge" },
  ...{
    to: TO,
    dataHash: keccak256("0x01"),
    value: "5",
    at: 1,
    head: 10,
    since: 10,
    nonce: 7,
    state: "sent",
    hash: FIRST,
  },
};

function shown(hash: string, changes: object = {}) {
  return { hash, from: ME, to: TO, input: "0x01", value: "0x5", nonce: "0x7", ...changes };
}

type Chain = {
  latest: number;
  final?: number;
  safe?: number;
  pool?: object[];
  mined?: [number, object & { hash: string }, boolean][];
};

/** A node that says what a chain like this would make it say. */
function node({ latest, final, safe, pool = [], mined = [] }: Chain): Node {
  const header = (number: number) => ({ number: `0x${number.toString(16)}`, hash: BLOCK, timestamp: "0x1" });
  const answers: Record<string, (params: unknown[]) => unknown> = {
    eth_getBlockByNumber: ([tag, full]) => {
      const at = { latest, finalized: final, safe }[tag as "latest"] ?? Number(tag);
      if (Number.isNaN(at)) throw new Error("no such block");
      const inside = mined.filter(([block]) => block === at).map(([, transaction]) => transaction);
      return { ...header(at), transactions: full ? inside : [] };
    },
    eth_getTransactionByHash: ([hash]) =>
      [...pool, ...mined.map(([, one]) => one)].find((one) => (one as { hash: string }).hash === hash) ?? null,
    eth_getTransactionReceipt: ([hash]) => {
      const found = mined.find(([, one]) => one.hash === hash);
      if (!found) return null;
      const [block, , succeeded] = found;
      const blockNumber = `0x${block.toString(16)}`;
      return { transactionHash: hash, blockNumber, blockHash: BLOCK, status: succeeded ? "0x1" : "0x0" };
    },
    eth_getTransactionCount: ([, at]) => {
      const last = at === "latest" ? latest : Number(at);
      return `0x${(7 + mined.filter(([block]) => block <= last).length).toString(16)}`;
    },
  };
  return { request: async ({ method, params }) => answers[method]?.(params as unknown[]) };
}

const cases: [string, Chain, Fate, Partial<Entry>?][] = [
  ["in the pool", { latest: 11, pool: [shown(FIRST)] }, { kind: "pool" }],
  ["nowhere, with its number free", { latest: 11 }, { kind: "missing" }],
  ["mined", { latest: 12, final: 9, safe: 10, mined: [[12, shown(FIRST), true]] }, mined("mined", "latest", 12)],
  ["safe", { latest: 13, final: 9, safe: 12, mined: [[12, shown(FIRST), true]] }, mined("mined", "safe", 12)],
  ["final", { latest: 14, final: 12, mined: [[12, shown(FIRST), true]] }, mined("mined", "final", 12)],
  [
    "a node that does not say what is final",
    { latest: 99, mined: [[12, shown(FIRST), true]] },
    mined("mined", "latest", 12),
  ],
  ["reverted", { latest: 12, mined: [[12, shown(FIRST), false]] }, mined("reverted", "latest", 12)],
  ["sped up", { latest: 15, mined: [[13, shown(SECOND), true]] }, mined("mined", "latest", 13)],
  [
    "cancelled",
    { latest: 15, mined: [[13, shown(SECOND, { to: ME, input: "0x", value: "0x0" }), true]] },
    { kind: "replaced", by: SECOND, cancelled: true },
  ],
  [
    "replaced",
    { latest: 15, mined: [[13, shown(SECOND, { value: "0x6" }), true]] },
    { kind: "replaced", by: SECOND, cancelled: false },
  ],
  ["its block is gone", { latest: 13 }, { kind: "undone", now: "missing" }, { block: 12 }],
  ["back in the pool", { latest: 13, pool: [shown(FIRST)] }, { kind: "undone", now: "pool" }, { block: 12 }],
  ["a node that is behind", { latest: 9 }, { kind: "behind" }],
  ["a node that is behind its block alone", { latest: 11 }, { kind: "behind" }, { block: 12 }],
  ["the wallet has not answered", { latest: 11 }, { kind: "asked" }, { hash: undefined }],
  [
    "sent although the wallet never said so",
    { latest: 15, mined: [[13, shown(SECOND), true]] },
    mined("mined", "latest", 13),
    { hash: undefined },
  ],
];

function mined(kind: "mined" | "reverted", settled: "latest" | "safe" | "final", block: number): Fate {
  return { kind, settled, block };
}

test.each(cases)("%s", async (_, chain, fate, changes = {}) => {
  expect((await fateOf(node(chain), { ...entry, ...changes })).fate).toEqual(fate);
});

test("what is final is closed, and what was sped up goes on under its new hash", async () => {
  const found = await fateOf(node({ latest: 20, final: 18, mined: [[13, shown(SECOND), true]] }), entry);
  expect(found.changes).toMatchObject({ state: "final", hash: SECOND, before: FIRST, block: 13 });
});

test("a transaction that does something else than was asked is told by what differs", async () => {
  const other = shown(FIRST, { to: ME, input: "0x02", value: "0x6" });
  const found = await fateOf(node({ latest: 12, mined: [[12, other, true]] }), entry);
  expect(found.changes.differs).toEqual(["to", "data", "value"]);
});

test.each([null, {}, { number: "12" }, { number: "0x1", hash: "0x", timestamp: "0x1" }])(
  "a node that answers %j says nothing about the transaction",
  async (answer) => {
    expect((await fateOf({ request: async () => answer }, entry)).fate).toEqual({ kind: "unknown" });
  },
);
