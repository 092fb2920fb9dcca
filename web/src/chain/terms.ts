/** The terms, unpacked from the bytes that a campaign carries in its own code (contracts/libraries/PackedTerms.sol). */

import { type Address, bytesToBigInt, bytesToHex, bytesToNumber, getAddress, type Hex, hexToBytes } from "viem";
import { NO_MINIMUM } from "../generated/constants";

export const KINDS = ["DATASET", "CHECKPOINT", "WEIGHTS"] as const;
export type Kind = (typeof KINDS)[number];

export type Milestone = { kind: Kind; bps: number; deadline: number; minScore: bigint };
export type Payee = { account: Address; bps: number };

/** Amounts in smallest units, times in unix seconds, shares in basis points. */
export type Terms = {
  researcher: Address;
  asset: Address;
  goal: bigint;
  cap: bigint;
  fundingDeadline: number;
  stopBps: number;
  challengeWindow: number;
  answerWindow: number;
  minBond: bigint;
  slack: number;
  proposal: Hex;
  /** Null if the dataset is only promised. */
  dataset: Hex | null;
  attestors: Address[];
  quorum: number;
  payees: Payee[];
  milestones: Milestone[];
  arbiter: Address | null;
  rulingWindow: number;
};

export const NATIVE = "0x0000000000000000000000000000000000000000";
const NO_HASH = `0x${"0".repeat(64)}`;

export function isNative(terms: Terms): boolean {
  return terms.asset === NATIVE;
}

/** The least score of a milestone in millionths; null if every score is accepted. */
export function floorOf(milestone: Milestone): bigint | null {
  return milestone.minScore === BigInt(NO_MINIMUM) ? null : milestone.minScore;
}

/** Throws a RangeError if the bytes are not packed terms. */
export function unpackTerms(packed: Hex): Terms {
  const bytes = hexToBytes(packed);
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new RangeError("the packed terms are too short");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const address = (): Address => getAddress(bytesToHex(take(20)));
  const number = (length: number): number => bytesToNumber(take(length));
  const whole = (length: number): bigint => bytesToBigInt(take(length));
  const researcher = address();
  const asset = address();
  const goal = whole(16);
  const cap = whole(16);
  const fundingDeadline = number(5);
  const stopBps = number(2);
  const challengeWindow = number(4);
  const answerWindow = number(4);
  const minBond = whole(12);
  const slack = number(4);
  const proposal = bytesToHex(take(32));
  const dataset = bytesToHex(take(32));
  const quorum = number(1);
  const counts = [number(1), number(1), number(1)] as const;
  const attestors = Array.from({ length: counts[0] }, address);
  const payees = Array.from({ length: counts[1] }, () => ({ account: address(), bps: number(2) }));
  let before = 0;
  const milestones = Array.from({ length: counts[2] }, (): Milestone => {
    const kind = KINDS[number(1)];
    if (kind === undefined) throw new RangeError("the packed terms name an unknown kind of milestone");
    const cumulative = number(2);
    const bps = cumulative - before;
    before = cumulative;
    return { kind, bps, deadline: number(5), minScore: BigInt.asIntN(64, whole(8)) };
  });
  const hasArbiter = at < bytes.length;
  const arbiter = hasArbiter ? address() : null;
  const rulingWindow = hasArbiter ? number(4) : 0;
  if (at !== bytes.length) throw new RangeError("the packed terms are too long");
  return {
    ...{ researcher, asset, goal, cap, fundingDeadline, stopBps, challengeWindow, answerWindow, minBond, slack },
    ...{ proposal, dataset: dataset === NO_HASH ? null : dataset, attestors, quorum, payees, milestones },
    ...{ arbiter, rulingWindow },
  };
}
