/** From a form's fields to a wish, or to the fields that are not filled in right. */

import type { Campaign } from "../../chain/campaign";
import { CHUNK_SIZE, DAY } from "../../generated/constants";
import { addressOf, amountOf, type Typed, wholeOf } from "./amounts";
import type { Submission } from "./attestation";
import type { Offer } from "./offers";
import type { Permit } from "./permit";
import type { Means, Wish } from "./plans";
import type { ChunkProof } from "./proof";
import { latestAttestation, type Standing } from "./standing";

export type FieldName = "amount" | "backer" | "recipient" | "chunk" | "bond" | "days" | "ruling";

export type Fields = Record<FieldName, string> & {
  /** Null until it is known what there is to choose from. */
  means: Means | null;
  permit: Permit | null;
  proof: ChunkProof | null;
  submission: Submission | null;
};

export type Wrong = { field: FieldName; why: "empty" | "form" | "digits" | "zero" | "address" | "range" };

/** The fields that an action has, in their order. */
export function fieldsOf(offer: Offer): FieldName[] {
  switch (offer.action) {
    case "pledge":
      return ["amount", "backer"];
    case "unpledge":
      return ["amount", "recipient"];
    case "challenge":
      return ["chunk", "bond"];
    case "refund":
    case "bond":
    case "claim":
      return ["recipient"];
    case "refundFor":
      return ["backer"];
    case "extend":
      return ["days"];
    case "rule":
      return ["ruling"];
    default:
      return [];
  }
}

/** A wish; which fields are wrong; or `later` where something must be fetched, chosen or signed before. */
export type Read = { wish: Wish } | { wrong: Wrong[] } | { later: true };

export function wishOf(offer: Offer, fields: Fields, campaign: Campaign, standing: Standing): Read {
  const wrong: Wrong[] = [];
  const take = <T>(field: FieldName, typed: Typed<T>, otherwise: T): T => {
    if ("value" in typed) return typed.value;
    wrong.push({ field, why: typed.wrong });
    return otherwise;
  };
  const { decimals } = campaign.asset;
  const amount = () => take("amount", amountOf(fields.amount, decimals), 0n);
  const own = (field: "backer" | "recipient") => take(field, addressOf(fields[field]), standing.account);
  const done = (wish: Wish): Read => (wrong.length > 0 ? { wrong } : { wish });
  const content = latestAttestation(campaign);
  switch (offer.action) {
    case "pledge":
      if (fields.means === null) return { later: true };
      return done({
        action: "pledge",
        amount: amount(),
        backer: own("backer"),
        means: fields.means,
        permit: fields.permit,
      });
    case "unpledge":
      return done({ action: "unpledge", amount: amount(), recipient: own("recipient") });
    case "challenge": {
      if (!content) return { later: true };
      const { contentRoot: root, contentSize: size } = content;
      const chunks = (size + BigInt(CHUNK_SIZE) - 1n) / BigInt(CHUNK_SIZE);
      const chunk = take("chunk", wholeOf(fields.chunk, chunks), 0n);
      return done({ action: "challenge", root, size, chunk, bond: take("bond", amountOf(fields.bond, 18), 0n) });
    }
    case "answer": {
      if (!content || !fields.proof) return { later: true };
      const { contentRoot: root, contentSize: size } = content;
      return done({ action: "answer", root, size, chunk: fields.proof.chunk, proof: fields.proof });
    }
    case "refund":
      return done({ action: "refund", recipient: own("recipient") });
    case "refundFor":
      return done({ action: "refundFor", backer: take("backer", addressOf(fields.backer), standing.account) });
    case "bond":
      return done({ action: "bond", chunk: offer.which, recipient: own("recipient") });
    case "claim":
      return done({ action: "claim", payee: offer.which, recipient: own("recipient") });
    case "submit":
      return fields.submission ? { wish: { action: "submit", submission: fields.submission } } : { later: true };
    case "extend": {
      const days = take("days", wholeOf(fields.days, 3_651n), 0n);
      return done({ action: "extend", seconds: Number(days) * DAY });
    }
    case "rule":
      return fields.ruling ? { wish: { action: "rule", upheld: fields.ruling === "uphold" } } : { later: true };
    case "attest":
      return { later: true };
    default:
      return { wish: { action: offer.action } };
  }
}
