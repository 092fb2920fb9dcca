"""`llamafund inspect`: what a backer should know before a pledge."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import click
from pydantic import JsonValue

from llamafund_chain.amounts import format_share
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import list_campaigns
from llamafund_chain.campaign.records import records_of_people
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import VOTE_DELAY, Status
from llamafund_chain.chain.connection import Block
from llamafund_chain.checks.inspection import Asked, Inspection, inspect
from llamafund_chain.checks.people import People
from llamafund_chain.checks.risks import challenge_bond, unreleased_of
from llamafund_chain.checks.rules import SEVERITIES, Judged, published
from llamafund_chain.checks.stakes import Stake, stakes
from llamafund_chain.cli.facts import facts_option
from llamafund_chain.cli.numbers import AmountType, NumericCommand, amount_above_zero
from llamafund_chain.cli.options import ADDRESS, json_option, rpc_option, stores_option
from llamafund_chain.cli.output import emit, progress, rows
from llamafund_chain.cli.shared import open_campaign
from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests import Party, ProposalManifest
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import from_millionths
from llamafund_chain.times import duration, when

_CONTRADICTIONS = ("words-match-terms", "escrow-holds-pledges")
"""Rules whose failure means that something is not what it claims to be."""

_WRAPPER = textwrap.TextWrapper(96, break_on_hyphens=False)
_BAR = "  │ "
"""Stands before every line of strangers' text, so that none of it can pass for ours."""

_LEAST_TRIED = 10_000
"""Smallest units in which a fee of a hundredth of a percent shows."""

_LONGEST_TEXT = 20_000
_MOST_LINES = 400


@click.command(cls=NumericCommand, short_help="Say what a pledge would risk, before you make it.")
@click.argument("address", type=ADDRESS, metavar="CAMPAIGN")
@click.option("--backer", type=ADDRESS, metavar="ADDRESS", help="Whose pledge to judge; without --amount, what it has.")
@click.option("--amount", type=AmountType(), metavar="AMOUNT", help="What you would pledge, in whole coins.")
@rpc_option
@facts_option
@stores_option
@json_option
def inspect_(
    address: str, backer: str | None, amount: str | None, rpc: str, stores: tuple[str, ...], as_json: bool
) -> None:
    """Say who can take how much of your money from CAMPAIGN, when, and on whose word.

    Proves that the code and the factory are genuine, fetches the proposal, looks at the accounts in the terms, compares
    the promise with what counting letters reaches, and tries the token out in simulated calls. Nothing is sent, and no
    wallet is needed.

    Everything is judged by published rules (docs/risk-rules.md). Each rule holds, fails, or could not be told; the
    grade from A to D follows from that. Without --amount and --backer, the money is that of all backers together.

    The exit code is 3 if the address is no campaign, if the proposal contradicts the terms, or if the escrow holds less
    than it owes. Risks alone do not change it.

    With --json: grade, means, rules_version, findings (rule, outcome, severity, detail, ask), facts, amount, risk,
    stages, payees, attestors, stopping, people, records, proposal (the manifest, or null), training and bond.

    \b
    Example:
      llamafund inspect 0x5FbDB2315678afecb367f032d93F642f64180aa3 --amount 0.5
    """
    source = open_stores(stores)
    client = open_campaign(rpc, address)
    asked, asset = Asked.of(client), client.asset
    state, at = asked.state, asked.at
    units = None if amount is None else amount_above_zero(amount, asset)
    # Tokens may limit a single transfer, and round the fee on a small one down to nothing.
    tried = units or max(client.terms.goal // 100, min(client.terms.goal, _LEAST_TRIED))
    whose = "The pledge"
    if units is None and backer is not None:
        units, whose = client.pledge_of(backer, at.number), f"The pledge of {backer}"
    elif units is None:
        units, whose = max(client.terms.goal, state.pledged), "All pledges together"
    found = inspect(client, source, asked, amount=tried, payer=backer, progress=progress)
    money = _Money(client, state, units, whose)
    bond = challenge_bond(
        client.terms,
        client.connection.chain_id,
        cost=asked.cost,
        unreleased=unreleased_of(client.terms, state),
        money=asset.format,
    )
    records = _records(client, at)
    facts: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": address,
        "block": state.block,
        "status": state.status.label,
        "grade": found.grade.grade,
        "means": found.grade.means,
        "rules_version": published().version,
        "findings": [one.to_json() for one in found.judged],
        "facts": found.facts,
        "people": None if found.people is None else found.people.to_json(),
        "records": records,
        "proposal": None if found.proposal is None else found.proposal.document(),
        "training": (
            None if found.training is None else {"status": found.training.status, "detail": found.training.detail}
        ),
        "bond": {"status": bond.status, "detail": bond.detail, **bond.data},
        **money.facts(),
    }
    lines = [
        f"Campaign {address} on {client.connection.caip2}: {state.status.label} at block {state.block}",
        f"Grade {found.grade.grade}: {found.grade.means}",
        *finding_lines(found.judged),
        "",
        *money.lines(),
        f"Bond and flood: {bond.detail}.",
        *([] if found.training is None else [f"Training: {found.training.detail.rstrip('.')}."]),
        "",
        *_people_lines(found.people),
        *_record_lines(records),
        *_proposal_lines(found),
        *_holding_lines(found.judged),
    ]
    emit("inspect", facts, lines, as_json=as_json)
    broken = [one.detail for one in found.judged if one.rule.id in _CONTRADICTIONS and one.outcome == "fails"]
    if broken:
        raise VerificationError(". ".join(broken), remedy="Do not pledge before you know why")


