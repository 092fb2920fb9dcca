/** Files by their hash from gateways that nobody trusts: each byte is hashed before anybody sees one. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { isNodeUrl } from "../chain/client";

/** Public gateways that serve single blocks to other pages (https://specs.ipfs.tech/http-gateways/trustless-gateway/). */
export const USUAL_GATEWAYS: readonly string[] = ["https://trustless-gateway.link", "https://ipfs.io"];

const SECONDS = 20;
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/**
 * `found`; `absent` if no gateway has it or answers; `wrong` if one sent other bytes and none the right ones.
 * Nothing of this says anything about who published it.
 */
export type Fetched =
  | { outcome: "found"; bytes: Uint8Array<ArrayBuffer>; from: string; liars: string[] }
  | { outcome: "absent" | "wrong"; tried: { gateway: string; said: string }[]; liars: string[] };

/** What a CIDv1 with SHA-2-256 names: raw bytes, or a node of a larger file (dag-pb). */
export type BlockName = { node: boolean; sha256: string };

const RAW = 0x55;
const DAG_PB = 0x70;

/** A block's address in base32. */
export function cidOf({ node, sha256 }: BlockName): string {
  return base32(Uint8Array.of(0x01, node ? DAG_PB : RAW, 0x12, 0x20, ...hexToBytes(sha256)));
}

/** What an address in base32 names. Throws an Error if it is none that evidence has. */
export function readCid(cid: string): BlockName {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const letter of cid.slice(1)) {
    value = ((value << 5) | ALPHABET.indexOf(letter)) & 0xffff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((value >> bits) & 0xff);
    }
  }
  return nameOf(Uint8Array.from(bytes), cid);
}

/** What a binary address names, compared with its text if there is one. Throws an Error as `readCid`. */
export function nameOf(binary: Uint8Array, text = base32(binary)): BlockName {
  const [version, codec, hash, length] = binary;
  const known = binary.length === 36 && version === 1 && hash === 0x12 && length === 0x20;
  if (!known || (codec !== RAW && codec !== DAG_PB) || base32(binary) !== text)
    throw new Error("an address is missing");
  return { node: codec === DAG_PB, sha256: bytesToHex(binary.slice(4)) };
}

function base32(bytes: Uint8Array): string {
  let text = "b";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >> bits) & 31];
    }
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

/** The gateways to ask, in turn: the link's, this page's own server, and the usual ones. */
export function gatewaysFor(named: string | null): string[] {
  const own = location.pathname.startsWith("/ipfs/") || isServedHere() ? [location.origin] : [];
  const chosen = named !== null && isNodeUrl(named) ? [named.replace(/\/+$/, "")] : [];
  return [...new Set([...chosen, ...own, ...USUAL_GATEWAYS])];
}

/** `llamafund web` serves its store beside the page. */
function isServedHere(): boolean {
  return ["127.0.0.1", "localhost"].includes(location.hostname);
}

/** The bytes with a hash, at most `limit` of them, from the first gateway that has them. */
export async function fetchHash(sha256Hex: string, gateways: readonly string[], limit: number): Promise<Fetched> {
  return fetchBlock({ node: false, sha256: sha256Hex.replace(/^0x/, "").toLowerCase() }, gateways, limit);
}

/** A block, of at most `limit` bytes, from the first gateway that has it. */
export async function fetchBlock(name: BlockName, gateways: readonly string[], limit: number): Promise<Fetched> {
  const cid = cidOf(name);
  const tried: { gateway: string; said: string }[] = [];
  const liars: string[] = [];
  for (const gateway of gateways) {
    try {
      const bytes = await fetchBounded(`${gateway}/ipfs/${cid}?format=raw`, limit);
      if (bytesToHex(sha256(bytes)) === name.sha256) return { outcome: "found", bytes, from: gateway, liars };
      liars.push(gateway);
      tried.push({ gateway, said: "hash" });
    } catch (thrown) {
      tried.push({ gateway, said: thrown instanceof Error ? thrown.message : "" });
    }
  }
  return { outcome: liars.length > 0 ? "wrong" : "absent", tried, liars };
}

async function fetchBounded(url: string, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, {
    headers: { Accept: "application/vnd.ipld.raw" },
    signal: AbortSignal.timeout(SECONDS * 1000),
    credentials: "omit",
    referrerPolicy: "no-referrer",
  });
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw new Error(`> ${limit} B`);
    }
    parts.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
