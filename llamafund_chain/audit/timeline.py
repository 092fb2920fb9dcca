"""The timeline: what happened when, compared with the rules and with the contract's state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from pydantic import JsonValue

from llamafund_chain.audit.ledger import Ledger, Rules
from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.events import (
    Activated,
    BondReturned,
    CampaignEvent,
    ChallengeAnswered,
    Challenged,
    Claimed,
    Contested,
    DeadlinesExtended,
    MilestoneAttested,
    Pledged,
    Refunded,
    Ruled,
    Stopped,
    StopVoted,
    Unpledged,
)
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import NO_HASH, MilestoneKind, Status, Terms
from llamafund_chain.checks.check import Finding, contradicts
from llamafund_chain.times import when

TOLD = (
    Pledged,
    Unpledged,
    Activated,
    MilestoneAttested,
    Claimed,
    Refunded,
    StopVoted,
    Stopped,
    DeadlinesExtended,
    Challenged,
    ChallengeAnswered,
    BondReturned,
    Contested,
    Ruled,
)
"""Events that `tell` adds up. Updates cost their sender a fee and move nothing, so the audit does not read them."""


_TIMED = (MilestoneAttested, Challenged, Stopped, Contested, Ruled)
_AHEAD = 1_000


@dataclass(frozen=True)
class AttestedMilestone:
    """One attestation event with its place in time.

    Attributes:
        signers: Bit i is set if attestor i of the terms signed.
        at: Unix seconds of its block.
        slack_used: Seconds of slack used before it.
        tx_hash: 64 hexadecimal digits.
    """

    attestation: Attestation
    signers: int
    at: int
    slack_used: int
    block: int
    tx_hash: str


@dataclass(frozen=True)
class Contest:
    """A contest of the last attestation, with its ruling.

    Attributes:
        at: Unix seconds of its block.
        rule_by: The ruling counts before, unix seconds.
        ruled_at: Unix seconds of the ruling's block; `None` without one.
        upheld: Whether the ruling let the attestation stand; `None` without one.
    """

    at: int
    rule_by: int
    ruled_at: int | None = None
    upheld: bool | None = None


class Misdated(NamedTuple):
    """A challenge whose event says another time than its block's header, both in unix seconds."""

    block: int
    by_header: int
    by_event: int


@dataclass(frozen=True)
class Story:
    """A campaign's events, added up.

    Attributes:
        ledger: The money.
        rules: The parts of the terms that the ledger needs.
        attested: The attestations, in order.
        activated: The activation; `None` before it.
        contests: The contests of the last attestation, in order.
        misdated: The first challenge that is dated twice; `None` if there is none.
    """

    ledger: Ledger
    rules: Rules
    attested: tuple[AttestedMilestone, ...]
    activated: Activated | None
    contests: tuple[Contest, ...] = ()
    misdated: Misdated | None = None


def with_times(events: Iterable[CampaignEvent], fetch: Callable[[Iterable[int]], None]) -> Iterator[CampaignEvent]:
    """The events, unchanged, each after the header of its block was fetched if `tell` asks for its time.

    Args:
        events: In order.
        fetch: Fetches the headers of blocks, many in one request.
    """
    left = iter(events)
    while some := [*islice(left, _AHEAD)]:
        fetch({event.block for event in some if isinstance(event, _TIMED)})
        yield from some


def tell(terms: Terms, events: Iterable[CampaignEvent], time_of: Callable[[int], int]) -> Story:
    """Add up the events.

    Args:
        terms: The campaign's terms.
        events: In order, from the first.
        time_of: Returns the unix seconds of a block by its number.
    """
    ledger = Ledger()
    attested: list[AttestedMilestone] = []
    activated: Activated | None = None
    contests: list[Contest] = []
    misdated: Misdated | None = None
    for event in events:
        match event:
            case Pledged() | Unpledged() | Claimed() | Refunded():
                _enter_money(ledger, event)
            case Challenged():
                at = time_of(event.block)
                ledger.challenge(event.chunk, at, event.bond, event.challenger)
                if misdated is None and event.answer_by != at + terms.answer_window:
                    misdated = Misdated(event.block, at, event.answer_by - terms.answer_window)
            case ChallengeAnswered():
                ledger.answer(event.chunk)
            case BondReturned():
                ledger.return_bond(event.chunk)
            case Activated():
                activated = event
                ledger.activated = True
            case StopVoted():
                ledger.vote(event.backer, support=event.support)
            case Stopped():
                ledger.stopped_at = time_of(event.block)
            case Contested() | Ruled():
                _enter_contest(ledger, contests, event, time_of(event.block))
            case DeadlinesExtended():
                ledger.slack_used += event.by_seconds
            case MilestoneAttested():
                at = time_of(event.block)
                ledger.attested_at.append(at)
                attested.append(_attested(event, at, ledger.slack_used))
            case _:
                continue
    return Story(ledger, Rules.of(terms), tuple(attested), activated, tuple(contests), misdated)


