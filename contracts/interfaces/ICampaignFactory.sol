// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MilestoneKind, Terms} from "./ICampaign.sol";

/// @title Opens campaigns and tells them from look-alikes
/// @notice No owner and no storage. A campaign is a minimal clone of one implementation that carries its terms as
/// immutable arguments; its address follows from implementation, terms and salt.
interface ICampaignFactory {
    /// @param terms packed as in the campaign's code, see `PackedTerms`; `ICampaign.terms` gives them unpacked
    event CampaignCreated(
        address indexed campaign, address indexed researcher, bytes32 indexed proposal, bytes terms, bytes32 salt
    );

    /// @notice Thrown when somebody else than the terms' researcher opens the campaign.
    /// @param caller who called
    /// @param researcher who may open it
    error CampaignFactory_NotResearcher(address caller, address researcher);

    /// @notice Thrown when the asset is neither the native coin nor a contract.
    /// @param asset the terms' asset
    error CampaignFactory_AssetWithoutCode(address asset);

    /// @notice Thrown when the proposal's hash is zero.
    error CampaignFactory_ZeroProposal();

    /// @notice Thrown when the terms list no attestor.
    error CampaignFactory_NoAttestor();

    /// @notice Thrown when the terms list more attestors than `MAX_ATTESTORS`.
    /// @param count number of attestors listed
    /// @param max number of attestors allowed
    error CampaignFactory_TooManyAttestors(uint256 count, uint256 max);

    /// @notice Thrown when an attestor is the zero address.
    /// @param index which one, from 0
    error CampaignFactory_ZeroAttestor(uint256 index);

    /// @notice Thrown when an attestor is listed twice.
    /// @param attestor the address listed twice
    error CampaignFactory_DuplicateAttestor(address attestor);

    /// @notice Thrown when the quorum is zero, or more than there are attestors.
    /// @param quorum how many attestors must sign
    /// @param attestors number of attestors listed
    error CampaignFactory_BadQuorum(uint256 quorum, uint256 attestors);

    /// @notice Thrown when the terms list no payee.
    error CampaignFactory_NoPayee();

    /// @notice Thrown when the terms list more payees than `MAX_PAYEES`.
    /// @param count number of payees listed
    /// @param max number of payees allowed
    error CampaignFactory_TooManyPayees(uint256 count, uint256 max);

    /// @notice Thrown when a payee is the zero address.
    /// @param index which one, from 0
    error CampaignFactory_ZeroPayee(uint256 index);

    /// @notice Thrown when a payee has 0 basis points.
    /// @param index which payee, from 0
    error CampaignFactory_ZeroPayeeBps(uint256 index);

    /// @notice Thrown when the payees' basis points do not add up to 10 000.
    /// @param sumBps what they add up to, basis points
    error CampaignFactory_PayeeBpsNotWhole(uint256 sumBps);

    /// @notice Thrown when the terms list no milestone.
    error CampaignFactory_NoMilestone();

    /// @notice Thrown when the terms list more milestones than `MAX_MILESTONES`.
    /// @param count number of milestones listed
    /// @param max number of milestones allowed
    error CampaignFactory_TooManyMilestones(uint256 count, uint256 max);

    /// @notice Thrown when a milestone has 0 basis points.
    /// @param index which one, from 0
    error CampaignFactory_ZeroMilestoneBps(uint256 index);

    /// @notice Thrown when the milestones' basis points do not add up to 10 000.
    /// @param sumBps what they add up to, basis points
    error CampaignFactory_MilestoneBpsNotWhole(uint256 sumBps);

    /// @notice Thrown when the milestones' kinds are not datasets, then checkpoints, then the weights once.
    /// @param index which milestone breaks the order, from 0
    /// @param kind its kind
    error CampaignFactory_KindOrder(uint256 index, MilestoneKind kind);

    /// @notice Thrown when the last milestone is not the weights.
    /// @param kind the last milestone's kind
    error CampaignFactory_LastNotWeights(MilestoneKind kind);

