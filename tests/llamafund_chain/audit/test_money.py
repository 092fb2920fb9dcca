"""The two columns of the ledger: each equality holds to the unit, and one unit too many or too few is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from small_campaign import FIRST, WINDOW, state, terms

from llamafund_chain.audit.ledger import Ledger, Rules
from llamafund_chain.audit.model import Person
from llamafund_chain.audit.money import (
    Statement,
    bonds_are_held,
    columns,
    compare,
    escrow_is_solvent,
    money_report,
    rounding_favours_escrow,
)
from llamafund_chain.campaign.terms import Status

NOW = FIRST - 1 + WINDOW
"""The first tranche is released in this very second."""

TERMS = terms()
RULES = Rules.of(TERMS)
PLEDGES = {"ann": 60, "bob": 40}


def ledger(*, stopped: bool = False) -> Ledger:
    """100 pledged, the first tranche of 40 released, of which 28 and 12 belong to the payees and 20 are collected."""
    made = Ledger(activated=True, attested_at=[FIRST - 1], stopped_at=NOW if stopped else None)
    made.deposit("ann", 70)
    made.withdraw("ann", 10)
    made.deposit("bob", 40)
    made.claim(0, 20)
    return made


def statement(
    *, pledges: Mapping[str, int] = PLEDGES, refundable: Mapping[str, int] | None = None, **changes: object
) -> Statement:
    values: dict[str, object] = {
        "timestamp": NOW,
        "attested": 1,
        "attested_at": FIRST - 1,
        "released": 40,
        "balance": 80,
        "claimable": (8, 12),
        "claimed": (20, 0),
    }
    read = state(**{**values, **changes})
    return Statement(read, pledges, dict.fromkeys(pledges, 0) if refundable is None else refundable)


def odd(found: Statement, by: Ledger | None = None) -> set[str]:
    """The names of what does not agree."""
    results = list(compare(ledger() if by is None else by, RULES, found, str))
    assert len({result.name for result in results}) == len(results)
    return {result.name for result in results if result.status != "pass"}


FAILED = {"status": Status.FAILED, "stopped": True, "refundable": {"ann": 36, "bob": 24}}


def test_an_honest_campaign_agrees_in_everything_while_it_runs_and_after_it_failed() -> None:
    assert odd(statement()) == set()
    assert odd(statement(**FAILED), ledger(stopped=True)) == set()
    names = {result.name for result in compare(ledger(), RULES, statement(), str)}
    assert names == {
        *(f"{name}-agrees" for name in ("pledged", "released", "claimed", "claimable", "refundable", "locked")),
        *("payee-0-agrees", "payee-1-agrees", "backers-agree", "conserved-by-events", "conserved-by-state"),
        "escrow-is-solvent",
    }
    after = {result.name for result in compare(ledger(stopped=True), RULES, statement(**FAILED), str)}
    assert after - names == {"rounding-favours-escrow"}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"pledged": 101}, {"pledged-agrees", "locked-agrees", "conserved-by-state"}),
        ({"released": 41}, {"released-agrees", "locked-agrees"}),
        ({"claimed": (21, 0)}, {"claimed-agrees", "payee-0-agrees", "conserved-by-state"}),
        ({"claimable": (8, 13)}, {"claimable-agrees", "payee-1-agrees"}),
        ({"claimable": (7, 13)}, {"payee-0-agrees", "payee-1-agrees"}),
        ({"claimed": (19, 1), "claimable": (9, 11)}, {"payee-0-agrees", "payee-1-agrees"}),
        ({"refundable": {"ann": 1, "bob": 0}}, {"refundable-agrees", "backers-agree"}),
        ({"pledges": {"ann": 59, "bob": 41}}, {"backers-agree"}),
    ],
)
def test_one_unit_that_differs_is_told_where_it_differs(changes: dict[str, object], names: set[str]) -> None:
    told = odd(statement(**changes))  # type: ignore[arg-type]
    plain = {"pledged-agrees", "released-agrees", "claimed-agrees", "refundable-agrees", "backers-agree"}
    assert names <= told
    assert told & plain == names & plain


def test_a_refund_counts_as_paid_only_if_it_was_all_that_was_due() -> None:
    for paid, fine in ((35, False), (36, True), (37, False)):
        by = ledger(stopped=True)
        by.refund("ann", paid)
        found = statement(
            **{**FAILED, "refundable": {"ann": 0, "bob": 24}}, pledges={"ann": 0, "bob": 40}, balance=80 - paid
        )
        assert ("backers-agree" not in odd(found, by)) is fine
    by = ledger(stopped=True)
    by.refund("ann", 36)
    # It was paid, and would be paid again; or the pledge still stands.
    for changes in ({"refundable": {"ann": 36, "bob": 24}}, {"pledges": {"ann": 60, "bob": 40}}):
        found = statement(
            **{**FAILED, "refundable": {"ann": 0, "bob": 24}, "pledges": {"ann": 0, "bob": 40}, **changes}
        )
        assert "backers-agree" in odd(found, by)


def test_what_a_backer_got_is_named_with_what_it_is_due() -> None:
    by = ledger(stopped=True)
    by.refund("ann", 35)
    refunded = {**FAILED, "refundable": {"ann": 0, "bob": 24}, "pledges": {"ann": 0, "bob": 40}}
    told = {result.name: result.detail for result in compare(by, RULES, statement(**refunded, balance=45), str)}
    assert "Backer ann is due 36 by the terms; it got 35 and the contract would send 0 more" in told["backers-agree"]
    assert "40 released + 35 refunded + 24 refundable" in told["conserved-by-events"]
    wrong = {**FAILED, "refundable": {"ann": 36, "bob": 25}}
    told = {result.name: result.detail for result in compare(ledger(stopped=True), RULES, statement(**wrong), str)}
    assert "Backer bob is due 24 by the terms; it got 0 and the contract would send 25 more" in told["backers-agree"]


def test_a_report_needs_a_person_for_each_payee() -> None:
    by_events, by_state = columns(ledger(), RULES, statement())
    with pytest.raises(ValueError, match="longer"):
        money_report(ledger(), by_events, by_state, statement().state, [Person(address="0xA1")], TERMS, str)


def test_the_escrow_is_solvent_from_the_very_unit_on_that_it_owes_and_more_is_told() -> None:
    owed = columns(ledger(), RULES, statement())[0]
    assert owed.held == 80
    assert [escrow_is_solvent(owed, balance, str).status for balance in (79, 80, 81)] == ["fail", "pass", "warn"]
    assert "sent it 2 beside the pledges" in escrow_is_solvent(owed, 82, str).detail
    assert escrow_is_solvent(replace(owed, held=None), 0, str).status == "pass"


def test_an_escrow_from_which_everything_was_paid_has_no_coins_from_elsewhere() -> None:
    by = ledger(stopped=True)
    by.claim(0, 8)
    by.claim(1, 12)
    by.refund("ann", 36)
    by.refund("bob", 24)
    nobody = {"ann": 0, "bob": 0}
    empty = statement(
        status=Status.FAILED,
        stopped=True,
        balance=0,
        claimed=(28, 12),
        claimable=(0, 0),
        pledges=nobody,
        refundable=nobody,
    )
    assert odd(empty, by) == set()


def test_only_a_tokens_missing_money_is_a_finding_for_the_chains_coin_cannot_be_missing() -> None:
    short = statement(balance=79)
    by_token = {result.name: result for result in compare(ledger(), RULES, short, str)}
    by_coin = {result.name: result for result in compare(ledger(), RULES, short, str, native=True)}
    assert by_token["escrow-is-solvent"].status == "fail"
    assert by_coin["escrow-is-solvent"].status == "unchecked"
    assert by_coin["escrow-is-solvent"].contradiction == "itself"


def test_coins_from_elsewhere_leave_open_what_was_refunded_and_accuse_nobody() -> None:
    found = statement(**FAILED, balance=81)
    results = {result.name: result for result in compare(ledger(stopped=True), RULES, found, str)}
    assert results["conserved-by-state"].status == "warn"
    assert results["conserved-by-events"].status == "pass"
    assert results["escrow-is-solvent"].status == "warn"
    assert {name for name, result in results.items() if result.status == "fail"} == set()


def test_the_sum_is_spelled_out_with_what_cannot_be_divided_only_if_there_is_some() -> None:
    results = {result.name: result.detail for result in compare(ledger(), RULES, statement(), str)}
    assert results["conserved-by-events"] == "100 pledged = 40 released + 0 refunded + 0 refundable + 60 locked"
    odd_pool = ledger(stopped=True)
    odd_pool.deposit("cid", 1)
    told = {result.name: result.detail for result in compare(odd_pool, RULES, thirds(), str)}
    assert "1 too small to divide" in told["conserved-by-events"]


def thirds() -> Statement:
    """101 pledged by three, 40 released, so that 61 are divided into 36, 24 and 0."""
    pledges = {"ann": 60, "bob": 40, "cid": 1}
    return statement(
        status=Status.FAILED,
        stopped=True,
        pledged=101,
        balance=81,
        pledges=pledges,
        refundable={"ann": 36, "bob": 24, "cid": 0},
    )


def test_what_cannot_be_divided_is_less_than_a_unit_for_each_backer() -> None:
    by = ledger(stopped=True)
    accounts = by.accounts(RULES, NOW)
    for left, status in ((0, "pass"), (1, "pass"), (2, "not"), (-1, "not")):
        found = rounding_favours_escrow(by, replace(accounts, rounding=left), NOW, str)
        assert (found.status == "pass") is (status == "pass")
    nobody = Ledger()
    assert rounding_favours_escrow(nobody, replace(accounts, rounding=0), NOW, str).status == "pass"
    assert rounding_favours_escrow(nobody, replace(accounts, rounding=1), NOW, str).status != "pass"
    assert rounding_favours_escrow(by, replace(accounts, rounding=None), NOW, str).status == "pass"


def test_bonds_are_held_from_the_very_wei_on_and_not_mentioned_without_a_challenge() -> None:
    by = ledger()
    assert bonds_are_held(by, 0, 1) is None
    by.challenge(3, NOW, 10**12)
    by.challenge(5, NOW, 10**12)
    statuses = []
    for coins in (2 * 10**12 - 1, 2 * 10**12, 2 * 10**12 + 1):
        found = bonds_are_held(by, coins, 1)
        assert found is not None
        statuses.append(found.status == "pass")
    assert statuses == [False, True, True]
    by.return_bond(3)
    by.return_bond(5)
    assert bonds_are_held(by, 0, 1) is None


def test_the_report_shows_both_columns_and_leaves_out_what_the_contract_cannot_know() -> None:
    by_events, by_state = columns(ledger(), RULES, statement())
    people = [Person(address="0xA1"), Person(address="0xB2", name="Bo")]
    shown = money_report(ledger(), by_events, by_state, statement().state, people, TERMS, lambda units: f"{units} C")
    assert (shown.events.deposited, shown.events.withdrawn, shown.events.balance) == ("110 C", "10 C", "80 C")
    assert (shown.state.deposited, shown.state.withdrawn, shown.state.held) == (None, None, "80 C")
    assert [(one.account.name, one.bps, one.claimed, one.claimable) for one in shown.payees] == [
        ("", 7_000, "20 C", "8 C"),
        ("Bo", 3_000, "0 C", "12 C"),
    ]
    assert shown.backers == 2
