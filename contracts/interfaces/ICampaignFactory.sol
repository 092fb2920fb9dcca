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

    error CampaignFactory_NotResearcher(address caller, address researcher);
    error CampaignFactory_AssetWithoutCode(address asset);
    error CampaignFactory_ZeroProposal();
    error CampaignFactory_NoAttestor();
    error CampaignFactory_TooManyAttestors(uint256 count, uint256 max);
    error CampaignFactory_ZeroAttestor(uint256 index);
    error CampaignFactory_DuplicateAttestor(address attestor);
    error CampaignFactory_BadQuorum(uint256 quorum, uint256 attestors);
    error CampaignFactory_NoPayee();
    error CampaignFactory_TooManyPayees(uint256 count, uint256 max);
    error CampaignFactory_ZeroPayee(uint256 index);
    error CampaignFactory_EmptyShare(uint256 index);
    error CampaignFactory_PayeeSharesNotWhole(uint256 sumBps);
    error CampaignFactory_NoMilestone();
    error CampaignFactory_TooManyMilestones(uint256 count, uint256 max);
    error CampaignFactory_EmptyMilestone(uint256 index);
    error CampaignFactory_MilestoneSharesNotWhole(uint256 sumBps);
    error CampaignFactory_KindOrder(uint256 index, MilestoneKind kind);
    error CampaignFactory_LastNotWeights(MilestoneKind kind);
    error CampaignFactory_WeightsShareTooSmall(uint256 bps, uint256 min);
    error CampaignFactory_DeadlineTooEarly(uint256 index, uint256 deadline, uint256 min);
    error CampaignFactory_DeadlineTooLate(uint256 deadline, uint256 max);
    error CampaignFactory_BadFundingDeadline(uint256 deadline, uint256 min, uint256 max);
    error CampaignFactory_BadGoal(uint256 goal, uint256 cap);
    error CampaignFactory_BadStopBps(uint256 bps, uint256 min, uint256 max);
    error CampaignFactory_BadChallengeWindow(uint256 actual, uint256 min, uint256 max);
    error CampaignFactory_BadResponseWindow(uint256 actual, uint256 min, uint256 max);
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
