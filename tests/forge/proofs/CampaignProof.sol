// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "../../../contracts/Campaign.sol";
import {CampaignFactory} from "../../../contracts/CampaignFactory.sol";
import {Milestone, MilestoneKind, Payee, Terms} from "../../../contracts/interfaces/ICampaign.sol";

import {Proof} from "./Proof.sol";

/// @dev A campaign from the real factory, for proofs that change one part of its terms or state.
abstract contract CampaignProof is Proof {
    uint256 internal constant CREATED = 1_800_000_000;
    uint40 internal constant FUNDING_DEADLINE = uint40(CREATED + 10 days);
    uint32 internal constant CHALLENGE_WINDOW = 2 days;
    uint32 internal constant ANSWER_WINDOW = 1 days;
    bytes32 private constant LEDGER_SLOT = 0;
    uint8 private constant ACTIVE = 1;
    uint8 private constant STOPPED = 2;

    CampaignFactory internal factory;

    function setUp() external {
        factory = new CampaignFactory(address(new Campaign()));
    }

    /// @dev Terms that the factory accepts as they are: one attestor, one payee, `milestones` of equal shares.
    function _terms(uint256 milestones) internal view returns (Terms memory terms) {
        terms.researcher = address(this);
        (terms.goal, terms.cap) = (1, type(uint128).max);
        terms.fundingDeadline = FUNDING_DEADLINE;
        (terms.stopBps, terms.minBond) = (5_000, 1e12);
        (terms.challengeWindow, terms.answerWindow) = (CHALLENGE_WINDOW, ANSWER_WINDOW);
        terms.proposal = bytes32(uint256(1));
        terms.attestors = new address[](1);
        terms.attestors[0] = address(0xA77E5701);
        terms.quorum = 1;
        terms.payees = new Payee[](1);
        terms.payees[0] = Payee({account: address(0xBEEF), bps: 10_000});
        terms.milestones = new Milestone[](milestones);
        for (uint256 i = 0; i < milestones; ++i) {
            terms.milestones[i] = Milestone({
                kind: i + 1 == milestones ? MilestoneKind.WEIGHTS : MilestoneKind.CHECKPOINT,
                bps: uint16(10_000 / milestones),
                deadline: uint40(FUNDING_DEADLINE + (i + 1) * 30 days),
                minScore: 0
            });
        }
        terms.milestones[milestones - 1].bps += uint16(10_000 % milestones);
    }

    function _create(Terms memory terms) internal returns (Campaign) {
        vm.warp(CREATED);
        return Campaign(factory.createCampaign(terms, bytes32(0)));
    }

    /// @dev One path of the proof for each number up to `max`, so that loops have an end.
    function _upTo(uint256 max, uint256 symbol) internal pure returns (uint256) {
        for (uint256 number = 0; number <= max; ++number) {
            if (number == symbol) {
                return number;
            }
        }
        revert("out of range");
    }

    /// @dev Put the ledger into a state that takes many calls to reach: `attested` milestones, the latest at the last
    /// second before its deadline, and past its window. What was pledged stays what it is.
    function _attested(Campaign campaign, Terms memory terms, uint256 attested, bool stopped) internal {
        uint40 when = attested == 0 ? 0 : terms.milestones[attested - 1].deadline - 1;
        bytes32 pledged = vm.load(address(campaign), LEDGER_SLOT);
        // Joined byte by byte, so that halmos sees which parts of the word are numbers.
        bytes memory word = abi.encodePacked(
            stopped ? ACTIVE | STOPPED : ACTIVE, uint8(attested), uint32(0), uint40(0), when, uint128(uint256(pledged))
        );
        vm.store(address(campaign), LEDGER_SLOT, bytes32(word));
        vm.warp((attested == 0 ? FUNDING_DEADLINE : when) + CHALLENGE_WINDOW);
    }
}
