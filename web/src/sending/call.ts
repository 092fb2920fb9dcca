/** One call to a contract, before anybody has signed it. */

import type { Address, Hex } from "viem";

export interface Call {
  readonly to: Address;
  readonly data: Hex;
  /** Wei. */
  readonly value: bigint;
}
