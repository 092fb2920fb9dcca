// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The cheat codes that the proofs use. Halmos and forge answer them alike.
interface Vm {
    function assume(bool condition) external;
    function deal(address account, uint256 balance) external;
    function etch(address account, bytes calldata code) external;
    function load(address account, bytes32 slot) external returns (bytes32);
    function prank(address sender) external;
    function store(address account, bytes32 slot, bytes32 value) external;
    function warp(uint256 timestamp) external;
}

/// @dev What every proof starts from. A function `check_…` states a property of all its arguments: halmos runs it on
/// symbols instead of numbers, and reports each `assert` that some input breaks.
abstract contract Proof {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
}
