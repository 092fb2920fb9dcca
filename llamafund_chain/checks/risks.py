"""What the published rules say about terms and arbiters. Shown before a pledge, and judged by the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import AnswerCost, three_digits
from llamafund_chain.campaign.arbiter import Arbiter
from llamafund_chain.campaign.flood import Flood, a_day
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, Status, Terms
from llamafund_chain.chain.coins import DECIMALS, UNKNOWN, coin_symbol, format_coin
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.tokens import Asset
from llamafund_chain.checks.check import CheckResult, Finding
from llamafund_chain.checks.rules import judge
from llamafund_chain.deployment.court_arbiter import question_path
from llamafund_chain.times import duration

MUCH = 10**9 * 10**DECIMALS
"""Wei; no chain has as many coins that could be bought."""

LONGEST_ADDRESS = 150
"""Characters that are shown of what a stranger's contract says."""

CHALLENGE_BOND = "challenge-bond"
"""The rule about the bond, whose finding also says what a flood costs."""

_BEFORE_THE_BOND = ("researcher-attests", "attestors-paid", "quorum-of-one", "arbiter-independent")
_AFTER_THE_BOND = ("answer-window",)
_ARBITER = ("arbiter-can-decide", "arbiter-is-no-backer", "court-is-asked-the-question", "rulings-come-in-time")


def term_risks(
    terms: Terms,
    chain_id: int,
    *,
    cost: AnswerCost | DataFeeUnknownError,
    unreleased: int,
    money: Callable[[int], str],
) -> Iterator[CheckResult]:
    """Whether payment depends on keys that profit from it or on a single key, and challenges on wealth or luck.

    Args:
        terms: The campaign's terms.
        chain_id: EIP-155 number of its chain.
        cost: What an answer costs today, or why that could not be told.
        unreleased: What challenges protect, in the asset's smallest unit.
        money: Writes an amount of the asset.
    """
    facts = term_facts(terms)
    yield from (one.result for one in judge(facts, _BEFORE_THE_BOND))
    bond = challenge_bond(terms, chain_id, cost=cost, unreleased=unreleased, money=money)
    yield CheckResult.of(CHALLENGE_BOND, bond)
    yield from (one.result for one in judge(facts, _AFTER_THE_BOND))


def arbiter_risks(terms: Terms, arbiter: Arbiter, *, pledge: int, asset: Asset) -> Iterator[CheckResult]:
    """Whether a campaign's arbiter can be relied on, as far as the chain tells.

    Args:
        terms: The campaign's terms.
        arbiter: Its arbiter.
        pledge: What the arbiter has pledged, in the asset's smallest unit.
        asset: What that is counted in.
    """
    facts = {**asset_facts(asset), **term_facts(terms), **arbiter_facts(arbiter), "arbiter_pledge": str(pledge)}
    for one in judge(facts, _ARBITER):
        data = court_data(arbiter) if one.rule.id == "court-is-asked-the-question" else {}
        yield replace(one.result, data=data)


def arbiter_alone(arbiter: Arbiter) -> Iterator[CheckResult]:
    """The same about an arbiter without a campaign."""
    facts = {"arbiter_named": True, **arbiter_facts(arbiter)}
    for one in judge(facts, ("arbiter-can-decide", "court-is-asked-the-question")):
        yield replace(one.result, data=court_data(arbiter) if one.rule.id != "arbiter-can-decide" else {})


def unreleased_of(terms: Terms, state: CampaignState) -> int:
    """What challenges protect, in the asset's smallest unit: at least the goal while funding is open; 0 at the end."""
    if state.status is Status.FUNDING:
        return max(terms.goal, state.pledged)
    return state.pledged - state.released if state.status is Status.ACTIVE else 0


# ----------------------------------------------------------------------- facts


def asset_facts(asset: Asset) -> dict[str, JsonValue]:
    """Facts about how amounts of an asset are written."""
    return {"asset_symbol": asset.unit, "asset_decimals": asset.decimals}


