"""Every bound of the terms: the contracts' number, the last value on this side, the first one beyond."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.campaign import terms as module
from llamafund_chain.campaign.terms import (
    BPS,
    DAY,
    MAX_SCORE,
    NO_HASH,
    NO_MINIMUM,
    Milestone,
    MilestoneKind,
    Payee,
    Status,
    Terms,
    TermsError,
)
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.errors import VerificationError

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_800_000_000
A, B = (f"0x{number:040x}" for number in (0xA1, 0xB2))
YEAR = 365 * DAY


def terms(**changes: Any) -> Terms:
    values: dict[str, Any] = {
        "researcher": A,
        "asset": NATIVE,
        "goal": 10,
        "cap": 20,
        "funding_deadline": NOW + 10 * DAY,
        "stop_bps": 5_000,
        "challenge_window": 2 * DAY,
        "answer_window": DAY,
        "min_bond": 10**12,
        "slack": 0,
        "proposal": "11" * 32,
        "dataset": NO_HASH,
        "attestors": (A, B),
        "quorum": 2,
        "payees": (Payee(A, BPS),),
        "milestones": (
            Milestone(MilestoneKind.DATASET, 2_000, NOW + 4 * YEAR, NO_MINIMUM),
            Milestone(MilestoneKind.WEIGHTS, 8_000, NOW + 8 * YEAR, MAX_SCORE),
        ),
    }
    return Terms(**{**values, **changes})


def steps(*changes: dict[str, Any]) -> tuple[Milestone, ...]:
    return tuple(replace(step, **change) for step, change in zip(terms().milestones, changes, strict=True))


def refusal(**changes: Any) -> TermsError | None:
    try:
        terms(**changes).validate(NOW)
    except TermsError as error:
        return error
    return None


def test_the_bounds_are_those_of_the_contracts() -> None:
    found: dict[str, int] = {}
    for file in ("CampaignFactory.sol", "Campaign.sol", "libraries/PackedTerms.sol"):
        code = (ROOT / "contracts" / file).read_text(encoding="utf-8")
        for name, value in re.findall(r"constant (\w+) = ([\d_* ]+(?: days)?);", code):
            found[name] = eval(re.sub(r"(\d[\d_]*) days", r"\1 * 86400", value), {})
    shared = {name: value for name, value in found.items() if hasattr(module, name)}
    assert len(shared) >= 18
    assert {name: getattr(module, name) for name in shared} == shared
    packed = ("FIXED_BYTES", "ATTESTOR_BYTES", "PAYEE_BYTES", "MILESTONE_BYTES", "ARBITER_BYTES")
    assert [getattr(module, f"_{name}") for name in packed] == [found[name] for name in packed]


def test_kinds_and_statuses_have_the_contracts_numbers() -> None:
    assert [(kind.name, kind.value) for kind in MilestoneKind] == [("DATASET", 0), ("CHECKPOINT", 1), ("WEIGHTS", 2)]
    labels = ["Funding", "Active", "Completed", "Failed"]
    assert [(status.label, status.value) for status in Status] == list(zip(labels, range(4), strict=True))
    assert (NO_MINIMUM, MAX_SCORE) == (-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("goal", 1, 20),
        ("cap", 10, 2**128 - 1),
        ("min_bond", 10**12, 2**96 - 1),
        ("stop_bps", 3_300, 8_000),
        ("funding_deadline", NOW + 1, NOW + 2 * YEAR),
        ("challenge_window", 2 * DAY, 90 * DAY),
        ("answer_window", DAY, 30 * DAY),
        ("slack", 0, YEAR),
        ("quorum", 1, 2),
    ],
)
def test_a_number_is_accepted_up_to_both_of_its_bounds_and_refused_one_beyond(field: str, low: int, high: int) -> None:
    for value in (low, high):
        assert refusal(**{field: value}) is None
    for value in (low - 1, high + 1):
        refused = refusal(**{field: value})
        assert refused is not None
        # Below its goal it is the goal that cannot be met.
        assert refused.field[0] == ("goal" if (field, value) == ("cap", 9) else field)


def test_an_arbiter_has_from_7_to_90_days_and_nobody_has_any_without_one() -> None:
    for days, accepted in ((7, True), (90, True)):
        assert (refusal(arbiter=B, ruling_window=days * DAY) is None) is accepted
    for window in (7 * DAY - 1, 90 * DAY + 1, 0):
        refused = refusal(arbiter=B, ruling_window=window)
        assert refused is not None
        assert refused.field == ("ruling_window",)
    assert refusal(ruling_window=1) is not None
    nobody = refusal(arbiter=NATIVE, ruling_window=7 * DAY)
    assert nobody is not None
    assert nobody.field == ("arbiter",)
    assert refusal(arbiter="0x" + "0" * 39 + "f", ruling_window=7 * DAY) is None


@pytest.mark.parametrize(("field", "most"), [("attestors", 16), ("payees", 8), ("milestones", 16)])
def test_each_list_has_at_least_one_entry_and_no_more_than_the_most(field: str, most: int) -> None:
    def made(count: int) -> Any:
        if field == "attestors":
            return tuple(f"0x{number:040x}" for number in range(1, count + 1))
        shares = [100] * (count - 1) + [BPS - 100 * (count - 1)]
        if field == "payees":
            return tuple(Payee(A, share) for share in shares)
        kinds = [MilestoneKind.CHECKPOINT] * (count - 1) + [MilestoneKind.WEIGHTS]
        return tuple(
            Milestone(kind, share, NOW + (20 + 10 * place) * DAY, 0)
            for place, (kind, share) in enumerate(zip(kinds, shares, strict=True))
        )

    assert refusal(**{field: made(most), "quorum": 1}) is None
    assert refusal(**{field: made(1), "quorum": 1}) is None
    for entries in (made(most + 1), ()):
        refused = refusal(**{field: entries, "quorum": 1})
        assert refused is not None
        assert refused.field == (field,)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"attestors": (A, NATIVE)}, ("attestors", 1)),
        ({"attestors": (A, A.upper().replace("0X", "0x"))}, ("attestors", 1)),
        ({"payees": (Payee(A, 5_000), Payee(NATIVE, 5_000))}, ("payees", 1, "account")),
        ({"payees": (Payee(A, BPS), Payee(B, 0))}, ("payees", 1, "bps")),
        ({"payees": (Payee(A, BPS + 1),)}, ("payees", 0, "bps")),
        ({"payees": (Payee(A, -1),)}, ("payees", 0, "bps")),
        ({"payees": (Payee(A, 5_000), Payee(B, 4_999))}, ("payees",)),
        ({"payees": (Payee(A, 5_000), Payee(B, 5_001))}, ("payees",)),
        ({"milestones": steps({"bps": 0}, {"bps": BPS})}, ("milestones", 0, "bps")),
        ({"milestones": steps({"bps": 1}, {"bps": 9_998})}, ("milestones",)),
        ({"milestones": steps({"bps": 7_501}, {"bps": 2_499})}, ("milestones", 1, "bps")),
        ({"milestones": steps({"kind": MilestoneKind.WEIGHTS}, {})}, ("milestones", 0, "kind")),
        ({"milestones": steps({}, {"kind": MilestoneKind.CHECKPOINT})}, ("milestones", 1, "kind")),
        ({"milestones": steps({"min_score": NO_MINIMUM - 1}, {})}, ("milestones", 0, "min_score")),
        ({"milestones": steps({}, {"min_score": MAX_SCORE + 1})}, ("milestones", 1, "min_score")),
        ({"milestones": steps({"deadline": NOW + 13 * DAY - 1}, {})}, ("milestones", 0, "deadline")),
        ({"milestones": steps({}, {"deadline": NOW + 4 * YEAR + 3 * DAY - 1})}, ("milestones", 1, "deadline")),
        ({"milestones": steps({}, {"deadline": NOW + 10 * YEAR + 1})}, ("milestones", 1, "deadline")),
    ],
)
def test_each_mistake_is_refused_by_the_name_of_its_place(
    changes: dict[str, Any], field: tuple[str | int, ...]
) -> None:
    refused = refusal(**changes)
    assert refused is not None
    assert refused.field == field


@pytest.mark.parametrize(
    "changes",
    [
        {"payees": (Payee(A, 1), Payee(B, BPS - 1))},
        {"milestones": steps({"bps": 7_500}, {"bps": 2_500})},
        {"milestones": steps({"bps": 1}, {"bps": 9_999})},
        {"milestones": steps({"deadline": NOW + 13 * DAY}, {})},
        {"milestones": steps({}, {"deadline": NOW + 4 * YEAR + 3 * DAY})},
        {"milestones": steps({}, {"deadline": NOW + 10 * YEAR})},
        {"milestones": steps({"kind": MilestoneKind.CHECKPOINT}, {})},
    ],
)
def test_what_lies_on_this_side_of_a_bound_is_accepted(changes: dict[str, Any]) -> None:
    assert refusal(**changes) is None


def test_the_bound_that_is_named_is_the_one_that_was_missed() -> None:
    goal, low, high = refusal(goal=0), refusal(cap=-1), refusal(cap=0)
    assert goal is not None
    assert ("is 0" in goal.what, goal.why) == (True, "A campaign needs money to do something")
    assert low is not None
    assert "between 0 (" in low.why
    assert high is not None
    assert "between" not in high.why
    late = refusal(milestones=steps({}, {"deadline": NOW + 10 * YEAR + 1}))
    assert late is not None
    assert late.why.endswith(f"until {module.when(NOW + 10 * YEAR)}")


def test_a_deadline_that_is_too_early_says_from_when_on_it_is_not() -> None:
    first = refusal(milestones=steps({"deadline": NOW}, {}))
    assert first is not None
    assert "between the funding deadline and it" in first.why
    assert "to +13d" in first.remedy
    odd = refusal(funding_deadline=NOW + 10 * DAY + 1, milestones=steps({"deadline": NOW}, {}))
    assert odd is not None
    assert "to +14d" in odd.remedy
    second = refusal(milestones=steps({}, {"deadline": NOW}))
    assert second is not None
    assert "the deadline of the previous milestone and it" in second.why


def test_the_stakes_of_a_vote_are_exact() -> None:
    agreed = terms(stop_bps=3_300)
    assert [agreed.stop_threshold(pledged) for pledged in (0, 1, 3, 100, 101)] == [0, 1, 1, 33, 34]
    assert [agreed.blocking_stake(pledged) for pledged in (1, 100, 101)] == [1, 68, 68]
    assert [agreed.forcing_stake(pledged) for pledged in (0, 1, 67, 68)] == [0, 1, 33, 34]


def test_only_the_zero_address_is_the_chains_coin() -> None:
    assert terms().is_native
    for token in ("0x" + "0" * 39 + "1", "0x" + "f" * 40):
        assert not terms(asset=token).is_native


def test_packed_terms_of_another_length_or_form_are_refused() -> None:
    plain = terms().pack()
    ruled = terms(arbiter=B, ruling_window=9).pack()
    assert len(ruled) == len(plain) + 24
    assert Terms.unpack(plain).pack() == plain
    assert Terms.unpack(ruled).ruling_window == 9
    last = len(plain) - 32
    for broken, words in (
        (plain[:170], "170 bytes, at least 171"),
        (plain[:-1], f"{len(plain) - 1} bytes instead of {len(plain)}, or {len(plain) + 24} with an arbiter"),
        (ruled[:-1], "instead of"),
        (ruled + b"\0", "instead of"),
        (plain + bytes(24), "The arbiter is the zero address"),
        (plain[:last] + b"\x03" + plain[last + 1 :], "Milestone 0 is of kind 3"),
        (plain[: last + 17] + b"\x07\xcf" + plain[last + 19 :], "ends at 1999 basis points after 2000"),
    ):
        with pytest.raises(VerificationError, match=re.escape(words)):
            Terms.unpack(broken)
    # A milestone that releases nothing is no form of its own: the factory refuses it by name.
    assert Terms.unpack(plain[: last + 17] + b"\x07\xd0" + plain[last + 19 :]).milestones[1].bps == 0


def test_a_tuple_that_is_no_terms_is_refused_and_decoded_events_are_read_like_tuples() -> None:
    good = terms(arbiter=B, ruling_window=9)
    values = good.to_abi()
    assert Terms.from_abi(dict(zip(module._ABI_NAMES, values, strict=True))) == Terms.from_abi(values)
    named = [*values]
    named[14] = [{"account": account, "bps": bps} for account, bps in values[14]]
    assert Terms.from_abi(named) == Terms.from_abi(values)
    assert Terms.from_abi(terms().to_abi()).arbiter is None
    kind_3 = [*values[:15], [(3, 1, 1, 1)], *values[16:]]
    for broken in (values[:-1], (*values, 1), kind_3, [*values[:14], 7, *values[15:]], {"researcher": A}):
        with pytest.raises(VerificationError, match="not the terms"):
            Terms.from_abi(broken)


def test_an_address_of_another_length_does_not_fit() -> None:
    for wrong in ("0x" + "11" * 19, "0x" + "11" * 21):
        with pytest.raises(OverflowError, match="not 20 bytes"):
            terms(researcher=wrong).pack()
