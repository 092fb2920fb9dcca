// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Contents with their tree, by the recursive definitions of RFC 9162, sections 2.1.1 and 2.1.3.1
/// @dev A second way to the same numbers: `ContentProof` climbs iteratively (section 2.1.3.2).
library MerkleContent {
    uint256 internal constant CHUNK_BYTES = 16_384;
    uint256 internal constant UNIFORM_LEVELS = 11;
    /// @dev Content of this size has the same bytes in every chunk: a tree of one hash a level, so that thousands of
    /// chunks cost no more than a few.
    uint256 internal constant UNIFORM_BYTES = CHUNK_BYTES << UNIFORM_LEVELS;

    function chunkCount(uint256 size) internal pure returns (uint256 count) {
        for (uint256 begun = 0; begun < size; begun += CHUNK_BYTES) {
            ++count;
        }
    }

    /// @return data of chunk number `index`: as many bytes as it has, from a stream that `seed` fixes
    function chunk(uint256 seed, uint256 size, uint256 index) internal pure returns (bytes memory data) {
        uint256 begin = index * CHUNK_BYTES;
        uint256 end = begin + CHUNK_BYTES < size ? begin + CHUNK_BYTES : size;
        data = new bytes(end - begin);
        bytes32 stream = keccak256(abi.encode(seed, size == UNIFORM_BYTES ? 0 : index));
        for (uint256 i = 0; i < data.length && i < 32; ++i) {
            data[i] = stream[i];
        }
    }

    function root(uint256 seed, uint256 size) internal pure returns (bytes32) {
        if (size == UNIFORM_BYTES) {
            return _uniform(seed)[UNIFORM_LEVELS];
        }
        return _head(_leaves(seed, size), 0, chunkCount(size));
    }

    /// @return hashes from the chunk's sibling upwards
    function path(uint256 seed, uint256 size, uint256 index) internal pure returns (bytes32[] memory) {
        if (size == UNIFORM_BYTES) {
            bytes32[] memory hashes = _uniform(seed);
            assembly ("memory-safe") {
                mstore(hashes, UNIFORM_LEVELS)
            }
            return hashes;
        }
        return _path(_leaves(seed, size), index, 0, chunkCount(size));
    }

    /// @return levels the one hash of each level, from the leaves to the root
    function _uniform(uint256 seed) private pure returns (bytes32[] memory levels) {
        levels = new bytes32[](UNIFORM_LEVELS + 1);
        levels[0] = sha256(bytes.concat(hex"00", chunk(seed, UNIFORM_BYTES, 0)));
        for (uint256 i = 0; i < UNIFORM_LEVELS; ++i) {
            levels[i + 1] = sha256(bytes.concat(hex"01", levels[i], levels[i]));
        }
    }

    function _leaves(uint256 seed, uint256 size) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](chunkCount(size));
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = sha256(bytes.concat(hex"00", chunk(seed, size, i)));
        }
    }

    /// @dev The head of the tree over `leaves[begin:end]`.
    function _head(bytes32[] memory leaves, uint256 begin, uint256 end) private pure returns (bytes32) {
        if (end - begin == 1) {
            return leaves[begin];
        }
        uint256 split = begin + _largestPowerBelow(end - begin);
        return sha256(bytes.concat(hex"01", _head(leaves, begin, split), _head(leaves, split, end)));
    }

    function _path(bytes32[] memory leaves, uint256 index, uint256 begin, uint256 end)
        private
        pure
        returns (bytes32[] memory hashes)
    {
        if (end - begin == 1) {
            return new bytes32[](0);
        }
        uint256 split = begin + _largestPowerBelow(end - begin);
        bool left = index < split;
        bytes32[] memory lower = left ? _path(leaves, index, begin, split) : _path(leaves, index, split, end);
        hashes = new bytes32[](lower.length + 1);
        for (uint256 i = 0; i < lower.length; ++i) {
            hashes[i] = lower[i];
        }
        hashes[lower.length] = left ? _head(leaves, split, end) : _head(leaves, begin, split);
    }

    function _largestPowerBelow(uint256 count) private pure returns (uint256 power) {
        power = 1;
        while (power * 2 < count) {
            power *= 2;
        }
    }
}
