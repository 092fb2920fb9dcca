/** Who signed an attestation: recovered from the transaction that submitted it, by EIP-712. */

import { type Address, decodeFunctionData, type Hex, recoverTypedDataAddress } from "viem";
import type { Campaign } from "../chain/campaign";
import type { Reader } from "../chain/client";
import type { EventOf } from "../chain/events";
import { campaignAbi } from "../generated/abi";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../generated/constants";
import { ATTESTATION_TYPES } from "../generated/typedData";

/** `signed` by the attestor's key, `not` by it, or `unknown`: a contract wallet, or a transaction of another form. */
export type Signed = { attestor: Address; outcome: "signed" | "not" | "unknown" };

const PLAIN_SIGNATURE = 65;

export async function signersOf(
  reader: Reader,
  { terms, chainId, address }: Campaign,
  event: EventOf<"MilestoneAttested">,
): Promise<Signed[]> {
  const { attestation, signers } = event.args;
  const places = terms.attestors.map((_, place) => place).filter((place) => (signers >> BigInt(place)) & 1n);
  const given = await signaturesIn(reader, event.log.transactionHash);
  const domain = { name: DOMAIN_NAME, version: DOMAIN_VERSION, chainId, verifyingContract: address };
  return Promise.all(
    places.map(async (place, index): Promise<Signed> => {
      const attestor = terms.attestors[place] as Address;
      const signature = given?.[index];
      if (signature === undefined || (signature.length - 2) / 2 !== PLAIN_SIGNATURE)
        return { attestor, outcome: "unknown" };
      const typed = { domain, types: ATTESTATION_TYPES, primaryType: "MilestoneAttestation", message: attestation };
      const found = await recoverTypedDataAddress({ ...typed, signature } as never).catch(() => null);
      if (found === attestor) return { attestor, outcome: "signed" };
      // A contract wallet may take any bytes for its signature; the chain asked it when the attestation came in.
      const code = await reader.client.request({ method: "eth_getCode", params: [attestor, "latest"] });
      return { attestor, outcome: code && code !== "0x" ? "unknown" : "not" };
    }),
  );
}

/** The signatures in a transaction that calls `attest` itself; null if it does something else. */
async function signaturesIn(reader: Reader, hash: Hex): Promise<readonly Hex[] | null> {
  const sent = await reader.client.request({ method: "eth_getTransactionByHash", params: [hash] });
  try {
    const call = decodeFunctionData({ abi: campaignAbi, data: sent?.input ?? "0x" });
    return call.functionName === "attest" ? call.args[2] : null;
  } catch {
    return null;
  }
}