def _enter_money(ledger: Ledger, event: Pledged | Unpledged | Claimed | Refunded) -> None:
    match event:
        case Pledged():
            ledger.deposit(event.backer, event.amount)
        case Unpledged():
            ledger.withdraw(event.backer, event.amount)
        case Claimed():
            ledger.claim(event.payee, event.amount)
        case Refunded():
            ledger.refund(event.backer, event.amount)


def _enter_contest(ledger: Ledger, contests: list[Contest], event: Contested | Ruled, at: int) -> None:
    match event:
        case Contested():
            ledger.contested = True
            contests.append(Contest(at, event.rule_by))
        case Ruled():
            ledger.rule(at, upheld=event.upheld)
            if contests:
                contests[-1] = replace(contests[-1], ruled_at=at, upheld=event.upheld)


def _attested(event: MilestoneAttested, at: int, slack_used: int) -> AttestedMilestone:
    return AttestedMilestone(
        attestation=event.attestation,
        signers=event.signers,
        at=at,
        slack_used=slack_used,
        block=event.block,
        tx_hash=event.tx_hash,
    )


def events_match_state(terms: Terms, story: Story, state: CampaignState) -> Finding:
    """Whether the events add up to the contract's state. A node that hides or invents an event is caught here."""
    ledger, last = story.ledger, story.attested[-1] if story.attested else None
    events: dict[str, JsonValue] = {
        "status": ledger.status(story.rules, state.timestamp),
        "activated": story.activated is not None,
        "training_seed": story.activated.training_seed if story.activated else "",
        "attested": len(story.attested),
        "attested_at": last.at if last else 0,
        "latest_evidence": last.attestation.evidence if last else terms.proposal,
        "stopped": ledger.stopped_at is not None,
        "contested": ledger.contested,
        "challenged_at": ledger.challenged_at or 0,
        "stop_support": ledger.stop_support,
        "stop_decided": ledger.stop_decided(story.rules),
        "slack_used": ledger.slack_used,
    }
    contract: dict[str, JsonValue] = {
        "status": status_name(state.status),
        "activated": state.active,
        "training_seed": state.training_seed,
        "attested": state.attested,
        "attested_at": state.attested_at if state.attested else 0,
        "latest_evidence": state.latest_evidence,
        "stopped": state.stopped,
        "contested": state.contested,
        "challenged_at": state.challenged_at,
        "stop_support": state.stop_support,
        "stop_decided": state.stopped and not state.refused,
        "slack_used": state.slack_used,
    }
    return _compare(events, contract)


def status_name(status: Status) -> str:
    """A status as reports write it."""
    return status.label


def attested_by_the_rules(terms: Terms, attested: Sequence[AttestedMilestone]) -> Finding | None:
    """Whether the terms and the previous attestation allowed every attestation; `None` if there is none.

    A genuine contract takes no other, so what is not allowed was invented by the node.
    """
    parent, free_from = terms.proposal, 0
    for index, one in enumerate(attested):
        problem = _problem(terms, one, index, parent, free_from)
        if problem is not None:
            return contradicts(f"The terms forbid the attestation of milestone {index} that it shows: {problem}")
        parent, free_from = one.attestation.evidence, one.at + terms.challenge_window
    if not attested:
        return None
    detail = f"{len(attested)} attested: in order, in time, each after the previous window, by a quorum"
    return Finding("pass", detail)


def contested_by_the_rules(terms: Terms, story: Story, now: int) -> Finding | None:
    """Whether the terms allowed every contest and ruling, and what they decided; `None` if there was no contest.

    A genuine contract takes no other, so what is not allowed was invented by the node.

    Args:
        terms: The campaign's terms.
        story: The campaign's events, added up.
        now: Unix seconds of the block at which the audit reads.
    """
    if not story.contests:
        return None
    problem = _contest_problem(terms, story)
    if problem:
        return contradicts(f"The terms forbid what it shows: {problem}")
    return Finding("pass", "; ".join(_contest_words(one, now) for one in story.contests))


