// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {ICampaign, Ledger, Status, Terms} from "../interfaces/ICampaign.sol";
import {ICampaignFactory} from "../interfaces/ICampaignFactory.sol";
import {IArbitrable} from "./IArbitrable.sol";
import {IArbitrator} from "./IArbitrator.sol";
import {ICourtArbiter} from "./ICourtArbiter.sol";

/// @title CourtArbiter
/// @notice Stands between campaigns, which know an arbiter, and one court, which knows disputes.
/// @dev NOT checked, because no contract can: that the court is honest, rules in time or rules at all, that the meta
/// evidence and the evidence exist, that evidence is true. A court without an end leaves the campaign as it was.
/// Only campaigns of the factory are called: their code is known, calls nobody from `contest` and `rule`, and answers
/// truly. The court is not trusted with anything but rulings on disputes that were created here.
contract CourtArbiter is ICourtArbiter, ReentrancyGuardTransient {
    uint256 public constant UPHELD = 1;
    uint256 public constant REFUSED = 2;
    /// @dev Shorter than a round takes anywhere.
    uint256 private constant MIN_APPEAL_RESERVE = 1 days;
    /// @dev Below the longest ruling window, or no appeal would ever be taken.
    uint256 private constant MAX_APPEAL_RESERVE = 60 days;

    /// @dev Every dispute asks the same question.
    uint256 private constant META_EVIDENCE_ID = 0;
    uint256 private constant CHOICES = 2;
    /// @dev Multibase for hexadecimal, and the start of a CIDv1 of raw bytes with their SHA-256.
    string private constant EVIDENCE_PATH = "/ipfs/f01551220";

    struct Running {
        bool open;
        uint256 disputeId;
    }

    /// @inheritdoc ICourtArbiter
    ICampaignFactory public immutable factory;
    /// @inheritdoc ICourtArbiter
    IArbitrator public immutable court;
    /// @inheritdoc ICourtArbiter
    uint256 public immutable appealReserve;
    /// @inheritdoc ICourtArbiter
    bytes public extraData;
    /// @inheritdoc ICourtArbiter
    string public metaEvidence;
    mapping(uint256 disputeId => address campaign) private _campaigns;
    /// @inheritdoc ICourtArbiter
    mapping(address campaign => Running) public disputeOf;

    /// @param factory_ the factory whose campaigns can be disputed
    /// @param court_ whose rulings count
    /// @param extraData_ what the court is told with each dispute
    /// @param metaEvidence_ where the JSON is that puts the question to the jurors
    /// @param appealReserve_ seconds that a round at the court takes at most
    constructor(
        ICampaignFactory factory_,
        IArbitrator court_,
        bytes memory extraData_,
        string memory metaEvidence_,
        uint256 appealReserve_
    ) {
        if (address(court_).code.length == 0) {
            revert CourtArbiter_NoCourt(address(court_));
        }
        if (appealReserve_ < MIN_APPEAL_RESERVE || appealReserve_ > MAX_APPEAL_RESERVE) {
            revert CourtArbiter_BadAppealReserve({
                actual: appealReserve_, min: MIN_APPEAL_RESERVE, max: MAX_APPEAL_RESERVE
            });
        }
        factory = factory_;
        court = court_;
        appealReserve = appealReserve_;
        extraData = extraData_;
        metaEvidence = metaEvidence_;
        emit MetaEvidence({metaEvidenceId: META_EVIDENCE_ID, evidence: metaEvidence_});
    }

    // =============================================================== parties

    /// @inheritdoc ICourtArbiter
    /// @dev The guard keeps the court from having a campaign disputed twice before the first dispute has its number.
    function dispute(address campaign, bytes32 salt, bytes32 evidence)
        external
        payable
        nonReentrant
        returns (uint256 disputeId)
    {
        // Check
        if (!factory.isCampaign(campaign, salt)) {
            revert CourtArbiter_NotACampaign(campaign);
        }
        ICampaign escrow = ICampaign(campaign);
        Terms memory terms = escrow.terms();
        if (terms.arbiter != address(this)) {
            revert CourtArbiter_NotItsArbiter(terms.arbiter);
        }
        if (escrow.pledgeOf(msg.sender) == 0) {
            revert CourtArbiter_NotBacker(msg.sender);
        }
        _checkEvidence(evidence);
        if (disputeOf[campaign].open) {
            revert CourtArbiter_AlreadyDisputed(disputeOf[campaign].disputeId);
        }
        bytes memory data = extraData;
        uint256 fee = court.arbitrationCost(data);
        _checkFee(fee);

        // Interaction, ahead of the effect because the court makes the number.
        _contest(escrow, terms);
        disputeId = court.createDispute{value: fee}(CHOICES, data);
        if (_campaigns[disputeId] != address(0)) {
            revert CourtArbiter_DisputeIdInUse(disputeId);
        }

        // Effect
        _campaigns[disputeId] = campaign;
        disputeOf[campaign] = Running({open: true, disputeId: disputeId});
        emit Dispute({
            arbitrator: court,
            disputeId: disputeId,
            metaEvidenceId: META_EVIDENCE_ID,
            evidenceGroupId: _evidenceGroup(campaign)
        });
        _emitEvidence(campaign, evidence);

        // Interaction
        _returnRest(fee);
    }

    /// @inheritdoc ICourtArbiter
    function submitEvidence(address campaign, bytes32 evidence) external {
        _checkOpen(campaign);
        _checkEvidence(evidence);
        _emitEvidence(campaign, evidence);
    }

    /// @inheritdoc ICourtArbiter
    /// @dev Some courts take an appeal only from whoever created the dispute.
    function appeal(address campaign) external payable nonReentrant {
        // Check
        _checkOpen(campaign);
        uint256 fee = appealFee(campaign);
        _checkFee(fee);

        // Interaction
        court.appeal{value: fee}(disputeOf[campaign].disputeId, extraData);
        _returnRest(fee);
    }

    // ================================================================= court

    /// @inheritdoc IArbitrable
    /// @dev Needs no guard: effects come first, and the campaign calls nobody.
    function rule(uint256 disputeId, uint256 ruling) external {
        // Check
        if (msg.sender != address(court)) {
            revert CourtArbiter_NotCourt(msg.sender);
        }
        address campaign = _campaigns[disputeId];
        if (campaign == address(0)) {
            revert CourtArbiter_UnknownDispute(disputeId);
        }

        // Effect
        delete _campaigns[disputeId];
        delete disputeOf[campaign];
        emit Ruling({arbitrator: court, disputeId: disputeId, ruling: ruling});

        // Interaction. Without a decision the campaign stays contested, and the court can be asked again.
        if (ruling == UPHELD || ruling == REFUSED) {
            try ICampaign(campaign).rule(ruling == UPHELD) {}
            catch (bytes memory reason) {
                // A campaign says why it refuses. Without a word it ran out of gas: whoever has the court's ruling
                // executed must not be able to waste it that way.
                if (reason.length == 0) {
                    revert CourtArbiter_OutOfGas();
                }
                emit RulingTooLate({campaign: campaign, disputeId: disputeId});
            }
        }
    }

    // ================================================================= views

    /// @inheritdoc ICourtArbiter
    function disputeFee() external view returns (uint256) {
        return court.arbitrationCost(extraData);
    }

    /// @inheritdoc ICourtArbiter
    /// @dev Each appeal puts the ruling off by a round. Whoever fears the ruling must not be able to put it off until it
    /// does not count any more.
    function appealFee(address campaign) public view returns (uint256) {
        _checkOpen(campaign);
        ICampaign escrow = ICampaign(campaign);
        uint256 end = _ruleBy(escrow.ledger(), escrow.terms()) - appealReserve;
        if (block.timestamp >= end) {
            revert CourtArbiter_TooLateToAppeal(end);
        }
        _checkActive(escrow);
        return court.appealCost(disputeOf[campaign].disputeId, extraData);
    }

    // =============================================================== helpers

    /// @dev A campaign that is contested already is so by this contract: the court was asked, and did not decide.
    function _contest(ICampaign escrow, Terms memory terms) private {
        Ledger memory ledger = escrow.ledger();
        if (!ledger.contested) {
            escrow.contest();
            return;
        }
        uint256 end = _ruleBy(ledger, terms);
        if (block.timestamp >= end) {
            revert CourtArbiter_TooLate(end);
        }
        _checkActive(escrow);
    }

    /// @dev Unix seconds before which a contested campaign takes rulings.
    function _ruleBy(Ledger memory ledger, Terms memory terms) private pure returns (uint256) {
        return uint256(ledger.attestedAt) + terms.challengeWindow + terms.rulingWindow;
    }

    function _checkActive(ICampaign escrow) private view {
        Status status = escrow.status();
        if (status != Status.Active) {
            revert CourtArbiter_CampaignEnded(status);
        }
    }

    function _checkOpen(address campaign) private view {
        if (!disputeOf[campaign].open) {
            revert CourtArbiter_NoDispute(campaign);
        }
    }

    function _checkEvidence(bytes32 evidence) private pure {
        if (evidence == bytes32(0)) {
            revert CourtArbiter_EmptyEvidence();
        }
    }

    function _checkFee(uint256 fee) private view {
        if (msg.value < fee) {
            revert CourtArbiter_FeeTooSmall({min: fee, actual: msg.value});
        }
    }

    function _returnRest(uint256 fee) private {
        if (msg.value > fee) {
            Address.sendValue(payable(msg.sender), msg.value - fee);
        }
    }

    function _emitEvidence(address campaign, bytes32 evidence) private {
        bytes memory digits = Bytes.slice(bytes(Strings.toHexString(uint256(evidence), 32)), 2);
        emit Evidence({
            arbitrator: court,
            evidenceGroupId: _evidenceGroup(campaign),
            party: msg.sender,
            evidence: string.concat(EVIDENCE_PATH, string(digits))
        });
    }

    function _evidenceGroup(address campaign) private pure returns (uint256) {
        return uint160(campaign);
    }
}
