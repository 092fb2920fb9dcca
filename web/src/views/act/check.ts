/** What can be told before the wallet is asked: whether the contract takes the call, and what it costs at most. */

import type { Campaign } from "../../chain/campaign";
import { type Cost, costOf } from "../../sending/cost";
import { asked, asParams, type Node, number } from "../../sending/node";
import { type Simulated, simulate } from "../../sending/simulation";
import type { Where } from "../../where";
import { nodeOf } from "./following";
import { hasItsCode } from "./genuine";
import { type Draft, draftOf, resetOf, type Wish } from "./plans";
import { explain, type Refusal } from "./refusal";
import type { Standing } from "./standing";

export type Checked =
  | { outcome: "works"; draft: Draft; cost: Cost }
  /** The account has less of the chain's coin, or of the token, than it takes. */
  | { outcome: "short"; draft: Draft; of: "coin" | "token" }
  | { outcome: "refused"; draft: Draft; refusal: Refusal }
  /** Other code than a campaign's is at the address, or none. */
  | { outcome: "foreign"; draft: Draft }
  /** The node does not answer, or not in a way that tells. */
  | { outcome: "unknown"; draft: Draft };

export async function check(where: Where, campaign: Campaign, standing: Standing, wish: Wish): Promise<Checked> {
  const node = nodeOf(where);
  let draft = draftOf(campaign, standing, wish);
  const genuine = await hasItsCode(where, campaign);
  if (genuine !== true) return { outcome: genuine === undefined ? "unknown" : "foreign", draft };
  // The contract's refusal would only say that the token refused.
  if (wish.action === "pledge" && standing.token && standing.token.balance < wish.amount) {
    return { outcome: "short", draft, of: "token" };
  }
  const balance = await number(node, "eth_getBalance", [standing.account, "latest"]).catch(() => undefined);
  if (balance === undefined) return { outcome: "unknown", draft };
  if (balance < draft.call.value) return { outcome: "short", draft, of: "coin" };
  let simulated =
    draft.together.length > 0 ? await together(node, standing, draft) : await tried(node, standing, draft);
  if (simulated.outcome === "refused" && draft.step === "allow" && (standing.token?.allowance ?? 0n) > 0n) {
    draft = resetOf(campaign);
    simulated = await tried(node, standing, draft);
  }
  if (simulated.outcome === "unknown") return { outcome: "unknown", draft };
  if (simulated.outcome === "refused") {
    return { outcome: "refused", draft, refusal: explain(simulated.data, campaign, draft.shows.name) };
  }
  try {
    const calls = [...draft.together, draft.call];
    // Of several calls only the first can be estimated by itself: they are not the wallet's transaction anyway.
    const cost = await costOf(node, standing.account, calls[0] ?? draft.call);
    const all = draft.call.value + cost.fee + (cost.dataFee ?? 0n);
    return balance < all ? { outcome: "short", draft, of: "coin" } : { outcome: "works", draft, cost };
  } catch {
    return { outcome: "unknown", draft };
  }
}

function tried(node: Node, standing: Standing, draft: Draft): Promise<Simulated> {
  return simulate(node, standing.account, draft.call);
}

/** Tries several calls one after the other. Nodes without `eth_simulateV1` cannot. */
async function together(node: Node, standing: Standing, draft: Draft): Promise<Simulated> {
  const calls = [...draft.together, draft.call].map((call) => asParams(standing.account, call));
  try {
    const answer = await asked(node, "eth_simulateV1", [{ blockStateCalls: [{ calls }] }, "latest"]);
    const results: unknown = Array.isArray(answer) ? (answer[0] as { calls?: unknown })?.calls : undefined;
    if (!Array.isArray(results) || results.length !== calls.length) throw new TypeError();
    const failed = results.find((one: { status?: unknown }) => one?.status !== "0x1");
    if (!failed) return { outcome: "works" };
    const { returnData, error } = failed as { returnData?: unknown; error?: { data?: unknown } };
    const data = [error?.data, returnData].find((one) => typeof one === "string" && /^0x[0-9a-f]{8,}$/i.test(one));
    return { outcome: "refused", data: (data ?? "0x") as `0x${string}` };
  } catch (error) {
    return { outcome: "unknown", error };
  }
}