def _contest_problem(terms: Terms, story: Story) -> str:
    if terms.arbiter is None:
        return "The last attestation was contested, although the terms name no arbiter"
    if len(story.attested) < len(terms.milestones):
        return "It was contested before the last milestone was attested"
    attested_at = story.attested[-1].at
    window_end = attested_at + terms.challenge_window
    for one in story.contests:
        if one.rule_by != window_end + terms.ruling_window:
            return f"The contest of {when(one.at)} gives until {when(one.rule_by)} for a ruling, the terms do not"
        if not attested_at <= one.at < window_end:
            return f"The contest of {when(one.at)} came when the window was not open"
        if one.ruled_at is not None and not one.at <= one.ruled_at < one.rule_by:
            return f"The ruling of {when(one.ruled_at)} came too late"
    return ""


def _contest_words(one: Contest, now: int) -> str:
    contested = f"Contested {when(one.at)}"
    if one.ruled_at is not None:
        return f"{contested}, {'upheld' if one.upheld else 'refused'} {when(one.ruled_at)}"
    if now < one.rule_by:
        return f"{contested}, not ruled on yet: a ruling counts before {when(one.rule_by)}"
    return f"{contested}, not ruled on before {when(one.rule_by)}: the attestation stands"


def _problem(terms: Terms, one: AttestedMilestone, index: int, parent: str, free_from: int) -> str | None:
    said = one.attestation
    if index >= len(terms.milestones):
        return f"the terms have only {len(terms.milestones)} milestones"
    milestone = terms.milestones[index]
    count = one.signers.bit_count()
    rules = (
        (said.milestone == index, f"it says milestone {said.milestone}"),
        (said.kind == milestone.kind, f"it says {said.kind.name}, the terms say {milestone.kind.name}"),
        (said.parent == parent, f"it names {said.parent} as its parent, but the one before it is {parent}"),
        (said.evidence != NO_HASH, "it names no evidence"),
        (one.at < milestone.deadline + one.slack_used, "it came after the deadline"),
        (one.at >= free_from, "it came while the previous window was open"),
        (one.at < said.expiry, "it had expired"),
        (said.score >= milestone.min_score, f"its score {said.score} is below {milestone.min_score}"),
        (count >= terms.quorum, f"{count} attestors signed, the quorum is {terms.quorum}"),
        (one.signers >> len(terms.attestors) == 0, "somebody who is not an attestor signed"),
        (
            said.kind != MilestoneKind.DATASET or terms.dataset in (NO_HASH, said.evidence),
            f"its dataset is {said.evidence}, the terms fix {terms.dataset}",
        ),
    )
    return next((problem for holds, problem in rules if not holds), None)


def _compare(events: dict[str, JsonValue], contract: dict[str, JsonValue]) -> Finding:
    differing = [key for key in events if events[key] != contract[key]]
    data: dict[str, JsonValue] = {"events": events, "state": contract}
    if not differing:
        return Finding("pass", "The events add up to the contract's state", data)
    first = differing[0]
    detail = f"By the events {first.replace('_', ' ')} is {events[first]}, the contract says {contract[first]}"
    if len(differing) > 1:
        detail += f"; {', '.join(differing[1:])} differ too"
    return contradicts(f"{detail}. A genuine contract writes both, so the node hides or invents something", data)


def seed_from_block(
    seed: str, *, parent_hash: str, randomness: str, chain_id: int, campaign: str, block: int
) -> Finding:
    """Whether the training seed follows from the block that activated the campaign.

    Args:
        seed: The seed on chain, 64 hexadecimal digits.
        parent_hash: Hash of the block before the activation, 64 hexadecimal digits.
        randomness: The activation block's `mixHash`, 64 hexadecimal digits.
        chain_id: EIP-155 number.
        campaign: Address.
        block: Number of the activation block.
    """
    from eth_abi.abi import encode
    from eth_utils import keccak

    expected = keccak(
        encode(
            ["bytes32", "uint256", "uint256", "address"],
            [bytes.fromhex(parent_hash), int(randomness, 16), chain_id, campaign],
        )
    ).hex()
    if seed == expected:
        detail = f"The training seed follows from block {block}: nobody could know it before the activation"
        return Finding("pass", detail)
    detail = (
        f"The training seed is {seed}; from block {block} of this node follows {expected}. "
        "Chains with another definition of a block's hash or randomness differ here"
    )
    return Finding("warn", detail)
