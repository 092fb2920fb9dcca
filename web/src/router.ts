/** Where the reader is: everything is in the hash, so the page works under any path and links can be shared. */

import { type Address, getAddress, isAddress } from "viem";
import { reviewsIn } from "./evidence/reviews";

export const CHAIN_VIEWS = ["list", "mine"] as const;
export const PLAIN_VIEWS = ["start", "risks", "report"] as const;

export type Options = {
  /** The node that the link names. */
  rpc: string | null;
  /** A gateway that the link names, asked before the usual ones. */
  gateway: string | null;
};

export type Route = Options &
  (
    | { view: (typeof PLAIN_VIEWS)[number] }
    | { view: (typeof CHAIN_VIEWS)[number]; chainId: number }
    | { view: "campaign" | "verify"; chainId: number; campaign: Address }
    | { view: "reviews"; chainId: number; campaign: Address; reviews: string[] }
    | { view: "lost"; said: string }
  );

/**
 * `#/`, `#/risks`, `#/report`, `#/<chain id>`, `#/<chain id>/mine`, `#/<chain id>/<campaign>`, and below it `/verify`
 * and `/reviews`; each with `?rpc=` and `?gateway=`, the last one with a `&review=` for each hash.
 */
export function readRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parameters = new URLSearchParams(query);
  const options = { rpc: parameters.get("rpc"), gateway: parameters.get("gateway") };
  const parts = path.split("/").filter((part) => part !== "");
  const [first, second, third] = parts;
  const lost: Route = { ...options, view: "lost", said: path.slice(0, 200) };
  if (first === undefined) return { ...options, view: "start" };
  const plain = PLAIN_VIEWS.find((view) => view === first);
  if (plain !== undefined && second === undefined) return { ...options, view: plain };
  const chainId = /^[1-9][0-9]{0,14}$/.test(first) ? Number(first) : null;
  if (chainId === null || parts.length > 3) return lost;
  if (second === undefined) return { ...options, view: "list", chainId };
  if (second === "mine" && third === undefined) return { ...options, view: "mine", chainId };
  if (!isAddress(second, { strict: false })) return lost;
  const campaign = getAddress(second);
  if (third === undefined) return { ...options, view: "campaign", chainId, campaign };
  if (third === "reviews") {
    return { ...options, view: "reviews", chainId, campaign, reviews: reviewsIn(parameters) };
  }
  if (third === "verify") return { ...options, view: "verify", chainId, campaign };
  return lost;
}

/** The hash of a place, with the same node and gateway. */
export function hashOf(path: string, options: Options, reviews: readonly string[] = []): string {
  const query = new URLSearchParams();
  if (options.rpc) query.set("rpc", options.rpc);
  if (options.gateway) query.set("gateway", options.gateway);
  for (const one of reviews) query.append("review", one);
  const text = query.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

/** The node and the gateway of where the reader is. */
export function optionsOf({ rpc, gateway }: Options): Options {
  return { rpc, gateway };
}
