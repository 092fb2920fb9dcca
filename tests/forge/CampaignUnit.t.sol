// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {Campaign} from "../../contracts/Campaign.sol";
import {CampaignFactory} from "../../contracts/CampaignFactory.sol";
import {
    Challenge,
    ICampaign,
    Milestone,
    MilestoneAttestation,
    MilestoneKind,
    Payee,
    Status,
    Terms
} from "../../contracts/interfaces/ICampaign.sol";
import {Wallet} from "../../contracts/test/Accounts.sol";
import {DevToken} from "../../contracts/test/DevToken.sol";
import {Base, Vm} from "./Base.sol";
import {MerkleContent} from "./MerkleContent.sol";

/// @title What random calls seldom reach: getters, permits, the first and last unit and second of each bound, and
/// attestations and answers that are wrong in one thing only
contract CampaignUnit is Base {
    uint256 private constant START = 1_800_000_000;
    uint40 private constant FUNDING_DEADLINE = uint40(START + 30 days);
    uint256 private constant KEY = 7;
    bytes32 private constant ROOT = keccak256("content");
    uint256 private constant BOND = 1e12;
    uint32 private constant RULING_WINDOW = 30 days;
    address private constant ARBITER = address(0xA4B1);
    /// @dev Two whole chunks and one of a single byte.
    uint64 private constant SIZE = 2 * 16_384 + 1;
    /// @dev Of the terms in a clone's code; see `PackedTerms`.
    uint256 private constant MILESTONE_BYTES = 16;

    CampaignFactory private immutable FACTORY = new CampaignFactory(address(new Campaign()));
    DevToken private immutable TOKEN = new DevToken("Dollar", "USD", 6);

    Campaign private campaign;

    error UnexpectedOutcome(bytes expected, bytes actual);

    function setUp() external {
        vm.warp(START);
        vm.deal(address(this), 1_000 ether);
        campaign = _create(address(0), address(0));
        campaign.pledgeCoin{value: 100 ether}(address(this));
        campaign.activate();
    }

    function test_theImplementationItselfRefuses() external {
        Campaign implementation = Campaign(FACTORY.implementation());
        (bool success, bytes memory answer) = address(implementation).call(abi.encodeCall(Campaign.terms, ()));
        assert(!success && bytes4(answer) == ICampaign.Campaign_NotAClone.selector);
    }

    function test_theDomainIsDescribed() external view {
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        ) = campaign.eip712Domain();
        assert(fields == 0x0f && salt == 0 && extensions.length == 0);
        assert(keccak256(bytes(name)) == keccak256("LlamaFund Campaign"));
        assert(keccak256(bytes(version)) == keccak256("1"));
        assert(chainId == block.chainid && verifyingContract == address(campaign));
    }

    function test_deadlinesAreThoseOfTheTermsAndTheSlack() external {
        assert(campaign.deadlineOf(1) == FUNDING_DEADLINE + 60 days);
        campaign.extendDeadlines(1 days);
        assert(campaign.deadlineOf(0) == FUNDING_DEADLINE + 31 days);
        assert(campaign.deadlineOf(1) == FUNDING_DEADLINE + 61 days);
        _refuses(0, abi.encodeCall(Campaign.deadlineOf, (2)), _error(ICampaign.Campaign_WrongMilestone.selector, 1, 2));
        _refuses(
            0, abi.encodeCall(Campaign.extendDeadlines, (0)), abi.encodePacked(ICampaign.Campaign_ZeroAmount.selector)
        );
    }

    function test_onlyTheResearcherPostsUpdates() external {
        campaign.postUpdate(ROOT);
        vm.prank(address(0xdead));
        _refuses(
            0,
            abi.encodeCall(Campaign.postUpdate, (ROOT)),
            abi.encodeWithSelector(ICampaign.Campaign_NotResearcher.selector, address(0xdead))
        );
    }

    function test_onlyThePayeeClaims() external {
        bytes memory expected = abi.encodeWithSelector(ICampaign.Campaign_NotPayee.selector, address(this), 0);
        _refuses(0, abi.encodeCall(Campaign.claim, (0, address(this))), expected);
        expected = abi.encodeWithSelector(ICampaign.Campaign_NotPayee.selector, address(this), 2);
        _refuses(0, abi.encodeCall(Campaign.claim, (2, address(this))), expected);
        _refuses(0, abi.encodeCall(Campaign.claimable, (2)), expected);
    }

    function test_coinAndTokenAreNotMistaken() external {
        bytes memory noCoin = abi.encodeWithSelector(ICampaign.Campaign_WrongAsset.selector, address(TOKEN));
        bytes memory noToken = abi.encodeWithSelector(ICampaign.Campaign_WrongAsset.selector, address(0));
        bytes memory permit = abi.encodeCall(Campaign.pledgeTokenWithPermit, (address(this), 1, START, 27, 0, 0));
        _refuses(0, abi.encodeCall(Campaign.pledgeToken, (address(this), 1)), noToken);
        _refuses(0, permit, noToken);
        campaign = _create(address(TOKEN), address(0));
        _refuses(1, abi.encodeCall(Campaign.pledgeCoin, (address(this))), noCoin);
    }

    function test_aPermitThatFailsIsForgivenWhereTheAllowanceSuffices() external {
        campaign = _create(address(TOKEN), address(0));
        TOKEN.mint(address(this), 5);
        TOKEN.approve(address(campaign), 5);
        campaign.pledgeTokenWithPermit(address(this), 5, START, 27, 0, 0);
        assert(campaign.pledgeOf(address(this)) == 5);
    }

    function test_anAttestationIsRightInEverything() external {
        MilestoneAttestation memory a = _attestation();
        a.milestone = 1;
        _refusesToAttest(a, 1, _sign(a), _error(ICampaign.Campaign_WrongMilestone.selector, 0, 1));
        a = _attestation();
        a.kind = MilestoneKind.CHECKPOINT;
        _refusesToAttest(a, 1, _sign(a), _error(ICampaign.Campaign_WrongKind.selector, 0, 1));
        a = _attestation();
        a.expiry = uint64(START);
        _refusesToAttest(a, 1, _sign(a), abi.encodeWithSelector(ICampaign.Campaign_AttestationExpired.selector, START));
        a = _attestation();
        a.parent = ROOT;
        bytes32 proposal = keccak256("proposal");
        _refusesToAttest(
            a, 1, _sign(a), abi.encodeWithSelector(ICampaign.Campaign_WrongParent.selector, proposal, ROOT)
        );
        a = _attestation();
        a.evidence = ROOT;
        bytes32 dataset = keccak256("dataset");
        _refusesToAttest(
            a, 1, _sign(a), abi.encodeWithSelector(ICampaign.Campaign_WrongDataset.selector, dataset, ROOT)
        );
        a = _attestation();
        a.score = -1;
        _refusesToAttest(a, 1, _sign(a), abi.encodeWithSelector(ICampaign.Campaign_ScoreTooLow.selector, 0, -1));
        a = _attestation();
        a.contentRoot = 0;
        _refusesToAttest(a, 1, _sign(a), _error(ICampaign.Campaign_BadContent.selector, 0, 1));
        a = _attestation();
        a.contentSize = 0;
        _refusesToAttest(a, 1, _sign(a), abi.encodeWithSelector(ICampaign.Campaign_BadContent.selector, ROOT, 0));
        a = _attestation();
        _refusesToAttest(a, 4, _sign(a), abi.encodeWithSelector(ICampaign.Campaign_UnknownSigner.selector, 4));
        _refusesToAttest(a, 3, _sign(a), _error(ICampaign.Campaign_QuorumNotMet.selector, 1, 1));
        _refusesToAttest(a, 0, new bytes[](0), _error(ICampaign.Campaign_QuorumNotMet.selector, 1, 0));
        _attest(a);
    }

    function test_weightsAreNeitherEmptyNorWithoutEvidence() external {
        _attest(_attestation());
        vm.warp(START + 3 days);
        MilestoneAttestation memory a = _attestation();
        (a.milestone, a.kind, a.parent, a.evidence) = (1, MilestoneKind.WEIGHTS, a.evidence, 0);
        _refusesToAttest(a, 1, _sign(a), abi.encodePacked(ICampaign.Campaign_EmptyEvidence.selector));
        (a.evidence, a.contentRoot, a.contentSize) = (ROOT, 0, 0);
        _refusesToAttest(a, 1, _sign(a), _error(ICampaign.Campaign_BadContent.selector, 0, 0));
    }

    function test_aWalletSignsByItsAnswer() external {
        MilestoneAttestation memory a = _attestation();
        Wallet wallet = Wallet(payable(campaign.terms().attestors[1]));
        bytes memory expected = abi.encodeWithSelector(ICampaign.Campaign_BadSignature.selector, address(wallet));
        Wallet.Mood[6] memory refusals = [
            Wallet.Mood.NoToEverything,
            Wallet.Mood.ReturnShort,
            Wallet.Mood.ReturnTrue,
            Wallet.Mood.Revert,
            Wallet.Mood.BurnGas,
            Wallet.Mood.Honest
        ];
        for (uint256 i = 0; i < refusals.length; ++i) {
            wallet.setMood(refusals[i]);
            _refusesToAttest(a, 2, new bytes[](1), expected);
        }
        wallet.setMood(Wallet.Mood.YesToEverything);
        campaign.attest(a, 2, new bytes[](1));
        assert(campaign.latestEvidence() == a.evidence);
    }

    function test_aBondFitsItsField() external {
        _attest(_attestation());
        vm.deal(address(this), 2 ** 97);
        _refuses(
            2 ** 96,
            abi.encodeCall(Campaign.challenge, (ROOT, 1, 0)),
            _error(ICampaign.Campaign_BondTooLarge.selector, 2 ** 96 - 1, 2 ** 96)
        );
        campaign.challenge{value: 2 ** 96 - 1}(ROOT, 1, 0);
        Challenge memory open = campaign.openChallenge(0);
        assert(open.chunk == 0 && open.openedAt == START && open.challenger == address(this));
        assert(open.bond == 2 ** 96 - 1);
        _refuses(
            0,
            abi.encodeCall(Campaign.openChallenge, (1)),
            abi.encodePacked(ICampaign.Campaign_NoChallengeOpen.selector)
        );
    }

    function test_recipientsAreNeitherZeroNorTheCampaign() external {
        Campaign first = campaign;
        campaign = _create(address(TOKEN), address(0));
        _refusesRecipients(abi.encodeCall(Campaign.pledgeToken, (address(0), 1)), 0);
        _refusesRecipients(abi.encodeCall(Campaign.unpledge, (1, address(0))), 1);
        campaign = first;
        _refusesRecipients(abi.encodeCall(Campaign.refundTo, (address(0))), 0);
        vm.startPrank(address(0xB001));
        _refusesRecipients(abi.encodeCall(Campaign.claim, (0, address(0))), 1);
        vm.stopPrank();
        _attest(_attestation());
        campaign.challenge{value: BOND}(ROOT, 1, 0);
        vm.warp(START + 1 days);
        _refusesRecipients(abi.encodeCall(Campaign.returnBond, (0, address(0))), 1);
        campaign.returnBond(0, address(this));
    }

    function test_theGoalLocksWhatReachedIt() external {
        _fundTokens(100 ether - 1, 1);
        _refuses(
            0,
            abi.encodeCall(Campaign.unpledge, (1, address(this))),
            _error(ICampaign.Campaign_GoalLocked.selector, 100 ether, 100 ether - 1)
        );
        campaign.pledgeToken(address(this), 1);
        campaign.unpledge(1, address(this));
        assert(campaign.pledgeOf(address(this)) == 100 ether - 1);
    }

    function test_theCapIsReachedAndNotPassed() external {
        _fundTokens(149 ether, 1 ether - 1);
        bytes memory call = abi.encodeCall(Campaign.pledgeToken, (address(this), 2));
        _refuses(0, call, _error(ICampaign.Campaign_CapExceeded.selector, 150 ether, 150 ether + 1));
        campaign.pledgeToken(address(this), 1);
        vm.prank(address(0xdead));
        campaign.activate();
    }

    function test_anybodyActivatesFromTheFundingDeadlineOn() external {
        _fundTokens(99 ether, 1 ether);
        vm.warp(FUNDING_DEADLINE - 1);
        vm.prank(address(0xB0B));
        _refuses(
            0,
            abi.encodeCall(Campaign.activate, ()),
            abi.encodeWithSelector(ICampaign.Campaign_FundingOpen.selector, FUNDING_DEADLINE)
        );
        vm.warp(FUNDING_DEADLINE);
        vm.prank(address(0xB0B));
        campaign.activate();
        assert(campaign.status() == Status.Active);
    }

    function test_fundingEndsAtTheDeadlineAndWaitsForTheFirstMilestones() external {
        _fundTokens(99 ether, 1 ether - 1);
        vm.warp(FUNDING_DEADLINE - 1);
        campaign.pledgeToken(address(this), 1);
        vm.warp(FUNDING_DEADLINE);
        _refuses(
            0,
            abi.encodeCall(Campaign.pledgeToken, (address(this), 1)),
            abi.encodeWithSelector(ICampaign.Campaign_FundingOver.selector, FUNDING_DEADLINE)
        );
        vm.warp(FUNDING_DEADLINE + 30 days - 1);
        assert(campaign.status() == Status.Funding);
        vm.warp(FUNDING_DEADLINE + 30 days);
        assert(campaign.status() == Status.Failed);
    }

    function test_whereNobodyPledgedFundingFailsAtTheDeadlineAndNothingIsRefundable() external {
        campaign = _create(address(0), address(0));
        vm.warp(FUNDING_DEADLINE - 1);
        assert(campaign.status() == Status.Funding);
        vm.warp(FUNDING_DEADLINE);
        assert(campaign.status() == Status.Failed);
        assert(campaign.refundable(address(this)) == 0);
    }

    function test_nothingIsPledgedToAnActiveCampaign() external {
        _refuses(
            1,
            abi.encodeCall(Campaign.pledgeCoin, (address(this))),
            abi.encodeWithSelector(ICampaign.Campaign_WrongStatus.selector, Status.Active)
        );
    }

    function test_exactlyTheShareOfTheTermsStops() external {
        _fundTokens(50 ether, 50 ether);
        campaign.activate();
        assert(!campaign.hasVotedStop(address(this)));
        vm.warp(START + 1 days);
        campaign.voteStop(true);
        assert(campaign.hasVotedStop(address(this)) && campaign.status() == Status.Failed);
    }

    function test_lessThanTheShareOfTheTermsDoesNotStop() external {
        _fundTokens(50 ether - 1, 50 ether + 1);
        campaign.activate();
        vm.warp(START + 1 days);
        campaign.voteStop(true);
        assert(campaign.status() == Status.Active);
        campaign.voteStop(false);
        assert(campaign.stopSupport() == 0 && !campaign.hasVotedStop(address(this)));
    }

    function test_votesAreTakenFromADayAfterActivation() external {
        _fundTokens(50 ether, 50 ether);
        assert(campaign.votesFrom() == 0);
        vm.warp(START + 5);
        campaign.activate();
        assert(campaign.votesFrom() == START + 5 + 1 days);
        bytes memory early = abi.encodeWithSelector(ICampaign.Campaign_VotingNotOpen.selector, START + 5 + 1 days);
        _refuses(0, abi.encodeCall(Campaign.voteStop, (true)), early);
        // An attestation changes nothing about it.
        _attest(_attestation());
        vm.warp(START + 5 + 1 days - 1);
        _refuses(0, abi.encodeCall(Campaign.voteStop, (true)), early);
        vm.prank(address(0xdead));
        _refuses(0, abi.encodeCall(Campaign.voteStop, (true)), early);
        vm.warp(START + 5 + 1 days);
        campaign.voteStop(true);
        assert(campaign.status() == Status.Failed && campaign.stopSupport() == 50 ether);
        // The time stays beside the support.
        assert(campaign.votesFrom() == START + 5 + 1 days);
    }

    function test_theSlackIsUsedUpToTheLastSecond() external {
        campaign.extendDeadlines(7 days);
        _refuses(
            0,
            abi.encodeCall(Campaign.extendDeadlines, (1)),
            _error(ICampaign.Campaign_SlackExceeded.selector, 7 days, 7 days + 1)
        );
        vm.warp(FUNDING_DEADLINE + 37 days - 1);
        assert(campaign.status() == Status.Active);
        vm.warp(FUNDING_DEADLINE + 37 days);
        assert(campaign.status() == Status.Failed);
    }

    function test_nothingIsChallengedBeforeAnAttestation() external {
        bytes memory call = abi.encodeCall(Campaign.challenge, (ROOT, 1, 0));
        _refuses(1, call, abi.encodeWithSelector(ICampaign.Campaign_WindowOver.selector, 0));
        vm.warp(FUNDING_DEADLINE + 30 days);
        _refuses(
            0,
            abi.encodeCall(Campaign.returnBond, (0, address(this))),
            abi.encodeWithSelector(ICampaign.Campaign_NotChallenger.selector, address(this), 0)
        );
    }

    function test_theWindowEndsOnTimeAndReleasesTheTranche() external {
        _attest(_attestation());
        vm.warp(START + 2 days - 1);
        assert(campaign.claimable(0) == 0 && campaign.released() == 0);
        bytes memory call = abi.encodeCall(Campaign.challenge, (ROOT, 1, 1));
        _refuses(1, call, _error(ICampaign.Campaign_ChunkOutOfRange.selector, 1, 1));
        vm.warp(START + 2 days);
        assert(campaign.claimable(0) == 24 ether && campaign.claimable(1) == 16 ether);
        _refuses(1, call, abi.encodeWithSelector(ICampaign.Campaign_WindowOver.selector, START + 2 days));
    }

    function test_challengesAreAnsweredOldestFirst() external {
        bytes32 root = _attestContent();
        MilestoneAttestation memory a = _attestation();
        a.milestone = 1;
        _refusesToAttest(
            a, 1, _sign(a), abi.encodeWithSelector(ICampaign.Campaign_ChallengeOpen.selector, START + 1 days)
        );
        assert(campaign.openChallenges() == 3 && campaign.openChallenge(1).chunk == 0);
        bytes memory data = MerkleContent.chunk(1, SIZE, 0);
        bytes32[] memory path = MerkleContent.path(1, SIZE, 0);
        _refuses(
            0,
            abi.encodeCall(Campaign.answer, (root, SIZE, 0, data, path)),
            _error(ICampaign.Campaign_NotNextChallenge.selector, 2, 0)
        );
        (data, path) = (MerkleContent.chunk(1, SIZE, 2), MerkleContent.path(1, SIZE, 2));
        bytes32 other = MerkleContent.root(2, SIZE);
        _refuses(
            0,
            abi.encodeCall(
                Campaign.answer, (other, SIZE, 2, MerkleContent.chunk(2, SIZE, 2), MerkleContent.path(2, SIZE, 2))
            ),
            abi.encodeWithSelector(ICampaign.Campaign_WrongContent.selector, other, SIZE)
        );
        campaign.answer(root, SIZE, 2, data, path);
        assert(campaign.openChallenges() == 2);
        assert(campaign.openChallenge(0).chunk == 0 && campaign.openChallenge(1).chunk == 1);
        _refuses(
            0,
            abi.encodeCall(Campaign.openChallenge, (2)),
            abi.encodePacked(ICampaign.Campaign_NoChallengeOpen.selector)
        );
        // The next one was opened an hour later.
        vm.warp(START + 1 days + 1 hours - 1);
        assert(campaign.status() == Status.Active);
        vm.warp(START + 1 days + 1 hours);
        assert(campaign.status() == Status.Failed);
    }

    function test_laterChallengesGiveNoMoreTimeForTheOldest() external {
        _attestContent();
        vm.warp(START + 1 days - 1);
        assert(campaign.status() == Status.Active);
        vm.warp(START + 1 days);
        assert(campaign.status() == Status.Failed);
    }

    function test_thePriceDoublesWithEvery512OpenChallenges() external {
        (bytes32 root, uint64 size) = _attestUniform();
        uint256[6] memory opens = [uint256(0), 1, 511, 512, 513, 1_024];
        uint256[6] memory prices = [uint256(1e12), 1_001_953_125_000, 1_998_046_875_000, 2e12, 2_003_906_250_000, 4e12];
        uint256 open = 0;
        uint256 held = 0;
        for (uint256 i = 0; i < 6; ++i) {
            for (; open < opens[i]; ++open) {
                held += campaign.requiredBond();
                campaign.challenge{value: campaign.requiredBond()}(root, size, uint64(open));
            }
            assert(campaign.requiredBond() == prices[i]);
            _refuses(
                prices[i] - 1,
                abi.encodeCall(Campaign.challenge, (root, size, uint64(open))),
                _error(ICampaign.Campaign_BondTooSmall.selector, prices[i], prices[i] - 1)
            );
        }
        assert(address(campaign).balance == 100 ether + held && held >= BOND * 512 * 3);
        // A base fee above it takes the place of the terms' bond, and each answer makes the next challenge cheaper.
        vm.fee(1 gwei);
        assert(campaign.requiredBond() == 1_250_000 gwei * 4);
        campaign.answer(root, size, 0, MerkleContent.chunk(1, size, 0), MerkleContent.path(1, size, 0));
        assert(campaign.requiredBond() == uint256(1_250_000 gwei) * 1_023 * 2 / 512);
    }

    function test_nobodyHearsAnArbiterThatTheTermsDoNotName() external {
        bytes memory expected = abi.encodeWithSelector(ICampaign.Campaign_NotArbiter.selector, address(this));
        _refuses(0, abi.encodeCall(Campaign.contest, ()), expected);
        _refuses(0, abi.encodeCall(Campaign.rule, (false)), expected);
        _disputable();
        _refuses(0, abi.encodeCall(Campaign.contest, ()), expected);
        _refuses(0, abi.encodeCall(Campaign.rule, (true)), expected);
    }

    function test_onlyTheLastAttestationIsContested() external {
        _disputable();
        _refusesArbiter(
            abi.encodeCall(Campaign.contest, ()), abi.encodePacked(ICampaign.Campaign_NothingToContest.selector)
        );
        _refusesArbiter(
            abi.encodeCall(Campaign.rule, (true)), abi.encodePacked(ICampaign.Campaign_NothingToContest.selector)
        );
        uint256 end = _attestWeights() + 2 days;
        _refusesArbiter(
            abi.encodeCall(Campaign.rule, (false)), abi.encodePacked(ICampaign.Campaign_NotContested.selector)
        );
        vm.warp(end - 1);
        vm.recordLogs();
        vm.prank(ARBITER);
        campaign.contest();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assert(logs.length == 1 && abi.decode(logs[0].data, (uint256)) == end + RULING_WINDOW);
        assert(campaign.ledger().contested && campaign.status() == Status.Active);
        _refusesArbiter(
            abi.encodeCall(Campaign.contest, ()), abi.encodePacked(ICampaign.Campaign_AlreadyContested.selector)
        );
        vm.warp(end + RULING_WINDOW - 1);
        assert(campaign.status() == Status.Active && campaign.released() == 40 ether);
        vm.warp(end + RULING_WINDOW);
        assert(campaign.status() == Status.Completed && campaign.released() == 100 ether);
    }

    function test_anUpheldAttestationEndsAsIfNobodyHadContestedIt() external {
        _disputable();
        uint256 end = _attestWeights() + 2 days;
        vm.startPrank(ARBITER);
        campaign.contest();
        campaign.rule(true);
        campaign.contest();
        vm.warp(end - 1);
        campaign.rule(true);
        vm.stopPrank();
        assert(!campaign.ledger().contested && campaign.status() == Status.Active);
        vm.warp(end);
        assert(campaign.status() == Status.Completed && campaign.released() == 100 ether);
    }

    function test_aRefusedAttestationGivesTheLastTrancheBack() external {
        _disputable();
        uint256 end = _attestWeights() + 2 days;
        vm.prank(ARBITER);
        campaign.contest();
        vm.warp(end + RULING_WINDOW - 1);
        campaign.challenge{value: BOND}(ROOT, 1, 0);
        vm.prank(ARBITER);
        campaign.rule(false);
        assert(campaign.status() == Status.Failed && campaign.released() == 40 ether);
        assert(campaign.refundable(address(this)) == 60 ether);
        assert(campaign.ledger().stopped && campaign.ledger().withheld && campaign.ledger().contested);
        campaign.returnBond(0, address(this));
        vm.warp(end + 2 * RULING_WINDOW);
        assert(campaign.status() == Status.Failed && campaign.released() == 40 ether);
    }

    function test_aRulingComesBeforeTheWindowIsOver() external {
        _disputable();
        uint256 end = _attestWeights() + 2 days + RULING_WINDOW;
        vm.prank(ARBITER);
        campaign.contest();
        vm.warp(end - 1);
        campaign.challenge{value: BOND}(ROOT, 1, 0);
        vm.warp(end);
        _refusesArbiter(
            abi.encodeCall(Campaign.rule, (false)), abi.encodeWithSelector(ICampaign.Campaign_WindowOver.selector, end)
        );
        vm.warp(end + 1 days);
        _refusesArbiter(
            abi.encodeCall(Campaign.rule, (false)),
            abi.encodeWithSelector(ICampaign.Campaign_WrongStatus.selector, Status.Failed)
        );
    }

    function test_aContestComesBeforeTheWindowIsOver() external {
        _disputable();
        uint256 end = _attestWeights() + 2 days;
        vm.warp(end - 1);
        campaign.challenge{value: BOND}(ROOT, 1, 0);
        vm.warp(end);
        _refusesArbiter(
            abi.encodeCall(Campaign.contest, ()), abi.encodeWithSelector(ICampaign.Campaign_WindowOver.selector, end)
        );
    }

    function test_whatFollowsThePayeesIsNoPayee() external {
        bytes memory args = Clones.fetchCloneArgs(address(campaign));
        bytes memory account = new bytes(20);
        for (uint256 i = 0; i < 20; ++i) {
            account[i] = args[args.length - 2 * MILESTONE_BYTES + i];
        }
        address next = address(bytes20(account));
        vm.prank(next);
        _refuses(
            0,
            abi.encodeCall(Campaign.claim, (2, next)),
            abi.encodeWithSelector(ICampaign.Campaign_NotPayee.selector, next, 2)
        );
    }

    receive() external payable {}

    function _error(bytes4 selector, uint256 first, uint256 second) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, first, second);
    }

    function _refuses(uint256 value, bytes memory call, bytes memory expected) private {
        (bool success, bytes memory actual) = address(campaign).call{value: value}(call);
        if (success || keccak256(actual) != keccak256(expected)) {
            revert UnexpectedOutcome(expected, actual);
        }
    }

    function _refusesToAttest(
        MilestoneAttestation memory attestation,
        uint256 signers,
        bytes[] memory signatures,
        bytes memory expected
    ) private {
        _refuses(0, abi.encodeCall(Campaign.attest, (attestation, signers, signatures)), expected);
    }

    /// @dev The same call with the zero address and the campaign's own for the address argument at `position`.
    function _refusesRecipients(bytes memory call, uint256 position) private {
        address[2] memory recipients = [address(0), address(campaign)];
        for (uint256 i = 0; i < 2; ++i) {
            bytes20 recipient = bytes20(recipients[i]);
            for (uint256 j = 0; j < 20; ++j) {
                call[4 + 32 * position + 12 + j] = recipient[j];
            }
            _refuses(0, call, abi.encodeWithSelector(ICampaign.Campaign_BadRecipient.selector, recipients[i]));
        }
    }

    /// @dev A campaign in tokens with so much from this contract and from somebody else.
    function _fundTokens(uint256 own, uint256 others) private {
        campaign = _create(address(TOKEN), address(0));
        TOKEN.mint(address(this), 1_000 ether);
        TOKEN.approve(address(campaign), 1_000 ether);
        campaign.pledgeToken(address(this), own);
        campaign.pledgeToken(address(0xB0B), others);
    }

    function _refusesArbiter(bytes memory call, bytes memory expected) private {
        vm.prank(ARBITER);
        _refuses(0, call, expected);
    }

    /// @dev A campaign with an arbiter whose first milestone is attested and released.
    function _disputable() private {
        campaign = _create(address(0), ARBITER);
        campaign.pledgeCoin{value: 100 ether}(address(this));
        campaign.activate();
        _attest(_attestation());
        vm.warp(START + 2 days);
    }

    /// @return when it was attested
    function _attestWeights() private returns (uint256) {
        MilestoneAttestation memory a = _attestation();
        (a.milestone, a.kind, a.parent, a.evidence) = (1, MilestoneKind.WEIGHTS, a.evidence, keccak256("weights"));
        _attest(a);
        return START + 2 days;
    }

    /// @dev Attests content of 2 048 chunks.
    function _attestUniform() private returns (bytes32 root, uint64 size) {
        size = uint64(MerkleContent.UNIFORM_BYTES);
        root = MerkleContent.root(1, size);
        MilestoneAttestation memory a = _attestation();
        (a.contentRoot, a.contentSize) = (root, size);
        _attest(a);
    }

    /// @dev Attests three chunks and challenges them: the last one now, the others an hour later.
    function _attestContent() private returns (bytes32 root) {
        root = MerkleContent.root(1, SIZE);
        MilestoneAttestation memory a = _attestation();
        (a.contentRoot, a.contentSize) = (root, SIZE);
        _attest(a);
        campaign.challenge{value: 3 * BOND}(root, SIZE, 2);
        vm.warp(START + 1 hours);
        campaign.challenge{value: 2 * BOND}(root, SIZE, 0);
        campaign.challenge{value: 2 * BOND}(root, SIZE, 1);
    }

    function _attest(MilestoneAttestation memory attestation) private {
        campaign.attest(attestation, 1, _sign(attestation));
    }

    function _sign(MilestoneAttestation memory attestation) private view returns (bytes[] memory signatures) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, campaign.attestationDigest(attestation));
        signatures = new bytes[](1);
        signatures[0] = abi.encodePacked(r, s, v);
    }

    function _attestation() private pure returns (MilestoneAttestation memory) {
        return MilestoneAttestation({
            milestone: 0,
            kind: MilestoneKind.DATASET,
            evidence: keccak256("dataset"),
            parent: keccak256("proposal"),
            contentRoot: ROOT,
            contentSize: 1,
            score: 0,
            expiry: uint64(START + 30 days)
        });
    }

    function _create(address asset, address arbiter) private returns (Campaign) {
        Terms memory terms;
        (terms.arbiter, terms.rulingWindow) = (arbiter, arbiter == address(0) ? 0 : RULING_WINDOW);
        (terms.researcher, terms.asset) = (address(this), asset);
        (terms.goal, terms.cap) = (100 ether, 150 ether);
        terms.fundingDeadline = FUNDING_DEADLINE;
        (terms.stopBps, terms.minBond) = (5_000, uint96(BOND));
        (terms.challengeWindow, terms.answerWindow, terms.slack) = (2 days, 1 days, 7 days);
        (terms.proposal, terms.dataset) = (keccak256("proposal"), keccak256("dataset"));
        terms.attestors = new address[](2);
        (terms.attestors[0], terms.attestors[1]) = (vm.addr(KEY), address(new Wallet(vm.addr(KEY + 1))));
        terms.quorum = 1;
        terms.payees = new Payee[](2);
        terms.payees[0] = Payee({account: address(0xB001), bps: 6_000});
        terms.payees[1] = Payee({account: address(0xB002), bps: 4_000});
        terms.milestones = new Milestone[](2);
        terms.milestones[0] = Milestone(MilestoneKind.DATASET, 4_000, FUNDING_DEADLINE + 30 days, 0);
        terms.milestones[1] = Milestone(MilestoneKind.WEIGHTS, 6_000, FUNDING_DEADLINE + 60 days, 0);
        return Campaign(FACTORY.createCampaign(terms, bytes32(uint256(uint160(asset)))));
    }
}
