/** From what a person wants to the one call that does it, with all that they should know before they sign. */

import { type Abi, type Address, encodeFunctionData, erc20Abi, parseAbi } from "viem";
import type { Campaign } from "../../chain/campaign";
import { campaignAbi } from "../../generated/abi";
import type { Call } from "../../sending/call";
import type { Submission } from "./attestation";
import type { Action } from "./offers";
import type { Permit } from "./permit";
import type { ChunkProof } from "./proof";
import type { Standing } from "./standing";

/** One call, told in the form in which a wallet shows it. */
export type Draft = {
  /** The action, or the step that must come before it. */
  step: Action | "allow" | "reset";
  call: Call;
  /** Calls that go before it in one transaction. */
  together: Call[];
  /** Name and arguments of the function, as wallets show them. */
  shows: { name: string; args: readonly (readonly [string, string])[] };
  /** Two with one intent would do it twice. */
  intent: string;
};

/** How a campaign is let take tokens: by what is allowed already, a signature, a transaction before, or both in one. */
export type Means = "allowed" | "permit" | "approve" | "batch";

/** All that a person chose. What an action does not need is left out. */
export type Wish =
  | { action: "pledge"; amount: bigint; backer: Address; means: Means; permit: Permit | null }
  | { action: "unpledge"; amount: bigint; recipient: Address }
  | { action: "stop" | "retract" | "activate" | "contest" }
  | { action: "challenge"; root: `0x${string}`; size: bigint; chunk: bigint; bond: bigint }
  | { action: "answer"; root: `0x${string}`; size: bigint; chunk: bigint; proof: ChunkProof }
  | { action: "refund"; recipient: Address }
  | { action: "refundFor"; backer: Address }
  | { action: "bond"; chunk: bigint; recipient: Address }
  | { action: "claim"; payee: bigint; recipient: Address }
  | { action: "submit"; submission: Submission }
  | { action: "extend"; seconds: number }
  | { action: "rule"; upheld: boolean };

export function draftOf(campaign: Campaign, standing: Standing, wish: Wish): Draft {
  const make = (functionName: string, args: readonly unknown[], value = 0n): Draft =>
    drafted(campaign.address, campaignAbi, functionName, args, value, wish.action);
  switch (wish.action) {
    case "pledge":
      return pledge(campaign, standing, wish, make);
    case "unpledge":
      return make("unpledge", [wish.amount, wish.recipient]);
    case "stop":
      return make("voteStop", [true]);
    case "retract":
      return make("voteStop", [false]);
    case "activate":
      return make("activate", []);
    case "contest":
      return make("contest", []);
    case "challenge":
      return make("challenge", [wish.root, wish.size, wish.chunk], wish.bond);
    case "answer":
      return make("answer", [wish.root, wish.size, wish.chunk, wish.proof.data, wish.proof.path]);
    case "refund":
      // To oneself it is the call that anybody may make for anybody.
      return wish.recipient === standing.account
        ? make("collectRefund", [standing.account])
        : make("refundTo", [wish.recipient]);
    case "refundFor":
      return make("collectRefund", [wish.backer]);
    case "bond":
      return make("returnBond", [wish.chunk, wish.recipient]);
    case "claim":
      return make("claim", [wish.payee, wish.recipient]);
    case "submit": {
      const { statement, signers, signatures } = wish.submission;
      return make("attest", [statement, signers, signatures]);
    }
    case "extend":
      return make("extendDeadlines", [wish.seconds]);
    case "rule":
      return make("rule", [wish.upheld]);
  }
}

type Make = (functionName: string, args: readonly unknown[], value?: bigint) => Draft;

function pledge(campaign: Campaign, standing: Standing, wish: Extract<Wish, { action: "pledge" }>, make: Make): Draft {
  const { amount, backer, means, permit } = wish;
  // The same money in another way is the same pledge.
  const intent = `pledge ${backer} ${amount}`;
  if (campaign.asset.native) return { ...make("pledgeCoin", [backer], amount), intent };
  const { address } = campaign;
  const approve = (value: bigint, step: "allow" | "reset") =>
    drafted(campaign.terms.asset, erc20Abi, "approve", [address, value], 0n, step);
  if (means === "permit" && permit) {
    const args = [backer, amount, permit.deadline, permit.v, permit.r, permit.s];
    return { ...make("pledgeTokenWithPermit", args), intent };
  }
  const allowed = standing.token?.allowance ?? 0n;
  if (means === "batch") {
    return { ...make("pledgeToken", [backer, amount]), together: [approve(amount, "allow").call], intent };
  }
  return allowed >= amount ? { ...make("pledgeToken", [backer, amount]), intent } : approve(amount, "allow");
}

/** Some tokens let an allowance that is not zero only be set to zero. */
export function resetOf(campaign: Campaign): Draft {
  return drafted(campaign.terms.asset, OLD_TOKEN, "approve", [campaign.address, 0n], 0n, "reset");
}

const OLD_TOKEN = parseAbi(["function approve(address spender, uint256 amount)"]);

function drafted(
  to: Address,
  abi: Abi,
  functionName: string,
  args: readonly unknown[],
  value: bigint,
  step: Draft["step"],
): Draft {
  const data = encodeFunctionData({ abi, functionName, args } as never);
  const found = abi.find((one) => one.type === "function" && one.name === functionName);
  const inputs = found?.type === "function" ? found.inputs : [];
  const shown = inputs.map(({ name }, at) => [name ?? `${at}`, textOf(args[at])] as const);
  const intent = `${to.toLowerCase()} ${data} ${value}`;
  return {
    step,
    call: { to, data, value },
    together: [],
    shows: { name: functionName, args: shown },
    intent: intent.length > 400 ? `${intent.slice(0, 400)} ${intent.length}` : intent,
  };
}

const LONGEST = 200;

function textOf(value: unknown): string {
  const text =
    typeof value === "object"
      ? JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}` : one))
      : String(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