def term_facts(terms: Terms) -> dict[str, JsonValue]:
    """Facts that the terms tell."""
    payees = {payee.account for payee in terms.payees}
    insiders = payees | {terms.researcher}
    floor = terms.milestones[-1].min_score
    return {
        "native": terms.is_native,
        "quorum": terms.quorum,
        "attestors": len(terms.attestors),
        "researcher_attests": terms.researcher in terms.attestors,
        "attestors_paid": [account for account in terms.attestors if account in payees],
        "insider_seats": sum(account in insiders for account in terms.attestors),
        "only_weights": len(terms.milestones) == 1,
        "dataset_fixed": terms.dataset != NO_HASH,
        "answer_window": terms.answer_window,
        "ruling_window": terms.ruling_window,
        "min_bond": str(terms.min_bond),
        "floor_set": floor != NO_MINIMUM,
        "floor_score": None if floor == NO_MINIMUM else str(floor),
        "arbiter_named": terms.arbiter is not None,
        "arbiter": terms.arbiter,
        "arbiter_roles": _roles_of_arbiter(terms),
    }


def money_facts(terms: Terms, state: CampaignState | None, unreleased: int) -> dict[str, JsonValue]:
    """Facts about stakes.

    Args:
        terms: The terms.
        state: The campaign's state; `None` before it is opened.
        unreleased: See `unreleased_of`.
    """
    pledged = 0 if state is None else state.pledged
    pool = max(terms.goal, pledged)
    is_funding = state is None or state.status is Status.FUNDING
    facts: dict[str, JsonValue] = {
        "status": (Status.FUNDING if state is None else state.status).label,
        "pledged": str(pledged),
        "unreleased": str(unreleased),
        "room": str(max(0, terms.cap - pool) if is_funding else 0),
        "blocking_stake": str(terms.blocking_stake(pool)),
        "forcing_stake": str(terms.forcing_stake(pool)),
    }
    if state is not None and state.status in (Status.FUNDING, Status.ACTIVE):
        facts |= {"balance": str(state.balance), "owed": str(state.pledged - sum(state.claimed))}
    return facts


def cost_facts(chain_id: int, cost: AnswerCost | DataFeeUnknownError) -> dict[str, JsonValue]:
    """What an answer costs, and how amounts of the chain's coin are written.

    Args:
        chain_id: EIP-155 number.
        cost: What an answer costs today, or why that could not be told.
    """
    return {
        "coin_symbol": coin_symbol(chain_id) or UNKNOWN,
        "answer_cost": str(cost.wei) if isinstance(cost, AnswerCost) else None,
    }


def arbiter_facts(arbiter: Arbiter) -> dict[str, JsonValue]:
    """Facts about an arbiter."""
    facts: dict[str, JsonValue] = {
        "arbiter_kind": _kind_of(arbiter),
        "arbiter_told": f"The arbiter {'' if arbiter.asked else 'is '}{arbiter.kind}",
        "arbiter_asks_court": arbiter.asked is not None,
    }
    asked = arbiter.asked
    if asked is None:
        return facts
    told = asked.extra_data.hex()
    meaning = None if asked.known is None else asked.known.extra_data.get(asked.extra_data)
    return facts | {
        "court_name": None if asked.known is None else asked.known.name,
        "court_round": 0 if asked.known is None else asked.known.round_seconds,
        "appeal_reserve": asked.appeal_reserve,
        "question_shipped": asked.question == question_path(),
        "question": repr(asked.question[:LONGEST_ADDRESS]),
        "jurors_known": meaning is not None,
        "jurors": meaning,
        "extra_data": f"0x{told[:LONGEST_ADDRESS]}{'…' if len(told) > LONGEST_ADDRESS else ''}",
    }


def court_data(arbiter: Arbiter) -> Mapping[str, JsonValue]:
    """What an arbiter asks which court, in full; empty if it asks none."""
    asked = arbiter.asked
    if asked is None:
        return {}
    return {
        "court": asked.court,
        "question": asked.question,
        "extra_data": f"0x{asked.extra_data.hex()}",
        "appeal_reserve": asked.appeal_reserve,
    }


