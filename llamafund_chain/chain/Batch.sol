// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Batch
/// @notice Makes calls in the name of an account. It is on no chain: simulations put its code at an account's
/// address for the length of one `eth_call`, to see what a token would do.
contract Batch {
    struct Call {
        address to;
        bytes data;
    }

    struct Result {
        bool success;
        bytes returned;
    }

    function run(Call[] calldata calls) external returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 index = 0; index < calls.length; ++index) {
            (results[index].success, results[index].returned) = calls[index].to.call(calls[index].data);
        }
    }
}
