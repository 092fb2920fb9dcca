// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "../../../contracts/Campaign.sol";
import {MilestoneAttestation, Terms} from "../../../contracts/interfaces/ICampaign.sol";

import {CampaignProof} from "./CampaignProof.sol";

/// @dev An ERC-1271 wallet that answers whatever its first storage slot says.
contract Answer {
    bytes32 private _answer;

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes32) {
        return _answer;
    }
}

/// @dev `attest` succeeds only with a quorum of distinct attestors of the terms, each of whom signed. Range: every mask
/// of signers, every quorum, every number of signatures up to one too many, every attestation, with `ATTESTORS`
/// attestors.
contract QuorumProof is CampaignProof {
    uint256 private constant ATTESTORS = 3;
    bytes4 private constant YES = 0x1626ba7e;
    /// @dev Half of secp256k1's order: ECDSA signatures above it are the malleable twins.
    bytes32 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @dev Attestors are contract wallets, each of which says yes or anything else.
    function check_quorumOfWallets(
        uint256 signers,
        uint256 quorum,
        uint256 count,
        bytes32[ATTESTORS] calldata answers,
        MilestoneAttestation calldata attestation
    ) external {
        Terms memory terms = _quorumTerms(quorum);
        for (uint256 i = 0; i < ATTESTORS; ++i) {
            Answer wallet = new Answer();
            vm.store(address(wallet), 0, answers[i]);
            terms.attestors[i] = address(wallet);
        }
        Campaign campaign = _active(terms);
        bytes[] memory signatures = new bytes[](_signatureCount(count));

        try campaign.attest(attestation, signers, signatures) {
            uint256 agreed = 0;
            for (uint256 i = 0; i < ATTESTORS; ++i) {
                if (signers >> i & 1 == 1) {
                    assert(answers[i] == bytes32(YES));
                    ++agreed;
                }
            }
            _checkQuorum(signers, terms.quorum, agreed, signatures.length);
        } catch {
            vm.assume(false);
        }
    }

    /// @dev Attestors are keys. Which address a signature recovers to may be any function of digest and signature.
    function check_quorumOfKeys(
        uint256 signers,
        uint256 quorum,
        uint256 count,
        bytes32[3][ATTESTORS + 1] calldata parts,
        MilestoneAttestation calldata attestation
    ) external {
        Terms memory terms = _quorumTerms(quorum);
        for (uint256 i = 0; i < ATTESTORS; ++i) {
            terms.attestors[i] = address(uint160(0xA77E5701 + i));
        }
        Campaign campaign = _active(terms);
        bytes[] memory signatures = new bytes[](_signatureCount(count));
        for (uint256 i = 0; i < signatures.length; ++i) {
            signatures[i] = abi.encodePacked(parts[i][0], parts[i][1], uint8(uint256(parts[i][2])));
        }

        bytes32 digest = campaign.attestationDigest(attestation);
        try campaign.attest(attestation, signers, signatures) {
            uint256 agreed = 0;
            for (uint256 i = 0; i < ATTESTORS; ++i) {
                if (signers >> i & 1 == 1) {
                    bytes32[3] calldata p = parts[agreed];
                    assert(ecrecover(digest, uint8(uint256(p[2])), p[0], p[1]) == terms.attestors[i]);
                    assert(p[1] <= HALF_ORDER);
                    ++agreed;
                }
            }
            _checkQuorum(signers, terms.quorum, agreed, signatures.length);
        } catch {
            vm.assume(false);
        }
    }

    function _checkQuorum(uint256 signers, uint256 quorum, uint256 agreed, uint256 signatures) private pure {
        assert(signers >> ATTESTORS == 0);
        assert(agreed >= quorum);
        assert(agreed == signatures);
    }

    function _quorumTerms(uint256 quorum) private view returns (Terms memory terms) {
        terms = _terms(1);
        terms.attestors = new address[](ATTESTORS);
        for (uint256 q = 1; q <= ATTESTORS; ++q) {
            if (q == quorum) {
                terms.quorum = uint8(q);
                return terms;
            }
        }
        revert("out of range");
    }

    function _signatureCount(uint256 count) private pure returns (uint256) {
        for (uint256 c = 0; c <= ATTESTORS + 1; ++c) {
            if (c == count) {
                return c;
            }
        }
        revert("out of range");
    }

    function _active(Terms memory terms) private returns (Campaign campaign) {
        campaign = _create(terms);
        vm.deal(address(this), 1);
        campaign.pledgeCoin{value: 1}(address(this));
        campaign.activate();
    }
}