def _kind_of(arbiter: Arbiter) -> str:
    if not arbiter.has_code:
        return "key"
    if arbiter.asked is None:
        return "misplaced" if arbiter.is_misplaced else "contract"
    if arbiter.asked.is_mock:
        return "mock-court"
    return "unknown-court" if arbiter.asked.known is None else "known-court"


def _roles_of_arbiter(terms: Terms) -> str:
    roles = (
        ("the researcher", (terms.researcher,)),
        ("a payee", [payee.account for payee in terms.payees]),
        ("an attestor", terms.attestors),
    )
    return " and ".join(role for role, accounts in roles if terms.arbiter in accounts)


# -------------------------------------------------------------------- the bond


def challenge_bond(
    terms: Terms,
    chain_id: int,
    *,
    cost: AnswerCost | DataFeeUnknownError,
    unreleased: int,
    money: Callable[[int], str],
) -> Finding:
    """Whether the bond of a challenge is too high for most backers, or does not pay for an answer.

    The rule decides; this also says what a flood costs whom.
    """
    bond = format_coin(terms.min_bond, chain_id)
    facts = {**term_facts(terms), "unreleased": str(unreleased), **cost_facts(chain_id, cost)}
    # Amounts of the asset are written by `money`.
    judged = judge({**facts, "asset_symbol": "", "asset_decimals": 0}, (CHALLENGE_BOND,))
    if not judged:
        return Finding("pass", f"The least bond of a challenge is {bond}; nothing that it could protect is unreleased")
    if judged[0].cases == (0,):
        detail = (
            f"A challenge takes a bond of {bond} while {money(unreleased)} is unreleased, so few or no backers will"
        )
        return Finding("warn", f"{detail} challenge")
    if isinstance(cost, DataFeeUnknownError):
        return Finding("unchecked", f"{judged[0].detail}: {str(cost).rstrip('.')}")
    flood = Flood.of(terms, cost)
    data: dict[str, JsonValue] = {
        "min_bond_wei": str(terms.min_bond),
        "bond_today_wei": str(flood.bond),
        "answer_cost_wei": str(cost.wei),
        "answer_data_fee_wei": str(cost.data_fee),
    }
    said = _told_flood(terms, flood, chain_id, money(unreleased))
    answer = f"an answer costs about {_about(cost.wei, chain_id)} today"
    if judged[0].outcome == "fails":
        detail = f"The least bond of a challenge is {bond}, but {answer}"
        if flood.earned >= 0:
            detail += f"; only the base fee lifts the bond to {_about(flood.bond, chain_id)} now"
        return Finding("warn", f"{detail}. {said}", data)
    return Finding("pass", f"The least bond of a challenge is {bond}, and {answer}. {said}", data)


def _told_flood(terms: Terms, flood: Flood, chain_id: int, unreleased: str) -> str:
    """What a flood costs whom, in two sentences."""
    window = duration(terms.answer_window)
    lost = f"a flood loses {_about(flood.slow, chain_id)}, to a fast one (1.3) {_about(flood.fast, chain_id)}"
    outrun = f"To outrun a slow guard (0.2 answers a second) for {window}, {lost}, while {unreleased} is unreleased"
    bond = _about(flood.bond, chain_id)
    if flood.earned >= 0:
        earned = _about(flood.earned, chain_id)
        return f"{outrun}. One by one, each challenge costs {bond}, and whoever answers earns about {earned}"
    return (
        f"{outrun}. One by one, each challenge costs {bond}, and whoever answers loses "
        f"{_about(-flood.earned, chain_id)} more: a slow guard {_about(a_day(-flood.earned), chain_id)} a day, against "
        f"{_about(a_day(flood.bond), chain_id)} for the challengers"
    )


def _about(wei: int, chain_id: int) -> str:
    """An amount of the chain's coin that people can read."""
    if wei > MUCH:
        return f"more than {format_coin(MUCH, chain_id)}"
    return format_coin(three_digits(wei), chain_id)
