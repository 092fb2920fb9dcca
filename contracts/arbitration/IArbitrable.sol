// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrator} from "./IArbitrator.sol";

/// @title Whoever goes to court, as ERC-792 has it
interface IArbitrable {
    /// @param ruling the court's choice, 0 when it made none
    event Ruling(IArbitrator indexed arbitrator, uint256 indexed disputeId, uint256 ruling);

    /// @notice Receive the final ruling. Only the court calls this.
    /// @param ruling the court's choice, 0 when it made none
    function rule(uint256 disputeId, uint256 ruling) external;
}
