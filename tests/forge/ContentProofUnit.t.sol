// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ContentProof} from "../../contracts/libraries/ContentProof.sol";

/// @notice Paths and chunks, by hand. Every path of small trees is in `proofs/PathProof.sol`.
/// @dev A file of its own: a fault in the library is compiled into this and into nothing else that is long.
contract ContentProofUnit {
    function test_aPathFitsItsIndexAndCount() external view {
        bytes32[] memory leaves = new bytes32[](5);
        for (uint256 i = 0; i < 5; ++i) {
            leaves[i] = keccak256(abi.encode(i));
        }
        bytes32 left = _node(_node(leaves[0], leaves[1]), _node(leaves[2], leaves[3]));
        bytes32 root = _node(left, leaves[4]);
        bytes32[] memory path = new bytes32[](1);
        path[0] = left;
        assert(this.leadsTo(leaves[4], 4, 5, path, root));
        assert(!this.leadsTo(leaves[4], 4, 6, path, root));
        assert(!this.leadsTo(leaves[4], 5, 5, path, root));
        assert(!this.leadsTo(leaves[4], 3, 5, path, root));
        assert(!this.leadsTo(leaves[4], 4, 5, new bytes32[](0), root));
        assert(!this.leadsTo(leaves[4], 4, 5, new bytes32[](2), root));
        path = new bytes32[](3);
        (path[0], path[1], path[2]) = (leaves[3], _node(leaves[0], leaves[1]), leaves[4]);
        assert(this.leadsTo(leaves[2], 2, 5, path, root));
        assert(!this.leadsTo(leaves[3], 2, 5, path, root));
    }

    function test_aChunkBehindTheContentIsRefused() external view {
        bytes32[] memory path = new bytes32[](0);
        bytes memory data = hex"61";
        bytes32 root = sha256(hex"0061");
        assert(this.verify(root, 1, 0, data, path));
        assert(!this.verify(root, 1, 1, data, path));
        assert(!this.verify(root, 2, 0, data, path));
        assert(!this.verify(root, 0, 0, "", path));
    }

    function test_aTreeOfOneLeafHasNeitherASecondOneNorASibling() external view {
        (bytes32 leaf, bytes32 other) = (keccak256("leaf"), keccak256("other"));
        bytes32[] memory path = new bytes32[](0);
        assert(this.leadsTo(leaf, 0, 1, path, leaf));
        assert(!this.leadsTo(leaf, 1, 1, path, leaf));
        path = new bytes32[](1);
        path[0] = other;
        assert(!this.leadsTo(leaf, 0, 1, path, _node(other, leaf)));
        assert(!this.leadsTo(leaf, 0, 1, path, _node(leaf, other)));
    }

    function leadsTo(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path, bytes32 root)
        external
        pure
        returns (bool)
    {
        return ContentProof.leadsTo(leaf, index, count, path, root);
    }

    function verify(bytes32 root, uint256 size, uint256 index, bytes calldata data, bytes32[] calldata path)
        external
        pure
        returns (bool)
    {
        return ContentProof.verify(root, size, index, data, path);
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"01", left, right));
    }
}
