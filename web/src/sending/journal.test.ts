import { expect, test } from "vitest";
import { type Entry, Journal, JournalTrouble } from "./journal";

const ACCOUNT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const HASH = `0x${"ab".repeat(32)}` as const;

function entry(changes: Partial<Entry> = {}): Entry {
  return {
    ...{
      id: "1",
      chain: 1,
      genesis: HASH,
      account: ACCOUNT,
      campaign: ACCOUNT,
      action: "pledge",
      shown: { amount: "1" },
    },
    ...{
      intent: "pledge",
      to: ACCOUNT,
      dataHash: HASH,
      value: "1",
      at: 1,
      head: 1,
      since: 1,
      nonce: 0,
      state: "asked",
    },
    ...changes,
  };
}

function memory(text: string | null = null) {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? text,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
}

test("what may still happen is found again after a reload, for its account and intent alone", () => {
  const kept = memory();
  new Journal(kept, 1, HASH).add(entry());
  const again = new Journal(kept, 1, HASH);
  expect(again.open(ACCOUNT, "pledge")?.id).toBe("1");
  expect(again.open(ACCOUNT, "vote")).toBeUndefined();
  expect(again.open("0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "pledge")).toBeUndefined();
  expect(new Journal(kept, 1, `0x${"cd".repeat(32)}`).entries()).toEqual([]);
  again.change("1", { state: "final" });
  expect(again.open(ACCOUNT, "pledge")).toBeUndefined();
});

test.each([
  "{",
  "null",
  "{}",
  "[null, 7, {}]",
  JSON.stringify([entry({ value: "-1" })]),
  JSON.stringify([{ ...entry(), hash: "<b>" }]),
])("what makes no sense is left out: %s", (text) => {
  expect(new Journal(memory(text), 1, HASH).entries()).toEqual([]);
});

test("a browser that keeps nothing says so before anything is sent", () => {
  const full = { getItem: () => null, setItem: () => undefined };
  expect(() => new Journal(full, 1, HASH).add(entry())).toThrow(JournalTrouble);
  const closed = {
    getItem: () => null,
    setItem: () => {
      throw new Error("quota");
    },
  };
  expect(() => new Journal(closed, 1, HASH).add(entry())).toThrow(JournalTrouble);
});

test("old entries go first, and never one that is under way", () => {
  const journal = new Journal(memory(), 1, HASH);
  journal.add(entry({ id: "open" }));
  for (let at = 0; at < 210; at += 1) journal.add(entry({ id: `closed ${at}`, state: "final" }));
  const ids = journal.entries().map((one) => one.id);
  expect(ids.length).toBe(200);
  expect(ids).toContain("open");
  expect(ids).toContain("closed 209");
});
