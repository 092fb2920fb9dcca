// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Status} from "../../contracts/interfaces/ICampaign.sol";
import {Base} from "./Base.sol";

/// @title What the protocol says about a campaign, in plain storage and without its code
/// @notice Predicts status, every share and every balance. Knows nothing of packed words or clones.
abstract contract CampaignModel is Base {
    struct Rules {
        uint256 goal;
        uint256 cap;
        uint256 fundingDeadline;
        uint256 stopBps;
        uint256 challengeWindow;
        uint256 answerWindow;
        uint256 minBond;
        uint256 slack;
        uint256 quorum;
        address arbiter;
        uint256 rulingWindow;
    }

    struct Challenge {
        uint8 milestone;
        uint64 chunk;
        uint40 openedAt;
        bool answered;
        bool returned;
        address challenger;
        uint96 bond;
    }

    struct Backer {
        uint256 pledged;
        bool votesStop;
        bool refunded;
    }

    uint256 internal constant BPS = 10_000;
    uint256 internal constant ANSWER_GAS = 1_250_000;
    uint256 internal constant MIN_BOND = 1e12;
    uint256 internal constant DOUBLING = 512;
    uint256 internal constant VOTE_DELAY = 1 days;
    uint256 internal constant BACKERS = 4;

    /// @dev The time, unix seconds. Kept here because forge sets the clock back between calls.
    uint256 internal clock = 1_800_000_000;
    uint256 internal baseFee = 1 gwei;

    Rules internal rules;
    uint256[] internal milestoneBps;
    uint256[] internal milestoneDeadlines;
    uint256[] internal payeeBps;

    Backer[BACKERS] internal backers;
    bool internal active;
    /// @dev Unix seconds, 0 before activation.
    uint256 internal votesFrom;
    bool internal stopped;
    /// @dev Whether the stop, or the arbiter's refusal, came while the latest tranche still waited.
    bool internal stoppedInWindow;
    uint256 internal pledgedTotal;
    uint256 internal stopSupport;
    uint256 internal slackUsed;
    uint256 internal attested;
    uint256 internal attestedAt;
    uint256 internal contentSeed;
    uint256 internal contentSize;
    bytes32 internal contentRoot;
    bool internal contested;
    Challenge[] internal challenges;
    uint256 internal nextChallenge;
    /// @dev Wei that challengers have in the escrow.
    uint256 internal bondsHeld;
    /// @dev Wei: the least that a challenge cost while none was open, in the blocks in which somebody challenged.
    uint256 internal lowestBase;
    mapping(bytes32 challenge => bool) internal wasChallenged;
    uint256[] internal claimed;
    uint256 internal claimedTotal;
    uint256 internal refundedTotal;
    /// @dev Forced ether and donated tokens: nobody's.
    uint256 internal strayNative;
    uint256 internal strayTokens;

    function _milestones() internal view returns (uint256) {
        return milestoneBps.length;
    }

    function _windowEnd() internal view returns (uint256) {
        return attestedAt + rules.challengeWindow + (contested ? rules.rulingWindow : 0);
    }

    function _challengeOpen() internal view returns (bool) {
        return nextChallenge < challenges.length;
    }

    /// @dev The second from which the oldest open challenge counts as unanswered.
    function _answerBy() internal view returns (uint256) {
        return challenges[nextChallenge].openedAt + rules.answerWindow;
    }

    function _deadline(uint256 milestone) internal view returns (uint256) {
        return milestoneDeadlines[milestone] + slackUsed;
    }

    function _failed() internal view returns (bool) {
        bool unfunded = !active && clock >= rules.fundingDeadline && pledgedTotal < rules.goal;
        bool neverActivated = !active && clock >= milestoneDeadlines[0];
        bool unanswered = active && _challengeOpen() && clock >= _answerBy();
        bool overdue = active && !_challengeOpen() && attested < _milestones() && clock >= _deadline(attested);
        return unfunded || neverActivated || stopped || unanswered || overdue;
    }

    function _status() internal view returns (Status) {
        if (_failed()) {
            return Status.Failed;
        }
        if (!active) {
            return Status.Funding;
        }
        bool delivered = attested == _milestones() && !_challengeOpen() && clock >= _windowEnd();
        return delivered ? Status.Completed : Status.Active;
    }

    /// @dev Whether milestone number `index` has been paid for.
    function _isReleased(uint256 index) internal view returns (bool) {
        if (index >= attested) {
            return false;
        }
        if (index + 1 < attested) {
            return true;
        }
        return !stoppedInWindow && !_challengeOpen() && clock >= _windowEnd();
    }

    /// @dev What the pool has released after the first `count` milestones.
    function _poolShare(uint256 count) internal view returns (uint256) {
        uint256 bps = 0;
        for (uint256 i = 0; i < count; ++i) {
            bps += milestoneBps[i];
        }
        return pledgedTotal * bps / BPS;
    }

    function _released() internal view returns (uint256) {
        uint256 count = 0;
        while (count < _milestones() && _isReleased(count)) {
            ++count;
        }
        return _poolShare(count);
    }

    function _entitlement(uint256 payee) internal view returns (uint256 total) {
        for (uint256 i = 0; i < _milestones() && _isReleased(i); ++i) {
            uint256 tranche = _poolShare(i + 1) - _poolShare(i);
            uint256 others = 0;
            for (uint256 j = 0; j + 1 < payeeBps.length; ++j) {
                others += tranche * payeeBps[j] / BPS;
            }
            bool last = payee + 1 == payeeBps.length;
            total += last ? tranche - others : tranche * payeeBps[payee] / BPS;
        }
    }

    /// @dev What a backer gets back in all, whenever it asks.
    function _refund(uint256 index) internal view returns (uint256) {
        return pledgedTotal == 0 ? 0 : backers[index].pledged * (pledgedTotal - _released()) / pledgedTotal;
    }

    function _refundable(uint256 index) internal view returns (uint256) {
        return _failed() && !backers[index].refunded ? _refund(index) : 0;
    }

    function _requiredBond() internal view returns (uint256) {
        return _price(challenges.length - nextChallenge);
    }

    /// @dev What a challenge costs with so many open before it, step by step: no doubling is skipped.
    function _price(uint256 open) internal view returns (uint256) {
        uint256 gasCost = ANSWER_GAS * baseFee;
        uint256 base = rules.minBond > gasCost ? rules.minBond : gasCost;
        while (open >= DOUBLING) {
            base *= 2;
            open -= DOUBLING;
        }
        return base + base * open / DOUBLING;
    }

    /// @dev What the escrow still has of the pledges.
    function _assetHeld() internal view returns (uint256) {
        return pledgedTotal - claimedTotal - refundedTotal;
    }
}
