/** What can go wrong with a node, a store or an address, told apart. None of it accuses a person. */

import type { Key } from "../words";

export type TroubleKind =
  | "offline" // nobody answers
  | "refused" // the node answers, but not to this
  | "otherChain" // the node is of another chain than the link
  | "notCampaign" // the chain has no such campaign of the factory
  | "contradicts" // the node said two different things
  | "lags" // the node knows less than it did before
  | "moved"; // the chain moved on while it was read, each time

export class Trouble extends Error {
  override name = "Trouble";
  constructor(
    readonly kind: TroubleKind,
    readonly values: Record<string, string> = {},
  ) {
    super(kind);
  }
}

/** The message key for a problem. */
export function troubleKey(kind: TroubleKind): Key {
  return `trouble.${kind}`;
}

/** Anything that was thrown, as a problem. Errors are told apart by name and code, never by their text. */
export function troubleOf(thrown: unknown): Trouble {
  if (thrown instanceof Trouble) return thrown;
  const names = new Set<string>();
  let answered = false;
  let said = "";
  for (let one: unknown = thrown, depth = 0; one instanceof Error && depth < 8; one = one.cause, depth += 1) {
    names.add(one.name);
    // Some nodes refuse a question with a status of HTTP.
    answered ||= typeof (one as { status?: unknown }).status === "number";
    const short = (one as { shortMessage?: unknown; details?: unknown }).details;
    if (typeof short === "string" && short) said = short;
    else if (!said) said = one.message;
  }
  const unreachable = ["HttpRequestError", "TimeoutError", "WebSocketRequestError", "TypeError"];
  if (!answered && unreachable.some((name) => names.has(name))) return new Trouble("offline", { said });
  return new Trouble("refused", { said });
}
