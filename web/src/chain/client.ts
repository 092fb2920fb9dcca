/** Where the chain is read: a node that the reader named, or the wallet that the reader has. */

import { createClient, custom, type EIP1193Provider, hexToNumber, http, type PublicClient } from "viem";

export type Source = { rpc: string } | { provider: EIP1193Provider; name: string };

/** What reads a chain. It only ever calls `request`; nobody has to trust what comes back. */
export type Reader = {
  client: PublicClient;
  where: string;
  /** Number of the newest block that it named so far. */
  newest: number;
};

const SECONDS = 20;

/** An address of a node that this page may ask: https, or anything on this machine. */
export function isNodeUrl(text: string): boolean {
  try {
    const url = new URL(text);
    if (url.protocol === "https:") return true;
    return url.protocol === "http:" && ["127.0.0.1", "localhost"].includes(url.hostname);
  } catch {
    return false;
  }
}

/** The address without what may be secret: name and password, path and query. */
export function shownUrl(text: string): string {
  try {
    const url = new URL(text);
    return url.origin + (url.pathname === "/" && !url.search ? "" : "/…");
  } catch {
    return "…";
  }
}

export function openReader(source: Source): Reader {
  if ("rpc" in source) {
    const transport = http(source.rpc, { batch: { batchSize: 40 }, retryCount: 1, timeout: SECONDS * 1000 });
    return {
      client: createClient({ transport, cacheTime: 0 }) as PublicClient,
      where: shownUrl(source.rpc),
      newest: 0,
    };
  }
  const transport = custom(source.provider, { retryCount: 0 });
  return { client: createClient({ transport, cacheTime: 0 }) as PublicClient, where: source.name, newest: 0 };
}

export async function chainIdOf(reader: Reader): Promise<number> {
  return hexToNumber(await reader.client.request({ method: "eth_chainId" }));
}
