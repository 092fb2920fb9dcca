// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PackedLedger} from "../../../contracts/libraries/PackedLedger.sol";

import {Proof} from "./Proof.sol";

/// @dev Every setter of the packed ledger changes its own field and nothing else. Range: every word, every value that
/// fits the field.
contract LedgerProof is Proof {
    using PackedLedger for PackedLedger.Word;

    uint256 private constant PLEDGED = type(uint128).max;
    uint256 private constant ATTESTED_AT = uint256(type(uint40).max) << 128;
    uint256 private constant CHALLENGED_AT = uint256(type(uint40).max) << 168;
    uint256 private constant SLACK_USED = uint256(type(uint32).max) << 208;
    uint256 private constant ATTESTED = uint256(type(uint8).max) << 240;

    function check_pledged(uint256 word, uint128 value) external pure {
        PackedLedger.Word changed = PackedLedger.Word.wrap(word).withPledged(value);
        assert(changed.pledged() == value);
        _onlyChanged(word, changed, PLEDGED);
    }

    function check_challengedAt(uint256 word, uint40 value) external pure {
        PackedLedger.Word changed = PackedLedger.Word.wrap(word).withChallengedAt(value);
        assert(changed.challengedAt() == value);
        _onlyChanged(word, changed, CHALLENGED_AT);
    }

    function check_slackUsed(uint256 word, uint32 value) external pure {
        PackedLedger.Word changed = PackedLedger.Word.wrap(word).withSlackUsed(value);
        assert(changed.slackUsed() == value);
        _onlyChanged(word, changed, SLACK_USED);
    }

    function check_attestation(uint256 word, uint40 timestamp) external {
        PackedLedger.Word ledger = PackedLedger.Word.wrap(word);
        vm.assume(ledger.attested() < type(uint8).max);
        vm.warp(timestamp);
        PackedLedger.Word changed = ledger.withAttestation();
        assert(changed.attested() == ledger.attested() + 1);
        assert(changed.attestedAt() == timestamp);
        _onlyChanged(word, changed, ATTESTED | ATTESTED_AT);
    }

    function check_active(uint256 word) external pure {
        PackedLedger.Word changed = PackedLedger.Word.wrap(word).withActive();
        assert(changed.active());
        _onlyChanged(word, changed, 1 << 248);
    }

    function check_stop(uint256 word, bool withholding) external pure {
        PackedLedger.Word ledger = PackedLedger.Word.wrap(word);
        PackedLedger.Word changed = ledger.withStop(withholding);
        assert(changed.stopped());
        assert(changed.withheld() == (ledger.withheld() || withholding));
        _onlyChanged(word, changed, 3 << 249);
    }

    function check_contested(uint256 word, bool value) external pure {
        PackedLedger.Word changed = PackedLedger.Word.wrap(word).withContested(value);
        assert(changed.contested() == value);
        _onlyChanged(word, changed, 1 << 251);
    }

    function _onlyChanged(uint256 word, PackedLedger.Word changed, uint256 mask) private pure {
        assert((word ^ PackedLedger.Word.unwrap(changed)) & ~mask == 0);
    }
}
