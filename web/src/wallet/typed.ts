/** Typed data (EIP-712) as wallets want to hear of it. */

import { type Hex, isHex, type TypedDataDomain } from "viem";
import { DOMAIN_TYPE } from "../generated/typedData";
import { ask, WalletError } from "./provider";
import { type Connected, providerOf } from "./session";

export interface TypedData {
  readonly domain: TypedDataDomain;
  readonly types: Readonly<Record<string, readonly { readonly name: string; readonly type: string }[]>>;
  readonly primaryType: string;
  readonly message: Readonly<Record<string, unknown>>;
}

/** Bytes of the longest signature that is taken, as in manifests: wallet contracts have forms of their own. */
const LONGEST = 8_192;

/** Asks for a signature. What comes back is hexadecimal, and nothing more is known of it. */
export async function askToSign(from: Connected, typed: TypedData): Promise<Hex> {
  const document = { ...typed, types: { EIP712Domain: DOMAIN_TYPE, ...typed.types } };
  const text = JSON.stringify(document, (_, value) => (typeof value === "bigint" ? `${value}` : value));
  const answer = await ask(providerOf(from.wallet), "eth_signTypedData_v4", [from.account, text]);
  if (!isHex(answer) || answer.length % 2 !== 0 || answer.length > 2 + 2 * LONGEST || answer === "0x") {
    throw new WalletError("invalid", undefined);
  }
  return answer.toLowerCase() as Hex;
}
