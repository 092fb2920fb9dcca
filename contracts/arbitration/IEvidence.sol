// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrator} from "./IArbitrator.sol";

/// @title The events in which a court's jurors find what a dispute is about, as ERC-1497 has them
interface IEvidence {
    /// @param evidence where the JSON is that asks the question and names its answers
    event MetaEvidence(uint256 indexed metaEvidenceId, string evidence);

    /// @param evidenceGroupId the same for everything that was submitted to one dispute
    /// @param party who submitted it
    /// @param evidence where the JSON is that describes it
    event Evidence(
        IArbitrator indexed arbitrator, uint256 indexed evidenceGroupId, address indexed party, string evidence
    );

    event Dispute(
        IArbitrator indexed arbitrator, uint256 indexed disputeId, uint256 metaEvidenceId, uint256 evidenceGroupId
    );
}
