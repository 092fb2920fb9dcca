// A campaign's terms, from the end of its code (docs/protocol.md).

import { fromHex, join, keccak, number, toHex } from "./bytes.js";

const HEAD = fromHex("363d3d373d3d3d363d73");
const TAIL = fromHex("5af43d82803e903d91602b57fd5bf3");
const CLONE = HEAD.length + 20 + TAIL.length;
const FIXED = 171;
const [ATTESTOR, PAYEE, MILESTONE, ARBITER] = [20, 22, 16, 24];
export const KINDS = ["DATASET", "CHECKPOINT", "WEIGHTS"];

/** @param {Uint8Array} code The campaign's code. */
export function termsIn(code) {
  const data = code.slice(CLONE);
  const head = toHex(code.slice(0, HEAD.length)) === toHex(HEAD);
  if (!head || toHex(code.slice(HEAD.length + 20, CLONE)) !== toHex(TAIL) || data.length < FIXED) {
    throw new Error("the code is not that of a campaign");
  }
  const [quorum, attestors, payees, milestones] = data.slice(167, 171);
  const payeesAt = FIXED + attestors * ATTESTOR;
  const milestonesAt = payeesAt + payees * PAYEE;
  const end = milestonesAt + milestones * MILESTONE;
  if (data.length !== end && data.length !== end + ARBITER) throw new Error("the terms have another length");
  const at = (first, last) => number(data.slice(first, last));
  const address = (first) => `0x${toHex(data.slice(first, first + 20))}`;
  const each = (first, count, size, make) => Array.from({ length: count }, (_, index) => make(first + index * size));
  const shares = each(milestonesAt, milestones, MILESTONE, (first) => Number(at(first + 1, first + 3)));
  return {
    implementation: `0x${toHex(code.slice(HEAD.length, HEAD.length + 20))}`,
    researcher: address(0),
    asset: address(20),
    goal: at(40, 56),
    cap: at(56, 72),
    fundingDeadline: at(72, 77),
    stopBps: at(77, 79),
    challengeWindow: at(79, 83),
    answerWindow: at(83, 87),
    proposal: toHex(data.slice(103, 135)),
    dataset: toHex(data.slice(135, 167)),
    quorum,
    attestors: each(FIXED, attestors, ATTESTOR, address),
    payees: each(payeesAt, payees, PAYEE, (first) => ({ account: address(first), bps: at(first + 20, first + 22) })),
    milestones: each(milestonesAt, milestones, MILESTONE, (first) => ({
      kind: KINDS[data[first]],
      deadline: at(first + 3, first + 8),
      minScore: BigInt.asIntN(64, at(first + 8, first + 16)),
    })).map((one, index) => ({ ...one, bps: BigInt(shares[index] - (index ? shares[index - 1] : 0)) })),
    arbiter: data.length > end ? address(end) : null,
    rulingWindow: data.length > end ? at(end + 20, end + 24) : 0n,
  };
}

/** The address that a factory gives a campaign (CREATE2). */
export function addressOf(factory, salt, code) {
  const size = fromHex(code.length.toString(16).padStart(4, "0"));
  const creation = join(fromHex("61"), size, fromHex("3d81600a3d39f3"), code);
  return `0x${toHex(keccak(join(fromHex("ff"), fromHex(factory), fromHex(salt), keccak(creation))).slice(12))}`;
}
