/** The wallet that the person chose, the account and the chain that it stands on. Both can change at any time. */

import type { Address } from "viem";
import type { Announced } from "../chain/announced";
import { accountsOf, ask, chainOf, type Provider, WalletError } from "./provider";

/** What is connected. `account` is missing while the wallet shows none, `chain` while it says none. */
export interface Connected {
  readonly wallet: Announced;
  readonly account: Address;
  readonly chain: number | undefined;
}

/** A chain as wallets want to hear of it (EIP-3085). */
export interface NewChain {
  readonly id: number;
  readonly name: string;
  readonly coin: string;
  /** A node of it, if one is known: without it the wallet has to know the chain. */
  readonly rpc: string | undefined;
  readonly explorer: string | null;
}

const REMEMBERED = "llamafund.wallet";

export class Session {
  private now: Connected | undefined;
  private stop: (() => void) | undefined;
  private readonly listeners = new Set<() => void>();
  private tries = 0;

  constructor(private readonly memory: Pick<Storage, "getItem" | "setItem" | "removeItem"> | undefined) {}

  /** What is connected now. */
  get connected(): Connected | undefined {
    return this.now;
  }

  /** Calls `listener` on every change; returns a function that stops it. */
  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The wallet that was connected when the page was last open, so that it can be asked without a window. */
  get remembered(): string | undefined {
    try {
      return this.memory?.getItem(REMEMBERED) ?? undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Connects a wallet: it asks the person. With `quietly` it asks nobody, and nothing happens unless the wallet still
   * allows this page.
   */
  async connect(wallet: Announced, quietly = false): Promise<void> {
    const mine = ++this.tries;
    const provider = providerOf(wallet);
    const [account] = accountsOf(await ask(provider, quietly ? "eth_accounts" : "eth_requestAccounts"));
    if (!account) {
      if (quietly) return;
      throw new WalletError("unauthorized", undefined);
    }
    const chain = chainOf(await ask(provider, "eth_chainId"));
    // Another one was chosen meanwhile.
    if (mine !== this.tries) return;
    this.stop?.();
    this.stop = this.follow(wallet);
    this.remember(nameOf(wallet));
    this.change({ wallet, account, chain });
  }

  /** Forgets the wallet; it is asked to forget this page too, which not all can. */
  async disconnect(): Promise<void> {
    const provider = this.now && providerOf(this.now.wallet);
    this.drop();
    if (provider) {
      await ask(provider, "wallet_revokePermissions", [{ eth_accounts: {} }]).catch(() => undefined);
    }
  }

  /** Asks the wallet to go to a chain, and tells it about the chain if it does not know it. */
  async switchTo(chain: NewChain): Promise<void> {
    const connected = this.now;
    if (!connected) throw new WalletError("disconnected", undefined);
    const provider = providerOf(connected.wallet);
    const chainId = `0x${chain.id.toString(16)}`;
    try {
      await ask(provider, "wallet_switchEthereumChain", [{ chainId }]);
    } catch (error) {
      if (!(error instanceof WalletError) || error.reason !== "unknownChain" || !chain.rpc) throw error;
      await ask(provider, "wallet_addEthereumChain", [
        {
          chainId,
          chainName: chain.name,
          nativeCurrency: { name: chain.coin, symbol: chain.coin, decimals: 18 },
          rpcUrls: [chain.rpc],
          ...(chain.explorer ? { blockExplorerUrls: [chain.explorer] } : {}),
        },
      ]);
      // Adding may not switch: ask once more, and believe only what the wallet then says.
      await ask(provider, "wallet_switchEthereumChain", [{ chainId }]);
    }
    const now = chainOf(await ask(provider, "eth_chainId"));
    if (this.now?.wallet === connected.wallet) this.change({ ...this.now, chain: now });
    if (now !== chain.id) throw new WalletError("wrongChain", undefined);
  }

  /**
   * Asks the wallet for account and chain once more, just before something is signed: not every wallet tells of every
   * change.
   */
  async refresh(): Promise<Connected | undefined> {
    const connected = this.now;
    if (!connected) return undefined;
    const provider = providerOf(connected.wallet);
    const accounts = accountsOf(await ask(provider, "eth_accounts"));
    const chain = chainOf(await ask(provider, "eth_chainId"));
    if (this.now?.wallet === connected.wallet) this.seen(accounts, chain);
    return this.now;
  }

  private follow(wallet: Announced): () => void {
    const provider = providerOf(wallet);
    const accounts = (value: unknown) => this.seen(accountsOf(value), this.now?.chain);
    const chain = (value: unknown) => this.now && this.change({ ...this.now, chain: chainOf(value) });
    // The wallet lost its chains: it may come back, so the account stays.
    const lost = () => this.now && this.change({ ...this.now, chain: undefined });
    const back = (value: unknown) =>
      this.now && this.change({ ...this.now, chain: chainOf((value as { chainId?: unknown } | null)?.chainId) });
    const heard: [string, (value: unknown) => void][] = [
      ["accountsChanged", accounts],
      ["chainChanged", chain],
      ["disconnect", lost],
      ["connect", back],
    ];
    for (const [event, listener] of heard) listen(provider, event, listener);
    return () => {
      for (const [event, listener] of heard) provider.removeListener?.(event, listener);
    };
  }

  private seen(accounts: readonly Address[], chain: number | undefined): void {
    const connected = this.now;
    if (!connected) return;
    const [account] = accounts;
    if (!account) this.drop();
    // Wallets put the selected account first.
    else if (account !== connected.account || chain !== connected.chain) this.change({ ...connected, account, chain });
  }

  private drop(): void {
    this.tries += 1;
    this.stop?.();
    this.stop = undefined;
    this.remember(undefined);
    this.change(undefined);
  }

  private remember(id: string | undefined): void {
    try {
      if (id === undefined) this.memory?.removeItem(REMEMBERED);
      else this.memory?.setItem(REMEMBERED, id);
    } catch {
      // A browser that keeps nothing: the person chooses again.
    }
  }

  private change(connected: Connected | undefined): void {
    this.now = connected;
    for (const listener of [...this.listeners]) listener();
  }
}

/** The name under which a wallet is found again after a reload; empty for one that has none. */
export function nameOf(wallet: Announced): string {
  return wallet.rdns;
}

/** The wallet as it is asked here: by method, with answers that nobody trusts. */
export function providerOf(wallet: Announced): Provider {
  return wallet.provider as Provider;
}

function listen(provider: Provider, event: string, listener: (value: unknown) => void): void {
  try {
    provider.on?.(event, listener);
  } catch {
    // It tells of no such event; what it stands on is asked again before anything is signed.
  }
}
