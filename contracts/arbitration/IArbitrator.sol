// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A court, as ERC-792 has it: as much of it as `CourtArbiter` calls
/// @notice Whoever creates a dispute gets its ruling by a call of `IArbitrable.rule`.
interface IArbitrator {
    /// @notice Ask for a ruling: one of 1 to `choices`, or 0 when the court cannot or will not decide.
    /// @param choices number of rulings to choose from
    /// @param extraData what the court wants to know beside that, for example which jurors and how many
    /// @return disputeId names the dispute at this court
    function createDispute(uint256 choices, bytes calldata extraData) external payable returns (uint256 disputeId);

    /// @notice Have a ruling that is not final yet looked at again.
    function appeal(uint256 disputeId, bytes calldata extraData) external payable;

    /// @notice Wei that `createDispute` must bring.
    function arbitrationCost(bytes calldata extraData) external view returns (uint256 cost);

    /// @notice Wei that `appeal` must bring.
    function appealCost(uint256 disputeId, bytes calldata extraData) external view returns (uint256 cost);
}
