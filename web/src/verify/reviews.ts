/** Whether a review is what it says it is, as `llamafund review list` judges it. */

import { type Address, concatHex, encodeAbiParameters, type Hex, hashTypedData, numberToHex, padHex } from "viem";
import type { Campaign } from "../chain/campaign";
import type { Reader } from "../chain/client";
import { codeAt } from "../chain/read";
import { troubleOf } from "../chain/trouble";
import { fetchHash } from "../evidence/gateways";
import { hashOf, type Review, readReview } from "../evidence/reviews";
import { DOMAIN_NAME, DOMAIN_VERSION, MAX_MANIFEST_BYTES } from "../generated/constants";
import { REVIEW_TYPES } from "../generated/typedData";
import { usualForm } from "./usualForm";

/** Refused: it is not what it says it is. Unchecked: that could not be told, which accuses nobody. */
export type Refused = "form" | "campaign" | "proposal" | "unsigned";
export type Unchecked = "absent" | "wrong" | "wallet" | "node";
export type Judged =
  | { verdict: "genuine"; review: Review; bytes: Uint8Array<ArrayBuffer> }
  | { verdict: "refused"; why: Refused }
  | { verdict: "unchecked"; why: Unchecked };

/** `isValidSignature(bytes32,bytes)`, which is also what a wallet contract answers (ERC-1271). */
const IS_VALID = "0x1626ba7e";

/** The campaign with its chain (CAIP-10). */
export function accountOf({ chainId, address }: Pick<Campaign, "chainId" | "address">): string {
  return `eip155:${chainId}:${address}`;
}

/** What a reviewer's wallet shows and signs. */
export function typedReview(
  { chainId, address }: Pick<Campaign, "chainId" | "address">,
  { proposal, written, text }: Pick<Review, "proposal" | "written" | "text">,
) {
  return {
    domain: { name: DOMAIN_NAME, version: DOMAIN_VERSION, chainId, verifyingContract: address },
    types: REVIEW_TYPES,
    primaryType: "Review" as const,
    message: { proposal: `0x${proposal}` as Hex, written: BigInt(written), text },
  };
}

/** Fetches a review by its hash, and judges it. */
export async function fetchReview(
  reader: Reader,
  campaign: Campaign,
  sha256: string,
  gateways: readonly string[],
): Promise<Judged> {
  const fetched = await fetchHash(sha256, gateways, MAX_MANIFEST_BYTES);
  if (fetched.outcome !== "found") return { verdict: "unchecked", why: fetched.outcome };
  return judgeReview(reader, campaign, fetched.bytes);
}

/** Judges a review's bytes. What the node does not tell leaves it unchecked. */
export async function judgeReview(reader: Reader, campaign: Campaign, bytes: Uint8Array<ArrayBuffer>): Promise<Judged> {
  let review: Review;
  try {
    review = readReview(bytes);
  } catch {
    return { verdict: "refused", why: "form" };
  }
  if (review.campaign.toLowerCase() !== accountOf(campaign).toLowerCase())
    return { verdict: "refused", why: "campaign" };
  if (review.proposal !== campaign.terms.proposal.slice(2)) return { verdict: "refused", why: "proposal" };
  const digest = hashTypedData(typedReview(campaign, review));
  if (await usualForm(digest, review.signature, review.reviewer)) return { verdict: "genuine", review, bytes };
  try {
    const isContract = (await codeAt(reader, campaign.block, review.reviewer)) !== "0x";
    if (!isContract) return { verdict: "refused", why: "unsigned" };
    if (await isAccepted(reader, campaign, review.reviewer, digest, review.signature)) {
      return { verdict: "genuine", review, bytes };
    }
  } catch {
    return { verdict: "unchecked", why: "node" };
  }
  // A wallet contract may have had other owners when the review was written.
  return { verdict: "unchecked", why: "wallet" };
}

/** Whether a wallet contract accepts a signature now (ERC-1271). Throws if the node does not answer. */
export async function isAccepted(
  reader: Reader,
  campaign: Campaign,
  wallet: Address,
  digest: Hex,
  signature: Hex,
): Promise<boolean> {
  const given = encodeAbiParameters([{ type: "bytes32" }, { type: "bytes" }], [digest, signature]);
  const call = { from: campaign.address, to: wallet, data: concatHex([IS_VALID, given]) };
  try {
    const params = [call, numberToHex(campaign.block.number)] as const;
    const answer = await reader.client.request({ method: "eth_call", params: params as never });
    return typeof answer === "string" && answer.slice(0, 66) === padHex(IS_VALID, { dir: "right", size: 32 });
  } catch (thrown) {
    if (troubleOf(thrown).kind === "offline") throw thrown;
    return false;
  }
}

/** A review's bytes with their hash. */
export type Opened = { sha256: string; bytes: Uint8Array<ArrayBuffer> };

export function opened(bytes: Uint8Array<ArrayBuffer>): Opened {
  return { sha256: hashOf(bytes), bytes };
}
