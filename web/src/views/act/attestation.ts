/** Signed attestations from files (`llamafund/attestation/1`), as `llamafund submit` reads them. */

import { type Address, type Hex, hashTypedData, isAddressEqual, isHex } from "viem";
import type { Campaign } from "../../chain/campaign";
import { KINDS } from "../../chain/terms";
import { fields, type Json, list, text, whole } from "../../evidence/manifests";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../../generated/constants";
import { ATTESTATION_TYPES } from "../../generated/typedData";
import { usualForm } from "../../verify/usualForm";

export type Statement = {
  milestone: number;
  kind: number;
  evidence: Hex;
  parent: Hex;
  contentRoot: Hex;
  contentSize: bigint;
  score: bigint;
  expiry: bigint;
};

/** What `attest` takes. */
export type Submission = { statement: Statement; signers: bigint; signatures: Hex[]; unsure: Address[] };

export type Unfit = "form" | "campaign" | "differs" | "stranger";

export class UnfitFile extends Error {
  constructor(
    readonly why: Unfit,
    readonly who = "",
  ) {
    super(why);
  }
}

/** Bytes of the longest file, as in `llamafund submit`. */
export const MAX_FILE = 262_144;
const MOST_FILES = 32;
const HASH = /^[0-9a-f]{64}$/;

type Signed = { signer: Address; signature: Hex };

/** Collects the signatures of all files of one attestation. Signatures of accounts without code are checked here. */
export async function submissionOf(files: readonly string[], campaign: Campaign): Promise<Submission> {
  if (files.length === 0 || files.length > MOST_FILES) throw new UnfitFile("form");
  const parsed = files.map((file) => parse(file, campaign));
  const [first, ...rest] = parsed as [ReturnType<typeof parse>, ...ReturnType<typeof parse>[]];
  const written = JSON.stringify(first.statement, bigintText);
  if (rest.some(({ statement }) => JSON.stringify(statement, bigintText) !== written)) throw new UnfitFile("differs");
  const hash = hashTypedData({
    domain: {
      name: DOMAIN_NAME,
      version: DOMAIN_VERSION,
      chainId: campaign.chainId,
      verifyingContract: campaign.address,
    },
    types: ATTESTATION_TYPES,
    primaryType: "MilestoneAttestation",
    message: first.statement,
  });
  const given = new Map<number, Hex[]>();
  for (const { signer, signature } of parsed.flatMap(({ signatures }) => signatures)) {
    const place = campaign.terms.attestors.findIndex((attestor) => isAddressEqual(attestor, signer));
    if (place < 0) throw new UnfitFile("stranger", signer);
    given.set(place, [...(given.get(place) ?? []), signature]);
  }
  const chosen = new Map<number, Hex>();
  const unsure: Address[] = [];
  for (const [place, signatures] of given) {
    const attestor = campaign.terms.attestors[place] as Address;
    const proven = await provenOf(hash, signatures, attestor);
    // A contract's signature only its contract can judge: the simulation asks it.
    if (!proven) unsure.push(attestor);
    chosen.set(place, proven ?? (signatures[0] as Hex));
  }
  const places = [...chosen.keys()].sort((a, b) => a - b);
  return {
    statement: first.statement,
    signers: places.reduce((set, place) => set | (1n << BigInt(place)), 0n),
    signatures: places.map((place) => chosen.get(place) as Hex),
    unsure,
  };
}

/** The one that is the signer's own, in the form that contracts take. */
async function provenOf(hash: Hex, signatures: readonly Hex[], signer: Address): Promise<Hex | undefined> {
  for (const signature of signatures) {
    const usual = await usualForm(hash, signature, signer);
    if (usual) return usual;
  }
  return undefined;
}

function parse(file: string, campaign: Campaign): { statement: Statement; signatures: Signed[] } {
  try {
    if (file.length > MAX_FILE) throw new Error("too long");
    const document = fields(JSON.parse(file) as Json);
    if (document.schema !== "llamafund/attestation/1") throw new Error("schema");
    const address = text(document.campaign, 42);
    if (document.chain !== `eip155:${campaign.chainId}` || address.toLowerCase() !== campaign.address.toLowerCase()) {
      throw new UnfitFile("campaign");
    }
    const told = fields(document.attestation);
    const kind = (KINDS as readonly Json[]).indexOf(told.kind ?? null);
    if (kind < 0) throw new Error("kind");
    const statement = {
      milestone: whole(told.milestone),
      kind,
      evidence: hash32(told.evidence),
      parent: hash32(told.parent),
      contentRoot: hash32(told.content_root),
      contentSize: integer(told.content_size, 0n, 2n ** 64n),
      score: integer(told.score, -(2n ** 63n), 2n ** 63n),
      expiry: integer(told.expiry, 0n, 2n ** 64n),
    };
    const signatures = list(
      document.signatures,
      (one) => {
        const { signer, signature } = fields(one);
        if (typeof signer !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(signer)) throw new Error("signer");
        if (!isHex(signature) || signature.length % 2 !== 0) throw new Error("signature");
        return { signer: signer as Address, signature };
      },
      64,
    );
    return { statement, signatures };
  } catch (error) {
    throw error instanceof UnfitFile ? error : new UnfitFile("form");
  }
}

function hash32(value: Json | undefined): Hex {
  const digits = text(value, 66).replace(/^0x/, "");
  if (!HASH.test(digits)) throw new Error("hash");
  return `0x${digits}`;
}

function integer(value: Json | undefined, least: bigint, limit: bigint): bigint {
  const digits = text(value, 24);
  if (!/^-?\d{1,20}$/.test(digits)) throw new Error("integer");
  const number = BigInt(digits);
  if (number < least || number >= limit) throw new Error("range");
  return number;
}

function bigintText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}
