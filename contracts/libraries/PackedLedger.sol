// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ledger} from "../interfaces/ICampaign.sol";

/// @title The campaign's mutable record as one word: read and written once a call
/// @notice From the lowest bit: pledged 128, attestedAt 40, challengedAt 40, slackUsed 32, attested 8, flags 8.
/// @dev NOT checked here: that a new value fits its field. Each setter says what makes sure of it.
library PackedLedger {
    type Word is uint256;

    uint256 private constant PLEDGED_MASK = type(uint128).max;
    uint256 private constant ACTIVE = 1 << 248;
    uint256 private constant STOPPED = 1 << 249;
    uint256 private constant WITHHELD = 1 << 250;
    uint256 private constant CONTESTED = 1 << 251;

    function pledged(Word self) internal pure returns (uint256) {
        return uint128(Word.unwrap(self));
    }

    /// @return unix seconds
    function attestedAt(Word self) internal pure returns (uint256) {
        return uint40(Word.unwrap(self) >> 128);
    }

    /// @return unix seconds
    function challengedAt(Word self) internal pure returns (uint256) {
        return uint40(Word.unwrap(self) >> 168);
    }

    /// @return seconds
    function slackUsed(Word self) internal pure returns (uint256) {
        return uint32(Word.unwrap(self) >> 208);
    }

    function attested(Word self) internal pure returns (uint256) {
        return uint8(Word.unwrap(self) >> 240);
    }

    function active(Word self) internal pure returns (bool) {
        return Word.unwrap(self) & ACTIVE != 0;
    }

    function stopped(Word self) internal pure returns (bool) {
        return Word.unwrap(self) & STOPPED != 0;
    }

    function withheld(Word self) internal pure returns (bool) {
        return Word.unwrap(self) & WITHHELD != 0;
    }

    function contested(Word self) internal pure returns (bool) {
        return Word.unwrap(self) & CONTESTED != 0;
    }

    /// @param value at most the cap, which has 128 bits
    function withPledged(Word self, uint256 value) internal pure returns (Word) {
        return Word.wrap((Word.unwrap(self) & ~PLEDGED_MASK) | value);
    }

    /// @dev One milestone more, attested now. At most 16 milestones exist; block timestamps outlast 40 bits.
    function withAttestation(Word self) internal view returns (Word) {
        uint256 word = Word.unwrap(self) & ~(uint256(type(uint40).max) << 128);
        return Word.wrap((word + (1 << 240)) | (block.timestamp << 128));
    }

    /// @param value unix seconds; block timestamps outlast 40 bits
    function withChallengedAt(Word self, uint256 value) internal pure returns (Word) {
        return Word.wrap((Word.unwrap(self) & ~(uint256(type(uint40).max) << 168)) | (value << 168));
    }

    /// @param withholding whether the latest attestation's tranche is not released yet
    function withStop(Word self, bool withholding) internal pure returns (Word) {
        return Word.wrap(Word.unwrap(self) | STOPPED | (withholding ? WITHHELD : 0));
    }

    /// @param value at most the slack, which has 32 bits
    function withSlackUsed(Word self, uint256 value) internal pure returns (Word) {
        return Word.wrap((Word.unwrap(self) & ~(uint256(type(uint32).max) << 208)) | (value << 208));
    }

    function withContested(Word self, bool value) internal pure returns (Word) {
        uint256 word = Word.unwrap(self) & ~CONTESTED;
        return Word.wrap(value ? word | CONTESTED : word);
    }

    function withActive(Word self) internal pure returns (Word) {
        return Word.wrap(Word.unwrap(self) | ACTIVE);
    }

    function unpack(Word self) internal pure returns (Ledger memory) {
        return Ledger({
            pledged: uint128(pledged(self)),
            attestedAt: uint40(attestedAt(self)),
            challengedAt: uint40(challengedAt(self)),
            slackUsed: uint32(slackUsed(self)),
            attested: uint8(attested(self)),
            active: active(self),
            stopped: stopped(self),
            withheld: withheld(self),
            contested: contested(self)
        });
    }
}
