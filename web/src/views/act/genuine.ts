/** Whether what is at a campaign's address is a campaign. */

import { type Hex, keccak256 } from "viem";
import type { Campaign } from "../../chain/campaign";
import { cloneCode } from "../../chain/factory";
import { IMPLEMENTATION, IMPLEMENTATION_CODE_HASH } from "../../generated/constants";
import type { Where } from "../../where";

/** Chains on which the shared code was found to be what it must be, by node. */
const known = new Set<string>();

/**
 * Whether the campaign's code and the code that all campaigns share are the ones that this page was made for: a call to
 * an address without code takes the money and does nothing. Undefined if the node does not tell.
 */
export async function hasItsCode({ reader }: Where, campaign: Campaign): Promise<boolean | undefined> {
  const latest = "latest";
  const codeOf = (address: Hex) => reader.client.request({ method: "eth_getCode", params: [address, latest] });
  const key = `${campaign.chainId} ${reader.where}`;
  try {
    const code = await codeOf(campaign.address);
    if (code?.toLowerCase() !== cloneCode(campaign.created.packed).toLowerCase()) return false;
    if (!known.has(key)) {
      const shared = await codeOf(IMPLEMENTATION);
      if (!shared || keccak256(shared) !== IMPLEMENTATION_CODE_HASH) return false;
      known.add(key);
    }
    return true;
  } catch {
    return undefined;
  }
}
