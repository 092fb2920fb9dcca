// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChallengePrice} from "../../contracts/libraries/ChallengePrice.sol";
import {Base} from "./Base.sol";

/// @title The price of a challenge, for every queue that bonds of 96 bits can make
contract ChallengePriceUnit is Base {
    uint256 private constant LONGEST = 57 * 512;
    uint256 private constant LEAST = 1e12;

    function test_thePriceNeverFallsAsTheQueueGrows() external pure {
        uint96[5] memory bases = [uint96(LEAST), uint96(LEAST) + 1, 12_345_678_901_234_567, 1 ether, type(uint96).max];
        for (uint256 i = 0; i < 5; ++i) {
            uint256 base = bases[i];
            uint256 scaled = base;
            uint256 before = 0;
            for (uint256 open = 0; open <= LONGEST; ++open) {
                if (open % 512 == 0 && open > 0) {
                    scaled *= 2;
                }
                uint256 price = ChallengePrice.priceOf(base, open);
                assert(price >= before);
                assert(price == scaled + scaled * (open % 512) / 512);
                before = price;
            }
        }
    }

    function test_aFloodHoldsWhatItsDoublingsCost() external pure {
        uint256 held = 0;
        for (uint256 open = 0; open <= LONGEST; ++open) {
            assert(held >= LEAST * 512 * (2 ** (open / 512) - 1));
            held += ChallengePrice.priceOf(LEAST, open);
        }
        // Beyond what a bond can be.
        assert(ChallengePrice.priceOf(LEAST, LONGEST) > type(uint96).max);
    }
}
