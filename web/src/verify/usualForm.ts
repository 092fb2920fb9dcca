/**
 * Signatures as wallets write them, in the one form that contracts take: 65 bytes, low s, v 27 or 28. Wallets differ: v
 * may be 0 or 1, s may be high, both may be packed into 64 bytes (EIP-2098). As `llamafund_chain.chain.signatures`.
 */

import {
  type Address,
  concatHex,
  type Hex,
  hexToBigInt,
  isAddressEqual,
  numberToHex,
  recoverAddress,
  size,
  slice,
} from "viem";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const PARITY_BIT = 1n << 255n;

/** A signature as contracts take it; null if the signer's key did not make it. */
export async function usualForm(hash: Hex, signature: Hex, signer: Address): Promise<Hex | null> {
  for (const form of readings(signature)) {
    const by = await recoverAddress({ hash, signature: form }).catch(() => null);
    if (by !== null && isAddressEqual(by, signer)) return form;
  }
  return null;
}

/** What says the parity does not matter: only one of the two gives the address that is expected. */
function readings(signature: Hex): Hex[] {
  const length = size(signature);
  if (length !== 64 && length !== 65) return [];
  const given = hexToBigInt(slice(signature, 32, 64)) % (length === 64 ? PARITY_BIT : 1n << 256n);
  const s = given <= ORDER / 2n ? given : given < ORDER ? ORDER - given : 0n;
  return (["0x1b", "0x1c"] as const).map((v) => concatHex([slice(signature, 0, 32), numberToHex(s, { size: 32 }), v]));
}
