/** The journal of the chain that is looked at, and who follows what is in it: one for all views of the page. */

import { useEffect, useState } from "preact/hooks";
import { Journal } from "../../sending/journal";
import { head, type Node } from "../../sending/node";
import { Tracker } from "../../sending/tracker";
import { session, storage } from "../../wallet/here";
import type { Where } from "../../where";

const known = new Map<string, Promise<Tracker>>();

export function nodeOf(where: Where): Node {
  return where.reader.client as unknown as Node;
}

function trackerOf(where: Where): Promise<Tracker> {
  const key = `${where.chainId} ${where.reader.where}`;
  const made = known.get(key) ?? makeTracker(where);
  known.set(key, made);
  // What failed may work the next time.
  made.catch(() => known.delete(key));
  return made;
}

async function makeTracker(where: Where): Promise<Tracker> {
  const node = nodeOf(where);
  const first = await head(node, "earliest");
  const memory = storage() ?? { getItem: () => null, setItem: refuse };
  return new Tracker(node, new Journal(memory, where.chainId, first?.hash ?? `0x${"0".repeat(64)}`), session);
}

/** A browser that keeps nothing: the journal says so when something is to be sent. */
function refuse(): never {
  throw new DOMException("", "SecurityError");
}

/** Follows what was sent on this chain while a view is open; `changed` is told of each new fate. */
export function useTracker(where: Where, changed: () => void): Tracker | undefined {
  const [tracker, setTracker] = useState<Tracker>();
  const [, draw] = useState(0);
  useEffect(() => {
    let stop = () => {};
    let current = true;
    const follow = async () => {
      const made = await trackerOf(where);
      if (!current) return;
      setTracker(made);
      const ends = [
        made.start(),
        made.listen(() => {
          draw((round) => round + 1);
          changed();
        }),
        made.journal.listen(() => draw((round) => round + 1)),
      ];
      stop = () => {
        for (const end of ends) end();
      };
    };
    follow().catch(() => undefined);
    return () => {
      current = false;
      stop();
    };
  }, [where.reader, where.chainId]);
  return tracker;
}
