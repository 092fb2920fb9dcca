// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a challenge costs while others are open
/// @notice Doubles with every 512 open challenges, in a straight line in between. A flood that outruns whoever answers
/// soon costs more than there is, and shrinks back as it is answered. Without steps, nobody crowds an honest challenger
/// out by one challenge more.
/// @dev NOT checked here: that the base is not zero, which it would stay. The factory sees to that, and so keeps the
/// exponent small: 2^96 wei, the largest bond, is less than 57 doublings of the least.
library ChallengePrice {
    /// @dev Fewer would let a full queue price honest challenges out for less; more would make a flood cheaper.
    uint256 internal constant DOUBLING = 512;

    /// @param base wei that a challenge costs while none is open
    /// @param open number of challenges open before it
    /// @return wei
    function priceOf(uint256 base, uint256 open) internal pure returns (uint256) {
        return base * (DOUBLING + open % DOUBLING) * 2 ** (open / DOUBLING) / DOUBLING;
    }
}
