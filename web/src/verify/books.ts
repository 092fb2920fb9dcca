/** The books, added up again from a campaign's events, and compared with what the contract says. */

import type { Campaign } from "../chain/campaign";
import { type CampaignEvent, only } from "../chain/events";

export type Books = {
  deposited: bigint;
  takenBack: bigint;
  claimed: bigint;
  refunded: bigint;
  /** What must still be there. */
  held: bigint;
  /** Wei of open challenges. */
  bonds: bigint;
  /** Whether events and contract agree on what is pledged and claimed. */
  agrees: boolean;
  /** Whether the balance covers what must be there. */
  covered: boolean;
};

export function addUp({ events, state, terms, asset }: Pick<Campaign, "events" | "state" | "terms" | "asset">): Books {
  const deposited = sum(only(events, "Pledged"), (event) => event.args.amount);
  const takenBack = sum(only(events, "Unpledged"), (event) => event.args.amount);
  const refunded = sum(only(events, "Refunded"), (event) => event.args.amount);
  const claims = only(events, "Claimed");
  const claimed = sum(claims, (event) => event.args.amount);
  const bonds =
    sum(only(events, "Challenged"), (event) => event.args.bond) -
    sum(only(events, "ChallengeAnswered"), (event) => event.args.bond) -
    sum(only(events, "BondReturned"), (event) => event.args.bond);
  const held = deposited - takenBack - claimed - refunded;
  const each = terms.payees.every(
    (_, payee) =>
      sum(
        claims.filter((event) => event.args.payee === BigInt(payee)),
        (event) => event.args.amount,
      ) === state.claimed[payee],
  );
  return {
    ...{ deposited, takenBack, claimed, refunded, held, bonds },
    agrees: deposited - takenBack === state.pledged && each && held >= 0n && bonds >= 0n,
    covered: state.balance >= held + (asset.native ? bonds : 0n),
  };
}

function sum<E extends CampaignEvent>(events: readonly E[], of: (event: E) => bigint): bigint {
  return events.reduce((total, event) => total + of(event), 0n);
}
