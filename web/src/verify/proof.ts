/** A campaign's code, ledger and pledges, proven against the state root of a block (`eth_getProof`, EIP-1186). */

import { type Address, bytesToHex, concatHex, type Hex, isHex, keccak256, numberToHex, size, slice } from "viem";
import type { Campaign } from "../chain/campaign";
import type { Reader } from "../chain/client";
import { Trouble } from "../chain/trouble";
import { CLONE_CREATION } from "../generated/constants";
import { fromHex, padded } from "../proofs/bytes";
import { entry, Proofs, part, SLOTS } from "../proofs/state";
import { type Header, readHeader, sound } from "./header";

/** Nodes of one proof, and bytes of one node: the longest path, of the widest branches. */
const MOST_NODES = 65;
const MOST_NODE_BYTES = 1024;
/** Bytes before the clone in its creation code. */
const CREATION_HEAD = 7;

const keccak = (data: Uint8Array) => keccak256(data, "bytes");

export type Proven = {
  header: Header;
  /** Whether the code at the address is the campaign's, with these terms. */
  code: boolean;
  balance: bigint;
  pledged: bigint;
  attested: number;
  /** Whether ledger and status that the node told before are these. */
  agrees: boolean;
  pledges: { backer: Address; pledge: bigint; votes: boolean }[];
};

/** Throws a `Trouble` if what the node gives proves nothing, or something else than it says. */
export async function proveCampaign(reader: Reader, campaign: Campaign, backers: Address[]): Promise<Proven> {
  const number = numberToHex(campaign.block.number);
  const slots = [SLOTS.ledger, ...backers.map((backer) => entry(padded(backer), SLOTS.backers, keccak))];
  const params = [campaign.address, slots.map((slot) => numberToHex(slot, { size: 32 })), number] as const;
  const [raw, answer] = await Promise.all([
    reader.client.request({ method: "eth_getBlockByNumber", params: [number, false] }),
    reader.client.request({ method: "eth_getProof", params: params as never }),
  ]);
  const header = readHeader(raw);
  if (header.hash !== campaign.block.hash) throw new Trouble("moved");
  const given = answer as { accountProof?: unknown; storageProof?: { proof?: unknown }[] } | null;
  const [account, words] = sound(() => {
    const stored = Array.from(slots, (_, place) => given?.storageProof?.[place]?.proof);
    const proofs = new Proofs(keccak, [given?.accountProof, ...stored].flatMap(nodesOf));
    const found = proofs.account(fromHex(header.stateRoot), fromHex(campaign.address));
    if (found === null) throw new Error("No account is proven to be there");
    return [found, slots.map((slot) => proofs.word(found.storageRoot, slot))] as const;
  });
  const [ledger = 0n, ...entries] = words;
  const { state, created } = campaign;
  const flags = [state.active, state.stopped, state.withheld, state.contested];
  const told: [bigint, bigint][] = [
    [part(ledger, 0, 128), state.pledged],
    [part(ledger, 128, 40), BigInt(state.attestedAt)],
    [part(ledger, 168, 40), BigInt(state.challengedAt)],
    [part(ledger, 208, 32), BigInt(state.slackUsed)],
    [part(ledger, 240, 8), BigInt(state.attested)],
    ...flags.map((flag, place): [bigint, bigint] => [part(ledger, 248 + place, 1), flag ? 1n : 0n]),
  ];
  const clone = concatHex([slice(CLONE_CREATION, CREATION_HEAD), created.packed]);
  return {
    header,
    code: bytesToHex(account.codeHash) === keccak256(clone),
    balance: account.balance,
    pledged: part(ledger, 0, 128),
    attested: Number(part(ledger, 240, 8)),
    agrees: told.every(([proven, said]) => proven === said),
    pledges: backers.map((backer, place) => {
      const word = entries[place] ?? 0n;
      return { backer, pledge: part(word, 0, 128), votes: word >> 128n !== 0n };
    }),
  };
}

/** The nodes of one proof, as they came. */
function nodesOf(proof: unknown): Uint8Array[] {
  if (!Array.isArray(proof) || proof.length > MOST_NODES) throw new Error("A proof has another form");
  return proof.map((node) => {
    if (!isHex(node) || size(node) > MOST_NODE_BYTES) throw new Error("A node of a proof has another form");
    return fromHex(node);
  });
}

/** Whether a second node has the same block; null if it does not answer, or is not that far. */
export async function compareNode(other: Reader, chainId: Hex, header: Header): Promise<boolean | null> {
  try {
    if (BigInt(await other.client.request({ method: "eth_chainId" })) !== BigInt(chainId)) return null;
    const params = [numberToHex(header.number), false] as const;
    const raw = await other.client.request({ method: "eth_getBlockByNumber", params: params as never });
    return raw === null ? null : readHeader(raw).hash === header.hash;
  } catch {
    return null;
  }
}
