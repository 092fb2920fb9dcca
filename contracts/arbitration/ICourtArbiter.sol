// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Status} from "../interfaces/ICampaign.sol";
import {ICampaignFactory} from "../interfaces/ICampaignFactory.sol";
import {IArbitrable} from "./IArbitrable.sol";
import {IArbitrator} from "./IArbitrator.sol";
import {IEvidence} from "./IEvidence.sol";

/// @title An arbiter for campaigns that leaves the decision to a court
/// @notice A campaign whose terms name it as their arbiter can be brought before its court by any backer, who pays the
/// court's fee. Rulings are numbered as the meta evidence says: 1 lets the attestation stand, 2 refuses it, 0 is no
/// decision. The court sets fees, appeals and how long it takes. Nobody owns this contract; it keeps no money.
/// @dev Evidence is named by the SHA-256 of its manifest. Jurors find it at the raw CIDv1 of that hash, in hexadecimal:
/// `/ipfs/f01551220…`. A campaign's evidence group is its address as a number.
interface ICourtArbiter is IArbitrable, IEvidence {
    // ---------------------------------------------------------------- events

    /// @notice The court's decision came when the campaign did not wait for one any more, and changed nothing.
    event RulingTooLate(address indexed campaign, uint256 indexed disputeId);

    // ---------------------------------------------------------------- errors

    /// @notice Thrown when this contract is to be deployed for a court at which there is no code.
    /// @param court the address given
    error CourtArbiter_NoCourt(address court);

    /// @notice Thrown when this contract is to be deployed with an appeal reserve out of bounds.
    /// @param actual seconds given
    /// @param min seconds
    /// @param max seconds
    error CourtArbiter_BadAppealReserve(uint256 actual, uint256 min, uint256 max);

    /// @notice Thrown when a dispute is about something that the factory did not open with this salt.
    /// @param campaign the address given
    error CourtArbiter_NotACampaign(address campaign);

    /// @notice Thrown when a dispute is about a campaign whose terms name another arbiter, or none.
    /// @param arbiter as in the campaign's terms, zero = none
    error CourtArbiter_NotItsArbiter(address arbiter);

    /// @notice Thrown when an account without a pledge in the campaign wants a dispute.
    /// @param caller who called
    error CourtArbiter_NotBacker(address caller);

    /// @notice Thrown when evidence is named by the hash zero.
    error CourtArbiter_EmptyEvidence();

    /// @notice Thrown when a dispute of the same campaign waits for its ruling.
    /// @param disputeId its number at the court
    error CourtArbiter_AlreadyDisputed(uint256 disputeId);

    /// @notice Thrown when the court did not decide, and it is too late to ask again.
    /// @param endedAt unix seconds before which the campaign took rulings
    error CourtArbiter_TooLate(uint256 endedAt);

    /// @notice Thrown when the ruling after an appeal could come when the campaign does not wait for it any more.
    /// @param endedAt unix seconds before which appeals were taken
    error CourtArbiter_TooLateToAppeal(uint256 endedAt);

    /// @notice Thrown when a dispute or an appeal is about a campaign that has ended before its time for a ruling.
    /// @param status of the campaign
    error CourtArbiter_CampaignEnded(Status status);

    /// @notice Thrown when a dispute or an appeal brings less than the court's fee.
    /// @param min wei that the court asks for now
    /// @param actual wei sent
    error CourtArbiter_FeeTooSmall(uint256 min, uint256 actual);

    /// @notice Thrown when the court gives a new dispute the number of one that waits for its ruling.
    /// @param disputeId the number
    error CourtArbiter_DisputeIdInUse(uint256 disputeId);

    /// @notice Thrown when there is nothing to appeal or to submit evidence to: no dispute of the campaign waits for its
    /// ruling.
    /// @param campaign the address given
    error CourtArbiter_NoDispute(address campaign);

    /// @notice Thrown when somebody else than the court rules.
    /// @param caller who called
    error CourtArbiter_NotCourt(address caller);

    /// @notice Thrown when the court rules on a dispute that does not wait for a ruling.
    /// @param disputeId the number given
    error CourtArbiter_UnknownDispute(uint256 disputeId);

    /// @notice Thrown when a ruling comes with too little gas to be passed on.
    error CourtArbiter_OutOfGas();

    // --------------------------------------------------------------- parties

    /// @notice Contest a campaign's last attestation and ask the court for a ruling. Any backer of the campaign may.
    /// `msg.value` pays the court's fee; what is too much comes back.
    /// @param salt as in `CampaignCreated`
    /// @param evidence SHA-256 of the manifest that says what is wrong
    /// @return disputeId names the dispute at the court
    function dispute(address campaign, bytes32 salt, bytes32 evidence) external payable returns (uint256 disputeId);

    /// @notice Submit evidence to a campaign's running dispute. Anyone may, for whatever side.
    /// @param evidence SHA-256 of its manifest
    function submitEvidence(address campaign, bytes32 evidence) external;

    /// @notice Appeal the ruling that the court is about to give. Anyone may, as far as the court allows it, until
    /// `appealReserve` before the last second for a ruling. `msg.value` pays the court's fee; what is too much comes
    /// back.
    function appeal(address campaign) external payable;

    // ----------------------------------------------------------------- views

    /// @notice The court whose rulings count.
    function court() external view returns (IArbitrator);

    /// @notice The factory whose campaigns can be disputed.
    function factory() external view returns (ICampaignFactory);

    /// @notice Seconds before the end of the time for a ruling from which no appeal is taken: what a round at the court
    /// takes at most.
    function appealReserve() external view returns (uint256);

    /// @notice What the court is told with each dispute and appeal.
    function extraData() external view returns (bytes memory);

    /// @notice Where the JSON is that puts the question to the jurors.
    function metaEvidence() external view returns (string memory);

    /// @notice Wei that `dispute` must bring now.
    function disputeFee() external view returns (uint256);

    /// @notice Wei that `appeal` must bring now.
    function appealFee(address campaign) external view returns (uint256);

    /// @notice The dispute of a campaign that waits for its ruling.
    /// @return open whether there is one
    /// @return disputeId its number at the court
    function disputeOf(address campaign) external view returns (bool open, uint256 disputeId);
}
