/** EIP-2612: a signature instead of a transaction that lets the campaign take an exact amount of a token. */

import {
  type Address,
  domainSeparator,
  type Hex,
  hashTypedData,
  hexToBigInt,
  parseAbi,
  parseSignature,
  recoverAddress,
  type TypedDataDomain,
} from "viem";
import type { Campaign } from "../../chain/campaign";
import { call } from "../../chain/read";
import type { Connected } from "../../wallet/session";
import { askToSign } from "../../wallet/typed";
import type { Where } from "../../where";

export type Permit = { amount: bigint; deadline: bigint; v: number; r: Hex; s: Hex };

/** What a token's permits are signed over. */
export type PermitTerms = { domain: TypedDataDomain; nonce: bigint };

const ABI = parseAbi([
  "function name() view returns (string)",
  "function version() view returns (string)",
  "function nonces(address) view returns (uint256)",
  "function DOMAIN_SEPARATOR() view returns (bytes32)",
  "function eip712Domain() view returns (bytes1,string,string,uint256,address,bytes32,uint256[])",
]);

export const PERMIT_TYPES = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
} as const;

/** Seconds for which a permit is valid. */
const VALID = 3_600;

/** How the token's permits are signed; null if it has none, or not in a way that can be checked beforehand. */
export async function permitTerms(where: Where, campaign: Campaign, account: Address): Promise<PermitTerms | null> {
  const { block, chainId, terms } = campaign;
  const read = <N extends "name" | "version" | "DOMAIN_SEPARATOR" | "eip712Domain">(name: N) =>
    call(where.reader, block, terms.asset, ABI, name);
  try {
    const [nonce, separator] = await Promise.all([
      call(where.reader, block, terms.asset, ABI, "nonces", [account]),
      read("DOMAIN_SEPARATOR"),
    ]);
    const told = await read("eip712Domain").catch(() => null);
    const name = told ? told[1] : await read("name");
    const version = told ? told[2] : await read("version").catch(() => "1");
    const domain = { name, version, chainId, verifyingContract: terms.asset };
    // A domain that does not give the token's own hash would give a signature that it refuses.
    return domainSeparator({ domain }) === separator ? { domain, nonce } : null;
  } catch {
    return null;
  }
}

/** What the wallet is asked to sign. */
export function permitMessage(campaign: Campaign, account: Address, terms: PermitTerms, amount: bigint) {
  const deadline = BigInt(campaign.block.timestamp + VALID);
  return {
    domain: terms.domain,
    types: PERMIT_TYPES,
    primaryType: "Permit" as const,
    message: { owner: account, spender: campaign.address, value: amount, nonce: terms.nonce, deadline },
  };
}

/** Asks the wallet for the signature. Null if it is not the account's, so that nobody pays for a refused call. */
export async function signPermit(from: Connected, message: ReturnType<typeof permitMessage>): Promise<Permit | null> {
  const answer = await askToSign(from, message);
  if (answer.length !== 132) return null;
  try {
    const signer = await recoverAddress({ hash: hashTypedData(message), signature: answer });
    if (signer !== from.account) return null;
    const { r, s, yParity } = parseSignature(answer);
    return { amount: message.message.value, deadline: message.message.deadline, v: 27 + yParity, r, s };
  } catch {
    return null;
  }
}

/** Whether a permit is still good in a block of this time. */
export function isFresh(permit: Permit, amount: bigint, now: number): boolean {
  return permit.amount === amount && permit.deadline > BigInt(now) && hexToBigInt(permit.r) > 0n;
}
