/** Which campaigns there are. A campaign's address is computed again from its terms, so no node can make them up. */

import {
  type Address,
  concatHex,
  decodeEventLog,
  getAddress,
  type Hex,
  keccak256,
  numberToHex,
  size,
  slice,
  toEventSelector,
} from "viem";
import { factoryAbi } from "../generated/abi";
import { CLONE_BYTES, CLONE_CREATION, FACTORY, FACTORY_CODE_HASH, FIRST_BLOCKS } from "../generated/constants";
import type { Reader } from "./client";
import { type Block, codeAt, logsOf } from "./read";
import { type Terms, unpackTerms } from "./terms";
import { Trouble } from "./trouble";

export type Created = {
  campaign: Address;
  terms: Terms;
  packed: Hex;
  salt: Hex;
  block: number;
  transaction: Hex;
};

const CREATED = toEventSelector("CampaignCreated(address,address,bytes32,bytes,bytes32)");

/** The address that the factory gives to terms and salt. It proves both: nobody can find others with that address. */
export function campaignAddress(packed: Hex, salt: Hex): Address {
  const length = numberToHex(CLONE_BYTES + size(packed), { size: 2 });
  const creation = concatHex(["0x61", length, CLONE_CREATION, packed]);
  return getAddress(slice(keccak256(concatHex(["0xff", FACTORY, salt, keccak256(creation)])), 12));
}

/** Bytes at the beginning of `CLONE_CREATION` that only return the rest: that stays at the campaign's address. */
const ONLY_CREATES = 7;

/** A campaign's own code: it calls the implementation, and carries the terms. */
export function cloneCode(packed: Hex): Hex {
  return concatHex([slice(CLONE_CREATION, ONLY_CREATES), packed]);
}

export function firstBlock(chainId: number): number {
  return (FIRST_BLOCKS as Record<number, number>)[chainId] ?? 0;
}

/** Whether the node says that the factory is there. */
export async function hasFactory(reader: Reader, block: Block): Promise<boolean> {
  return keccak256(await codeAt(reader, block, FACTORY)) === FACTORY_CODE_HASH;
}

/** All campaigns of a chain, oldest first. */
export async function listCampaigns(reader: Reader, chainId: number, block: Block): Promise<Created[]> {
  const logs = await logsOf(reader, FACTORY, [CREATED], firstBlock(chainId), block.number);
  return logs.map(createdFrom);
}

/** The event that opened a campaign. */
export async function findCampaign(reader: Reader, chainId: number, block: Block, campaign: Address): Promise<Created> {
  const topics = [CREATED, concatHex(["0x000000000000000000000000", campaign])];
  const logs = await logsOf(reader, FACTORY, topics, firstBlock(chainId), block.number);
  const found = logs.map(createdFrom).find((one) => one.campaign === getAddress(campaign));
  if (found === undefined) throw new Trouble("notCampaign", { campaign });
  return found;
}

function createdFrom(log: { data: Hex; topics: Hex[]; blockNumber: number; transactionHash: Hex }): Created {
  try {
    const topics = log.topics as [Hex, ...Hex[]];
    const { args } = decodeEventLog({ abi: factoryAbi, eventName: "CampaignCreated", data: log.data, topics });
    const campaign = getAddress(args.campaign);
    if (campaignAddress(args.terms, args.salt) === campaign) {
      const { terms: packed, salt } = args;
      const terms = unpackTerms(packed);
      return { campaign, terms, packed, salt, block: log.blockNumber, transaction: log.transactionHash };
    }
  } catch {
    // Bytes that cannot be read are as wrong as others.
  }
  // The factory never emits it, so the node made it up.
  throw new Trouble("contradicts");
}
