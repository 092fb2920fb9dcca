// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";

import {Milestone, MilestoneKind, Payee, Terms} from "../interfaces/ICampaign.sol";

/// @title The terms as the bytes that a campaign carries in its own code
/// @notice Every byte of code costs 200 gas at creation, so nothing is padded. Big endian, in this order:
///
///   offset  bytes  field                   offset  bytes  field
///        0     20  researcher                 103     32  proposal
///       20     20  asset                      135     32  dataset
///       40     16  goal                       167      1  quorum
///       56     16  cap                        168      1  number of attestors
///       72      5  fundingDeadline            169      1  number of payees
///       77      2  stopBps                    170      1  number of milestones
///       79      4  challengeWindow            171     20  each attestor
///       83      4  answerWindow               …     22  each payee: account 20, bps 2
///       87     12  minBond                      …     16  each milestone: kind 1, cumulative bps 2,
///       99      4  slack                                  deadline 5, minScore 8
///                                                …     24  if there is an arbiter: account 20,
///                                                          rulingWindow 4
///
/// A milestone's cumulative bps are its own and those of all before it: what is released with it as one number.
/// @dev NOT checked here: that the bytes were made by `pack`, that counts fit in a byte, that an index is below its
/// count, that terms without an arbiter have no ruling window: `pack` drops it. The factory checks the terms before it
/// packs them, and is the only author of campaigns.
library PackedTerms {
    using Memory for Memory.Slice;

    uint256 internal constant FIXED_BYTES = 171;
    uint256 internal constant ATTESTOR_BYTES = 20;
    uint256 internal constant PAYEE_BYTES = 22;
    uint256 internal constant MILESTONE_BYTES = 16;
    uint256 internal constant ARBITER_BYTES = 24;

    // ------------------------------------------------------------------ write

    function pack(Terms calldata t) internal pure returns (bytes memory packed) {
        address[] calldata attestors = t.attestors;
        Payee[] calldata payees = t.payees;
        Milestone[] calldata milestones = t.milestones;
        packed = abi.encodePacked(
            abi.encodePacked(
                t.researcher,
                t.asset,
                t.goal,
                t.cap,
                t.fundingDeadline,
                t.stopBps,
                t.challengeWindow,
                t.answerWindow,
                t.minBond,
                t.slack
            ),
            t.proposal,
            t.dataset,
            t.quorum,
            uint8(attestors.length),
            uint8(payees.length),
            uint8(milestones.length)
        );
        for (uint256 i = 0; i < attestors.length; ++i) {
            packed = abi.encodePacked(packed, attestors[i]);
        }
        for (uint256 i = 0; i < payees.length; ++i) {
            Payee calldata p = payees[i];
            packed = abi.encodePacked(packed, p.account, p.bps);
        }
        uint16 sumBps = 0;
        for (uint256 i = 0; i < milestones.length; ++i) {
            Milestone calldata m = milestones[i];
            sumBps += m.bps;
            packed = abi.encodePacked(packed, uint8(m.kind), sumBps, m.deadline, m.minScore);
        }
        if (t.arbiter != address(0)) {
            packed = abi.encodePacked(packed, t.arbiter, t.rulingWindow);
        }
    }

    // ------------------------------------------------------------------- read

    function unpack(Memory.Slice self) internal pure returns (Terms memory t) {
        t.researcher = researcher(self);
        t.asset = asset(self);
        t.goal = uint128(goal(self));
        t.cap = uint128(cap(self));
        t.fundingDeadline = uint40(fundingDeadline(self));
        t.stopBps = uint16(stopBps(self));
        t.challengeWindow = uint32(challengeWindow(self));
        t.answerWindow = uint32(answerWindow(self));
        t.minBond = uint96(minBond(self));
        t.slack = uint32(slack(self));
        t.proposal = proposal(self);
        t.dataset = dataset(self);
        t.quorum = uint8(quorum(self));
        t.attestors = new address[](attestorCount(self));
        for (uint256 i = 0; i < t.attestors.length; ++i) {
            t.attestors[i] = attestor(self, i);
        }
        t.payees = new Payee[](payeeCount(self));
        for (uint256 i = 0; i < t.payees.length; ++i) {
            t.payees[i] = Payee({account: payeeAccount(self, i), bps: uint16(payeeBps(self, i))});
        }
        t.milestones = new Milestone[](milestoneCount(self));
        for (uint256 i = 0; i < t.milestones.length; ++i) {
            t.milestones[i] = milestone(self, i);
        }
        for (uint256 i = t.milestones.length - 1; i > 0; --i) {
            t.milestones[i].bps -= t.milestones[i - 1].bps;
        }
        t.arbiter = arbiter(self);
        t.rulingWindow = uint32(rulingWindow(self));
    }

    function researcher(Memory.Slice self) internal pure returns (address) {
        return address(bytes20(self.load(0)));
    }

    function asset(Memory.Slice self) internal pure returns (address) {
        return address(bytes20(self.load(20)));
    }

    function goal(Memory.Slice self) internal pure returns (uint256) {
        return uint128(bytes16(self.load(40)));
    }

    function cap(Memory.Slice self) internal pure returns (uint256) {
        return uint128(bytes16(self.load(56)));
    }

    function fundingDeadline(Memory.Slice self) internal pure returns (uint256) {
        return uint40(bytes5(self.load(72)));
    }

    /// @dev What every pledge needs, from one word.
    function capAndFundingDeadline(Memory.Slice self) internal pure returns (uint256, uint256) {
        bytes32 word = self.load(56);
        return (uint128(bytes16(word)), uint40(bytes5(word << 128)));
    }

    function stopBps(Memory.Slice self) internal pure returns (uint256) {
        return uint16(bytes2(self.load(77)));
    }

    function challengeWindow(Memory.Slice self) internal pure returns (uint256) {
        return uint32(bytes4(self.load(79)));
    }

    function answerWindow(Memory.Slice self) internal pure returns (uint256) {
        return uint32(bytes4(self.load(83)));
    }

    function minBond(Memory.Slice self) internal pure returns (uint256) {
        return uint96(bytes12(self.load(87)));
    }

    function slack(Memory.Slice self) internal pure returns (uint256) {
        return uint32(bytes4(self.load(99)));
    }

    function proposal(Memory.Slice self) internal pure returns (bytes32) {
        return self.load(103);
    }

    function dataset(Memory.Slice self) internal pure returns (bytes32) {
        return self.load(135);
    }

    function quorum(Memory.Slice self) internal pure returns (uint256) {
        return uint8(bytes1(self.load(167)));
    }

    function attestorCount(Memory.Slice self) internal pure returns (uint256) {
        return uint8(bytes1(self.load(168)));
    }

    function payeeCount(Memory.Slice self) internal pure returns (uint256) {
        return uint8(bytes1(self.load(169)));
    }

    function milestoneCount(Memory.Slice self) internal pure returns (uint256) {
        return uint8(bytes1(self.load(170)));
    }

    function attestor(Memory.Slice self, uint256 index) internal pure returns (address) {
        return address(bytes20(self.load(FIXED_BYTES + ATTESTOR_BYTES * index)));
    }

    function payeeAccount(Memory.Slice self, uint256 index) internal pure returns (address) {
        return address(bytes20(self.load(_payeeOffset(self, index))));
    }

    function payeeBps(Memory.Slice self, uint256 index) internal pure returns (uint256) {
        return uint16(bytes2(self.load(_payeeOffset(self, index) + 20)));
    }

    function cumulativeBps(Memory.Slice self, uint256 index) internal pure returns (uint256) {
        return uint16(bytes2(self.load(_milestoneOffset(self, index) + 1)));
    }

    function milestoneDeadline(Memory.Slice self, uint256 index) internal pure returns (uint256) {
        return uint40(bytes5(self.load(_milestoneOffset(self, index) + 3)));
    }

    /// @dev `bps` is cumulative here.
    function milestone(Memory.Slice self, uint256 index) internal pure returns (Milestone memory) {
        bytes32 word = self.load(_milestoneOffset(self, index));
        return Milestone({
            kind: MilestoneKind(uint8(word[0])),
            bps: uint16(bytes2(word << 8)),
            deadline: uint40(bytes5(word << 24)),
            minScore: int64(uint64(bytes8(word << 64)))
        });
    }

    /// @return the zero address if the terms name none
    function arbiter(Memory.Slice self) internal pure returns (address) {
        return address(bytes20(_tail(self)));
    }

    /// @return seconds, 0 if the terms name no arbiter
    function rulingWindow(Memory.Slice self) internal pure returns (uint256) {
        return uint32(bytes4(_tail(self) << 160));
    }

    /// @return what stands behind the milestones, zero if nothing does
    function _tail(Memory.Slice self) private pure returns (bytes32) {
        uint256 offset = _milestoneOffset(self, milestoneCount(self));
        return self.length() == offset ? bytes32(0) : self.load(offset);
    }

    function _payeeOffset(Memory.Slice self, uint256 index) private pure returns (uint256) {
        return FIXED_BYTES + ATTESTOR_BYTES * attestorCount(self) + PAYEE_BYTES * index;
    }

    function _milestoneOffset(Memory.Slice self, uint256 index) private pure returns (uint256) {
        bytes32 counts = self.load(168);
        return
            FIXED_BYTES + ATTESTOR_BYTES * uint8(counts[0]) + PAYEE_BYTES * uint8(counts[1]) + MILESTONE_BYTES * index;
    }
}
