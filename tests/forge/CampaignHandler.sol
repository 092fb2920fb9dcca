// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "../../contracts/Campaign.sol";
import {CampaignFactory} from "../../contracts/CampaignFactory.sol";
import {
    ICampaign,
    Milestone,
    MilestoneAttestation,
    MilestoneKind,
    Payee,
    Status,
    Terms
} from "../../contracts/interfaces/ICampaign.sol";
import {ForcedEther, Puppet} from "../../contracts/test/Accounts.sol";
import {DevToken} from "../../contracts/test/DevToken.sol";
import {FeeToken} from "../../contracts/test/Tokens.sol";
import {Vm} from "./Base.sol";
import {CampaignModel} from "./CampaignModel.sol";
import {MerkleContent} from "./MerkleContent.sol";

/// @title Random calls to a real campaign, each predicted by the model
/// @notice One campaign after the other: when one has ended, its books are closed and another one opens with terms of
/// its own. Every call must go through, or be refused, as the model says.
contract CampaignHandler is CampaignModel {
    enum Asset {
        Coin,
        Token,
        FeeToken
    }

    address internal constant RESEARCHER = address(0xA001);
    address internal constant STRANGER = address(0xA002);
    address internal constant ELSEWHERE = address(0xA003);
    address internal constant ARBITER = address(0xA004);
    uint256 internal constant ATTESTORS = 3;
    uint256 internal constant FIRST_KEY = 101;

    CampaignFactory internal immutable FACTORY;
    DevToken internal immutable TOKEN;
    FeeToken internal immutable FEE_TOKEN;
    Puppet internal immutable PUPPET;

    Campaign public campaign;
    Asset internal asset;
    address[BACKERS] internal accounts;
    address[] internal payees;
    Puppet.Mood internal mood;
    uint256 internal opened;

    /// @notice How many calls of a function went through and how many were refused.
    mapping(string what => mapping(bool success => uint256)) public outcomes;
    /// @notice How many campaigns ended so.
    mapping(Status status => uint256) public ended;

    error Disagreement(string what, uint256 expected, uint256 actual);
    error WrongOutcome(string call, bool expected, bytes answer);

    constructor() {
        FACTORY = new CampaignFactory(address(new Campaign()));
        TOKEN = new DevToken("Dollar", "USD", 18);
        FEE_TOKEN = new FeeToken();
        PUPPET = new Puppet();
        accounts = [address(PUPPET), address(0xB001), address(0xB002), address(0xB003)];
        vm.warp(clock);
        _open(uint256(keccak256("first campaign")));
    }

    modifier atThatTime() {
        vm.warp(clock);
        vm.fee(baseFee);
        vm.recordLogs();
        _;
        _compareEvents();
        _compare();
    }

    // ===================================================== the campaigns' lives

    /// @dev Most often only when the campaign has ended. Most campaigns start funded: the longer part lies behind that.
    function openAnother(uint256 random) external atThatTime {
        Status status = _status();
        bool over = status == Status.Completed || status == Status.Failed;
        if (over || _below(random, 128) == 0) {
            _closeBooks(_mix(random, 1));
            _compareEvents();
            vm.recordLogs();
            _open(_mix(random, 2));
            if (_below(_mix(random, 3), 4) != 0) {
                _fund(_mix(random, 4));
                _activate(RESEARCHER);
            }
        }
    }

    /// @dev To any time, or to the second before, of or after a boundary.
    function pass(uint256 random) external atThatTime {
        uint256 kind = _below(random, 8);
        uint256 target = clock + _below(_mix(random, 1), kind == 0 ? 40 days : 6 hours);
        if (kind == 1 || (kind > 4 && active)) {
            target = _boundary(_mix(random, 2)) + _below(_mix(random, 3), 3);
            target = target == 0 ? 0 : target - 1;
        }
        if (target > clock) {
            clock = target;
            vm.warp(clock);
        }
        baseFee = _below(_mix(random, 4), 8) == 0 ? _below(_mix(random, 5), 300 gwei) : baseFee;
        vm.fee(baseFee);
    }

    function setMood(uint256 random) external {
        Puppet.Mood[4] memory moods =
            [Puppet.Mood.Accept, Puppet.Mood.Accept, Puppet.Mood.Refuse, Puppet.Mood.ReturnBomb];
        mood = moods[_below(random, 4)];
        PUPPET.setMood(mood);
    }

    /// @dev The puppet calls back into the campaign while it is paid.
    function setReentry(uint256 random) external {
        bytes[6] memory calls = [
            abi.encodeCall(Campaign.collectRefund, (address(PUPPET))),
            abi.encodeCall(Campaign.refundTo, (ELSEWHERE)),
            abi.encodeCall(Campaign.unpledge, (1, ELSEWHERE)),
            abi.encodeCall(Campaign.claim, (0, ELSEWHERE)),
            abi.encodeCall(Campaign.returnBond, (0, ELSEWHERE)),
            abi.encodeCall(Campaign.activate, ())
        ];
        mood = Puppet.Mood.Reenter;
        PUPPET.setReentry(address(campaign), calls[_below(random, 6)]);
    }

    // ================================================================= backers

    function pledge(uint256 random, uint256 amount) external atThatTime {
        uint256 index = _below(random, BACKERS);
        address payer = _below(_mix(random, 2), 4) == 0 ? STRANGER : accounts[index];
        _pledge(index, payer, _amount(_mix(random, 1), amount));
    }

    function unpledge(uint256 random, uint256 amount) external atThatTime {
        uint256 index = _below(random, BACKERS);
        address recipient = _below(_mix(random, 1), 2) == 0 ? accounts[index] : ELSEWHERE;
        uint256 own = backers[index].pledged;
        amount = _below(_mix(random, 2), 2) == 0 ? own : _below(amount, own + 2);
        bool keepsGoal = pledgedTotal < rules.goal || pledgedTotal >= rules.goal + amount;
        bool expected = _status() == Status.Funding && amount > 0 && amount <= own && keepsGoal && _takes(recipient);
        uint256 before = _balance(recipient);
        bytes memory data = abi.encodeCall(Campaign.unpledge, (amount, recipient));
        _expect("unpledge", expected, accounts[index], 0, data);
        if (expected) {
            pledgedTotal -= amount;
            backers[index].pledged -= amount;
            _arrived(recipient, before, amount);
            emit ICampaign.Unpledged(accounts[index], recipient, amount);
        }
    }

    /// @dev Many calls lie less than a day behind activation: some votes wait for the last second before votes are
    /// taken, or for the first.
    function voteStop(uint256 random) external atThatTime {
        if (active && clock < votesFrom && _below(_mix(random, 2), 4) != 0) {
            clock = votesFrom - _below(_mix(random, 3), 2);
            vm.warp(clock);
        }
        uint256 index = _below(random, BACKERS);
        Backer storage backer = backers[index];
        bool support = _below(_mix(random, 1), 4) != 0;
        bool expected = _status() == Status.Active && attested < _milestones() && clock >= votesFrom
            && backer.pledged > 0 && backer.votesStop != support;
        _expect("voteStop", expected, accounts[index], 0, abi.encodeCall(Campaign.voteStop, (support)));
        if (expected) {
            backer.votesStop = support;
            stopSupport = support ? stopSupport + backer.pledged : stopSupport - backer.pledged;
            emit ICampaign.StopVoted(accounts[index], support, backer.pledged, stopSupport);
            if (support && stopSupport * BPS >= pledgedTotal * rules.stopBps) {
                stoppedInWindow = attested > 0 && !_isReleased(attested - 1);
                stopped = true;
                ++outcomes["a stop"][true];
                emit ICampaign.Stopped(stopSupport);
            }
        }
    }

    function collectRefund(uint256 random) external atThatTime {
        uint256 index = _below(random, BACKERS);
        _collectRefund(index, _below(_mix(random, 1), 2) == 0 ? STRANGER : accounts[index]);
    }

    function refundTo(uint256 random) external atThatTime {
        _refundTo(_below(random, BACKERS), _below(_mix(random, 1), 4) == 0 ? address(campaign) : ELSEWHERE);
    }

    // ============================================================== challenges

    function challenge(uint256 random) external atThatTime {
        uint256 chunks = _chunks();
        uint256 slip = _below(_mix(random, 1), 12);
        uint256 chunk = slip == 0 || chunks == 0 ? chunks : _below(_mix(random, 2), chunks);
        uint256 bond = _requiredBond();
        bond = slip == 2 ? bond - 1 : bond + _below(_mix(random, 3), 2);
        _challenge(_below(random, BACKERS), chunk, slip == 1 ? contentSize + 1 : contentSize, bond);
    }

    /// @dev Chunk after chunk for the least bond, as far as the content has chunks: the price rises all the way. One
    /// flood in three doubles it.
    function flood(uint256 random) external atThatTime {
        uint256 index = _below(random, BACKERS);
        while (pledgedTotal > 0 && backers[index].pledged == 0) {
            index = (index + 1) % BACKERS;
        }
        uint256 chunks = _chunks();
        uint256 left = _below(_mix(random, 2), 3) == 0 ? _between(_mix(random, 1), 513, 1_100) : 40;
        uint256 price = _requiredBond();
        for (uint256 chunk = 0; chunk < chunks && left > 0 && _canChallenge(index); ++chunk) {
            if (!wasChallenged[_challengeId(chunk)]) {
                _challenge(index, chunk, contentSize, campaign.requiredBond());
                --left;
                uint256 next = campaign.requiredBond();
                if (next < price) {
                    revert Disagreement("a price that fell while the queue grew", price, next);
                }
                price = next;
            }
        }
        if (challenges.length - nextChallenge >= DOUBLING) {
            ++outcomes["a queue that doubled the price"][true];
        }
    }

    /// @dev The honest answers to many challenges, oldest first.
    function drain(uint256 random) external atThatTime {
        for (uint256 left = _between(random, 1, 600); left > 0 && _challengeOpen(); --left) {
            if (_status() != Status.Active) {
                return;
            }
            uint256 chunk = challenges[nextChallenge].chunk;
            bytes memory data = MerkleContent.chunk(contentSeed, contentSize, chunk);
            bytes32[] memory path = MerkleContent.path(contentSeed, contentSize, chunk);
            _answer(STRANGER, chunk, contentSize, data, path, true);
        }
    }

    function _chunks() private view returns (uint256) {
        return MerkleContent.chunkCount(contentSize);
    }

    function _challengeId(uint256 chunk) private view returns (bytes32) {
        return keccak256(abi.encode(opened, attested, chunk));
    }

    function _canChallenge(uint256 index) private view returns (bool) {
        return _status() == Status.Active && backers[index].pledged > 0 && attested > 0 && clock < _windowEnd();
    }

    function _challenge(uint256 index, uint256 chunk, uint256 size, uint256 bond) private {
        bool expected = _canChallenge(index) && size == contentSize && chunk < _chunks()
            && !wasChallenged[_challengeId(chunk)] && bond >= _requiredBond();
        bytes memory data = abi.encodeCall(Campaign.challenge, (contentRoot, uint64(size), uint64(chunk)));
        _expect("challenge", expected, accounts[index], bond, data);
        if (expected) {
            lowestBase = _price(0) < lowestBase ? _price(0) : lowestBase;
            bondsHeld += bond;
            wasChallenged[_challengeId(chunk)] = true;
            challenges.push(
                Challenge({
                    milestone: uint8(attested - 1),
                    chunk: uint64(chunk),
                    openedAt: uint40(clock),
                    answered: false,
                    returned: false,
                    challenger: accounts[index],
                    bond: uint96(bond)
                })
            );
            emit ICampaign.Challenged(
                uint8(attested - 1), uint64(chunk), accounts[index], bond, clock + rules.answerWindow
            );
        }
    }

    /// @dev Half of the answers are honest; the others lie in one of six ways.
    function answer(uint256 random) external atThatTime {
        bool open = _challengeOpen() && contentSize > 0;
        uint256 chunk = open ? challenges[nextChallenge].chunk : 0;
        bytes memory data = contentSize == 0 ? bytes("") : MerkleContent.chunk(contentSeed, contentSize, chunk);
        bytes32[] memory path =
            contentSize == 0 ? new bytes32[](0) : MerkleContent.path(contentSeed, contentSize, chunk);
        uint256 lie = _below(_mix(random, 1), 12);
        uint256 shown = lie == 0 ? chunk + 1 : chunk;
        uint256 size = lie == 1 ? contentSize + 1 : contentSize;
        if (lie == 2) {
            data = bytes.concat(data, hex"00");
        } else if (lie == 3 && data.length > 0) {
            data[_below(_mix(random, 2), data.length)] ^= 0x01;
        } else if (lie == 4) {
            path = _extended(path);
        } else if (lie == 5 && path.length > 0) {
            path[_below(_mix(random, 2), path.length)] ^= bytes32(uint256(1));
        }
        bool lied = lie < 3 || (lie == 3 && data.length > 0) || lie == 4 || (lie == 5 && path.length > 0);
        _answer(_below(_mix(random, 3), 3) == 0 ? address(PUPPET) : STRANGER, shown, size, data, path, open && !lied);
    }

    function _answer(address sender, uint256 chunk, uint256 size, bytes memory data, bytes32[] memory path, bool right)
        private
    {
        bool expected = _status() == Status.Active && right && _takesCoin(sender);
        uint256 before = sender.balance;
        bytes memory call = abi.encodeCall(Campaign.answer, (contentRoot, uint64(size), uint64(chunk), data, path));
        _expect("answer", expected, sender, 0, call);
        if (expected) {
            Challenge storage made = challenges[nextChallenge++];
            made.answered = true;
            bondsHeld -= made.bond;
            _agree("the answerer's bond", before + made.bond, sender.balance);
            emit ICampaign.ChallengeAnswered(uint8(attested - 1), uint64(chunk), sender, made.bond);
        }
    }

    function returnBond(uint256 random) external atThatTime {
        if (challenges.length > 0) {
            uint256 number = _below(random, challenges.length);
            bool own = _below(_mix(random, 1), 8) != 0;
            bool home = _below(_mix(random, 2), 2) == 0;
            _returnBond(number, own ? challenges[number].challenger : STRANGER, home);
        }
    }

    // ================================================================= arbiter

    function contest(uint256 random) external atThatTime {
        _contest(_below(random, 8) == 0 ? RESEARCHER : ARBITER);
    }

    function _contest(address sender) private {
        bool expected = _hears(sender) && !contested && clock < _windowEnd();
        _expect("contest", expected, sender, 0, abi.encodeCall(Campaign.contest, ()));
        if (expected) {
            contested = true;
            emit ICampaign.Contested(_windowEnd());
        }
    }

    function rule(uint256 random) external atThatTime {
        address sender = _below(random, 8) == 0 ? RESEARCHER : ARBITER;
        bool upheld = _below(_mix(random, 1), 2) == 0;
        if (!contested && _below(_mix(random, 2), 2) == 0) {
            _contest(ARBITER);
        }
        bool expected = _hears(sender) && contested && clock < _windowEnd();
        _expect("rule", expected, sender, 0, abi.encodeCall(Campaign.rule, (upheld)));
        if (expected) {
            ++outcomes["a ruling"][upheld];
            if (upheld) {
                contested = false;
            } else {
                (stopped, stoppedInWindow) = (true, true);
            }
            emit ICampaign.Ruled(upheld);
        }
    }

    function _hears(address sender) private view returns (bool) {
        return sender == rules.arbiter && _status() == Status.Active && attested == _milestones();
    }

    // ====================================================== researcher, payees

    function activate(uint256 random) external atThatTime {
        _activate(_below(random, 4) == 0 ? STRANGER : RESEARCHER);
    }

    function extendDeadlines(uint256 random) external atThatTime {
        address sender = _below(random, 8) == 0 ? STRANGER : RESEARCHER;
        uint256 by = _below(_mix(random, 1), rules.slack + 2);
        by = _below(_mix(random, 2), 2) == 0 ? by / 8 : by;
        bool expected = sender == RESEARCHER && _status() == Status.Active && attested < _milestones() && by > 0
            && slackUsed + by <= rules.slack;
        _expect("extendDeadlines", expected, sender, 0, abi.encodeCall(Campaign.extendDeadlines, (uint32(by))));
        if (expected) {
            slackUsed += by;
            emit ICampaign.DeadlinesExtended(uint32(by), uint32(slackUsed));
        }
    }

    function postUpdate(uint256 random) external atThatTime {
        address sender = _below(random, 4) == 0 ? STRANGER : RESEARCHER;
        bytes32 manifest = bytes32(random);
        bool expected = sender == RESEARCHER;
        _expect("postUpdate", expected, sender, 0, abi.encodeCall(Campaign.postUpdate, (manifest)));
        if (expected) {
            emit ICampaign.UpdatePosted(manifest);
        }
    }

    /// @dev Some attestations have too few signatures, a foreign one, or come too early.
    function attest(uint256 random) external atThatTime {
        if (attested > 0 && clock < _windowEnd() && !_challengeOpen() && _below(random, 4) == 0) {
            clock = _windowEnd();
            vm.warp(clock);
        }
        uint256 signers = _below(_mix(random, 1), 4) == 0 ? _below(_mix(random, 2), 1 << ATTESTORS) : 0x7;
        bool forged = _below(_mix(random, 3), 8) == 0 && signers != 0;
        MilestoneAttestation memory attestation = _attestation(_mix(random, 4));
        bytes[] memory signatures = _sign(campaign.attestationDigest(attestation), signers, forged);
        bool expected = _status() == Status.Active && attested < _milestones() && !_challengeOpen()
            && (attested == 0 || clock >= _windowEnd()) && signatures.length >= rules.quorum && !forged;
        bytes memory data = abi.encodeCall(Campaign.attest, (attestation, signers, signatures));
        _expect("attest", expected, STRANGER, 0, data);
        if (expected) {
            contentSeed = _mix(random, 4);
            (contentSize, contentRoot) = (attestation.contentSize, attestation.contentRoot);
            emit ICampaign.MilestoneAttested(uint8(attested), attestation.evidence, attestation, signers);
            ++attested;
            attestedAt = clock;
        }
    }

    function claim(uint256 random) external atThatTime {
        _claim(_below(random, payees.length), _below(_mix(random, 1), 2) == 0);
    }

    /// @dev Ether that cannot be refused, tokens that nobody asked for.
    function donate(uint256 random) external atThatTime {
        uint256 amount = _between(random, 1, 1 ether);
        if (asset == Asset.Coin || _below(_mix(random, 1), 2) == 0) {
            vm.deal(address(this), amount);
            new ForcedEther{value: amount}(payable(address(campaign)));
            strayNative += amount;
        } else {
            _mint(address(campaign), amount);
            strayTokens += amount;
        }
    }

    // =============================================================== the books

    /// @notice Run the campaign to its end and take everything out, in a random order.
    function closeBooks(uint256 random) external atThatTime {
        _closeBooks(random);
    }

    function _closeBooks(uint256 random) internal {
        // Beyond every deadline, window and slack.
        clock += 15 * 365 days;
        vm.warp(clock);
        Status end = _status();
        if (end != Status.Failed && end != Status.Completed) {
            revert Disagreement("a campaign that time alone does not end", uint256(Status.Failed), uint256(end));
        }
        ++ended[end];
        mood = Puppet.Mood.Accept;
        PUPPET.setMood(mood);
        uint256 turns = BACKERS + payees.length + challenges.length;
        uint256 first = _below(random, turns);
        for (uint256 turn = 0; turn < turns; ++turn) {
            uint256 who = (first + turn) % turns;
            if (who < BACKERS) {
                _below(_mix(random, turn), 2) == 0 ? _collectRefund(who, STRANGER) : _refundTo(who, ELSEWHERE);
            } else if (who < BACKERS + payees.length) {
                _claim(who - BACKERS, true);
            } else {
                uint256 number = who - BACKERS - payees.length;
                _returnBond(number, challenges[number].challenger, true);
            }
            // All of a flood's bonds come back, at the end of a long queue without a look at everything else each time.
            if (turns < 64 || turn % 64 == 0) {
                _compare();
            }
        }
        _compare();
        // What stays are the fractions of refunds: less than a unit a backer.
        uint256 dust = _assetHeld();
        if (dust >= BACKERS || (end == Status.Completed && dust != 0)) {
            revert Disagreement("money that nobody can ever move", 0, dust);
        }
        _agree("bonds that nobody can ever move", 0, bondsHeld);
    }

    function _open(uint256 random) internal {
        ++opened;
        asset = Asset(_below(_mix(random, 100), 3));
        _drawRules(random);
        Terms memory terms = _terms();
        vm.prank(RESEARCHER);
        campaign = Campaign(FACTORY.createCampaign(terms, bytes32(opened)));
        for (uint256 i = 0; i < BACKERS; ++i) {
            delete backers[i];
        }
        (active, stopped, stoppedInWindow, contested, votesFrom) = (false, false, false, false, 0);
        (pledgedTotal, stopSupport, slackUsed) = (0, 0, 0);
        (attested, attestedAt, contentSeed, contentSize, contentRoot) = (0, 0, 0, 0, bytes32(0));
        delete challenges;
        (nextChallenge, bondsHeld, lowestBase) = (0, 0, type(uint256).max);
        (claimedTotal, refundedTotal) = (0, 0);
        claimed = new uint256[](payees.length);
        (strayNative, strayTokens) = (0, 0);
    }

    /// @dev Each backer pledges a part of the goal, the last one the rest, as far as the token's fee lets it.
    function _fund(uint256 random) private {
        for (uint256 i = 0; i < BACKERS; ++i) {
            uint256 missing = rules.goal > pledgedTotal ? rules.goal - pledgedTotal : 0;
            _pledge(i, accounts[i], i + 1 == BACKERS ? missing : _below(_mix(random, i), missing / 2 + 1));
        }
    }

    function _drawRules(uint256 random) private {
        uint256 scale = uint256(1) << _between(_mix(random, 0), 1, 127);
        rules.goal = _between(_mix(random, 1), 1, scale);
        rules.cap = rules.goal + _below(_mix(random, 2), scale);
        rules.fundingDeadline = clock + _between(_mix(random, 3), 1, 60 days);
        rules.stopBps = _between(_mix(random, 4), 3_300, 8_000);
        rules.challengeWindow = _between(_mix(random, 5), 2 days, 20 days);
        rules.answerWindow = _between(_mix(random, 6), 1 days, 15 days);
        rules.minBond = _between(_mix(random, 7), MIN_BOND, 1 ether);
        rules.slack = _below(_mix(random, 8), 100 days);
        rules.quorum = _between(_mix(random, 9), 1, ATTESTORS);
        rules.arbiter = _below(_mix(random, 14), 4) == 0 ? address(0) : ARBITER;
        rules.rulingWindow = rules.arbiter == address(0) ? 0 : _between(_mix(random, 15), 7 days, 90 days);
        uint256 gap = rules.challengeWindow + rules.answerWindow;
        milestoneBps = _bps(_mix(random, 10), _between(_mix(random, 11), 1, 5), 2_500);
        delete milestoneDeadlines;
        uint256 deadline = rules.fundingDeadline;
        for (uint256 i = 0; i < milestoneBps.length; ++i) {
            deadline += gap + _below(_mix(random, 20 + i), 30 days);
            milestoneDeadlines.push(deadline);
        }
        payeeBps = _bps(_mix(random, 12), _between(_mix(random, 13), 1, 3), 1);
        delete payees;
        for (uint256 i = 0; i < payeeBps.length; ++i) {
            payees.push(i == 1 ? address(PUPPET) : address(uint160(0xC001 + i)));
        }
    }

    /// @return bps `count` positive basis points that sum to the whole, the last of them at least `minLast`
    function _bps(uint256 random, uint256 count, uint256 minLast) private pure returns (uint256[] memory bps) {
        bps = new uint256[](count);
        uint256 left = BPS - minLast;
        for (uint256 i = 0; i + 1 < count; ++i) {
            bps[i] = _between(_mix(random, i), 1, left - (count - 1 - i));
            left -= bps[i];
        }
        bps[count - 1] = left + minLast;
    }

    function _terms() private view returns (Terms memory terms) {
        terms.researcher = RESEARCHER;
        terms.asset = _assetAddress();
        terms.goal = uint128(rules.goal);
        terms.cap = uint128(rules.cap);
        terms.fundingDeadline = uint40(rules.fundingDeadline);
        terms.stopBps = uint16(rules.stopBps);
        terms.challengeWindow = uint32(rules.challengeWindow);
        terms.answerWindow = uint32(rules.answerWindow);
        terms.minBond = uint96(rules.minBond);
        terms.slack = uint32(rules.slack);
        terms.proposal = keccak256("proposal");
        terms.attestors = new address[](ATTESTORS);
        for (uint256 i = 0; i < ATTESTORS; ++i) {
            terms.attestors[i] = vm.addr(FIRST_KEY + i);
        }
        terms.quorum = uint8(rules.quorum);
        terms.payees = new Payee[](payees.length);
        for (uint256 i = 0; i < payees.length; ++i) {
            terms.payees[i] = Payee({account: payees[i], bps: uint16(payeeBps[i])});
        }
        terms.milestones = new Milestone[](milestoneBps.length);
        for (uint256 i = 0; i < milestoneBps.length; ++i) {
            terms.milestones[i] = Milestone({
                kind: _kind(i),
                bps: uint16(milestoneBps[i]),
                deadline: uint40(milestoneDeadlines[i]),
                minScore: type(int64).min
            });
        }
        (terms.arbiter, terms.rulingWindow) = (rules.arbiter, uint32(rules.rulingWindow));
    }

    function _kind(uint256 milestone) private view returns (MilestoneKind) {
        if (milestone + 1 >= milestoneBps.length) {
            return MilestoneKind.WEIGHTS;
        }
        return milestone == 0 ? MilestoneKind.DATASET : MilestoneKind.CHECKPOINT;
    }

    /// @dev Contents of 1 byte up to three chunks and a byte, and of 2 048 chunks; of datasets and checkpoints one in
    /// eight is withheld.
    function _attestation(uint256 seed) private view returns (MilestoneAttestation memory attestation) {
        attestation.milestone = uint8(attested);
        attestation.kind = _kind(attested);
        attestation.evidence = keccak256(abi.encode("evidence", opened, attested));
        attestation.parent = campaign.latestEvidence();
        uint256 many = MerkleContent.UNIFORM_BYTES;
        uint256[8] memory sizes = [uint256(1), 16_384, 16_385, 32_768, 49_153, many, many, many];
        bool small = _below(_mix(seed, 1), 2) == 0;
        uint256 size = small ? _between(_mix(seed, 2), 1, 200) : sizes[_below(_mix(seed, 3), 8)];
        if (attestation.kind != MilestoneKind.WEIGHTS && _below(_mix(seed, 4), 8) == 0) {
            size = 0;
        }
        attestation.contentSize = uint64(size);
        attestation.contentRoot = size == 0 ? bytes32(0) : MerkleContent.root(seed, size);
        attestation.expiry = uint64(clock + 1);
    }

    function _sign(bytes32 digest, uint256 signers, bool forged) private pure returns (bytes[] memory signatures) {
        uint256 count = 0;
        for (uint256 i = 0; i < ATTESTORS; ++i) {
            count += (signers >> i) & 1;
        }
        signatures = new bytes[](count);
        uint256 next = 0;
        for (uint256 i = 0; i < ATTESTORS; ++i) {
            if ((signers >> i) & 1 == 1) {
                (uint8 v, bytes32 r, bytes32 s) = vm.sign(forged && next == 0 ? FIRST_KEY + 99 : FIRST_KEY + i, digest);
                signatures[next++] = abi.encodePacked(r, s, v);
            }
        }
    }

    // ====================================================== calls, one by one

    function _pledge(uint256 index, address payer, uint256 amount) private {
        uint256 received = asset == Asset.FeeToken ? amount - amount / 100 : amount;
        bool expected = _status() == Status.Funding && clock < rules.fundingDeadline && received > 0
            && pledgedTotal + received <= rules.cap;
        if (asset == Asset.Coin) {
            bytes memory coins = abi.encodeCall(Campaign.pledgeCoin, (accounts[index]));
            _expect("pledgeCoin", expected, payer, amount, coins);
        } else {
            _fundTokens(payer, amount);
            bytes memory tokens = abi.encodeCall(Campaign.pledgeToken, (accounts[index], amount));
            _expect("pledgeToken", expected, payer, 0, tokens);
        }
        if (expected) {
            pledgedTotal += received;
            backers[index].pledged += received;
            emit ICampaign.Pledged(accounts[index], payer, received);
        }
    }

    function _activate(address sender) private {
        bool closed = clock >= rules.fundingDeadline || pledgedTotal == rules.cap;
        bool expected = _status() == Status.Funding && pledgedTotal >= rules.goal && (closed || sender == RESEARCHER);
        _expect("activate", expected, sender, 0, abi.encodeCall(Campaign.activate, ()));
        if (expected) {
            active = true;
            votesFrom = clock + VOTE_DELAY;
            bytes32 before = blockhash(block.number - 1);
            bytes32 seed = keccak256(abi.encode(before, block.prevrandao, block.chainid, address(campaign)));
            _agree("training seed", uint256(seed), uint256(campaign.trainingSeed()));
            emit ICampaign.Activated(pledgedTotal, seed);
        }
    }

    function _collectRefund(uint256 index, address sender) private {
        uint256 amount = _refundable(index);
        bool expected = amount > 0 && _takes(accounts[index]);
        uint256 before = _balance(accounts[index]);
        _expect("collectRefund", expected, sender, 0, abi.encodeCall(Campaign.collectRefund, (accounts[index])));
        _refunded(index, accounts[index], before, expected ? amount : 0);
    }

    function _refundTo(uint256 index, address recipient) private {
        uint256 amount = _refundable(index);
        bool expected = amount > 0 && recipient != address(campaign);
        uint256 before = _balance(recipient);
        _expect("refundTo", expected, accounts[index], 0, abi.encodeCall(Campaign.refundTo, (recipient)));
        _refunded(index, recipient, before, expected ? amount : 0);
    }

    function _refunded(uint256 index, address recipient, uint256 before, uint256 amount) private {
        if (amount > 0) {
            backers[index].refunded = true;
            refundedTotal += amount;
            _arrived(recipient, before, amount);
            emit ICampaign.Refunded(accounts[index], recipient, amount);
        }
    }

    function _claim(uint256 payee, bool elsewhere) private {
        address recipient = elsewhere ? ELSEWHERE : payees[payee];
        uint256 amount = _entitlement(payee) - claimed[payee];
        bool expected = amount > 0 && _takes(recipient);
        uint256 before = _balance(recipient);
        _expect("claim", expected, payees[payee], 0, abi.encodeCall(Campaign.claim, (payee, recipient)));
        if (expected) {
            claimed[payee] += amount;
            claimedTotal += amount;
            _arrived(recipient, before, amount);
            emit ICampaign.Claimed(payee, recipient, amount);
        }
    }

    function _returnBond(uint256 number, address sender, bool home) private {
        Challenge storage made = challenges[number];
        address recipient = home ? made.challenger : ELSEWHERE;
        bool waits = !made.answered && !made.returned;
        bool expected =
            _status() == Status.Failed && waits && sender == made.challenger && made.bond > 0 && _takesCoin(recipient);
        // The same chunk of an earlier milestone is another challenge, and answered; the call speaks of the latest.
        uint256 before = recipient.balance;
        if (made.milestone + 1 == attested) {
            bytes memory data = abi.encodeCall(Campaign.returnBond, (uint64(made.chunk), recipient));
            _expect("returnBond", expected, sender, 0, data);
            if (expected) {
                made.returned = true;
                bondsHeld -= made.bond;
                _agree("the challenger's bond", before + made.bond, recipient.balance);
                emit ICampaign.BondReturned(uint8(made.milestone), uint64(made.chunk), sender, recipient, made.bond);
            }
        }
    }

    /// @dev Calls as `sender`, and fails unless the campaign's answer is the expected one. Every refusal has a name.
    function _expect(string memory what, bool expected, address sender, uint256 value, bytes memory data) private {
        bool success;
        bytes memory output;
        _compareEvents();
        if (sender == address(PUPPET)) {
            vm.deal(address(this), value);
            bytes memory order = abi.encodeCall(Puppet.execute, (address(campaign), value, data));
            (success, output) = address(PUPPET).call{value: value}(order);
        } else {
            vm.deal(sender, sender.balance + value);
            vm.prank(sender);
            (success, output) = address(campaign).call{value: value}(data);
        }
        ++outcomes[what][success];
        if (!success) {
            // The recording keeps what was taken back.
            vm.getRecordedLogs();
        }
        bool panicked = output.length >= 4 && bytes4(output) == bytes4(keccak256("Panic(uint256)"));
        if (success != expected || panicked) {
            revert WrongOutcome(what, expected, output);
        }
        if (PUPPET.reentered()) {
            revert WrongOutcome(string.concat("reentry while in ", what), false, PUPPET.answer());
        }
    }

    // ============================================================== comparison

    /// @notice Compare everything that the campaign says and holds with the model.
    function compare() external {
        vm.warp(clock);
        vm.fee(baseFee);
        _compare();
    }

    /// @dev The handler emits the event that it expects from the campaign: both must have said the same.
    function _compareEvents() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes32[] memory expected = _logsOf(logs, address(this));
        bytes32[] memory actual = _logsOf(logs, address(campaign));
        _agree("number of events", expected.length, actual.length);
        for (uint256 i = 0; i < expected.length; ++i) {
            _agree("event", uint256(expected[i]), uint256(actual[i]));
        }
    }

    function _logsOf(Vm.Log[] memory logs, address emitter) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](logs.length);
        uint256 count = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == emitter) {
                hashes[count++] = keccak256(abi.encode(logs[i].topics, logs[i].data));
            }
        }
        assembly ("memory-safe") {
            mstore(hashes, count)
        }
    }

    function _compare() internal view {
        _agree("status", uint256(_status()), uint256(campaign.status()));
        _agree("pledged", pledgedTotal, campaign.ledger().pledged);
        _agree("attested", attested, campaign.ledger().attested);
        _agree("slack used", slackUsed, campaign.ledger().slackUsed);
        _agree("stop support", stopSupport, campaign.stopSupport());
        _agree("votes from", votesFrom, campaign.votesFrom());
        _agree("open challenges", challenges.length - nextChallenge, campaign.openChallenges());
        _agree("required bond", _requiredBond(), campaign.requiredBond());
        _agree("contested", contested ? 1 : 0, campaign.ledger().contested ? 1 : 0);
        _agree("released", _released(), campaign.released());
        uint256 collectable = 0;
        for (uint256 i = 0; i < payees.length; ++i) {
            uint256 due = _entitlement(i) - claimed[i];
            collectable += due;
            _agree("claimable", due, campaign.claimable(i));
            _agree("claimed", claimed[i], campaign.claimed(i));
        }
        uint256 refundable = 0;
        for (uint256 i = 0; i < BACKERS; ++i) {
            refundable += _refundable(i);
            _agree("pledge", backers[i].refunded ? 0 : backers[i].pledged, campaign.pledgeOf(accounts[i]));
            _agree("refundable", _refundable(i), campaign.refundable(accounts[i]));
        }
        _promises(collectable, refundable);
    }

    function _promises(uint256 collectable, uint256 refundable) private view {
        bool coin = asset == Asset.Coin;
        uint256 bonds = bondsHeld;
        uint256 held = coin ? address(campaign).balance - bonds - strayNative : _tokens() - strayTokens;
        _agree("Promise 1: the escrow's balance", _assetHeld(), held);
        _agree("Promise 1: the bonds", bonds + strayNative, address(campaign).balance - (coin ? held : 0));
        uint256 locked = pledgedTotal - _released();
        _agree("Promise 2: released to payees", _released(), claimedTotal + collectable);
        uint256 returned = _failed() ? refundedTotal + refundable : 0;
        uint256 rest = locked - returned;
        if (_failed() && rest >= BACKERS) {
            revert Disagreement("Promise 2: rounding keeps less than a unit a backer", 0, rest);
        }
        if (attested == 0 && (claimedTotal > 0 || collectable > 0)) {
            revert Disagreement("Promise 3: paid before anything was attested", 0, claimedTotal + collectable);
        }
        bool refused = stopped && contested;
        if ((attested < _milestones() || refused) && claimedTotal + collectable > pledgedTotal * 7_500 / BPS) {
            revert Disagreement("Promise 4: paid without weights", 0, claimedTotal + collectable);
        }
        uint256 open = challenges.length - nextChallenge;
        if (open >= DOUBLING && !_failed() && bonds < lowestBase * DOUBLING * (2 ** (open / DOUBLING) - 1)) {
            revert Disagreement("a flood that was cheap", lowestBase * DOUBLING * (2 ** (open / DOUBLING) - 1), bonds);
        }
    }

    function _agree(string memory what, uint256 expected, uint256 actual) private pure {
        if (expected != actual) {
            revert Disagreement(what, expected, actual);
        }
    }

    function _arrived(address recipient, uint256 before, uint256 amount) private view {
        uint256 net = asset == Asset.FeeToken ? amount - amount / 100 : amount;
        _agree("what arrived", before + net, _balance(recipient));
    }

    // ================================================================= helpers

    /// @dev Amounts near what matters: nothing, a unit, up to the goal, up to the cap, and beyond.
    function _amount(uint256 random, uint256 amount) private view returns (uint256) {
        uint256 kind = _below(random, 8);
        uint256 toGoal = rules.goal > pledgedTotal ? rules.goal - pledgedTotal : 0;
        uint256 toCap = rules.cap > pledgedTotal ? rules.cap - pledgedTotal : 0;
        if (kind == 0) {
            return _below(amount, 3);
        } else if (kind < 3) {
            return toGoal;
        } else if (kind == 3) {
            return toCap + _below(amount, 2);
        }
        return _below(amount, (kind == 4 ? rules.cap : rules.goal) + 1);
    }

    /// @dev A moment at which something changes, in the model's words.
    function _boundary(uint256 random) private view returns (uint256) {
        uint256 kind = _below(random, 8);
        if (kind < 2 && !active) {
            return rules.fundingDeadline;
        } else if (kind == 7 && active && clock < votesFrom) {
            return votesFrom;
        } else if (kind < 5 && attested > 0) {
            return _windowEnd();
        } else if (_challengeOpen()) {
            return _answerBy();
        } else if (!active || attested == _milestones()) {
            return clock + _below(random, 1 days);
        }
        return _deadline(attested);
    }

    function _extended(bytes32[] memory path) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](path.length + 1);
        for (uint256 i = 0; i < path.length; ++i) {
            longer[i] = path[i];
        }
    }

    function _takesCoin(address account) private view returns (bool) {
        bool refuses = mood == Puppet.Mood.Refuse || mood == Puppet.Mood.ReturnBomb;
        return account != address(PUPPET) || !refuses;
    }

    function _takes(address account) private view returns (bool) {
        return asset != Asset.Coin || _takesCoin(account);
    }

    function _assetAddress() private view returns (address) {
        if (asset == Asset.Coin) {
            return address(0);
        }
        return asset == Asset.Token ? address(TOKEN) : address(FEE_TOKEN);
    }

    function _balance(address account) private view returns (uint256) {
        return asset == Asset.Coin ? account.balance : DevToken(_assetAddress()).balanceOf(account);
    }

    function _tokens() private view returns (uint256) {
        return _balance(address(campaign));
    }

    function _mint(address account, uint256 amount) private {
        DevToken(_assetAddress()).mint(account, amount);
    }

    function _fundTokens(address payer, uint256 amount) private {
        _mint(payer, amount);
        bytes memory approval = abi.encodeCall(DevToken(address(0)).approve, (address(campaign), amount));
        if (payer == address(PUPPET)) {
            PUPPET.execute(_assetAddress(), 0, approval);
        } else {
            vm.prank(payer);
            DevToken(_assetAddress()).approve(address(campaign), amount);
        }
    }
}
