/**
 * What a browser wallet is to this page (EIP-1193), and what its refusals mean. A wallet is a stranger's program: its
 * answers are checked, and its errors are told apart by their code alone, never by their words.
 */

import { type Address, getAddress, isAddress } from "viem";

export interface Request {
  readonly method: string;
  readonly params?: readonly unknown[] | object;
}

export interface Provider {
  request(request: Request): Promise<unknown>;
  on?(event: string, listener: (value: unknown) => void): unknown;
  removeListener?(event: string, listener: (value: unknown) => void): unknown;
}

/** Why a wallet did not do what it was asked; each has its own words. */
export type Cause =
  | "declined"
  | "unauthorized"
  | "unsupported"
  | "disconnected"
  | "wrongChain"
  | "unknownChain"
  | "busy"
  | "invalid"
  | "other";

const CAUSES: Readonly<Record<number, Cause>> = {
  4001: "declined",
  4100: "unauthorized",
  4200: "unsupported",
  4900: "disconnected",
  4901: "wrongChain",
  4902: "unknownChain",
  // EIP-5792: the person declined the account upgrade or the batch, or the wallet cannot do it.
  5700: "unsupported",
  5710: "unsupported",
  5720: "busy",
  5750: "declined",
  5760: "unsupported",
  // EIP-1474.
  [-32002]: "busy",
  [-32004]: "unsupported",
  [-32601]: "unsupported",
  [-32602]: "invalid",
};

/** How deep a wallet's error is looked into: some wrap one error in another. */
const DEPTH = 6;

export class WalletError extends Error {
  constructor(
    readonly reason: Cause,
    readonly code: number | undefined,
  ) {
    super(code === undefined ? reason : `${reason} (${code})`);
    this.name = "WalletError";
  }
}

/** A wallet's error as one of the known causes. */
export function walletError(error: unknown): WalletError {
  if (error instanceof WalletError) return error;
  let first: number | undefined;
  for (const code of codes(error)) {
    first ??= code;
    const reason = CAUSES[code];
    if (reason) return new WalletError(reason, code);
  }
  return new WalletError("other", first);
}

function* codes(error: unknown): Generator<number> {
  let waiting: unknown[] = [error];
  for (let depth = 0; depth < DEPTH && waiting.length > 0; depth += 1) {
    const next: unknown[] = [];
    for (const one of waiting) {
      if (typeof one !== "object" || one === null) continue;
      const { code, data, cause, error: inner } = one as Record<string, unknown>;
      if (typeof code === "number" && Number.isSafeInteger(code)) yield code;
      const wrapped =
        typeof data === "object" && data !== null ? (data as Record<string, unknown>).originalError : null;
      next.push(data, cause, inner, wrapped);
    }
    waiting = next;
  }
}

/** Asks a wallet; every refusal is a `WalletError`. */
export async function ask(provider: Provider, method: string, params?: readonly unknown[]): Promise<unknown> {
  try {
    return await provider.request(params === undefined ? { method } : { method, params });
  } catch (error) {
    throw walletError(error);
  }
}

const MOST_ACCOUNTS = 100;

/** The accounts that a wallet names, checksummed; what is none is left out. */
export function accountsOf(value: unknown): Address[] {
  if (!Array.isArray(value)) return [];
  const named = value
    .slice(0, MOST_ACCOUNTS)
    .filter((one): one is string => typeof one === "string" && isAddress(one, { strict: false }));
  return [...new Set(named.map((one) => getAddress(one)))];
}

/** The chain that a wallet names, EIP-155; `undefined` if it names none. Some say 31337, most say "0x7a69". */
export function chainOf(value: unknown): number | undefined {
  const number = typeof value === "string" && /^0x[0-9a-f]{1,13}$/i.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number > 0 ? number : undefined;
}
