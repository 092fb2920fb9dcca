// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {Milestone, MilestoneKind, Payee, Terms} from "./interfaces/ICampaign.sol";
import {ICampaignFactory} from "./interfaces/ICampaignFactory.sol";
import {PackedTerms} from "./libraries/PackedTerms.sol";

/// @title CampaignFactory
/// @notice Checks terms and opens campaigns with them. Holds no money and no storage.
/// @dev NOT checked, because no contract can: that the proposal exists and is worth its goal, that attestors and payees
/// are who they claim to be or independent of the researcher, that the arbiter is, that the asset is an honest ERC-20 (rebasing ones are
/// unsupported), that an attestor or payee can act at all.
contract CampaignFactory is ICampaignFactory {
    uint256 public constant MIN_WEIGHTS_BPS = 2_500;
    uint256 public constant MIN_STOP_BPS = 3_300;
    uint256 public constant MAX_STOP_BPS = 8_000;
    uint256 public constant MAX_ATTESTORS = 16;
    uint256 public constant MAX_PAYEES = 8;
    uint256 public constant MAX_MILESTONES = 16;
    uint256 public constant MIN_CHALLENGE_WINDOW = 2 days;
    uint256 public constant MAX_CHALLENGE_WINDOW = 90 days;
    uint256 public constant MIN_ANSWER_WINDOW = 1 days;
    uint256 public constant MAX_ANSWER_WINDOW = 30 days;
    uint256 public constant MIN_RULING_WINDOW = 7 days;
    uint256 public constant MAX_RULING_WINDOW = 90 days;
    /// @dev Wei. From any price above zero a bond that doubles soon costs something, whatever the coin is worth.
    uint256 public constant MIN_BOND = 10 ** 12;
    uint256 public constant MAX_SLACK = 365 days;
    uint256 public constant MAX_FUNDING_PERIOD = 2 * 365 days;
    uint256 public constant MAX_CAMPAIGN_PERIOD = 10 * 365 days;

    uint256 private constant BPS = 10_000;
    /// @dev Length of a clone's code in front of its immutable arguments.
    uint256 private constant CLONE_BYTES = 0x2d;
    uint256 private constant MAX_CLONE_BYTES = CLONE_BYTES + PackedTerms.FIXED_BYTES
        + (MAX_ATTESTORS * PackedTerms.ATTESTOR_BYTES) + (MAX_PAYEES * PackedTerms.PAYEE_BYTES)
        + (MAX_MILESTONES * PackedTerms.MILESTONE_BYTES) + PackedTerms.ARBITER_BYTES;

    /// @inheritdoc ICampaignFactory
    address public immutable implementation;

    /// @param implementation_ the deployed `Campaign` that every clone delegates to
    constructor(address implementation_) {
        implementation = implementation_;
    }

    /// @inheritdoc ICampaignFactory
    function createCampaign(Terms calldata terms, bytes32 salt) external returns (address campaign) {
        // Check
        if (msg.sender != terms.researcher) {
            revert CampaignFactory_NotResearcher({caller: msg.sender, researcher: terms.researcher});
        }
        _checkMoney(terms);
        _checkWindows(terms);
        _checkAttestors(terms);
        _checkPayees(terms);
        _checkMilestones(terms);

        // Effect: the address commits to the checked terms, and the same terms with the same salt fit there only once.
        bytes memory packed = PackedTerms.pack(terms);
        campaign = Clones.cloneDeterministicWithImmutableArgs(implementation, packed, salt);

        emit CampaignCreated({
            campaign: campaign, researcher: terms.researcher, proposal: terms.proposal, terms: packed, salt: salt
        });
    }

    /// @inheritdoc ICampaignFactory
    /// @dev NOT checked: whether `createCampaign` would accept the terms.
    function predictCampaign(Terms calldata terms, bytes32 salt) external view returns (address campaign) {
        return Clones.predictDeterministicAddressWithImmutableArgs(implementation, PackedTerms.pack(terms), salt);
    }

    /// @inheritdoc ICampaignFactory
    function isCampaign(address campaign, bytes32 salt) external view returns (bool) {
        uint256 length = campaign.code.length;
        if (length < CLONE_BYTES + PackedTerms.FIXED_BYTES || length > MAX_CLONE_BYTES) {
            return false;
        }
        // A CREATE2 address fixes deployer, code and salt: nobody but this factory can have put anything there.
        bytes memory args = Clones.fetchCloneArgs(campaign);
        return campaign == Clones.predictDeterministicAddressWithImmutableArgs(implementation, args, salt);
    }

    function _checkMoney(Terms calldata terms) private view {
        if (terms.asset != address(0) && terms.asset.code.length == 0) {
            revert CampaignFactory_AssetWithoutCode(terms.asset);
        }
        if (terms.proposal == bytes32(0)) {
            revert CampaignFactory_ZeroProposal();
        }
        if (terms.goal == 0 || terms.goal > terms.cap) {
            revert CampaignFactory_BadGoal({goal: terms.goal, cap: terms.cap});
        }
        if (terms.stopBps < MIN_STOP_BPS || terms.stopBps > MAX_STOP_BPS) {
            revert CampaignFactory_BadStopBps({bps: terms.stopBps, min: MIN_STOP_BPS, max: MAX_STOP_BPS});
        }
        if (terms.minBond < MIN_BOND) {
            revert CampaignFactory_BondTooSmall({actual: terms.minBond, min: MIN_BOND});
        }
    }

    function _checkWindows(Terms calldata terms) private view {
        if (terms.fundingDeadline <= block.timestamp || terms.fundingDeadline > block.timestamp + MAX_FUNDING_PERIOD) {
            revert CampaignFactory_BadFundingDeadline({
                deadline: terms.fundingDeadline, min: block.timestamp + 1, max: block.timestamp + MAX_FUNDING_PERIOD
            });
        }
        if (terms.challengeWindow < MIN_CHALLENGE_WINDOW || terms.challengeWindow > MAX_CHALLENGE_WINDOW) {
            revert CampaignFactory_BadChallengeWindow({
                actual: terms.challengeWindow, min: MIN_CHALLENGE_WINDOW, max: MAX_CHALLENGE_WINDOW
            });
        }
        if (terms.answerWindow < MIN_ANSWER_WINDOW || terms.answerWindow > MAX_ANSWER_WINDOW) {
            revert CampaignFactory_BadAnswerWindow({
                actual: terms.answerWindow, min: MIN_ANSWER_WINDOW, max: MAX_ANSWER_WINDOW
            });
        }
        if (terms.slack > MAX_SLACK) {
            revert CampaignFactory_SlackTooLong({slack: terms.slack, max: MAX_SLACK});
        }
        (uint256 min, uint256 max) = terms.arbiter == address(0) ? (0, 0) : (MIN_RULING_WINDOW, MAX_RULING_WINDOW);
        if (terms.rulingWindow < min || terms.rulingWindow > max) {
            revert CampaignFactory_BadRulingWindow({actual: terms.rulingWindow, min: min, max: max});
        }
    }

    function _checkAttestors(Terms calldata terms) private pure {
        address[] calldata attestors = terms.attestors;
        uint256 count = attestors.length;
        if (count == 0) {
            revert CampaignFactory_NoAttestor();
        }
        if (count > MAX_ATTESTORS) {
            revert CampaignFactory_TooManyAttestors({count: count, max: MAX_ATTESTORS});
        }
        for (uint256 i = 0; i < count; ++i) {
            address attestor = attestors[i];
            if (attestor == address(0)) {
                revert CampaignFactory_ZeroAttestor(i);
            }
            for (uint256 j = 0; j < i; ++j) {
                if (attestors[j] == attestor) {
                    revert CampaignFactory_DuplicateAttestor(attestor);
                }
            }
        }
        if (terms.quorum == 0 || terms.quorum > count) {
            revert CampaignFactory_BadQuorum({quorum: terms.quorum, attestors: count});
        }
    }

    function _checkPayees(Terms calldata terms) private pure {
        Payee[] calldata payees = terms.payees;
        uint256 count = payees.length;
        if (count == 0) {
            revert CampaignFactory_NoPayee();
        }
        if (count > MAX_PAYEES) {
            revert CampaignFactory_TooManyPayees({count: count, max: MAX_PAYEES});
        }
        uint256 sumBps = 0;
        for (uint256 i = 0; i < count; ++i) {
            if (payees[i].account == address(0)) {
                revert CampaignFactory_ZeroPayee(i);
            }
            uint256 bps = payees[i].bps;
            if (bps == 0) {
                revert CampaignFactory_ZeroPayeeBps(i);
            }
            sumBps += bps;
        }
        if (sumBps != BPS) {
            revert CampaignFactory_PayeeBpsNotWhole(sumBps);
        }
    }

    function _checkMilestones(Terms calldata terms) private view {
        Milestone[] calldata milestones = terms.milestones;
        uint256 count = milestones.length;
        if (count == 0) {
            revert CampaignFactory_NoMilestone();
        }
        if (count > MAX_MILESTONES) {
            revert CampaignFactory_TooManyMilestones({count: count, max: MAX_MILESTONES});
        }
        // Each milestone has room for the one before to be attested at the last second, challenged at the last second
        // of its window, and answered at the last second of the answer window.
        uint256 gap = uint256(terms.challengeWindow) + terms.answerWindow;
        uint256 earliest = terms.fundingDeadline + gap;
        uint256 sumBps = 0;
        MilestoneKind previous = MilestoneKind.DATASET;
        for (uint256 i = 0; i < count; ++i) {
            Milestone calldata milestone = milestones[i];
            MilestoneKind kind = milestone.kind;
            uint256 bps = milestone.bps;
            uint256 deadline = milestone.deadline;
            if (bps == 0) {
                revert CampaignFactory_ZeroMilestoneBps(i);
            }
            if (kind < previous || (kind == MilestoneKind.WEIGHTS && i + 1 != count)) {
                revert CampaignFactory_KindOrder({index: i, kind: kind});
            }
            if (deadline < earliest) {
                revert CampaignFactory_DeadlineTooEarly({index: i, deadline: deadline, min: earliest});
            }
            sumBps += bps;
            previous = kind;
            earliest = deadline + gap;
        }
        if (sumBps != BPS) {
            revert CampaignFactory_MilestoneBpsNotWhole(sumBps);
        }
        Milestone calldata last = milestones[count - 1];
        if (last.kind != MilestoneKind.WEIGHTS) {
            revert CampaignFactory_LastNotWeights(last.kind);
        }
        if (last.bps < MIN_WEIGHTS_BPS) {
            revert CampaignFactory_WeightsBpsTooSmall({bps: last.bps, min: MIN_WEIGHTS_BPS});
        }
        uint256 latest = block.timestamp + MAX_CAMPAIGN_PERIOD;
        if (last.deadline > latest) {
            revert CampaignFactory_DeadlineTooLate({deadline: last.deadline, max: latest});
        }
    }
}
