/** Reviews (`llamafund/review/1`): what anybody says of a proposal, signed with their wallet. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Address, Hex } from "viem";
import { MAX_MANIFEST_BYTES, MAX_REVIEW_CHARACTERS } from "../generated/constants";
import { cidOf, readCid } from "./gateways";
import { canonical, hash, type Json, parseManifest, schemaIs, text, whole } from "./manifests";

/** `campaign` is with its chain (CAIP-10), `proposal` without 0x, `written` in unix seconds. */
export type Review = {
  campaign: string;
  proposal: string;
  reviewer: Address;
  written: number;
  text: string;
  signature: Hex;
};

const SCHEMA = "llamafund/review/1";
const CAMPAIGN = /^eip155:[1-9][0-9]{0,31}:0x[0-9a-fA-F]{40}$/;
const REVIEWER = /^0x[0-9a-fA-F]{40}$/;
const SIGNATURE = /^0x([0-9a-f]{2}){1,8192}$/;

/** Reviews that are shown at once, so that no link fills the memory. */
export const MOST_REVIEWS = 50;

/** What somebody's bytes say. Throws an Error that says what is wrong with them. */
export function readReview(bytes: Uint8Array): Review {
  const document = parseManifest(bytes);
  schemaIs(document, SCHEMA);
  const review = {
    campaign: matching(document.campaign, CAMPAIGN),
    proposal: hash(document.proposal),
    reviewer: matching(document.reviewer, REVIEWER) as Address,
    written: whole(document.written),
    text: text(document.text),
    signature: matching(document.signature, SIGNATURE) as Hex,
  };
  if (review.written < 0) throw new Error("the time is before 1970");
  const length = charactersOf(review.text);
  if (length < 1 || length > MAX_REVIEW_CHARACTERS) throw new Error(`a text has ${length} characters`);
  return review;
}

/** The bytes of a review's manifest, the same as `llamafund review write` makes. */
export function reviewBytes(review: Review): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(canonical({ ...review, schema: SCHEMA }));
  if (bytes.length > MAX_MANIFEST_BYTES) throw new Error(`more than ${MAX_MANIFEST_BYTES} bytes`);
  return bytes;
}

export function hashOf(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}

/** Its address on IPFS: a manifest is one block of raw bytes. */
export function addressOf(sha256: string): string {
  return cidOf({ node: false, sha256 });
}

/** What was typed, as the command line takes a file's text: without the white space around it (Python's `strip`). */
export function reviewText(typed: string): string {
  return typed.replace(AROUND, "");
}

const WHITE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const AROUND = new RegExp(`^${WHITE}|${WHITE}$`, "g");

/** Characters as Unicode counts them. */
export function charactersOf(text: string): number {
  return Array.from(text).length;
}

/** The hashes in what somebody passed on: a hash, an IPFS address, or a link to this page. */
export function passedOn(given: string): string[] {
  const said = given.trim();
  const one = hashFrom(said);
  if (one !== null) return [one];
  const [, query] = said.split("#", 2)[1]?.split("?", 2) ?? [];
  return query ? reviewsIn(new URLSearchParams(query)) : [];
}

/** The reviews that a link names, each once. */
export function reviewsIn(parameters: URLSearchParams): string[] {
  const found = parameters.getAll("review").slice(0, MOST_REVIEWS).map(hashFrom);
  return [...new Set(found)].filter((one) => one !== null);
}

function hashFrom(said: string): string | null {
  const bare = said.replace(/^ipfs:\/\//, "").replace(/^0x/, "");
  if (/^[0-9a-f]{64}$/i.test(bare)) return bare.toLowerCase();
  try {
    const { node, sha256 } = readCid(bare);
    return node ? null : sha256;
  } catch {
    return null;
  }
}

function matching(value: Json | undefined, pattern: RegExp): string {
  if (typeof value !== "string" || !pattern.test(value)) throw new Error(`${pattern.source} is missing`);
  return value;
}
