import { readFileSync } from "node:fs";
import { type Address, type Hex, hashTypedData } from "viem";
import { expect, test, vi } from "vitest";
import type { Campaign } from "../chain/campaign";
import type { Reader } from "../chain/client";
import {
  addressOf,
  hashOf,
  MOST_REVIEWS,
  passedOn,
  type Review,
  readReview,
  reviewBytes,
  reviewText,
} from "../evidence/reviews";
import { accountOf, judgeReview, typedReview } from "./reviews";
import { usualForm } from "./usualForm";

type Vector = {
  name: string;
  chain: number;
  campaign: Address;
  proposal: string;
  written: number;
  text: string;
  times: number;
  digest: Hex;
  reviewer: Address;
  signature: Hex;
  sha256: string;
  cid: string;
};

const path = new URL("../../../tests/vectors/reviews.json", import.meta.url);
const vectors = JSON.parse(readFileSync(path, "utf8")) as {
  genuine: [Vector, ...Vector[]];
  forms: Record<string, Hex>;
  malformed: string[];
  stripped: [string, string][];
};
const [plain] = vectors.genuine;

function reviewOf(vector: Vector): Review {
  const { proposal, written, reviewer, signature, text, times } = vector;
  const campaign = accountOf({ chainId: vector.chain, address: vector.campaign });
  return { campaign, proposal, written, reviewer, signature, text: text.repeat(times) };
}

function campaignOf({ chain, campaign, proposal }: Vector): Campaign {
  return { chainId: chain, address: campaign, terms: { proposal: `0x${proposal}` }, block: { number: 7 } } as Campaign;
}

/** A node that has code at an address, or throws. */
function node(answers: Record<string, unknown>) {
  const request = vi.fn(async ({ method }: { method: string }) => {
    const answer = answers[method];
    if (answer instanceof Error) throw answer;
    return answer;
  });
  return { reader: { client: { request } } as unknown as Reader, request };
}

test.each(vectors.genuine.map((vector) => [vector.name, vector] as const))(
  "%s: as llamafund review",
  async (_, one) => {
    const review = reviewOf(one);
    const bytes = reviewBytes(review);
    expect(hashOf(bytes)).toBe(one.sha256);
    expect(addressOf(one.sha256)).toBe(one.cid);
    expect(readReview(bytes)).toEqual(review);
    expect(hashTypedData(typedReview(campaignOf(one), review))).toBe(one.digest);
    const { reader, request } = node({});
    expect(await judgeReview(reader, campaignOf(one), bytes)).toMatchObject({ verdict: "genuine", review });
    expect(request).not.toHaveBeenCalled();
  },
);

test.each(Object.entries(vectors.forms))("a signature is the signer's in every form: %s", async (_, signature) => {
  expect(await usualForm(plain.digest, signature, plain.reviewer)).toBe(plain.signature);
  expect(await usualForm(plain.digest, signature, plain.campaign)).toBeNull();
});

test.each(vectors.malformed)("%j is no review", (text) => {
  expect(() => readReview(new TextEncoder().encode(text))).toThrow();
});

test("a text is stripped as Python strips it", () => {
  for (const [typed, text] of vectors.stripped) expect(reviewText(typed)).toBe(text);
});

test("what somebody changed is refused, and what a node does not tell accuses nobody", async () => {
  const judge = async (changes: Partial<Review>, answers: Record<string, unknown>) => {
    const { reader } = node(answers);
    return judgeReview(reader, campaignOf(plain), reviewBytes({ ...reviewOf(plain), ...changes }));
  };
  const nobody = { eth_getCode: "0x" };
  expect(await judge({ text: "Superb." }, nobody)).toEqual({ verdict: "refused", why: "unsigned" });
  expect(await judge({ written: 1 }, nobody)).toEqual({ verdict: "refused", why: "unsigned" });
  expect(await judge({ signature: "0x01" }, nobody)).toEqual({ verdict: "refused", why: "unsigned" });
  expect(await judge({ proposal: "00".repeat(32) }, nobody)).toEqual({ verdict: "refused", why: "proposal" });
  for (const campaign of [`eip155:1:${plain.campaign}`, `eip155:31337:${plain.reviewer}`]) {
    expect(await judge({ campaign }, nobody)).toEqual({ verdict: "refused", why: "campaign" });
  }
  const offline = Object.assign(new Error("gone"), { name: "HttpRequestError" });
  const reverted = Object.assign(new Error("reverted"), { name: "CallExecutionError" });
  const wallet = { eth_getCode: "0x6001", eth_call: `0x1626ba7e${"00".repeat(28)}` };
  expect(await judge({ signature: "0x2233" }, wallet)).toMatchObject({ verdict: "genuine" });
  for (const [answers, why] of [
    [{ ...wallet, eth_call: "0x" }, "wallet"],
    [{ ...wallet, eth_call: reverted }, "wallet"],
    [{ ...wallet, eth_call: offline }, "node"],
    [{ ...wallet, eth_getCode: offline }, "node"],
    [{ ...wallet, eth_getCode: null }, "node"],
  ] as const) {
    expect(await judge({ signature: "0x2233" }, answers)).toEqual({ verdict: "unchecked", why });
  }
});

test("a review is named by hash, by address or by link, and by nothing else", () => {
  const { sha256, cid } = plain;
  for (const given of [sha256, ` 0x${sha256.toUpperCase()} `, cid, `ipfs://${cid}`]) {
    expect(passedOn(given)).toEqual([sha256]);
  }
  const link = `http://127.0.0.1:1/#/1/${plain.campaign}/reviews?review=${sha256}&review=${cid}&review=${"00".repeat(32)}&review=x`;
  expect(passedOn(link)).toEqual([sha256, "00".repeat(32)]);
  const many = Array.from({ length: 60 }, (_, place) => `review=${`${place}`.padStart(64, "0")}`);
  expect(passedOn(`#/1/${plain.campaign}/reviews?${many.join("&")}`)).toHaveLength(MOST_REVIEWS);
  for (const other of ["", "x", `${sha256}0`, cid.replace(/.$/, "7"), `${cid}a`, plain.campaign, "bafy"]) {
    expect(passedOn(other)).toEqual([]);
  }
  expect(passedOn(`b${"a".repeat(58)}`)).toEqual([]);
});
