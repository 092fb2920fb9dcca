/** Through what the reader looks at a chain: a node and gateways. Nothing kept here is secret. */

import type { Reader, Source } from "./chain/client";
import { chainIdOf, isNodeUrl, openReader } from "./chain/client";
import { Trouble } from "./chain/trouble";
import { gatewaysFor } from "./evidence/gateways";
import type { Options } from "./router";

export type Where = {
  chainId: number;
  reader: Reader;
  gateways: readonly string[];
  options: Options;
};

/** The node that a link names, else the one that was chosen here before for this chain. */
export function knownSource(chainId: number, options: Options): Source | null {
  const rpc = options.rpc ?? kept(chainId);
  return rpc !== null && isNodeUrl(rpc) ? { rpc } : null;
}

export function keepNode(chainId: number, rpc: string): void {
  try {
    localStorage.setItem(`llamafund.rpc.${chainId}`, rpc);
  } catch {
    // A browser that keeps nothing asks again.
  }
}

function kept(chainId: number): string | null {
  try {
    return localStorage.getItem(`llamafund.rpc.${chainId}`);
  } catch {
    return null;
  }
}

const open = new Map<string, Reader>();

/** Opens a source, and makes sure that it is of the chain that the link names. */
export async function look(chainId: number, source: Source, options: Options): Promise<Where> {
  const key = "rpc" in source ? source.rpc : null;
  const reader = (key !== null && open.get(key)) || openReader(source);
  const actual = await chainIdOf(reader);
  if (actual !== chainId) throw new Trouble("otherChain", { actual: `${actual}`, wanted: `${chainId}` });
  if (key !== null) open.set(key, reader);
  return { chainId, reader, gateways: gatewaysFor(options.gateway), options };
}
