// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {Campaign} from "../../contracts/Campaign.sol";
import {CampaignFactory} from "../../contracts/CampaignFactory.sol";
import {Milestone, MilestoneKind, Payee, Terms} from "../../contracts/interfaces/ICampaign.sol";
import {ICampaignFactory as Factory} from "../../contracts/interfaces/ICampaignFactory.sol";
import {LookAlikeFactory} from "../../contracts/test/Accounts.sol";
import {Base, Vm} from "./Base.sol";

/// @title Which terms the factory accepts and which it refuses, on both sides of each boundary
contract CampaignFactoryUnit is Base {
    uint256 private constant START = 1_800_000_000;
    uint40 private constant FUNDING_DEADLINE = uint40(START + 30 days);
    uint256 private constant GAP = 3 days;

    CampaignFactory private immutable FACTORY = new CampaignFactory(address(new Campaign()));

    error UnexpectedOutcome(bytes expected, bytes actual);

    function setUp() external {
        vm.warp(START);
    }

    function test_termsComeBackAsTheyWereGiven() external {
        Terms memory terms = _terms();
        address predicted = FACTORY.predictCampaign(terms, "salt");
        assert(!FACTORY.isCampaign(predicted, "salt"));
        vm.recordLogs();
        address campaign = FACTORY.createCampaign(terms, "salt");
        emit Factory.CampaignCreated(
            campaign, terms.researcher, terms.proposal, Clones.fetchCloneArgs(campaign), "salt"
        );
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assert(logs.length == 2 && logs[0].emitter == address(FACTORY));
        assert(keccak256(abi.encode(logs[0].topics)) == keccak256(abi.encode(logs[1].topics)));
        assert(keccak256(logs[0].data) == keccak256(logs[1].data));
        assert(campaign == predicted);
        assert(keccak256(abi.encode(Campaign(campaign).terms())) == keccak256(abi.encode(terms)));
        assert(FACTORY.isCampaign(campaign, "salt"));
        assert(!FACTORY.isCampaign(campaign, "pepper"));
    }

    function test_aLookAlikeIsNoCampaign() external {
        Terms memory terms = _terms();
        address campaign = FACTORY.createCampaign(terms, "salt");
        LookAlikeFactory other = new LookAlikeFactory();
        other.make(campaign.code);
        address twin = address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(other), hex"01")))));
        assert(keccak256(twin.code) == keccak256(campaign.code));
        assert(!FACTORY.isCampaign(twin, "salt"));
        // Code too short for any terms, code too long, no code.
        assert(!FACTORY.isCampaign(address(FACTORY), "salt"));
        assert(!FACTORY.isCampaign(address(other), "salt"));
        assert(!FACTORY.isCampaign(address(0xdead), "salt"));
    }

    function test_theLargestCampaignIsOne() external {
        Terms memory terms = _terms();
        (terms.attestors, terms.payees, terms.milestones) = (_addresses(16), new Payee[](8), new Milestone[](16));
        for (uint256 i = 0; i < 8; ++i) {
            terms.payees[i] = Payee({account: address(uint160(0xB000 + i)), bps: 1_250});
        }
        for (uint256 i = 0; i < 16; ++i) {
            terms.milestones[i] =
                _milestone(i < 15 ? MilestoneKind.CHECKPOINT : MilestoneKind.WEIGHTS, i, i < 15 ? 500 : 2_500);
        }
        (terms.arbiter, terms.rulingWindow) = (address(0xA4B1), 90 days);
        address campaign = FACTORY.createCampaign(terms, "large");
        assert(FACTORY.isCampaign(campaign, "large"));
        assert(keccak256(abi.encode(Campaign(campaign).terms())) == keccak256(abi.encode(terms)));
    }

    function test_onlyTheResearcherOpensItsCampaign() external {
        Terms memory terms = _terms();
        terms.researcher = address(0xdead);
        _refuses(
            terms,
            abi.encodeWithSelector(Factory.CampaignFactory_NotResearcher.selector, address(this), address(0xdead))
        );
    }

    function test_theAssetIsCoinOrAContract() external {
        Terms memory terms = _terms();
        terms.asset = address(0xdead);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_AssetWithoutCode.selector, address(0xdead)));
        terms.asset = address(FACTORY);
        _accepts(terms);
    }

    function test_aProposalIsNeeded() external {
        Terms memory terms = _terms();
        terms.proposal = 0;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_ZeroProposal.selector));
    }

    function test_theGoalIsPositiveAndNoMoreThanTheCap() external {
        Terms memory terms = _terms();
        terms.goal = 0;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_BadGoal.selector, 0, terms.cap));
        terms.goal = terms.cap + 1;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_BadGoal.selector, terms.goal, terms.cap));
        terms.goal = terms.cap;
        _accepts(terms);
    }

    function test_theStopVoteNeedsAThirdToFourFifths() external {
        Terms memory terms = _terms();
        terms.stopBps = uint16(3_300 - 1);
        _refuses(
            terms, abi.encodeWithSelector(Factory.CampaignFactory_BadStopBps.selector, terms.stopBps, 3_300, 8_000)
        );
        terms.stopBps = uint16(3_300);
        _accepts(terms);
        terms.stopBps = uint16(8_000);
        _accepts(terms);
        terms.stopBps = uint16(8_000 + 1);
        _refuses(
            terms, abi.encodeWithSelector(Factory.CampaignFactory_BadStopBps.selector, terms.stopBps, 3_300, 8_000)
        );
    }

    function test_fundingEndsInTheNextTwoYears() external {
        Terms memory terms = _terms();
        terms.fundingDeadline = uint40(START);
        terms.milestones[0].deadline = uint40(START + 740 days);
        terms.milestones[1].deadline = uint40(START + 750 days);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_BadFundingDeadline.selector, terms.fundingDeadline, START + 1, START + 730 days
            )
        );
        terms.fundingDeadline = uint40(START + 1);
        terms.milestones[0].deadline = uint40(START + 740 days);
        terms.milestones[1].deadline = uint40(START + 750 days);
        _accepts(terms);
        terms.fundingDeadline = uint40(START + 730 days);
        terms.milestones[0].deadline = uint40(START + 740 days);
        terms.milestones[1].deadline = uint40(START + 750 days);
        _accepts(terms);
        terms.fundingDeadline = uint40(START + 730 days + 1);
        terms.milestones[0].deadline = uint40(START + 740 days);
        terms.milestones[1].deadline = uint40(START + 750 days);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_BadFundingDeadline.selector, terms.fundingDeadline, START + 1, START + 730 days
            )
        );
    }

    function test_theChallengeWindowIsTwoToNinetyDays() external {
        Terms memory terms = _terms();
        terms.milestones[0].deadline += 200 days;
        terms.milestones[1].deadline += 400 days;
        terms.challengeWindow = uint32(2 days - 1);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_BadChallengeWindow.selector, terms.challengeWindow, 2 days, 90 days
            )
        );
        terms.challengeWindow = uint32(2 days);
        _accepts(terms);
        terms.challengeWindow = uint32(90 days);
        _accepts(terms);
        terms.challengeWindow = uint32(90 days + 1);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_BadChallengeWindow.selector, terms.challengeWindow, 2 days, 90 days
            )
        );
    }

    function test_theAnswerWindowIsOneToThirtyDays() external {
        Terms memory terms = _terms();
        terms.milestones[0].deadline += 200 days;
        terms.milestones[1].deadline += 400 days;
        terms.answerWindow = uint32(1 days - 1);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_BadAnswerWindow.selector, terms.answerWindow, 1 days, 30 days
            )
        );
        terms.answerWindow = uint32(1 days);
        _accepts(terms);
        terms.answerWindow = uint32(30 days);
        _accepts(terms);
        terms.answerWindow = uint32(30 days + 1);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_BadAnswerWindow.selector, terms.answerWindow, 1 days, 30 days
            )
        );
    }

    function test_theLeastBondCostsSomething() external {
        Terms memory terms = _terms();
        terms.minBond = 1e12 - 1;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_BondTooSmall.selector, 1e12 - 1, 1e12));
        terms.minBond = 1e12;
        _accepts(terms);
        terms.minBond = type(uint96).max;
        _accepts(terms);
    }

    function test_anArbiterHasAWeekToNinetyDaysAndNobodyHasNone() external {
        Terms memory terms = _terms();
        terms.rulingWindow = 1;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_BadRulingWindow.selector, 1, 0, 0));
        terms.arbiter = address(0xA4B1);
        uint32[2] memory wrong = [uint32(7 days - 1), uint32(90 days + 1)];
        uint32[2] memory right = [uint32(7 days), uint32(90 days)];
        for (uint256 i = 0; i < 2; ++i) {
            terms.rulingWindow = wrong[i];
            _refuses(
                terms,
                abi.encodeWithSelector(Factory.CampaignFactory_BadRulingWindow.selector, wrong[i], 7 days, 90 days)
            );
            terms.rulingWindow = right[i];
            _accepts(terms);
        }
    }

    function test_onlyTermsWithAnArbiterHaveItsBytes() external {
        Terms memory terms = _terms();
        uint256 length = FACTORY.createCampaign(terms, "nobody").code.length;
        assert(length == 45 + 171 + 3 * 20 + 2 * 22 + 2 * 16);
        (terms.arbiter, terms.rulingWindow) = (address(0xA4B1), 7 days);
        assert(FACTORY.createCampaign(terms, "somebody").code.length == length + 24);
    }

    function test_slackIsAYearAtMost() external {
        Terms memory terms = _terms();
        terms.slack = 365 days;
        _accepts(terms);
        terms.slack = 365 days + 1;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_SlackTooLong.selector, 365 days + 1, 365 days));
    }

    function test_attestorsAreOneToSixteenDistinctAccounts() external {
        Terms memory terms = _terms();
        terms.attestors = _addresses(0);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_NoAttestor.selector));
        terms.attestors = _addresses(17);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_TooManyAttestors.selector, 17, 16));
        terms.attestors = _addresses(3);
        terms.attestors[1] = address(0);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_ZeroAttestor.selector, 1));
        terms.attestors[1] = terms.attestors[0];
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_DuplicateAttestor.selector, terms.attestors[0]));
        terms.attestors[1] = address(0xdead);
        _accepts(terms);
        terms.attestors[2] = terms.attestors[1];
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_DuplicateAttestor.selector, terms.attestors[1]));
    }

    function test_theQuorumIsOneToAllAttestors() external {
        Terms memory terms = _terms();
        terms.quorum = 0;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_BadQuorum.selector, 0, 3));
        terms.quorum = 4;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_BadQuorum.selector, 4, 3));
        terms.quorum = 3;
        _accepts(terms);
        terms.quorum = 1;
        _accepts(terms);
    }

    function test_payeesAreOneToEightWithSharesThatSumToTheWhole() external {
        Terms memory terms = _terms();
        terms.payees = new Payee[](0);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_NoPayee.selector));
        terms.payees = new Payee[](9);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_TooManyPayees.selector, 9, 8));
        terms = _terms();
        terms.payees[1].account = address(0);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_ZeroPayee.selector, 1));
        terms = _terms();
        terms.payees[0].bps = 0;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_ZeroPayeeBps.selector, 0));
        terms.payees[0].bps = 5_999;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_PayeeBpsNotWhole.selector, 9_999));
        terms.payees[0].bps = 6_001;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_PayeeBpsNotWhole.selector, 10_001));
    }

    function test_milestonesAreOneToSixteenWithSharesThatSumToTheWhole() external {
        Terms memory terms = _terms();
        terms.milestones = new Milestone[](0);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_NoMilestone.selector));
        terms.milestones = new Milestone[](17);
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_TooManyMilestones.selector, 17, 16));
        terms = _terms();
        terms.milestones[0].bps = 0;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_ZeroMilestoneBps.selector, 0));
        terms.milestones[0].bps = 7_499;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_MilestoneBpsNotWhole.selector, 9_999));
        terms.milestones[0].bps = 7_501;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_MilestoneBpsNotWhole.selector, 10_001));
    }

    function test_kindsRiseToOneWeightsAtTheEnd() external {
        Terms memory terms = _terms();
        terms.milestones[0].kind = MilestoneKind.WEIGHTS;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_KindOrder.selector, 0, MilestoneKind.WEIGHTS));
        terms.milestones[0].kind = MilestoneKind.CHECKPOINT;
        _accepts(terms);
        terms.milestones[1].kind = MilestoneKind.DATASET;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_KindOrder.selector, 1, MilestoneKind.DATASET));
        terms.milestones[1].kind = MilestoneKind.CHECKPOINT;
        _refuses(
            terms, abi.encodeWithSelector(Factory.CampaignFactory_LastNotWeights.selector, MilestoneKind.CHECKPOINT)
        );
    }

    function test_weightsReleaseAtLeastAQuarter() external {
        Terms memory terms = _terms();
        terms.milestones[0].bps = 7_501;
        terms.milestones[1].bps = 2_499;
        _refuses(terms, abi.encodeWithSelector(Factory.CampaignFactory_WeightsBpsTooSmall.selector, 2_499, 2_500));
    }

    function test_deadlinesLeaveRoomForWindowAndAnswer() external {
        Terms memory terms = _terms();
        terms.milestones[0].deadline = uint40(FUNDING_DEADLINE + GAP - 1);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_DeadlineTooEarly.selector, 0, FUNDING_DEADLINE + GAP - 1, FUNDING_DEADLINE + GAP
            )
        );
        terms.milestones[0].deadline = uint40(FUNDING_DEADLINE + GAP);
        _accepts(terms);
        terms.milestones[1].deadline = uint40(FUNDING_DEADLINE + 2 * GAP - 1);
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_DeadlineTooEarly.selector,
                1,
                FUNDING_DEADLINE + 2 * GAP - 1,
                FUNDING_DEADLINE + 2 * GAP
            )
        );
        terms.milestones[1].deadline = uint40(FUNDING_DEADLINE + 2 * GAP);
        _accepts(terms);
    }

    function test_aCampaignIsOverInTenYears() external {
        Terms memory terms = _terms();
        terms.milestones[1].deadline = uint40(START + 3_650 days);
        _accepts(terms);
        terms.milestones[1].deadline += 1;
        _refuses(
            terms,
            abi.encodeWithSelector(
                Factory.CampaignFactory_DeadlineTooLate.selector, START + 3_650 days + 1, START + 3_650 days
            )
        );
    }

    function test_theSameTermsAndSaltFitOnlyOnce() external {
        Terms memory terms = _terms();
        FACTORY.createCampaign(terms, "salt");
        bytes memory again = abi.encodeCall(Factory.createCampaign, (terms, "salt"));
        (bool success,) = address(FACTORY).call{gas: 5_000_000}(again);
        assert(!success);
        FACTORY.createCampaign(terms, "pepper");
    }

    function _refuses(Terms memory terms, bytes memory expected) private {
        (bool success, bytes memory actual) =
            address(FACTORY).call(abi.encodeCall(Factory.createCampaign, (terms, "refused")));
        if (success || keccak256(actual) != keccak256(expected)) {
            revert UnexpectedOutcome(expected, actual);
        }
    }

    function _accepts(Terms memory terms) private {
        Campaign campaign = Campaign(FACTORY.createCampaign(terms, "accepted"));
        assert(keccak256(abi.encode(campaign.terms())) == keccak256(abi.encode(terms)));
    }

    function _terms() private view returns (Terms memory terms) {
        terms.researcher = address(this);
        (terms.goal, terms.cap) = (100 ether, 150 ether);
        terms.fundingDeadline = FUNDING_DEADLINE;
        terms.stopBps = 5_000;
        (terms.challengeWindow, terms.answerWindow) = (2 days, 1 days);
        (terms.minBond, terms.slack) = (1e12, 7 days);
        (terms.proposal, terms.dataset) = (keccak256("proposal"), keccak256("dataset"));
        (terms.attestors, terms.quorum) = (_addresses(3), 2);
        terms.payees = new Payee[](2);
        terms.payees[0] = Payee({account: address(0xB001), bps: 6_000});
        terms.payees[1] = Payee({account: address(0xB002), bps: 4_000});
        terms.milestones = new Milestone[](2);
        terms.milestones[0] = _milestone(MilestoneKind.DATASET, 0, 7_500);
        terms.milestones[1] = _milestone(MilestoneKind.WEIGHTS, 1, 2_500);
    }

    function _milestone(MilestoneKind kind, uint256 index, uint16 bps) private pure returns (Milestone memory) {
        uint40 deadline = FUNDING_DEADLINE + uint40((index + 1) * 30 days);
        return Milestone({kind: kind, bps: bps, deadline: deadline, minScore: -int64(uint64(index)) - 1});
    }

    function _addresses(uint256 count) private pure returns (address[] memory addresses) {
        addresses = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            addresses[i] = address(uint160(0xA000 + i));
        }
    }
}
