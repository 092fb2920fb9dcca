// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ContentProof} from "../../../contracts/libraries/ContentProof.sol";

import {Proof} from "./Proof.sol";

/// @dev `ContentProof.leadsTo` against the recursive definitions of RFC 9162, sections 2.1.1 and 2.1.3.1. Range: every
/// tree of up to `MAX_LEAVES` leaves, every index, every path of up to `MAX_PATH` hashes, every hash.
///
/// SHA-256 is any function at all. Where a property needs more of it, namely that no two inputs have the same hash, the
/// proof says so for the two inputs in question. Such an assumption is true of every hash function without collisions,
/// whatever the inputs: it cannot hide a fault.
contract PathProof is Proof {
    uint256 private constant MAX_LEAVES = 16;
    uint256 private constant MAX_PATH = 5;

    /// @dev The loop over the path and the recursion over the tree agree on every input, right or wrong.
    function check_agreesWithDefinition(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        uint256 length,
        bytes32[MAX_PATH] calldata hashes,
        bytes32 root
    ) external view {
        (index, count, length) = _numbers(index, count, length);
        bytes32[] memory path = _path(hashes, length);
        bool accepted = this.leadsTo(leaf, index, count, path, root);
        if (length != _depth(index, count)) {
            assert(!accepted);
        } else {
            assert(accepted == (_climb(leaf, index, count, path, length) == root));
        }
    }

    /// @dev Under the true root only the leaf that belongs there verifies at an index, and only along its own path.
    function check_oneLeafAndOnePath(
        bytes32[MAX_LEAVES] calldata leaves,
        bytes32 leaf,
        uint256 index,
        uint256 count,
        bytes32[MAX_PATH] calldata hashes
    ) external {
        (index, count,) = _numbers(index, count, 0);
        uint256 length = _depth(index, count);
        bytes32[] memory path = _path(hashes, length);
        bytes32[] memory truePath = new bytes32[](length);
        bytes32 root = _tree(leaves, 0, count, index, truePath);
        _assumeNoCollision(leaves, leaf, index, count, path, truePath);

        bool accepted = this.leadsTo(leaf, index, count, path, root);

        bool same = leaf == leaves[index];
        for (uint256 i = 0; i < length; ++i) {
            same = _and(same, path[i] == truePath[i]);
        }
        assert(accepted == same);
    }

    /// @dev An index behind the last leaf is refused whatever else is said.
    function check_noIndexBehindTheLast(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        uint256 length,
        bytes32[MAX_PATH] calldata hashes,
        bytes32 root
    ) external {
        vm.assume(index >= count);
        (,, length) = _numbers(0, 1, length);
        assert(!this.leadsTo(leaf, index, count, _path(hashes, length), root));
    }

    function leadsTo(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path, bytes32 root)
        external
        pure
        returns (bool)
    {
        return ContentProof.leadsTo(leaf, index, count, path, root);
    }

    /// @dev One path of the proof for each value in range, so that loops have an end.
    function _numbers(uint256 index, uint256 count, uint256 length) private pure returns (uint256, uint256, uint256) {
        for (uint256 c = 1; c <= MAX_LEAVES; ++c) {
            for (uint256 i = 0; c == count && i < c; ++i) {
                for (uint256 l = 0; i == index && l <= MAX_PATH; ++l) {
                    if (l == length) {
                        return (i, c, l);
                    }
                }
            }
        }
        revert("out of range");
    }

    function _path(bytes32[MAX_PATH] calldata hashes, uint256 length) private pure returns (bytes32[] memory path) {
        path = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            path[i] = hashes[i];
        }
    }

    /// @dev The largest power of two below `count`: where RFC 9162 splits a list.
    function _split(uint256 count) private pure returns (uint256 k) {
        for (k = 1; 2 * k < count; k *= 2) {}
    }

    function _depth(uint256 index, uint256 count) private pure returns (uint256) {
        if (count == 1) {
            return 0;
        }
        uint256 k = _split(count);
        return 1 + (index < k ? _depth(index, k) : _depth(index - k, count - k));
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"01", left, right));
    }

    /// @dev The root that the first `length` hashes of the path lead to.
    function _climb(bytes32 leaf, uint256 index, uint256 count, bytes32[] memory path, uint256 length)
        private
        pure
        returns (bytes32)
    {
        if (count == 1) {
            return leaf;
        }
        (bytes32 left, bytes32 right) = _children(leaf, index, count, path, length);
        return _node(left, right);
    }

    function _children(bytes32 leaf, uint256 index, uint256 count, bytes32[] memory path, uint256 length)
        private
        pure
        returns (bytes32 left, bytes32 right)
    {
        uint256 k = _split(count);
        bytes32 sibling = path[length - 1];
        return index < k
            ? (_climb(leaf, index, k, path, length - 1), sibling)
            : (sibling, _climb(leaf, index - k, count - k, path, length - 1));
    }

    /// @dev The tree hash of `count` leaves from `first` on; along the way the siblings of leaf `index` go to `path`.
    function _tree(
        bytes32[MAX_LEAVES] calldata leaves,
        uint256 first,
        uint256 count,
        uint256 index,
        bytes32[] memory path
    ) private pure returns (bytes32) {
        if (count == 1) {
            return leaves[first];
        }
        uint256 k = _split(count);
        bytes32 left = _tree(leaves, first, k, index, path);
        bytes32 right = _tree(leaves, first + k, count - k, index, path);
        if (index >= first && index < first + k) {
            path[_depth(index - first, count) - 1] = right;
        } else if (index >= first + k && index < first + count) {
            path[_depth(index - first, count) - 1] = left;
        }
        return _node(left, right);
    }

    /// @dev At each level: the claimed and the true children have the same hash only where they are the same.
    function _assumeNoCollision(
        bytes32[MAX_LEAVES] calldata leaves,
        bytes32 leaf,
        uint256 index,
        uint256 count,
        bytes32[] memory path,
        bytes32[] memory truePath
    ) private {
        bytes32 trueLeaf = leaves[index];
        for (uint256 length = path.length; length > 0; --length) {
            (bytes32 left, bytes32 right) = _children(leaf, index, count, path, length);
            (bytes32 trueLeft, bytes32 trueRight) = _children(trueLeaf, index, count, truePath, length);
            bool same = _and(left == trueLeft, right == trueRight);
            vm.assume(same == (_node(left, right) == _node(trueLeft, trueRight)));
            uint256 k = _split(count);
            (index, count) = index < k ? (index, k) : (index - k, count - k);
        }
    }

    /// @dev Without a jump, which would double the number of paths.
    function _and(bool a, bool b) private pure returns (bool c) {
        assembly ("memory-safe") {
            c := and(a, b)
        }
    }
}
