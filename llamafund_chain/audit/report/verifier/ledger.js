// The books, added up from the campaign's events by the protocol's rules (docs/protocol.md).

import { fromHex, keccak, number, seconds, toHex, WORD } from "./bytes.js";

const ATTESTATION = "(uint8,uint8,bytes32,bytes32,bytes32,uint64,int64,uint64)";
export const EVENTS = [
  "Activated(uint256,bytes32)",
  "BondReturned(uint8,uint64,address,address,uint256)",
  "ChallengeAnswered(uint8,uint64,address,uint256)",
  "Challenged(uint8,uint64,address,uint256,uint256)",
  "Claimed(uint256,address,uint256)",
  "Contested(uint256)",
  "DeadlinesExtended(uint32,uint32)",
  `MilestoneAttested(uint8,bytes32,${ATTESTATION},uint256)`,
  "Pledged(address,address,uint256)",
  "Refunded(address,address,uint256)",
  "Ruled(bool)",
  "StopVoted(address,bool,uint256,uint256)",
  "Stopped(uint256)",
  "Unpledged(address,address,uint256)",
];
const WHOLE = 10_000n;
const sum = (values) => [...values].reduce((total, value) => total + value, 0n);
const add = (map, key, value) => map.set(key, (map.get(key) ?? 0n) + value);

/** What the events say. @param {object} pack The report's evidence. */
export function storyOf(pack, terms) {
  const names = new Map(EVENTS.map((event) => [toHex(keccak(event)), event.split("(")[0]]));
  const times = new Map(pack.times.map((one) => [one.block, BigInt(one.time)]));
  const book = {
    terms, deposits: new Map(), withdrawals: new Map(), claims: new Map(), refunds: new Map(), voters: new Set(),
    attested: [], activated: false, stoppedAt: null, contested: false, slackUsed: 0n, challenges: new Map(),
  };
  let last = [-1, -1];
  for (const log of pack.logs) {
    if (log.block < last[0] || (log.block === last[0] && log.index <= last[1])) throw new Error("the events are not in order");
    last = [log.block, log.index];
    const name = names.get((log.topics[0] ?? "").slice(2));
    if (!name) continue;
    const data = fromHex(log.data);
    const topics = log.topics.slice(1).map(fromHex);
    const time = () => {
      if (!times.has(log.block)) throw new Error(`the time of block ${log.block} is missing`);
      return times.get(log.block);
    };
    const address = (place) => `0x${toHex(topics[place]).slice(24)}`;
    const value = (place) => number(data.slice(place * WORD, (place + 1) * WORD));
    enter[name](book, { log, topics, address, value, time, data });
  }
  return book;
}

const enter = {
  Pledged: (book, { address, value }) => add(book.deposits, address(0), value(0)),
  Unpledged: (book, { address, value }) => add(book.withdrawals, address(0), value(0)),
  Claimed: (book, { topics, value }) => add(book.claims, Number(number(topics[0])), value(0)),
  Refunded: (book, { address, value }) => add(book.refunds, address(0), value(0)),
  Activated: (book) => (book.activated = true),
  StopVoted: (book, { address, value }) => (value(0) ? book.voters.add(address(0)) : book.voters.delete(address(0))),
  Stopped: (book, { time }) => (book.stoppedAt = time()),
  Contested: (book, { time }) => (time(), (book.contested = true)),
  Ruled: (book, { value, time }) => (value(0) ? (time(), (book.contested = false)) : (book.stoppedAt = time())),
  DeadlinesExtended: (book, { value }) => (book.slackUsed += value(0)),
  Challenged: (book, { topics, value, time }) => book.challenges.set(number(topics[1]), { at: time(), bond: value(0) }),
  ChallengeAnswered: (book, { topics }) => book.challenges.delete(number(topics[1])),
  BondReturned: (book, { topics }) => {
    const one = book.challenges.get(number(topics[1]));
    if (one) one.bond = 0n;
  },
  MilestoneAttested: (book, { log, data, value, time }) =>
    book.attested.push({
      at: time(), block: log.block, transaction: log.transaction, signers: value(8), statement: data.slice(0, 8 * WORD),
      evidence: toHex(data.slice(2 * WORD, 3 * WORD)), contentSize: value(5), score: BigInt.asIntN(64, value(6)),
    }),
};

