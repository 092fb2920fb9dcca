/** Reading something for a view: on its way, there, or in trouble. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Trouble, troubleOf } from "../chain/trouble";

export type Reading<T> =
  | { state: "loading" }
  | { state: "there"; value: T; stale: Trouble | null }
  | { state: "trouble"; trouble: Trouble };

/**
 * Reads when `key` changes, and again on request. While it reads again, what was there stays; if that fails, it stays
 * and says so.
 */
export function useReading<T>(key: string, read: () => Promise<T>): [Reading<T>, () => void] {
  const [reading, setReading] = useState<{ key: string; value: Reading<T> }>({ key, value: { state: "loading" } });
  const [round, setRound] = useState(0);
  const latest = useRef(read);
  latest.current = read;
  useEffect(() => {
    let current = true;
    latest
      .current()
      .then((value) => current && setReading({ key, value: { state: "there", value, stale: null } }))
      .catch((thrown: unknown) => {
        if (!current) return;
        const trouble = troubleOf(thrown);
        setReading((before) =>
          before.key === key && before.value.state === "there"
            ? { key, value: { ...before.value, stale: trouble } }
            : { key, value: { state: "trouble", trouble } },
        );
      });
    return () => {
      current = false;
    };
  }, [key, round]);
  const again = useCallback(() => setRound((number) => number + 1), []);
  return [reading.key === key ? reading.value : { state: "loading" }, again];
}
