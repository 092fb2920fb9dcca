/** A campaign's events, decoded. */

import { type Address, type DecodeEventLogReturnType, decodeEventLog, type Hex } from "viem";
import { campaignAbi } from "../generated/abi";
import type { Reader } from "./client";
import { type Log, logsOf } from "./read";

type Decoded = DecodeEventLogReturnType<typeof campaignAbi>;
type Named<D> = D extends { eventName: infer N; args: infer A } ? { name: N; args: A } : never;

/** `name` tells the event, `args` has its values as the ABI names them. */
export type CampaignEvent = Named<Decoded> & { log: Log };

/** One kind of event. */
export type EventOf<N extends CampaignEvent["name"]> = Extract<CampaignEvent, { name: N }>;

export async function campaignEvents(
  reader: Reader,
  campaign: Address,
  first: number,
  last: number,
): Promise<CampaignEvent[]> {
  return (await logsOf(reader, campaign, [], first, last)).flatMap(decode);
}

/** Nothing for a log that is none of a campaign's events. */
export function decode(log: Log): CampaignEvent[] {
  try {
    const topics = log.topics as [Hex, ...Hex[]];
    const { eventName, args } = decodeEventLog({ abi: campaignAbi, data: log.data, topics });
    return [{ name: eventName, args, log } as unknown as CampaignEvent];
  } catch {
    return [];
  }
}

export function only<N extends CampaignEvent["name"]>(events: readonly CampaignEvent[], name: N): EventOf<N>[] {
  return events.filter((event): event is EventOf<N> => event.name === name);
}