/** The books at a time: all that the rules derive from the events. */
export function booksAt(book, now) {
  const { terms } = book;
  const pledgeOf = (backer) => (book.deposits.get(backer) ?? 0n) - (book.withdrawals.get(backer) ?? 0n);
  const pledged = sum(book.deposits.values()) - sum(book.withdrawals.values());
  const first = book.challenges.values().next().value;
  const windowEnd = () => book.attested.at(-1).at + terms.challengeWindow + (book.contested ? terms.rulingWindow : 0n);
  const windowOver = () => {
    if (book.challenges.size) return false;
    const end = windowEnd();
    return now >= end && (book.stoppedAt === null || book.stoppedAt >= end);
  };
  const count = book.attested.length;
  const releasedCount = count === 0 || windowOver() ? count : count - 1;
  const tranche = (index) => {
    const before = sum(terms.milestones.slice(0, index).map((one) => one.bps));
    return (pledged * (before + terms.milestones[index].bps)) / WHOLE - (pledged * before) / WHOLE;
  };
  const released = sum(Array.from({ length: releasedCount }, (_, index) => tranche(index)));
  const status = statusAt(book, now, pledged, first, windowOver);
  const failed = status === "Failed";
  const refundDue = (backer) => (failed && pledged ? (pledgeOf(backer) * (pledged - released)) / pledged : 0n);
  const claimed = sum(book.claims.values());
  const refunded = sum(book.refunds.values());
  const refundable = sum([...book.deposits.keys()].filter((one) => !book.refunds.has(one)).map(refundDue));
  const locked = failed ? 0n : pledged - released;
  const rounding = failed ? pledged - released - refunded - refundable : 0n;
  const claimable = released - claimed;
  return {
    accounts: {
      deposited: sum(book.deposits.values()), withdrawn: sum(book.withdrawals.values()), pledged, released, claimed,
      claimable, refunded, refundable, locked, rounding, held: claimable + refundable + locked + rounding,
      balance: pledged - claimed - refunded,
    },
    status, failed, releasedCount, tranche, windowEnd, refundDue, pledgeOf,
    stopSupport: sum([...book.voters].map(pledgeOf)),
    deadline: (index) => terms.milestones[index].deadline + (index >= count ? book.slackUsed : 0n),
  };
}

function statusAt(book, now, pledged, challenge, windowOver) {
  const { terms } = book;
  const count = book.attested.length;
  if (book.stoppedAt !== null) return "Failed";
  if (!book.activated) {
    const unfunded = now >= terms.fundingDeadline && pledged < terms.goal;
    return unfunded || now >= terms.milestones[0].deadline ? "Failed" : "Funding";
  }
  if (challenge) return now >= challenge.at + terms.answerWindow ? "Failed" : "Active";
  if (count === terms.milestones.length) return windowOver() ? "Completed" : "Active";
  return now >= terms.milestones[count].deadline + book.slackUsed ? "Failed" : "Active";
}

/** The milestones as a report tells them, without titles and signers. */
export function milestonesAt(book, books) {
  return book.terms.milestones.map((terms, index) => {
    const one = book.attested[index];
    const isLast = one && one === book.attested.at(-1);
    const state = index < books.releasedCount ? "released"
      : index < book.attested.length ? (books.failed ? "withheld" : "window-open")
      : books.failed ? "missed" : "pending";
    return {
      index, kind: terms.kind, bps: terms.bps, tranche: books.tranche(index), deadline: books.deadline(index),
      minScore: terms.minScore, state,
      attested: one ? {
        ...one, windowEnds: isLast ? books.windowEnd() : one.at + book.terms.challengeWindow,
        contested: Boolean(isLast && book.contested),
      } : null,
    };
  });
}

/** Whether a report's milestone says what the events do. */
export function sameMilestone(found, said, written) {
  const same = [
    said.index === found.index, said.kind === found.kind, BigInt(said.bps) === found.bps,
    said.tranche === written(found.tranche), seconds(said.deadline) === found.deadline, said.state === found.state,
    BigInt(said.min_score) === found.minScore, Boolean(said.attested) === Boolean(found.attested),
  ];
  if (said.attested && found.attested) {
    const [told, real] = [said.attested, found.attested];
    same.push(
      told.evidence === real.evidence, seconds(told.at) === real.at, seconds(told.window_ends) === real.windowEnds,
      told.contested === real.contested, BigInt(told.score) === real.score, told.block === real.block,
      BigInt(told.content_size) === real.contentSize, `0x${told.transaction}` === real.transaction,
    );
  }
  return same.every(Boolean);
}

/** One backer's part, as a report tells it. */
export function backerAt(book, books, backer) {
  const pledge = books.pledgeOf(backer);
  const { pledged, released } = books.accounts;
  const due = books.refundDue(backer);
  const refunded = book.refunds.get(backer) ?? 0n;
  const gone = books.failed ? pledge - due : pledged ? (pledge * released) / pledged : 0n;
  return {
    share: pledged ? (pledge * WHOLE) / pledged : 0n,
    amounts: {
      deposited: book.deposits.get(backer) ?? 0n, withdrawn: book.withdrawals.get(backer) ?? 0n, pledged: pledge,
      released: gone, locked: books.failed ? 0n : pledge - gone, refundable: refunded ? 0n : due, refunded,
    },
  };
}

