// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "../../../contracts/Campaign.sol";
import {Payee, Terms} from "../../../contracts/interfaces/ICampaign.sol";

import {CampaignProof} from "./CampaignProof.sol";

/// @dev What is released, what payees may claim and what backers get back. Range: every pledge of up to 128 bits, every
/// share in basis points that the factory accepts, `MILESTONES` milestones of which any number is released, `PAYEES`
/// payees.
///
/// Solvers cannot multiply and divide numbers of 256 bits in reasonable time. They are told what they need to know of
/// integers, for the numbers in question: each such law has a name, and assurance/lemmas proves it for all integers. No
/// product here exceeds 256 bits, so that what holds for integers holds for these.
contract MoneyProof is CampaignProof {
    uint256 private constant BPS = 10_000;
    uint256 private constant MILESTONES = 3;
    uint256 private constant PAYEES = 3;
    address private constant BACKER = address(0xB0B);
    address private constant OTHERS = address(0xA11CE);

    /// @dev A refund never overpays, and falls short by less than one unit.
    /// @custom:halmos --solver z3
    function check_refundIsExactToTheUnit(
        uint128 own,
        uint128 others,
        uint16[MILESTONES] calldata bps,
        uint256 releasedCount
    ) external {
        Terms memory terms = _terms(MILESTONES);
        Campaign campaign = _pledged(terms, own, others, bps);
        uint256 count = _upTo(MILESTONES, releasedCount);
        _attested(campaign, terms, count, true);

        unchecked {
            uint256 pledged = uint256(own) + others;
            uint256 released = _view(campaign, abi.encodeCall(Campaign.released, ()));
            assert(released <= pledged);
            uint256 unreleased = pledged - released;
            _assumeProductFits(own, unreleased);
            _assumeFloor(own * unreleased, pledged);
            uint256 refund = _view(campaign, abi.encodeCall(Campaign.refundable, (BACKER)));
            assert(refund * pledged <= own * unreleased);
            assert((refund + 1) * pledged > own * unreleased);
        }
    }

    /// @dev Never more than the pool, never less than before, and all of it in the end.
    function check_tranchesSumToThePool(uint128 own, uint128 others, uint16[MILESTONES] calldata bps) external {
        Terms memory terms = _terms(MILESTONES);
        Campaign campaign = _pledged(terms, own, others, bps);
        uint256 pledged = uint256(own) + others;

        uint256 before = 0;
        for (uint256 count = 0; count <= MILESTONES; ++count) {
            _attested(campaign, terms, count, false);
            uint256 released = _view(campaign, abi.encodeCall(Campaign.released, ()));
            assert(released >= before);
            assert(released <= pledged);
            before = released;
        }
        assert(before == pledged);
    }

    /// @dev Payees' shares sum to what is released, to the last unit. That they can be computed without an overflow is
    /// not part of this one: the last payee takes a tranche less the others' shares, which assurance/lemmas proves to be
    /// no more than the tranche.
    function check_payeesShareWhatIsReleased(
        uint128 pledged,
        uint16[MILESTONES] calldata bps,
        uint16[PAYEES] calldata shares,
        uint256 releasedCount
    ) external {
        Terms memory terms = _terms(MILESTONES);
        terms.payees = new Payee[](PAYEES);
        for (uint256 i = 0; i < PAYEES; ++i) {
            terms.payees[i] = Payee({account: address(uint160(0xBEEF00 + i)), bps: shares[i]});
        }
        Campaign campaign = _pledged(terms, pledged, 0, bps);
        _attested(campaign, terms, _upTo(MILESTONES, releasedCount), false);

        uint256 sum = 0;
        for (uint256 i = 0; i < PAYEES; ++i) {
            unchecked {
                sum += campaign.claimable(i);
            }
        }
        assert(sum == campaign.released());
    }

    function _pledged(Terms memory terms, uint128 own, uint128 others, uint16[MILESTONES] calldata bps)
        private
        returns (Campaign campaign)
    {
        for (uint256 i = 0; i < MILESTONES; ++i) {
            terms.milestones[i].bps = bps[i];
        }
        campaign = _create(terms);
        _pledge(campaign, BACKER, own);
        if (others != 0) {
            _pledge(campaign, OTHERS, others);
        }

        uint256 pledged = uint256(own) + others;
        uint256 before = 0;
        for (uint256 i = 0; i < MILESTONES; ++i) {
            unchecked {
                uint256 cumulative = before + bps[i];
                _assumeProductFits(pledged, cumulative);
                _assumeMonotone(pledged, before, cumulative);
                before = cumulative;
            }
        }
    }

    /// @dev Law `floor`: a quotient rounded down is at most one short.
    function _assumeFloor(uint256 numerator, uint256 divisor) private {
        unchecked {
            uint256 quotient = numerator / divisor;
            vm.assume(quotient * divisor <= numerator);
            vm.assume((quotient + 1) * divisor > numerator);
        }
    }

    /// @dev Law `product`: multiplied and divided by the same number. This is how the compiler looks for an overflow.
    function _assumeProductFits(uint256 a, uint256 b) private {
        unchecked {
            vm.assume(a == 0 || a * b / a == b);
        }
    }

    /// @dev Law `shares`: a share of a number in basis points grows with the basis points, up to the number itself.
    function _assumeMonotone(uint256 number, uint256 smaller, uint256 larger) private {
        unchecked {
            vm.assume(smaller > larger || number * smaller / BPS <= number * larger / BPS);
            vm.assume(larger > BPS || number * larger / BPS <= number);
            vm.assume(larger != BPS || number * larger / BPS == number);
        }
    }

    /// @dev A getter's answer. That it answers at all is part of every property.
    function _view(Campaign campaign, bytes memory call) private view returns (uint256) {
        (bool success, bytes memory answer) = address(campaign).staticcall(call);
        assert(success);
        return abi.decode(answer, (uint256));
    }

    function _pledge(Campaign campaign, address backer, uint256 amount) private {
        vm.deal(address(this), amount);
        campaign.pledgeCoin{value: amount}(backer);
    }
}
