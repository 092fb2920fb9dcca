// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChallengePrice} from "../../../contracts/libraries/ChallengePrice.sol";

import {Proof} from "./Proof.sol";

/// @dev What a challenge costs with a whole number of doublings. Range: every base of up to 96 bits, as many as a bond
/// has, and up to `DOUBLINGS` doublings, which no bond of 96 bits can pay for. That the price never falls in between is
/// a law of integers: assurance/lemmas/price-of-a-challenge.smt2.
contract PriceProof is Proof {
    uint256 private constant DOUBLINGS = 57;
    uint256 private constant DOUBLING = ChallengePrice.DOUBLING;

    /// @dev While none is open the price is the base, and each doubling doubles it.
    function check_startsAtTheBaseAndDoubles(uint96 base, uint256 doublings) external pure {
        uint256 k = _doublings(doublings);
        assert(ChallengePrice.priceOf(base, 0) == base);
        assert(ChallengePrice.priceOf(base, k * DOUBLING) == uint256(base) << k);
    }

    /// @dev One path of the proof for each number of doublings, so that the exponent is a number.
    function _doublings(uint256 symbol) private pure returns (uint256) {
        for (uint256 k = 0; k <= DOUBLINGS; ++k) {
            if (k == symbol) {
                return k;
            }
        }
        revert("out of range");
    }
}
