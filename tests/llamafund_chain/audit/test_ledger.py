"""The ledger that the audit keeps from events alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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


@settings(max_examples=150)
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


@settings(max_examples=50)
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


def funded(**changes: object) -> Ledger:
    """An active campaign with 100 pledged."""
    ledger = Ledger(activated=True, **changes)  # type: ignore[arg-type]
    ledger.deposit("ann", 60)
    ledger.deposit("bob", 50)
    ledger.withdraw("bob", 10)
    return ledger


HALVES = rules((4_000, 6_000), (WHOLE,))


def test_what_was_taken_back_is_pledged_no_more_and_who_never_pledged_has_nothing() -> None:
    ledger = funded()
    assert (ledger.pledged, ledger.pledge_of("ann"), ledger.pledge_of("bob"), ledger.pledge_of("cid")) == (
        100,
        60,
        40,
        0,
    )
    ledger.withdraw("cid", 0)
    assert ledger.pledge_of("cid") == 0


def test_an_open_challenge_fails_the_campaign_in_the_second_in_which_its_answer_is_due() -> None:
    ledger = funded(attested_at=[1_500])
    ledger.challenge(7, 1_550, 30)
    ledger.challenge(8, 1_560, 40)
    assert [ledger.status(HALVES, now) for now in (1_649, 1_650)] == ["Active", "Failed"]
    # Its window cannot end, however much time goes by.
    assert ledger.released_milestones(HALVES, 1_600) == ledger.released_milestones(HALVES, 9_999) == 0
    ledger.answer(7)
    assert (ledger.challenged_at, ledger.bonds) == (1_560, 40)
    ledger.answer(8)
    assert (ledger.challenged_at, ledger.bonds, ledger.released_milestones(HALVES, 1_600)) == (None, 0, 1)


def test_a_bond_that_was_returned_is_owed_no_more_and_its_challenge_stays_open() -> None:
    ledger = funded(attested_at=[1_500])
    ledger.challenge(7, 1_550, 30)
    ledger.challenge(8, 1_560, 40)
    ledger.return_bond(7)
    ledger.return_bond(9)
    assert ledger.challenges == {7: (1_550, 0), 8: (1_560, 40)}
    assert ledger.bonds == 40


def test_a_bond_is_its_challengers() -> None:
    ledger = funded(attested_at=[1_500])
    ledger.challenge(7, 1_550, 30, "ann")
    ledger.challenge(8, 1_560, 40, "bob")
    ledger.challenge(9, 1_560, 50, "ann")
    assert [ledger.bonds_of(who) for who in ("ann", "bob", "cid")] == [80, 40, 0]


def test_a_ruling_lifts_the_contest_or_stops_the_campaign_and_a_contest_prolongs_the_window() -> None:
    agreed = replace(HALVES, ruling_window=7)
    ledger = funded(attested_at=[1_500])
    assert not ledger.contested
    assert ledger.window_end(agreed) == 1_600
    ledger.contested = True
    assert ledger.window_end(agreed) == 1_607
    # Terms without an arbiter have no window for one.
    assert ledger.window_end(HALVES) == 1_600
    ledger.rule(1_605, upheld=True)
    assert (ledger.contested, ledger.stopped_at, ledger.window_end(agreed)) == (False, None, 1_600)
    ledger.contested = True
    ledger.rule(1_605, upheld=False)
    assert (ledger.contested, ledger.stopped_at) == (True, 1_605)


def test_slack_moves_what_is_not_attested_yet_and_nothing_else() -> None:
    ledger = funded(attested_at=[1_500], slack_used=9)
    assert [ledger.deadline(HALVES, milestone) for milestone in (0, 1)] == [2_000, 3_009]
    assert [ledger.status(HALVES, now) for now in (3_008, 3_009)] == ["Active", "Failed"]


def test_before_the_activation_the_first_deadline_ends_it() -> None:
    ledger = Ledger()
    ledger.deposit("ann", 1)
    assert [ledger.status(HALVES, now) for now in (1_999, 2_000)] == ["Funding", "Failed"]


def test_only_the_latest_attestation_waits_for_its_window() -> None:
    agreed = rules((2_000, 3_000, 5_000), (WHOLE,))
    ledger = funded(attested_at=[1_500, 2_500])
    assert [ledger.released_milestones(agreed, now) for now in (2_599, 2_600)] == [1, 2]
    assert [ledger.released(agreed, now) for now in (2_599, 2_600)] == [20, 50]
    ledger.attested_at.append(3_500)
    assert [ledger.released_milestones(agreed, now) for now in (3_599, 3_600)] == [2, 3]


def test_attestations_beyond_the_last_milestone_release_nothing_and_break_nothing() -> None:
    ledger = funded(attested_at=[1_500, 2_500, 2_600])
    assert [ledger.status(HALVES, now) for now in (2_699, 2_700)] == ["Active", "Completed"]
    assert ledger.released(HALVES, 2_700) == 100
    assert ledger.accounts(HALVES, 2_700).conserved


def test_one_unit_is_refunded_and_nothing_where_nothing_was_pledged() -> None:
    ledger = Ledger(activated=True, stopped_at=1_500)
    assert ledger.refund_due(HALVES, "ann", 1_500) == 0
    ledger.deposit("ann", 1)
    assert ledger.refund_due(HALVES, "ann", 1_500) == 1
    ledger.stopped_at = None
    assert ledger.refund_due(HALVES, "ann", 1_500) == 0


def test_the_contracts_column_adds_up_while_it_runs_and_after_it_failed() -> None:
    state: dict[str, Any] = {"pledged": 100, "released": 40, "claimed": [10, 5], "claimable": [18, 7]}
    runs = state_accounts(failed=False, refundable=[0, 0], balance=85, surplus=0, **state)
    assert (runs.claimed, runs.claimable, runs.locked, runs.refunded) == (15, 25, 60, 0)
    assert (runs.rounding, runs.held, runs.conserved) == (0, 85, True)
    over = state_accounts(failed=True, refundable=[21, 15], balance=63, surplus=0, **state)
    # 22 were refunded, 36 are to be, and 2 cannot be divided.
    assert (over.refunded, over.refundable, over.rounding, over.locked, over.held) == (22, 36, 2, 0, 63)
    assert over.conserved
    more = state_accounts(failed=False, refundable=[0, 0], balance=86, surplus=1, **state)
    assert (more.refunded, more.rounding, more.held, more.conserved) == (0, 0, 85, True)
    odd = state_accounts(failed=True, refundable=[21, 15], balance=64, surplus=1, **state)
    assert (odd.refunded, odd.rounding, odd.held) == (None, None, None)
