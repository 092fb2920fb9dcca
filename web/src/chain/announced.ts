/** Wallets that announce themselves to pages (EIP-6963). Any number of them, none preferred. */

import type { EIP1193Provider } from "viem";

export type Announced = {
  uuid: string;
  name: string;
  /** A stranger's picture: `data:image/…` or null. */
  icon: string | null;
  /** Reverse domain name. */
  rdns: string;
  provider: EIP1193Provider;
};

const found = new Map<string, Announced>();
const listeners = new Set<() => void>();
let listening = false;

/** Asks all wallets to announce themselves, and calls back for each one that does, now or later. */
export function watchWallets(changed: () => void): () => void {
  listeners.add(changed);
  if (!listening) {
    listening = true;
    window.addEventListener("eip6963:announceProvider", take);
    window.dispatchEvent(new Event("eip6963:requestProvider"));
  }
  return () => void listeners.delete(changed);
}

/** Those that announced themselves so far, else the one that old wallets leave in `window.ethereum`. */
export function wallets(): Announced[] {
  if (found.size > 0) return [...found.values()];
  const old = (window as { ethereum?: EIP1193Provider }).ethereum;
  if (typeof old?.request !== "function") return [];
  return [{ uuid: "window.ethereum", name: "", icon: null, rdns: "", provider: old }];
}

function take(event: Event): void {
  const detail = (event as CustomEvent).detail as { info?: Record<string, unknown>; provider?: EIP1193Provider };
  const { uuid, name, icon, rdns } = detail?.info ?? {};
  if (typeof uuid !== "string" || typeof name !== "string" || typeof detail.provider?.request !== "function") return;
  if (found.has(uuid) || found.size >= 32) return;
  const picture = typeof icon === "string" && icon.length < 200_000 && icon.startsWith("data:image/") ? icon : null;
  const domain = typeof rdns === "string" ? rdns.slice(0, 100) : "";
  found.set(uuid, { uuid, name: name.slice(0, 60), icon: picture, rdns: domain, provider: detail.provider });
  for (const listener of listeners) listener();
}
