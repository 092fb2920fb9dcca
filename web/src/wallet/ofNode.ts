/**
 * A wallet of accounts that the node itself holds: development nodes such as anvil sign for whoever asks. It is offered
 * for test chains on this machine alone, and this page never sees a key.
 */

import type { Announced } from "../chain/announced";
import { KNOWN_ACCOUNTS, TEST_CHAINS } from "../generated/constants";
import { knownSource, type Where } from "../where";
import { accountsOf, type Provider, type Request } from "./provider";

const made = new Map<string, NodeWallet>();

/** The wallet of the node that is looked through; undefined unless it is a test chain's on this machine. */
export function walletOfNode(where: Where): NodeWallet | undefined {
  const source = knownSource(where.chainId, where.options);
  if (!(TEST_CHAINS as readonly number[]).includes(where.chainId) || !source || !("rpc" in source)) return undefined;
  if (!["127.0.0.1", "localhost"].includes(new URL(source.rpc).hostname)) return undefined;
  const wallet = made.get(source.rpc) ?? new NodeWallet(where);
  made.set(source.rpc, wallet);
  return wallet;
}

export class NodeWallet implements Announced, Provider {
  readonly uuid = "node";
  readonly icon = null;
  readonly rdns = "node.test";
  readonly name = "Test accounts";
  readonly provider = this as unknown as Announced["provider"];
  private chosen: string | undefined;
  private readonly listeners = new Set<(value: unknown) => void>();

  constructor(private readonly where: Where) {}

  async request({ method, params }: Request): Promise<unknown> {
    if (method === "eth_accounts" || method === "eth_requestAccounts") {
      const all = await this.accounts();
      return this.chosen ? [this.chosen, ...all.filter((one) => one !== this.chosen)] : all;
    }
    if (method.startsWith("wallet_")) throw Object.assign(new Error(method), { code: 4200 });
    return this.where.reader.client.request({ method, params } as never);
  }

  on(event: string, listener: (value: unknown) => void): void {
    if (event === "accountsChanged") this.listeners.add(listener);
  }

  removeListener(_event: string, listener: (value: unknown) => void): void {
    this.listeners.delete(listener);
  }

  async accounts(): Promise<string[]> {
    return accountsOf(await this.where.reader.client.request({ method: "eth_accounts" as never }));
  }

  /** The person selects an account. */
  choose(account: string): void {
    this.chosen = account;
    for (const listener of [...this.listeners]) listener([account]);
  }
}

/** The name under which everybody knows a test account. */
export function testName(account: string): string {
  return (KNOWN_ACCOUNTS as Record<string, string>)[account] ?? "";
}

/** Whether everybody has the account's key, and the chain is none to play with. */
export function isEverybodys(account: string, chainId: number): boolean {
  return account in KNOWN_ACCOUNTS && !(TEST_CHAINS as readonly number[]).includes(chainId);
}
