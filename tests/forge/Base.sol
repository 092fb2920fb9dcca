// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The cheat codes used here: https://getfoundry.sh/reference/cheatcodes
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 key) external pure returns (address);
    function deal(address account, uint256 balance) external;
    function fee(uint256 baseFee) external;
    function getRecordedLogs() external returns (Log[] memory logs);
    function prank(address sender) external;
    function recordLogs() external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function warp(uint256 moment) external;
}

/// @dev What forge looks for in a test contract, and the little that tests here need beside it.
abstract contract Base {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    // solhint-disable-next-line const-name-snakecase
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @return a number from 0 to `bound_ - 1`
    function _below(uint256 random, uint256 bound_) internal pure returns (uint256) {
        return random % bound_;
    }

    /// @return a number from `min` to `max`
    function _between(uint256 random, uint256 min, uint256 max) internal pure returns (uint256) {
        return min + random % (max - min + 1);
    }

    /// @return another random number, so that one argument serves for many choices
    function _mix(uint256 random, uint256 salt) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(random, salt)));
    }
}