    /// @notice Thrown when the last milestone, the weights, has fewer basis points than `MIN_WEIGHTS_BPS`.
    /// @param bps the last milestone's, basis points
    /// @param min the smallest allowed, basis points
    error CampaignFactory_WeightsBpsTooSmall(uint256 bps, uint256 min);

    /// @notice Thrown when a milestone's deadline leaves no room after the one before, or after the funding deadline,
    /// for a challenge window and an answer.
    /// @param index which milestone, from 0
    /// @param deadline its deadline, unix seconds
    /// @param min the earliest allowed, unix seconds
    error CampaignFactory_DeadlineTooEarly(uint256 index, uint256 deadline, uint256 min);

    /// @notice Thrown when the last milestone's deadline is more than `MAX_CAMPAIGN_PERIOD` away.
    /// @param deadline the last milestone's, unix seconds
    /// @param max the latest allowed, unix seconds
    error CampaignFactory_DeadlineTooLate(uint256 deadline, uint256 max);

    /// @notice Thrown when the funding deadline is not in the future, or more than `MAX_FUNDING_PERIOD` away.
    /// @param deadline the terms' funding deadline, unix seconds
    /// @param min the earliest allowed, unix seconds
    /// @param max the latest allowed, unix seconds
    error CampaignFactory_BadFundingDeadline(uint256 deadline, uint256 min, uint256 max);

    /// @notice Thrown when the goal is zero or above the cap.
    /// @param goal units of the asset
    /// @param cap units of the asset
    error CampaignFactory_BadGoal(uint256 goal, uint256 cap);

    /// @notice Thrown when the terms' `stopBps` is out of bounds.
    /// @param bps as in the terms, basis points
    /// @param min the smallest allowed, basis points
    /// @param max the largest allowed, basis points
    error CampaignFactory_BadStopBps(uint256 bps, uint256 min, uint256 max);

    /// @notice Thrown when the challenge window is out of bounds.
    /// @param actual the terms' window, seconds
    /// @param min the shortest allowed, seconds
    /// @param max the longest allowed, seconds
    error CampaignFactory_BadChallengeWindow(uint256 actual, uint256 min, uint256 max);

    /// @notice Thrown when the answer window is out of bounds.
    /// @param actual the terms' window, seconds
    /// @param min the shortest allowed, seconds
    /// @param max the longest allowed, seconds
    error CampaignFactory_BadAnswerWindow(uint256 actual, uint256 min, uint256 max);

    /// @notice Thrown when the terms' `minBond` is below `MIN_BOND`.
    /// @param actual the terms' smallest bond, wei
    /// @param min the least allowed, wei
    error CampaignFactory_BondTooSmall(uint256 actual, uint256 min);

    /// @notice Thrown when the ruling window is out of bounds. Without an arbiter both bounds are 0.
    /// @param actual the terms' window, seconds
    /// @param min the shortest allowed, seconds
    /// @param max the longest allowed, seconds
    error CampaignFactory_BadRulingWindow(uint256 actual, uint256 min, uint256 max);

    /// @notice Thrown when the slack is longer than `MAX_SLACK`.
    /// @param slack the terms' slack, seconds
    /// @param max the longest allowed, seconds
    error CampaignFactory_SlackTooLong(uint256 slack, uint256 max);

    /// @notice Open a campaign. The caller must be the terms' researcher, so nobody can open one in another's name
    /// or occupy its address first.
    /// @param salt tells apart campaigns with equal terms
    function createCampaign(Terms calldata terms, bytes32 salt) external returns (address campaign);

    /// @notice The one implementation that every campaign delegates to.
    function implementation() external view returns (address);

    /// @notice Address that `createCampaign` gives for these terms.
    function predictCampaign(Terms calldata terms, bytes32 salt) external view returns (address campaign);

    /// @notice Whether this factory deployed `campaign`.
    /// @param salt as in `CampaignCreated`
    function isCampaign(address campaign, bytes32 salt) external view returns (bool);
}
