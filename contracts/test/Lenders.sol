// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

import {ICampaign} from "../interfaces/ICampaign.sol";

/// @dev Lends all that it has without a fee, and takes it back in the same transaction or undoes everything.
contract FlashLender {
    /// @notice Thrown when the loan did not come back whole.
    /// @param missing wei that did not come back
    error FlashLender_NotRepaid(uint256 missing);

    constructor() payable {}

    receive() external payable {}

    function lend(uint256 amount) external {
        uint256 before = address(this).balance;
        Borrower(payable(msg.sender)).onLoan{value: amount}();
        if (address(this).balance < before) {
            revert FlashLender_NotRepaid(before - address(this).balance);
        }
    }
}

/// @dev Pledges borrowed money, and wants the campaign to fail and to refund it before the loan is due.
contract Borrower {
    FlashLender private immutable LENDER;
    ICampaign private _campaign;
    uint256 private _steps;

    constructor(FlashLender lender) {
        LENDER = lender;
    }

    receive() external payable {}

    /// @param steps how far it goes with the money: 1 pledge, 2 activate, 3 vote to stop and be refunded
    function attack(ICampaign campaign, uint256 amount, uint256 steps) external {
        (_campaign, _steps) = (campaign, steps);
        LENDER.lend(amount);
    }

    function onLoan() external payable {
        if (_steps > 0) {
            _campaign.pledgeCoin{value: msg.value}(address(this));
        }
        if (_steps > 1) {
            _campaign.activate();
        }
        if (_steps > 2) {
            _campaign.voteStop(true);
            _campaign.refundTo(address(this));
        }
        Address.sendValue(payable(address(LENDER)), address(this).balance);
    }
}
