// Signatures of typed data (EIP-712), and whose they are.

import { fromHex, join, keccak, number, padded, toHex, word } from "./bytes.js";

const DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const STATEMENT =
  "MilestoneAttestation(uint8 milestone,uint8 kind,bytes32 evidence,bytes32 parent,bytes32 contentRoot," +
  "uint64 contentSize,int64 score,uint64 expiry)";
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const REPORT =
  "AuditReport(bytes32 report,address campaign,uint256 block,bytes32 blockHash,string verdict)";

function digest(domain, struct) {
  return keccak(join(fromHex("1901"), domain, keccak(struct)));
}

function domainOf(name, chainId, campaign) {
  return keccak(join(keccak(DOMAIN), keccak(name), keccak("1"), word(chainId), padded(campaign)));
}

/** What an attestor signs. @param {Uint8Array} statement The attestation as the event has it: eight words. */
export function attestationDigest(chainId, campaign, statement) {
  return digest(domainOf("LlamaFund Campaign", chainId, campaign), join(keccak(STATEMENT), statement));
}

/** What an auditor signs about a report. */
export function reportDigest(chainId, report, hash) {
  const fields = [fromHex(hash), padded(report.campaign), word(report.block), fromHex(report.block_hash)];
  const struct = join(keccak(REPORT), ...fields, keccak(report.verdict.outcome));
  return digest(domainOf("LlamaFund Audit", chainId, report.campaign), struct);
}

/**
 * The address whose key made a signature of 65 bytes; null if none did.
 * @param {(hash: Uint8Array, signature: Uint8Array, parity: number) => Uint8Array} recover Gives the key, uncompressed,
 *   of r and s in 64 bytes; throws if there is none.
 */
export function signerOf(hash, signature, recover) {
  const data = fromHex(signature);
  const v = data[64];
  if (data.length !== 65 || (v !== 27 && v !== 28) || number(data.slice(32, 64)) > HALF_ORDER) return null;
  try {
    const key = recover(hash, data.slice(0, 64), v - 27);
    return `0x${toHex(keccak(key.slice(1)).slice(12))}`;
  } catch {
    return null;
  }
}
