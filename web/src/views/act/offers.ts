/** What an account can do in a campaign now, and what waits for it: the same as `llamafund mine` says. */

import { isAddressEqual } from "viem";
import { type Campaign, deadlineOf, takesPledges, windowEnd } from "../../chain/campaign";
import { latestAttestation, type Standing } from "./standing";

export const ACTIONS = [
  "refund",
  "bond",
  "claim",
  "activate",
  "answer",
  "attest",
  "submit",
  "rule",
  "pledge",
  "unpledge",
  "stop",
  "retract",
  "challenge",
  "contest",
  "extend",
  "refundFor",
] as const;
export type Action = (typeof ACTIONS)[number];

/** Money waits to be collected; something must be done or the campaign suffers; or something can be done. */
export type Urgency = "money" | "duty" | "choice";

export type Offer = {
  action: Action;
  urgency: Urgency;
  /** Unix seconds from which it is possible; 0 if it is now. */
  opens: number;
  /** Unix seconds before which it is possible; 0 if there is no end. */
  until: number;
  /** Of the campaign's asset, or of the chain's coin for bonds: what it is about; null if it is about no money. */
  amount: bigint | null;
  /** The payee's place in the terms, the chunk of a bond, or the milestone. */
  which: bigint;
};

/** Without an account: what anybody could do who brings a wallet. */
export function offersFor(campaign: Campaign, standing: Standing | null): Offer[] {
  const { state, terms, block } = campaign;
  const found: Offer[] = [];
  const offer = (action: Action, urgency: Urgency, more: Partial<Omit<Offer, "action" | "urgency">> = {}) =>
    found.push({ action, urgency, opens: 0, until: 0, amount: null, which: 0n, ...more });
  const { status } = state;
  const now = block.timestamp;
  if (standing) money(campaign, standing, offer);
  const is = (account: string | null) =>
    standing !== null && account !== null && isAddressEqual(standing.account, account as `0x${string}`);
  const researcher = is(terms.researcher);
  const end = windowEnd(terms, state);
  if (status === "Funding" && state.pledged >= terms.goal) {
    const anybody = now >= terms.fundingDeadline || state.pledged === terms.cap;
    if (researcher || anybody) {
      offer("activate", researcher ? "duty" : "choice", { until: deadlineOf(terms, state, 0) });
    }
  }
  if (takesPledges(terms, state, now)) offer("pledge", "choice", { until: terms.fundingDeadline });
  if (status === "Active") {
    if (state.challengedAt > 0) {
      const until = state.challengedAt + terms.answerWindow;
      offer("answer", researcher ? "duty" : "choice", { until });
    }
    if (state.attested < terms.milestones.length) {
      const window = {
        opens: end > now ? end : 0,
        until: deadlineOf(terms, state, state.attested),
        which: BigInt(state.attested),
      };
      if (terms.attestors.some(is)) offer("attest", "duty", window);
      offer("submit", researcher ? "duty" : "choice", window);
      if (researcher && state.slackUsed < terms.slack) offer("extend", "choice", { until: window.until });
    } else if (is(terms.arbiter) && now < end) {
      offer(state.contested ? "rule" : "contest", state.contested ? "duty" : "choice", { until: end });
    }
  }
  if (standing) choices(campaign, standing, end, offer);
  if (standing && status === "Failed") offer("refundFor", "choice");
  const order: Urgency[] = ["money", "duty", "choice"];
  return found.sort((a, b) => order.indexOf(a.urgency) - order.indexOf(b.urgency));
}

type Add = (action: Action, urgency: Urgency, more?: Partial<Omit<Offer, "action" | "urgency">>) => void;

function money({ state, terms }: Campaign, standing: Standing, offer: Add): void {
  if (state.status === "Failed") {
    if (standing.refundable > 0n) offer("refund", "money", { amount: standing.refundable });
    for (const { chunk, bond } of standing.bonds) offer("bond", "money", { amount: bond, which: chunk });
  }
  terms.payees.forEach((payee, place) => {
    const amount = state.claimable[place] ?? 0n;
    if (amount > 0n && isAddressEqual(payee.account, standing.account)) {
      offer("claim", "money", { amount, which: BigInt(place) });
    }
  });
}

function choices(campaign: Campaign, { pledge, votes }: Standing, end: number, offer: Add): void {
  const { state, terms, block } = campaign;
  const now = block.timestamp;
  if (pledge === 0n) return;
  if (state.status === "Funding") {
    // What a met goal needs is locked.
    const spare = state.pledged < terms.goal ? pledge : state.pledged - terms.goal;
    const amount = spare < pledge ? spare : pledge;
    const until = now < terms.fundingDeadline ? terms.fundingDeadline : 0;
    if (amount > 0n) offer("unpledge", "choice", { amount, until });
  }
  if (state.status !== "Active") return;
  if (state.attested < terms.milestones.length) {
    offer(votes ? "retract" : "stop", "choice", { opens: state.votesFrom > now ? state.votesFrom : 0 });
  }
  const attestation = latestAttestation(campaign);
  if (now < end && attestation && attestation.contentSize > 0n) offer("challenge", "choice", { until: end });
}