def finding_lines(judged: Sequence[Judged], *, asks: bool = True) -> Iterator[str]:
    """What fails and what could not be told, the worst first, as text.

    Args:
        judged: The rules' outcomes.
        asks: Whether to say what to do about each.
    """
    for outcome, title in (("fails", "What was found"), ("unknown", "What could not be told")):
        listed = sorted(
            (one for one in judged if one.outcome == outcome), key=lambda one: SEVERITIES.index(one.severity)
        )
        if not listed:
            continue
        yield ""
        yield title
        for one in listed:
            yield f"  {one.severity:<8}  {one.detail}."
            if asks:
                yield f"            {one.rule.ask}"


def _holding_lines(judged: Sequence[Judged]) -> Iterator[str]:
    yield ""
    yield "What holds"
    yield from (f"  {one.detail}." for one in judged if one.outcome == "holds")


class _Money:
    """Where a backer's money can go."""

    def __init__(self, client: CampaignClient, state: CampaignState, units: int, whose: str) -> None:
        self._client, self._state, self._units, self._whose = client, state, units, whose
        self._terms, self._asset = client.terms, client.asset
        failed = state.status is Status.FAILED
        self._stakes = () if failed else stakes(client.terms, state, units)
        self._pool = max(client.terms.goal, state.pledged)

    def facts(self) -> dict[str, JsonValue]:
        plain, terms = self._asset.plain, self._terms
        return {
            "amount": plain(self._units),
            "risk": self.risk(),
            "asset": self._asset.symbol,
            "stages": [
                {
                    "milestone": stake.milestone,
                    "kind": terms.milestones[stake.milestone].kind.name,
                    "amount": plain(stake.amount),
                    "total": plain(stake.total),
                    "earliest": stake.earliest,
                    "latest": stake.latest,
                    "released": stake.released,
                    "votes": stake.votes,
                }
                for stake in self._stakes
            ],
            "payees": [
                {
                    "account": payee.account,
                    "bps": payee.bps,
                    "most": plain(self._units * payee.bps // 10_000),
                }
                for payee in terms.payees
            ],
            "attestors": {"quorum": terms.quorum, "accounts": list(terms.attestors)},
            "stopping": {
                "takes": plain(terms.stop_threshold(self._pool)),
                "blocking": plain(terms.blocking_stake(self._pool)),
                "forcing": plain(terms.forcing_stake(self._pool)),
                "votes_from": self._state.votes_from or None,
            },
        }

    def risk(self) -> str:
        """Who can take how much, when, and on whose word, in one sentence without its full stop."""
        write, terms = self._asset.format, self._terms
        if self._state.status is Status.FAILED:
            return "The campaign has failed: nobody can take more of it, and what was not released comes back"
        coming = [stake for stake in self._stakes if not stake.released]
        if not coming:
            return f"All {write(self._units)} is released to the payees"
        first, last = coming[0], coming[-1]
        sum_ = write(sum(stake.amount for stake in coming))
        return (
            f"If {terms.quorum} of the {len(terms.attestors)} attestors say so, the payees can take {sum_} of it: "
            f"the first {write(first.amount)} from {when(first.earliest)} on, all of it from {when(last.earliest)} on"
        )

    def lines(self) -> Iterator[str]:
        write, terms = self._asset.format, self._terms
        yield f"{self._whose}: {write(self._units)}. {self.risk()}."
        if self._state.status is Status.FAILED:
            yield "  Take it back with `llamafund refund`"
            return
        yield from (f"  {words}" for words in self._who())
        yield ""
        yield "  Largest sum at risk at each stage"
        if self._state.status is Status.FUNDING:
            yield f"    before the goal of {write(terms.goal)}: nothing; you can take it back alone, at any time"
            yield (
                "    from the goal on: nothing is paid yet, but it is locked; if nobody activates or attests in time, "
                "you get it all back"
            )
        for stake in self._stakes:
            yield from (f"    {words}" for words in self._stage(stake))
        if self._state.status is not Status.COMPLETED:
            latest = self._stakes[-1].latest
            yield f"  Locked until {when(latest)} at the latest, or paid, or refunded before"
        yield ""
        yield from (f"  {words}" for words in self._stopping())

    def _who(self) -> Iterator[str]:
        write, terms = self._asset.format, self._terms
        last = self._stakes[-1].total
        yield f"Who can get it: up to {write(last)} of it goes to the payees:"
        for payee in terms.payees:
            yield f"  {format_share(payee.bps)} to {payee.account}, at most {write(last * payee.bps // 10_000)}"
        yield f"On whose word: {terms.quorum} of these {len(terms.attestors)} attestors sign each milestone:"
        yield from (f"  {account}" for account in terms.attestors)
        if terms.arbiter is None:
            yield "Nobody can refuse the last tranche once they have signed it"
        else:
            yield f"The arbiter {terms.arbiter} can refuse the last tranche within {duration(terms.ruling_window)}"

    def _stage(self, stake: Stake) -> Iterator[str]:
        write, terms = self._asset.format, self._terms
        milestone = terms.milestones[stake.milestone]
        kind = f"milestone {stake.milestone} ({milestone.kind.name})"
        if stake.released:
            yield f"{kind}: {write(stake.amount)} is released, {write(stake.total)} in all"
            return
        yield (
            f"{kind}: {write(stake.amount)} more, {write(stake.total)} in all; at the earliest {when(stake.earliest)}, "
            f"decided by {when(stake.latest)}"
        )
        ways = ["a stop vote"] if stake.votes else []
        ways.append("a challenge that nobody answers")
        if stake.milestone == len(terms.milestones) - 1 and terms.arbiter is not None:
            ways.append("the arbiter's refusal")
        yield f"  prevented by {', '.join(ways[:-1])}{' or ' if len(ways) > 1 else ''}{ways[-1]}"

    def _stopping(self) -> Iterator[str]:
        write, terms = self._asset.format, self._terms
        takes = terms.stop_threshold(self._pool)
        beside = f", so {write(max(0, takes - self._units))} beside this pledge" if self._units < takes else ""
        yield (
            f"Stopping takes {write(takes)} of {write(self._pool)}{beside}, from {duration(VOTE_DELAY)} after "
            "activation until the weights are attested"
        )
        yield f"Blocking every stop vote costs a pledge of {write(terms.blocking_stake(self._pool))}"
        yield (
            f"Forcing a stop alone takes {write(terms.forcing_stake(self._pool))} on top of that pool, all of which "
            "comes back"
        )


def _people_lines(people: People | None) -> Iterator[str]:
    if people is None:
        return
    yield "Accounts"
    yield from (
        f"  {line}"
        for line in rows(
            [
                (account, f"{people.roles[account]}: {wallet.kind or 'a plain key'}")
                for account, wallet in people.wallets.items()
            ]
        )
    )
    yield ""


def _records(client: CampaignClient, at: Block) -> list[JsonValue]:
    """The track records of the researcher and the attestors in a line each."""
    progress("Reading other campaigns")
    created = list_campaigns(client.connection, at)
    return [
        {"account": account, "role": one.role, "campaigns": len(one.campaigns), "text": one.brief()}
        for account, one in records_of_people(client.connection, client.terms, created, at)
    ]


def _record_lines(records: Sequence[JsonValue]) -> Iterator[str]:
    if records:
        yield "Track records, from the chain alone (`llamafund people ADDRESS` lists the events)"
        for one in records:
            assert isinstance(one, dict)
            yield f"  {one['account']}  {one['role']}: {one['text']}"
        yield ""


def _proposal_lines(found: Inspection) -> Iterator[str]:
    proposal = found.proposal
    if proposal is None:
        yield f"The proposal could not be read: {found.facts.get('proposal_problem')}."
        yield "  Name a store that has it with --store."
        return
    yield "The proposal, in its author's words. Nothing of it is checked, except where a rule says so."
    yield from _quoted(proposal)


def _quoted(proposal: ProposalManifest) -> Iterator[str]:
    outcome = proposal.outcome
    better = f"{outcome.metric} of {from_millionths(outcome.target)}, {outcome.direction} is better"
    parts = [
        ("title", proposal.title),
        ("summary", proposal.summary),
        *(("objective", text) for text in proposal.objectives),
        ("promises", f"{better}: {outcome.evaluation}"),
        ("dataset", f"{proposal.dataset.description} ({proposal.dataset.license})"),
        *(("source", text) for text in proposal.dataset.sources),
        ("model", proposal.model),
        ("compute", proposal.compute),
        ("budget", proposal.budget),
        ("license", proposal.license),
        *(
            (f"milestone {place}", f"{promise.kind}: {promise.title}. {promise.description}")
            for place, promise in enumerate(proposal.milestones)
        ),
        ("researcher", _party(proposal.researcher)),
        *((f"attestor {place}", _party(party)) for place, party in enumerate(proposal.attestors)),
    ]
    lines = [line for name, text in parts for line in _wrapped(name, text)]
    yield from (f"{_BAR}{line}" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"  {len(lines) - _MOST_LINES} more lines: `llamafund manifest show {proposal.sha256}`"


def _wrapped(name: str, text: str) -> Iterator[str]:
    """A text on lines that fit, under its name."""
    for place, paragraph in enumerate(text[:_LONGEST_TEXT].split("\n")):
        for number, line in enumerate(_WRAPPER.wrap(paragraph) or [""]):
            yield f"{name if place == number == 0 else '':<12}  {line}".rstrip()


def _party(party: Party) -> str:
    promise = f": {party.promise}" if party.promise else ""
    return f"{party.name} ({party.address}){promise}"
