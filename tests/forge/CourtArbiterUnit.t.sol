// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "../../contracts/Campaign.sol";
import {CampaignFactory} from "../../contracts/CampaignFactory.sol";
import {CourtArbiter} from "../../contracts/arbitration/CourtArbiter.sol";
import {IArbitrator} from "../../contracts/arbitration/IArbitrator.sol";
import {ICourtArbiter} from "../../contracts/arbitration/ICourtArbiter.sol";
import {
    ICampaign,
    Milestone,
    MilestoneAttestation,
    MilestoneKind,
    Payee,
    Status,
    Terms
} from "../../contracts/interfaces/ICampaign.sol";
import {ICampaignFactory} from "../../contracts/interfaces/ICampaignFactory.sol";
import {MockCourt} from "../../contracts/test/MockCourt.sol";
import {Base, Vm} from "./Base.sol";

/// @title Every line of the arbiter that asks a court, and every way in which it refuses
/// @dev What a court or a caller could gain by it is attacked in tests/contracts/test_court_arbiter.py.
contract CourtArbiterUnit is Base {
    uint256 private constant START = 1_800_000_000;
    uint40 private constant FUNDING_DEADLINE = uint40(START + 30 days);
    uint256 private constant WINDOW = 2 days;
    uint256 private constant RULING = 7 days;
    uint256 private constant RESERVE = 3 days;
    uint256 private constant KEY = 7;
    uint256 private constant FEE = 1 ether;
    bytes32 private constant SALT = keccak256("salt");
    bytes32 private constant EVIDENCE = keccak256("manifest");

    CampaignFactory private immutable FACTORY = new CampaignFactory(address(new Campaign()));

    MockCourt private court;
    CourtArbiter private arbiter;
    Campaign private campaign;

    error UnexpectedOutcome(bytes expected, bytes actual);

    receive() external payable {}

    function setUp() external {
        vm.warp(START);
        vm.deal(address(this), 1_000 ether);
        court = new MockCourt(FEE);
        arbiter = new CourtArbiter(ICampaignFactory(FACTORY), court, hex"0102", "/ipfs/question", RESERVE);
        campaign = _create(address(arbiter));
        campaign.pledgeCoin{value: 100 ether}(address(this));
        campaign.activate();
        _attest();
    }

    function test_itSaysWhomItAsksAndWhat() external view {
        assert(address(arbiter.court()) == address(court) && address(arbiter.factory()) == address(FACTORY));
        assert(keccak256(arbiter.extraData()) == keccak256(hex"0102"));
        assert(keccak256(bytes(arbiter.metaEvidence())) == keccak256("/ipfs/question"));
        assert(arbiter.UPHELD() == 1 && arbiter.REFUSED() == 2 && arbiter.disputeFee() == FEE);
        assert(arbiter.appealReserve() == RESERVE);
    }

    function test_aCourtWithoutCodeIsRefused() external {
        bytes memory expected = abi.encodeWithSelector(ICourtArbiter.CourtArbiter_NoCourt.selector, address(1));
        _refusesToDeploy(IArbitrator(address(1)), RESERVE, expected);
    }

    function test_anAppealReserveIsWithinItsBounds() external {
        bytes4 bad = ICourtArbiter.CourtArbiter_BadAppealReserve.selector;
        _refusesToDeploy(court, 1 days - 1, abi.encodeWithSelector(bad, 1 days - 1, 1 days, 60 days));
        _refusesToDeploy(court, 60 days + 1, abi.encodeWithSelector(bad, 60 days + 1, 1 days, 60 days));
        new CourtArbiter(ICampaignFactory(FACTORY), court, "", "", 1 days);
        new CourtArbiter(ICampaignFactory(FACTORY), court, "", "", 60 days);
    }

    function test_aDisputeContestsAndReturnsTheRestOfItsFee() external {
        uint256 before = address(this).balance;
        assert(_dispute(FEE + 1) == 0);
        assert(before - address(this).balance == FEE && address(court).balance == FEE);
        assert(campaign.ledger().contested);
        (bool open, uint256 disputeId) = arbiter.disputeOf(address(campaign));
        assert(open && disputeId == 0);
    }

    function test_whatCannotBeDisputedIsRefused() external {
        _refuses(FEE, _call(address(1)), _of(ICourtArbiter.CourtArbiter_NotACampaign.selector, uint160(address(1))));
        Campaign other = _create(address(this));
        bytes memory notIts = _of(ICourtArbiter.CourtArbiter_NotItsArbiter.selector, uint160(address(this)));
        _refuses(FEE, _call(address(other)), notIts);
        _refuses(FEE - 1, _call(address(campaign)), _fee(FEE, FEE - 1));
        bytes memory empty = abi.encodePacked(ICourtArbiter.CourtArbiter_EmptyEvidence.selector);
        _refuses(FEE, abi.encodeCall(CourtArbiter.dispute, (address(campaign), SALT, 0)), empty);
        _dispute(FEE);
        _refuses(FEE, _call(address(campaign)), _of(ICourtArbiter.CourtArbiter_AlreadyDisputed.selector, 0));
    }

    function test_onlyBackersDispute() external {
        vm.deal(address(0xB0B), FEE);
        vm.prank(address(0xB0B));
        bytes memory notBacker = _of(ICourtArbiter.CourtArbiter_NotBacker.selector, uint160(address(0xB0B)));
        _refuses(FEE, _call(address(campaign)), notBacker);
    }

    function test_aNumberThatWaitsIsNotGivenOutAgain() external {
        _dispute(FEE);
        Campaign first = campaign;
        campaign = _create(address(arbiter), keccak256("other"));
        campaign.pledgeCoin{value: 100 ether}(address(this));
        campaign.activate();
        _attest();
        court.setNext(0);
        bytes memory call = abi.encodeCall(CourtArbiter.dispute, (address(campaign), keccak256("other"), EVIDENCE));
        _refuses(FEE, call, _of(ICourtArbiter.CourtArbiter_DisputeIdInUse.selector, 0));
        court.setNext(1);
        assert(arbiter.dispute{value: FEE}(address(campaign), keccak256("other"), EVIDENCE) == 1);
        court.give(1, 2);
        assert(campaign.status() == Status.Failed && first.status() == Status.Active);
    }

    function test_rulingsArePassedOn() external {
        _dispute(FEE);
        court.give(0, 1);
        assert(campaign.status() == Status.Active && !campaign.ledger().contested);
        _dispute(FEE);
        court.give(1, 2);
        assert(campaign.status() == Status.Failed && campaign.refundable(address(this)) == 100 ether);
    }

    function test_noDecisionIsAskedForAgainUntilTheEnd() external {
        _dispute(FEE);
        court.give(0, 0);
        assert(campaign.ledger().contested);
        vm.warp(START + WINDOW + RULING - 1);
        _dispute(FEE);
        court.give(1, 3);
        vm.warp(START + WINDOW + RULING);
        bytes memory late = _of(ICourtArbiter.CourtArbiter_TooLate.selector, START + WINDOW + RULING);
        _refuses(FEE, _call(address(campaign)), late);
        assert(campaign.status() == Status.Completed);
    }

    function test_aLateRulingChangesNothing() external {
        _dispute(FEE);
        vm.warp(START + WINDOW + RULING);
        court.give(0, 2);
        assert(campaign.status() == Status.Completed);
        (bool open,) = arbiter.disputeOf(address(campaign));
        assert(!open);
    }

    function test_rulingsOfOthersOrOnNothingAreRefused() external {
        _dispute(FEE);
        bytes memory call = abi.encodeCall(CourtArbiter.rule, (0, 2));
        _refuses(0, call, _of(ICourtArbiter.CourtArbiter_NotCourt.selector, uint160(address(this))));
        vm.prank(address(court));
        call = abi.encodeCall(CourtArbiter.rule, (1, 2));
        _refuses(0, call, _of(ICourtArbiter.CourtArbiter_UnknownDispute.selector, 1));
    }

    function test_aRulingWithTooLittleGasIsNotWasted() external {
        _dispute(FEE);
        bool ran = false;
        for (uint256 gasLimit = 5_000; gasLimit < 150_000; gasLimit += 20) {
            vm.prank(address(court));
            (bool success, bytes memory answer) =
                address(arbiter).call{gas: gasLimit}(abi.encodeCall(CourtArbiter.rule, (0, 2)));
            if (success) {
                break;
            }
            ran = ran || bytes4(answer) == ICourtArbiter.CourtArbiter_OutOfGas.selector;
        }
        assert(ran && campaign.status() == Status.Failed);
    }

    function test_evidenceAndAppealsBelongToADispute() external {
        bytes memory none = _of(ICourtArbiter.CourtArbiter_NoDispute.selector, uint160(address(campaign)));
        _refuses(0, abi.encodeCall(CourtArbiter.submitEvidence, (address(campaign), EVIDENCE)), none);
        _refuses(0, abi.encodeCall(CourtArbiter.appeal, (address(campaign))), none);
        _dispute(FEE);
        vm.recordLogs();
        arbiter.submitEvidence(address(campaign), EVIDENCE);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes memory path = bytes(abi.decode(logs[0].data, (string)));
        assert(logs.length == 1 && path.length == bytes("/ipfs/f01551220").length + 64);
        assert(uint256(logs[0].topics[2]) == uint160(address(campaign)));
        _refuses(FEE, abi.encodeCall(CourtArbiter.appeal, (address(campaign))), _fee(2 * FEE, FEE));
        arbiter.appeal{value: 3 * FEE}(address(campaign));
        assert(court.appeals(0) == 1 && address(court).balance == 3 * FEE && address(arbiter).balance == 0);
    }

    function test_appealsLeaveTimeForTheRulingThatFollows() external {
        _dispute(FEE);
        uint256 end = START + WINDOW + RULING - RESERVE;
        vm.warp(end - 1);
        assert(arbiter.appealFee(address(campaign)) == 2 * FEE);
        vm.warp(end);
        bytes memory late = _of(ICourtArbiter.CourtArbiter_TooLateToAppeal.selector, end);
        _refuses(2 * FEE, abi.encodeCall(CourtArbiter.appeal, (address(campaign))), late);
    }

    function test_whatHasEndedIsNeitherAppealedNorDisputedAgain() external {
        bytes32 root = keccak256("content");
        campaign.challenge{value: 1 ether}(root, 1, 0);
        _dispute(FEE);
        vm.warp(START + 1 days);
        assert(campaign.status() == Status.Failed);
        bytes memory ended = _of(ICourtArbiter.CourtArbiter_CampaignEnded.selector, uint256(Status.Failed));
        _refuses(2 * FEE, abi.encodeCall(CourtArbiter.appeal, (address(campaign))), ended);
        court.give(0, 0);
        _refuses(FEE, _call(address(campaign)), ended);
    }

    // =============================================================== helpers

    function _refusesToDeploy(IArbitrator court_, uint256 reserve, bytes memory expected) private {
        try new CourtArbiter(ICampaignFactory(FACTORY), court_, "", "", reserve) {
            assert(false);
        } catch (bytes memory answer) {
            _same(expected, answer);
        }
    }

    function _dispute(uint256 value) private returns (uint256) {
        return arbiter.dispute{value: value}(address(campaign), SALT, EVIDENCE);
    }

    function _call(address disputed) private pure returns (bytes memory) {
        return abi.encodeCall(CourtArbiter.dispute, (disputed, SALT, EVIDENCE));
    }

    function _of(bytes4 selector, uint256 value) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, value);
    }

    function _fee(uint256 min, uint256 actual) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICourtArbiter.CourtArbiter_FeeTooSmall.selector, min, actual);
    }

    function _refuses(uint256 value, bytes memory call, bytes memory expected) private {
        (bool success, bytes memory actual) = address(arbiter).call{value: value}(call);
        assert(!success);
        _same(expected, actual);
    }

    function _same(bytes memory expected, bytes memory actual) private pure {
        if (keccak256(actual) != keccak256(expected)) {
            revert UnexpectedOutcome(expected, actual);
        }
    }

    function _attest() private {
        MilestoneAttestation memory a = MilestoneAttestation({
            milestone: 0,
            kind: MilestoneKind.WEIGHTS,
            evidence: keccak256("weights"),
            parent: keccak256("proposal"),
            contentRoot: keccak256("content"),
            contentSize: 1,
            score: 0,
            expiry: uint64(START + 30 days)
        });
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, campaign.attestationDigest(a));
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = abi.encodePacked(r, s, v);
        campaign.attest(a, 1, signatures);
    }

    function _create(address named) private returns (Campaign) {
        return _create(named, SALT);
    }

    function _create(address named, bytes32 salt) private returns (Campaign) {
        Terms memory terms;
        terms.researcher = address(this);
        (terms.goal, terms.cap) = (100 ether, 150 ether);
        terms.fundingDeadline = FUNDING_DEADLINE;
        (terms.stopBps, terms.minBond) = (5_000, 1e12);
        (terms.challengeWindow, terms.answerWindow) = (uint32(WINDOW), 1 days);
        terms.proposal = keccak256("proposal");
        terms.attestors = new address[](1);
        terms.attestors[0] = vm.addr(KEY);
        terms.quorum = 1;
        terms.payees = new Payee[](1);
        terms.payees[0] = Payee({account: address(0xB001), bps: 10_000});
        terms.milestones = new Milestone[](1);
        terms.milestones[0] = Milestone(MilestoneKind.WEIGHTS, 10_000, FUNDING_DEADLINE + 30 days, 0);
        (terms.arbiter, terms.rulingWindow) = (named, uint32(RULING));
        return Campaign(FACTORY.createCampaign(terms, salt));
    }
}
