// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrable} from "../arbitration/IArbitrable.sol";
import {IArbitrator} from "../arbitration/IArbitrator.sol";

/// @title MockCourt
/// @notice A court for development chains: anyone rules, at once and as they like. It is worth nothing anywhere.
contract MockCourt is IArbitrator {
    /// @notice Thrown when a dispute or an appeal does not bring exactly the fee.
    /// @param fee wei
    /// @param actual wei sent
    error MockCourt_WrongFee(uint256 fee, uint256 actual);

    uint256 public fee;
    /// @notice The number that the next dispute gets.
    uint256 public next;
    mapping(uint256 disputeId => IArbitrable) public arbitrated;
    /// @notice How often a dispute was appealed.
    mapping(uint256 disputeId => uint256) public appeals;
    address private _target;
    bytes private _data;
    /// @notice Whether the last call that this court made in the middle of another went through, and what it answered.
    bool public reentered;
    bytes public answer;

    event DisputeCreation(uint256 indexed disputeId, IArbitrable indexed arbitrable);
    event AppealDecision(uint256 indexed disputeId, IArbitrable indexed arbitrable);

    /// @param fee_ wei that a dispute costs; an appeal costs twice as much
    constructor(uint256 fee_) {
        fee = fee_;
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    /// @notice Give the next dispute this number, even if it was given before.
    function setNext(uint256 next_) external {
        next = next_;
    }

    /// @notice Call somebody in the middle of `createDispute` and `appeal`.
    function setReentry(address target, bytes calldata data) external {
        _target = target;
        _data = data;
    }

    /// @notice Rule. Anyone may, on any dispute, as often as they like.
    function give(uint256 disputeId, uint256 ruling) external {
        arbitrated[disputeId].rule(disputeId, ruling);
    }

    function createDispute(uint256, bytes calldata extraData) external payable returns (uint256 disputeId) {
        _take(arbitrationCost(extraData));
        disputeId = next++;
        arbitrated[disputeId] = IArbitrable(msg.sender);
        emit DisputeCreation({disputeId: disputeId, arbitrable: IArbitrable(msg.sender)});
    }

    function appeal(uint256 disputeId, bytes calldata extraData) external payable {
        _take(appealCost(disputeId, extraData));
        ++appeals[disputeId];
        emit AppealDecision({disputeId: disputeId, arbitrable: arbitrated[disputeId]});
    }

    function arbitrationCost(bytes calldata) public view returns (uint256) {
        return fee;
    }

    function appealCost(uint256, bytes calldata) public view returns (uint256) {
        return 2 * fee;
    }

    function _take(uint256 price) private {
        if (msg.value != price) {
            revert MockCourt_WrongFee({fee: price, actual: msg.value});
        }
        if (_target != address(0)) {
            (reentered, answer) = _target.call(_data);
        }
    }
}
