/**
 * What wallets were asked to send, kept by the browser: a reload finds it again, and nothing is paid twice. It holds
 * what the chain shows anyway, and nothing secret. It is written before the wallet is asked.
 */

import { type Address, type Hash, type Hex, isAddress, isHex, keccak256 } from "viem";
import type { Call } from "./call";

/**
 * `asked`: the wallet was asked, and its answer is not known. `sent`: it gave a hash. `declined`: the person said no.
 * `final`: done for good. `failed`: reverted for good. `void`: it can never be included, or the person gave it up.
 */
export type State = "asked" | "sent" | "declined" | "final" | "failed" | "void";

export interface Entry {
  readonly id: string;
  readonly chain: number;
  /** Hash of the chain's first block: development chains share numbers. */
  readonly genesis: Hash;
  readonly account: Address;
  readonly campaign: Address;
  /** Which action, and its values as they are shown. */
  readonly action: string;
  readonly shown: Readonly<Record<string, string>>;
  /** What it is to bring about. Two with one intent would do it twice. */
  readonly intent: string;
  readonly to: Address;
  readonly dataHash: Hash;
  /** Wei. */
  readonly value: string;
  /** Unix milliseconds. */
  readonly at: number;
  /** The latest block when the wallet was asked, later the highest one that a node showed. */
  readonly head: number;
  /** The block when the wallet was asked: it is in none before. */
  readonly since: number;
  /** The account's next number when the wallet was asked; the transaction's own once a node has shown it. */
  readonly nonce: number;
  readonly state: State;
  readonly hash?: Hash | undefined;
  /** The wallet's name for a batch of calls. */
  readonly batch?: string | undefined;
  /** The block that includes it, as far as it was seen. */
  readonly block?: number | undefined;
  readonly blockHash?: Hash | undefined;
  /** The hash that the wallet gave first, if the person sped it up. */
  readonly before?: Hash | undefined;
  /** What the transaction does otherwise than the wallet was asked. */
  readonly differs?: readonly Difference[] | undefined;
}

export type Difference = "to" | "data" | "value" | "from";

const PREFIX = "llamafund.journal.";
const MOST = 200;
const LONGEST = 400_000;

export const OPEN: ReadonlySet<State> = new Set(["asked", "sent"]);

/** Nothing is sent where nothing can be kept. */
export class JournalTrouble extends Error {}

export function dataHashOf(call: Call): Hash {
  return keccak256(call.data);
}

type Memory = Pick<Storage, "getItem" | "setItem">;

/** The journal of one chain. */
export class Journal {
  private readonly key: string;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly memory: Memory,
    readonly chain: number,
    readonly genesis: Hash,
  ) {
    this.key = `${PREFIX}${chain}.${genesis.slice(0, 18)}`;
  }

  /** Calls `listener` on every change here or in another window; returns a function that stops it. */
  listen(listener: () => void): () => void {
    const heard = (event: StorageEvent) => event.key === this.key && listener();
    this.listeners.add(listener);
    globalThis.addEventListener?.("storage", heard);
    return () => {
      this.listeners.delete(listener);
      globalThis.removeEventListener?.("storage", heard);
    };
  }

  /** All entries, oldest first. What makes no sense is left out. */
  entries(): Entry[] {
    let stored: unknown;
    try {
      const text = this.memory.getItem(this.key);
      stored = text && text.length <= LONGEST ? JSON.parse(text) : [];
    } catch {
      stored = [];
    }
    return Array.isArray(stored) ? stored.slice(-MOST).filter(isEntry) : [];
  }

  of(account: Address): Entry[] {
    return this.entries().filter((entry) => entry.account.toLowerCase() === account.toLowerCase());
  }

  /** The entry that is to bring about the same and may still do it. */
  open(account: Address, intent: string): Entry | undefined {
    return this.of(account).find((entry) => OPEN.has(entry.state) && entry.intent === intent);
  }

  /** @throws JournalTrouble The browser keeps nothing: then nothing may be sent. */
  add(entry: Entry): void {
    this.write([...this.entries(), entry]);
    if (!this.entries().some((one) => one.id === entry.id)) throw new JournalTrouble();
  }

  change(id: string, changes: Partial<Omit<Entry, "id">>): void {
    const entries = this.entries();
    const old = entries.find((entry) => entry.id === id);
    if (!old || Object.entries(changes).every(([key, value]) => same(old[key as keyof Entry], value))) return;
    this.write(entries.map((entry) => (entry.id === id ? { ...entry, ...changes } : entry)));
  }

  /** Forgets what is over. */
  forget(id: string): void {
    this.write(this.entries().filter((entry) => entry.id !== id));
  }

  private write(entries: Entry[]): void {
    const closed = entries.filter((entry) => !OPEN.has(entry.state));
    const tooMany = new Set(closed.slice(0, Math.max(0, entries.length - MOST)).map((entry) => entry.id));
    try {
      this.memory.setItem(this.key, JSON.stringify(entries.filter((entry) => !tooMany.has(entry.id))));
    } catch (error) {
      throw new JournalTrouble("", { cause: error });
    }
    for (const listener of [...this.listeners]) listener();
  }
}

function same(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

const STATES: ReadonlySet<unknown> = new Set<State>(["asked", "sent", "declined", "final", "failed", "void"]);

function isEntry(value: unknown): value is Entry {
  if (typeof value !== "object" || value === null) return false;
  const entry = value as Record<keyof Entry, unknown>;
  const texts = [entry.id, entry.intent, entry.action, entry.value];
  const numbers = [entry.chain, entry.at, entry.head, entry.since, entry.nonce];
  return (
    texts.every((one) => typeof one === "string") &&
    numbers.every((one) => Number.isSafeInteger(one) && (one as number) >= 0) &&
    [entry.account, entry.campaign, entry.to].every(
      (one) => typeof one === "string" && isAddress(one, { strict: false }),
    ) &&
    [entry.genesis, entry.dataHash].every(isHash) &&
    [entry.hash, entry.blockHash, entry.before].every((one) => one === undefined || isHash(one)) &&
    (entry.block === undefined || Number.isSafeInteger(entry.block)) &&
    (entry.batch === undefined || typeof entry.batch === "string") &&
    (entry.differs === undefined || Array.isArray(entry.differs)) &&
    /^\d{1,78}$/.test(entry.value as string) &&
    STATES.has(entry.state) &&
    typeof entry.shown === "object" &&
    entry.shown !== null &&
    Object.values(entry.shown).every((one) => typeof one === "string")
  );
}

function isHash(value: unknown): value is Hex {
  return isHex(value) && value.length === 66;
}
