// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";

import {Milestone, MilestoneKind, Payee, Terms} from "../../../contracts/interfaces/ICampaign.sol";
import {PackedTerms} from "../../../contracts/libraries/PackedTerms.sol";

import {Proof} from "./Proof.sol";

/// @dev What `PackedTerms.pack` wrote, `unpack` and the single readers read. Range: every value of every field, two
/// attestors, two payees and three milestones whose shares sum to no more than 16 bits hold; with an arbiter, and with
/// neither arbiter nor ruling window.
contract TermsProof is Proof {
    using Memory for bytes;
    using PackedTerms for Memory.Slice;

    struct Fields {
        address researcher;
        address asset;
        uint128 goal;
        uint128 cap;
        uint40 fundingDeadline;
        uint16 stopBps;
        uint32 challengeWindow;
        uint32 answerWindow;
        uint96 minBond;
        uint32 slack;
        bytes32 proposal;
        bytes32 dataset;
        uint8 quorum;
        address[2] attestors;
        Payee[2] payees;
        Milestone[3] milestones;
        address arbiter;
        uint32 rulingWindow;
    }

    function check_roundTrip(Fields calldata f) external {
        vm.assume(f.arbiter != address(0) || f.rulingWindow == 0);
        vm.assume(uint256(f.milestones[0].bps) + f.milestones[1].bps + f.milestones[2].bps <= type(uint16).max);
        Terms memory terms;
        (terms.researcher, terms.asset) = (f.researcher, f.asset);
        (terms.goal, terms.cap) = (f.goal, f.cap);
        (terms.fundingDeadline, terms.stopBps) = (f.fundingDeadline, f.stopBps);
        (terms.challengeWindow, terms.answerWindow) = (f.challengeWindow, f.answerWindow);
        (terms.minBond, terms.slack) = (f.minBond, f.slack);
        (terms.proposal, terms.dataset) = (f.proposal, f.dataset);
        (terms.attestors, terms.quorum) = (new address[](2), f.quorum);
        (terms.payees, terms.milestones) = (new Payee[](2), new Milestone[](3));
        (terms.arbiter, terms.rulingWindow) = (f.arbiter, f.rulingWindow);
        for (uint256 i = 0; i < 2; ++i) {
            (terms.attestors[i], terms.payees[i]) = (f.attestors[i], f.payees[i]);
        }
        for (uint256 i = 0; i < 3; ++i) {
            terms.milestones[i] = f.milestones[i];
        }

        bytes memory before = abi.encode(terms);
        bytes memory packed = this.pack(terms);
        bytes memory got = abi.encode(packed.asSlice().unpack());

        assert(packed.length == PackedTerms.FIXED_BYTES + 2 * 20 + 2 * 22 + 3 * 16 + (f.arbiter == address(0) ? 0 : 24));
        assert(got.length == before.length);
        for (uint256 i = 32; i <= before.length; i += 32) {
            bytes32 was;
            bytes32 is_;
            assembly ("memory-safe") {
                was := mload(add(before, i))
                is_ := mload(add(got, i))
            }
            assert(was == is_);
        }
        (uint256 cap, uint256 deadline) = packed.asSlice().capAndFundingDeadline();
        assert(cap == terms.cap && deadline == terms.fundingDeadline);
    }

    function pack(Terms calldata terms) external pure returns (bytes memory) {
        return PackedTerms.pack(terms);
    }
}
