/** What a campaign's amounts are counted in. A token's name is a stranger's text. */

import { type Address, erc20Abi, formatUnits, isHex, trim } from "viem";
import { NETWORKS } from "../generated/networks";
import { printable } from "../look/printable";
import type { Reader } from "./client";
import { type Block, call, rawCall } from "./read";
import { NATIVE } from "./terms";

/** `symbol` is empty for the coin of a chain that we do not know. */
export type Asset = { address: Address; native: boolean; symbol: string; decimals: number };

const MOST_DECIMALS = 77;
const SYMBOL = "0x95d89b41";

export function coinOf(chainId: number): Asset {
  const symbol = (NETWORKS as Record<number, { coin: string }>)[chainId]?.coin ?? "";
  return { address: NATIVE, native: true, symbol, decimals: 18 };
}

export async function assetAt(reader: Reader, chainId: number, block: Block, address: Address): Promise<Asset> {
  if (address === NATIVE) return coinOf(chainId);
  const [decimals, symbol] = await Promise.all([
    call(reader, block, address, erc20Abi, "decimals"),
    symbolAt(reader, block, address),
  ]);
  if (decimals > MOST_DECIMALS) throw new RangeError(`the token has ${decimals} decimals`);
  return { address, native: false, symbol, decimals };
}

async function symbolAt(reader: Reader, block: Block, address: Address): Promise<string> {
  try {
    return printable(await call(reader, block, address, erc20Abi, "symbol"), 20);
  } catch {
    // Old tokens answer with 32 bytes instead of a text.
    const raw = await rawCall(reader, block, address, SYMBOL).catch(() => "0x" as const);
    if (!isHex(raw) || raw.length !== 66) return "?";
    const bytes = trim(raw, { dir: "right" }).slice(2);
    const text = new TextDecoder().decode(
      Uint8Array.from(bytes.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
    );
    return printable(text, 20);
  }
}

/** An amount as exact decimal text, without its unit. */
export function plain(amount: bigint, asset: Asset): string {
  return formatUnits(amount, asset.decimals);
}
