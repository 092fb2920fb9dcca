// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Status} from "../../contracts/interfaces/ICampaign.sol";
import {Base} from "./Base.sol";
import {CampaignHandler} from "./CampaignHandler.sol";

/// @notice Any calls, by anybody, at any time: the campaign does what the model says and keeps the promises.
/// @dev The handler compares after every call; the run ends with the books closed.
contract CampaignInvariants is Base {
    CampaignHandler private _handler;

    error TooRare(string what, uint256 times);

    function setUp() public {
        _handler = new CampaignHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector({addr: address(_handler), selectors: _selectors()});
    }

    function invariant_theCampaignDoesWhatTheModelSays() public {
        _handler.compare();
    }

    function afterInvariant() public {
        _handler.closeBooks(uint256(keccak256(abi.encode(block.timestamp, address(_handler.campaign())))));
    }

    /// @notice That the invariants are not true for want of anything happening: a random walk sees every function go
    /// through and be refused, and campaigns end both ways.
    function test_aRandomWalkReachesEveryOutcome() public {
        bytes4[] memory selectors = _selectors();
        for (uint256 i = 0; i < 4_000; ++i) {
            uint256 random = _mix(0x11a3af04d, i);
            bytes4 selector = selectors[_below(random, selectors.length)];
            bytes memory data = abi.encodeWithSelector(selector, random, _mix(random, 1));
            (bool success, bytes memory output) = address(_handler).call(data);
            if (!success) {
                assembly ("memory-safe") {
                    revert(add(output, 0x20), mload(output))
                }
            }
        }
        string[15] memory calls = [
            "pledgeCoin",
            "pledgeToken",
            "unpledge",
            "voteStop",
            "collectRefund",
            "refundTo",
            "challenge",
            "answer",
            "returnBond",
            "contest",
            "rule",
            "activate",
            "extendDeadlines",
            "postUpdate",
            "claim"
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            _happened(calls[i], _handler.outcomes(calls[i], true));
            _happened(string.concat("refusal of ", calls[i]), _handler.outcomes(calls[i], false));
        }
        _happened("attest", _handler.outcomes("attest", true));
        _happened("refusal of attest", _handler.outcomes("attest", false));
        _happened("a stop", _handler.outcomes("a stop", true));
        _happened("an attestation upheld", _handler.outcomes("a ruling", true));
        _happened("a last tranche refused", _handler.outcomes("a ruling", false));
        // Each is hundreds of calls.
        assert(_handler.outcomes("a queue that doubled the price", true) > 0);
        _happened("a campaign that failed", _handler.ended(Status.Failed));
        _happened("a campaign that completed", _handler.ended(Status.Completed));
    }

    function _happened(string memory what, uint256 times) private pure {
        if (times < 5) {
            revert TooRare(what, times);
        }
    }

    /// @dev Twice what moves a campaign on.
    function _selectors() private pure returns (bytes4[] memory selectors) {
        selectors = new bytes4[](37);
        selectors[0] = CampaignHandler.openAnother.selector;
        selectors[1] = CampaignHandler.pass.selector;
        selectors[2] = CampaignHandler.setMood.selector;
        selectors[3] = CampaignHandler.setReentry.selector;
        selectors[4] = CampaignHandler.pledge.selector;
        selectors[5] = CampaignHandler.unpledge.selector;
        selectors[6] = CampaignHandler.voteStop.selector;
        selectors[7] = CampaignHandler.collectRefund.selector;
        selectors[8] = CampaignHandler.refundTo.selector;
        selectors[9] = CampaignHandler.challenge.selector;
        selectors[10] = CampaignHandler.answer.selector;
        selectors[11] = CampaignHandler.returnBond.selector;
        selectors[12] = CampaignHandler.activate.selector;
        selectors[13] = CampaignHandler.extendDeadlines.selector;
        selectors[14] = CampaignHandler.attest.selector;
        selectors[15] = CampaignHandler.claim.selector;
        selectors[16] = CampaignHandler.donate.selector;
        selectors[17] = CampaignHandler.pledge.selector;
        selectors[18] = CampaignHandler.challenge.selector;
        selectors[19] = CampaignHandler.answer.selector;
        selectors[20] = CampaignHandler.attest.selector;
        selectors[21] = CampaignHandler.claim.selector;
        selectors[22] = CampaignHandler.activate.selector;
        selectors[23] = CampaignHandler.pledge.selector;
        selectors[24] = CampaignHandler.openAnother.selector;
        selectors[25] = CampaignHandler.challenge.selector;
        selectors[26] = CampaignHandler.answer.selector;
        selectors[27] = CampaignHandler.attest.selector;
        selectors[28] = CampaignHandler.postUpdate.selector;
        selectors[29] = CampaignHandler.voteStop.selector;
        selectors[30] = CampaignHandler.flood.selector;
        selectors[31] = CampaignHandler.drain.selector;
        selectors[32] = CampaignHandler.contest.selector;
        selectors[33] = CampaignHandler.contest.selector;
        selectors[34] = CampaignHandler.rule.selector;
        selectors[35] = CampaignHandler.rule.selector;
        selectors[36] = CampaignHandler.attest.selector;
    }
}
