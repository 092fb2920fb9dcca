/** The one wallet that this page uses at a time, for all its views. */

import { useEffect, useState } from "preact/hooks";
import { type Announced, wallets, watchWallets } from "../chain/announced";
import { type Connected, nameOf, Session } from "./session";

export const session = new Session(storage());

/** The browser's memory; `undefined` where it keeps nothing. */
export function storage(): Storage | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}

/** What is connected now; the view is drawn again when it changes. */
export function useConnected(): Connected | undefined {
  const [, draw] = useState(0);
  useEffect(() => session.listen(() => draw((round) => round + 1)), []);
  return session.connected;
}

/** Milliseconds within which wallets announce themselves; one that comes later is still added. */
const PATIENCE = 300;

/**
 * All wallets of this browser. One that was connected when the page was last open is asked, without a window, whether
 * it still is. `window.ethereum` counts only if nobody announces itself in time: it may be any of them.
 */
export function useWallets(): { found: readonly Announced[]; waiting: boolean } {
  const [found, setFound] = useState<readonly Announced[]>(() => wallets().filter((one) => one.rdns !== ""));
  const [waiting, setWaiting] = useState(true);
  useEffect(() => {
    const look = () => setFound(wallets());
    const stop = watchWallets(look);
    const late = setTimeout(() => {
      look();
      setWaiting(false);
    }, PATIENCE);
    return () => {
      stop();
      clearTimeout(late);
    };
  }, []);
  useEffect(() => {
    const known = session.remembered;
    const back = known && !session.connected ? found.find((one) => nameOf(one) === known) : undefined;
    if (back) session.connect(back, true).catch(() => undefined);
  }, [found]);
  return { found, waiting };
}
