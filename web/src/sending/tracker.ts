/** Follows what was sent until it is final, and again after a reload. */

import { providerOf, type Session } from "../wallet/session";
import { batchHash } from "./batches";
import { type Fate, fateOf } from "./fate";
import { type Entry, type Journal, OPEN } from "./journal";
import type { Node } from "./node";

/** Milliseconds between two looks, while something is new and later. */
const SOON = 1_000;
const LATER = 4_000;
/** Milliseconds for which something is new. */
const NEW = 120_000;

export class Tracker {
  private readonly found = new Map<string, Fate>();
  private readonly listeners = new Set<(changed: readonly string[]) => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  constructor(
    private readonly node: Node,
    readonly journal: Journal,
    private readonly session: Session,
  ) {}

  /** What became of an entry, as far as it was looked at. */
  fate(id: string): Fate | undefined {
    return this.found.get(id);
  }

  /** Calls `listener` with the entries whose fate changed; returns a function that stops it. */
  listen(listener: (changed: readonly string[]) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Looks now and then, until it is stopped. */
  start(): () => void {
    this.stopped = false;
    const round = async () => {
      this.timer = undefined;
      if (typeof document === "undefined" || !document.hidden) await this.look();
      if (!this.stopped) this.timer = setTimeout(round, this.pause());
    };
    // What was just added is not waited for as long as what is old.
    const sooner = this.journal.listen(() => {
      if (this.timer === undefined || this.pause() === LATER) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(round, SOON);
    });
    void round();
    return () => {
      this.stopped = true;
      sooner();
      clearTimeout(this.timer);
    };
  }

  private pause(): number {
    const since = Date.now() - NEW;
    return this.journal.entries().some((entry) => OPEN.has(entry.state) && entry.at > since) ? SOON : LATER;
  }

  /** Looks at everything that is under way, once. */
  async look(): Promise<void> {
    const open = this.journal.entries().filter((entry) => OPEN.has(entry.state));
    const changed: string[] = [];
    for (const entry of open) {
      const known = await this.withHash(entry);
      const { fate, changes } = await fateOf(this.node, known);
      // Another window may have closed it meanwhile.
      const now = this.journal.entries().find((one) => one.id === entry.id);
      if (!now || !OPEN.has(now.state)) continue;
      this.journal.change(entry.id, changes);
      if (JSON.stringify(this.found.get(entry.id)) !== JSON.stringify(fate)) changed.push(entry.id);
      this.found.set(entry.id, fate);
    }
    if (changed.length > 0) for (const listener of [...this.listeners]) listener(changed);
  }

  /** A batch has the wallet's name alone, until the wallet says which transaction did it. */
  private async withHash(entry: Entry): Promise<Entry> {
    const connected = this.session.connected;
    if (!entry.batch || entry.hash || !connected) return entry;
    const answer = await batchHash(providerOf(connected.wallet), entry.batch);
    if (!answer.startsWith("0x")) return entry;
    const hash = answer as `0x${string}`;
    this.journal.change(entry.id, { hash });
    return { ...entry, hash };
  }
}
