// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title One chunk's place in the content that an attestation commits to
/// @notice The content root is the RFC 9162 tree hash (SHA-256) over 16 KiB chunks, of which only the last may be
/// shorter: size and index alone say how long a chunk is.
/// @dev NOT checked here: that root and size belong together. Whoever signed them vouches for that.
library ContentProof {
    uint256 internal constant CHUNK_BYTES = 16_384;

    /// @return number of chunks of a content of `size` bytes
    function chunkCount(uint256 size) internal pure returns (uint256) {
        return (size + CHUNK_BYTES - 1) / CHUNK_BYTES;
    }

    /// @param path hashes from the chunk's sibling upwards
    /// @return whether `data` is chunk number `index` of the content
    function verify(bytes32 root, uint256 size, uint256 index, bytes calldata data, bytes32[] calldata path)
        internal
        pure
        returns (bool)
    {
        uint256 count = chunkCount(size);
        if (index >= count) {
            return false;
        }
        uint256 length = index + 1 == count ? size - index * CHUNK_BYTES : CHUNK_BYTES;
        return data.length == length && leadsTo(sha256(bytes.concat(hex"00", data)), index, count, path, root);
    }

    /// @dev RFC 9162, section 2.1.3.2, with its names: `fn` climbs from the leaf, `sn` from the tree's last leaf.
    /// @param count number of leaves
    /// @return whether leaf number `index` with this hash belongs to the tree with this root
    function leadsTo(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path, bytes32 root)
        internal
        pure
        returns (bool)
    {
        if (index >= count) {
            return false;
        }
        uint256 fn = index;
        uint256 sn = count - 1;
        bytes32 node = leaf;
        for (uint256 i = 0; i < path.length; ++i) {
            if (sn == 0) {
                return false;
            }
            if (fn & 1 == 1 || fn == sn) {
                node = sha256(abi.encodePacked(hex"01", path[i], node));
                // The last leaf of an uneven level has no sibling there: it climbs alone.
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                node = sha256(abi.encodePacked(hex"01", node, path[i]));
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 && node == root;
    }
}
