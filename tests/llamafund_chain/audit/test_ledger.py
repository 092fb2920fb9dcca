"""The ledger that the audit keeps from events alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.audit.ledger import WHOLE, Ledger, Rules, state_accounts

WINDOW = 100


@st.composite
def parts(draw: st.DrawFn, most: int) -> tuple[int, ...]:
    """Basis points that add up to a whole."""
    cuts = sorted(draw(st.sets(st.integers(1, WHOLE - 1), max_size=most - 1)))
    return tuple(after - before for before, after in zip((0, *cuts), (*cuts, WHOLE), strict=True))


def rules(milestone_bps: tuple[int, ...], payee_bps: tuple[int, ...]) -> Rules:
    return Rules(
        goal=1,
        funding_deadline=1_000,
        stop_bps=5_000,
        challenge_window=WINDOW,
        answer_window=WINDOW,
        milestone_bps=milestone_bps,
        deadlines=tuple(2_000 + 1_000 * index for index in range(len(milestone_bps))),
        payee_bps=payee_bps,
    )


@settings(max_examples=150, deadline=None)
@given(
    milestone_bps=parts(5),
    payee_bps=parts(4),
    pledges=st.lists(st.integers(1, 2**100), min_size=1, max_size=6),
    attested=st.integers(0, 5),
    stop=st.booleans(),
)
def test_not_a_unit_is_lost_or_made_whatever_the_shares(
    milestone_bps: tuple[int, ...], payee_bps: tuple[int, ...], pledges: list[int], attested: int, stop: bool
) -> None:
    agreed = rules(milestone_bps, payee_bps)
    ledger = Ledger(activated=True)
    for index, amount in enumerate(pledges):
        ledger.deposit(f"backer {index}", amount)
    ledger.attested_at.extend(1_500 + 1_000 * index for index in range(min(attested, len(milestone_bps))))
    now = (ledger.attested_at[-1] if ledger.attested_at else 1_500) + WINDOW
    if stop and len(ledger.attested_at) < len(milestone_bps):
        ledger.stopped_at = now
    for payee in range(len(payee_bps)):
        ledger.claim(payee, ledger.entitled(agreed, payee, now))
    for backer in ledger.backers[::2]:
        due = ledger.refund_due(agreed, backer, now)
        if due:
            ledger.refund(backer, due)

    accounts = ledger.accounts(agreed, now)

    assert accounts.conserved
    assert accounts.claimable == 0
    assert accounts.held == accounts.balance
    assert 0 <= (accounts.rounding or 0) < len(pledges)


@settings(max_examples=50, deadline=None)
@given(milestone_bps=parts(6), pool=st.integers(1, 2**120))
def test_the_last_tranche_is_exactly_the_rest(milestone_bps: tuple[int, ...], pool: int) -> None:
    agreed = rules(milestone_bps, (WHOLE,))
    ledger = Ledger()
    ledger.deposit("backer", pool)

    assert sum(ledger.tranche(agreed, index) for index in range(len(milestone_bps))) == pool


def test_every_boundary_of_time_is_half_open() -> None:
    agreed = rules((4_000, 6_000), (WHOLE,))
    ledger = Ledger(activated=True)
    ledger.deposit("backer", 100)
    assert [ledger.status(agreed, now) for now in (1_999, 2_000)] == ["Active", "Failed"]

    ledger.attested_at.append(1_999)
    assert [ledger.released(agreed, now) for now in (2_098, 2_099)] == [0, 40]
    assert [ledger.status(agreed, now) for now in (2_999, 3_000)] == ["Active", "Failed"]

    ledger.attested_at.append(2_999)
    assert [ledger.status(agreed, now) for now in (3_098, 3_099)] == ["Active", "Completed"]


def test_a_stop_inside_the_window_withholds_its_tranche_for_good() -> None:
    agreed = rules((4_000, 6_000), (WHOLE,))
    ledger = Ledger(activated=True, attested_at=[1_999])
    ledger.deposit("backer", 100)

    ledger.stopped_at = 2_098
    assert ledger.released(agreed, 10_000) == 0
    ledger.stopped_at = 2_099
    assert ledger.released(agreed, 10_000) == 40


def test_a_vote_weighs_what_its_backer_pledged_until_it_is_retracted() -> None:
    ledger = Ledger(activated=True)
    ledger.deposit("backer 0", 70)
    ledger.deposit("backer 1", 30)
    ledger.withdraw("backer 0", 10)

    ledger.vote("backer 0", support=True)
    ledger.vote("backer 1", support=True)
    assert ledger.stop_support == 90
    ledger.refund("backer 0", 60)
    assert ledger.stop_support == 90
    ledger.vote("backer 0", support=False)
    assert ledger.stop_support == 30


def test_votes_decide_from_the_agreed_part_of_the_pledges_on() -> None:
    agreed = rules((WHOLE,), (WHOLE,))
    for pledge, decided in ((49, False), (50, True)):
        ledger = Ledger(activated=True)
        assert not ledger.stop_decided(agreed)
        ledger.deposit("for", pledge)
        ledger.deposit("against", 100 - pledge)
        ledger.vote("for", support=True)
        assert ledger.stop_decided(agreed) is decided


def test_a_campaign_below_its_goal_fails_at_its_deadline_and_one_that_reached_it_does_not() -> None:
    agreed = rules((WHOLE,), (WHOLE,))
    ledger = Ledger()

    assert [ledger.status(agreed, now) for now in (999, 1_000)] == ["Funding", "Failed"]
    ledger.deposit("backer", 1)
    assert [ledger.status(agreed, now) for now in (1_000, 1_999, 2_000)] == ["Funding", "Funding", "Failed"]


def test_coins_from_elsewhere_leave_open_what_the_balance_would_tell() -> None:
    state = {"pledged": 10, "released": 4, "claimed": [4], "claimable": [0], "refundable": [6]}

    plain = state_accounts(failed=True, balance=6, surplus=0, **state)
    more = state_accounts(failed=True, balance=7, surplus=1, **state)

    assert (plain.refunded, plain.rounding, plain.conserved) == (0, 0, True)
    assert (more.refunded, more.rounding, more.held) == (None, None, None)
