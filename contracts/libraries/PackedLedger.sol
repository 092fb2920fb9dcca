// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ledger} from "../interfaces/ICampaign.sol";

/// @dev The campaign's mutable record as one word: read and written once a call. From the lowest bit:
/// pledged 128, attestedAt 40, challengedAt 40, slackUsed 32, attested 8, flags 8.
type PackedLedger is uint256;

using LedgerLib for PackedLedger global;

/// @title Reading and changing a packed ledger
/// @dev NOT checked here: that a new value fits its field. Each setter says what makes sure of it.
library LedgerLib {
    uint256 private constant PLEDGED_MASK = type(uint128).max;
    uint256 private constant ACTIVE = 1 << 248;
    uint256 private constant STOPPED = 1 << 249;
    uint256 private constant WITHHELD = 1 << 250;

    function pledged(PackedLedger self) internal pure returns (uint256) {
        return uint128(PackedLedger.unwrap(self));
    }

    /// @return unix seconds
    function attestedAt(PackedLedger self) internal pure returns (uint256) {
        return uint40(PackedLedger.unwrap(self) >> 128);
    }

    /// @return unix seconds
    function challengedAt(PackedLedger self) internal pure returns (uint256) {
        return uint40(PackedLedger.unwrap(self) >> 168);
    }

    /// @return seconds
    function slackUsed(PackedLedger self) internal pure returns (uint256) {
        return uint32(PackedLedger.unwrap(self) >> 208);
    }

    function attested(PackedLedger self) internal pure returns (uint256) {
        return uint8(PackedLedger.unwrap(self) >> 240);
    }

    function active(PackedLedger self) internal pure returns (bool) {
        return PackedLedger.unwrap(self) & ACTIVE != 0;
    }

    function stopped(PackedLedger self) internal pure returns (bool) {
        return PackedLedger.unwrap(self) & STOPPED != 0;
    }

    function withheld(PackedLedger self) internal pure returns (bool) {
        return PackedLedger.unwrap(self) & WITHHELD != 0;
    }

    /// @param value at most the cap, which has 128 bits
    function withPledged(PackedLedger self, uint256 value) internal pure returns (PackedLedger) {
        return PackedLedger.wrap((PackedLedger.unwrap(self) & ~PLEDGED_MASK) | value);
    }

    /// @dev One milestone more, attested now. At most 16 milestones exist; block timestamps outlast 40 bits.
    function withAttestation(PackedLedger self) internal view returns (PackedLedger) {
        uint256 word = PackedLedger.unwrap(self) & ~(uint256(type(uint40).max) << 128);
        return PackedLedger.wrap((word + (1 << 240)) | (block.timestamp << 128));
    }

    /// @param value unix seconds; block timestamps outlast 40 bits
    function withChallengedAt(PackedLedger self, uint256 value) internal pure returns (PackedLedger) {
        return PackedLedger.wrap((PackedLedger.unwrap(self) & ~(uint256(type(uint40).max) << 168)) | (value << 168));
    }

    /// @param withholding whether the latest attestation's tranche is not released yet
    function withStop(PackedLedger self, bool withholding) internal pure returns (PackedLedger) {
        return PackedLedger.wrap(PackedLedger.unwrap(self) | STOPPED | (withholding ? WITHHELD : 0));
    }

    /// @param value at most the slack, which has 32 bits
    function withSlackUsed(PackedLedger self, uint256 value) internal pure returns (PackedLedger) {
        return PackedLedger.wrap((PackedLedger.unwrap(self) & ~(uint256(type(uint32).max) << 208)) | (value << 208));
    }

    function withActive(PackedLedger self) internal pure returns (PackedLedger) {
        return PackedLedger.wrap(PackedLedger.unwrap(self) | ACTIVE);
    }

    function unpack(PackedLedger self) internal pure returns (Ledger memory) {
        return Ledger({
            pledged: uint128(pledged(self)),
            attestedAt: uint40(attestedAt(self)),
            challengedAt: uint40(challengedAt(self)),
            slackUsed: uint32(slackUsed(self)),
            attested: uint8(attested(self)),
            active: active(self),
            stopped: stopped(self),
            withheld: withheld(self)
        });
    }
}
