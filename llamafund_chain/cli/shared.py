"""What several commands do in the same way: open a campaign, describe it, report a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import click
from pydantic import JsonValue

from llamafund_chain.amounts import format_share
from llamafund_chain.campaign.answer_cost import AnswerCost
from llamafund_chain.campaign.arbiter import Arbiter, arbiter_of
from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.events import Claimed, Refunded
from llamafund_chain.campaign.refusals import NO_PLEDGE
from llamafund_chain.campaign.state import CampaignProgress, CampaignState
from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, VOTE_DELAY, Status, Terms
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.connection import Block, BlockId, Connection
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.ens import address_of
from llamafund_chain.chain.networks import chain_title, transaction_url
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.tokens import Asset
from llamafund_chain.chain.transactions import Receipt
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.risks import CHALLENGE_BOND, arbiter_risks, term_risks
from llamafund_chain.cli.facts import open_facts
from llamafund_chain.cli.interruption import if_interrupted, left_behind
from llamafund_chain.cli.options import expected_chain, from_block
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.sending import sender_for
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.merkle import chunk_count
from llamafund_chain.text import bar, counted, from_millionths
from llamafund_chain.times import duration, local_when, when, when_and_how_far

T = TypeVar("T")

_MOST_NAMED = 3

_CAUSES = {
    "goal": ": the goal was not met{at}. Pledges can be taken back",
    "start": ": nobody activated it{at}. Pledges can be taken back",
    "milestone": ": milestone {index} was not attested{at}. Backers can take the rest back",
    "answer": ": a challenge was not answered{at}. Backers can take the rest back",
    "stop": ", stopped by its backers: they can take the rest back",
    "refusal": ", refused by its arbiter: backers can take the last tranche back",
}
"""What `show` says after `Failed`, by the cause."""


def open_chain(rpc: str) -> Connection:
    """The chain behind `--rpc`, `--network` and `--from-block`, with the base of facts of commands that have one.

    Raises:
        UsageError: It is another chain than `--network` names.
        NodeUnreachableError: No node answers.
    """
    connection = connect(rpc, expected_chain())
    connection.since = from_block()
    open_facts(connection)
    return connection


def open_campaign(rpc: str, address: str) -> CampaignClient:
    """The campaign at an address, after proving that it is one.

    Raises:
        NodeUnreachableError: No node answers.
        VerificationError: It is a look-alike, or there is nothing.
    """
    connection = open_chain(rpc)
    client = CampaignClient(connection, address, sender=sender_for(connection))
    if_interrupted(sent_through(client.sender))
    client.verify_code()
    return client


def account_named(connection: Connection, given: str, at: Block) -> str:
    """The address of an account that somebody gave as `ACCOUNT` takes it. What a name leads to is told.

    Raises:
        UsageError: It is a name that leads nowhere on this chain.
    """
    if given.startswith("0x"):
        return given
    address = address_of(connection, given, at)
    note(f"{given} is {address} (ENS, at block {at.number})")
    return address


def sent_through(sender: Sender, otherwise: str | None = None) -> Callable[[], str]:
    """What an interruption reports about transactions, for `if_interrupted`.

    Args:
        sender: What sends them.
        otherwise: What is left behind when there is none; `None` for what was set before.
    """
    before = left_behind(click.get_current_context(silent=True)) if otherwise is None else otherwise

    def say() -> str:
        waiting = [tx_hash for tx_hash, included in sender.outbox.sent.items() if not included]
        done = [tx_hash for tx_hash, included in sender.outbox.sent.items() if included]
        told = [_transactions(done, "is included in a block", "are included in blocks")] if done else []
        if waiting:
            told.append(_transactions(waiting, "was sent and stays sent", "were sent and stay sent"))
        return f"{', and '.join(told)}. Look before you repeat the command" if told else before

    return say


def afterwards(read: Callable[[], T]) -> T | None:
    """What is read for the report once a transaction is included; `None` if it cannot be read.

    The transaction has done what it should: that a read fails then is no error.
    """
    try:
        return read()
    except LlamafundError as error:
        note(f"Note: the transaction is included, but not everything about its outcome could be read. {error}")
        return None


def moved(client: CampaignClient, receipt: Receipt, kind: type[Claimed | Refunded]) -> int | None:
    """What a transaction paid out, by its receipt alone, in smallest units; `None` if the receipt does not show it."""
    amounts = [event.amount for event in client.events_in(receipt) if isinstance(event, kind)]
    if not amounts:
        note(f"Note: the node does not show what transaction 0x{receipt.tx_hash} did, though it is included.")
    return sum(amounts) if amounts else None


def shown_amount(asset: Asset, amount: int | None) -> str:
    """An amount as text, if it is known."""
    return f"an unknown amount of {asset.name}" if amount is None else asset.format(amount)


def _transactions(hashes: Sequence[str], of_one: str, of_many: str) -> str:
    """A sentence about one transaction or many, with their hashes if there are only a few."""
    if len(hashes) == 1:
        return f"transaction 0x{hashes[0]} {of_one}"
    if len(hashes) > _MOST_NAMED:
        return f"{len(hashes)} transactions {of_many}"
    return f"transactions {', '.join(f'0x{tx_hash}' for tx_hash in hashes)} {of_many}"


def require_pledge(client: CampaignClient, backer: str) -> int:
    """A backer's pledge, in the asset's smallest unit.

    Raises:
        ContractRefusedError: It has none.
    """
    pledged = client.pledge_of(backer)
    if not pledged:
        raise ContractRefusedError(f"{backer} {NO_PLEDGE[0]}", *NO_PLEDGE[1:])
    return pledged


def asset_facts(asset: Asset) -> dict[str, JsonValue]:
    """An asset, as JSON."""
    return {
        "address": None if asset.is_native else asset.address,
        "symbol": asset.symbol,
        "decimals": asset.decimals,
    }


def terms_facts(terms: Terms, asset: Asset) -> dict[str, JsonValue]:
    """Terms, as JSON."""
    return {
        "researcher": terms.researcher,
        "asset": asset_facts(asset),
        "goal": asset.plain(terms.goal),
        "cap": asset.plain(terms.cap),
        "funding_deadline": terms.funding_deadline,
        "stop_bps": terms.stop_bps,
        "challenge_window": terms.challenge_window,
        "answer_window": terms.answer_window,
        "min_bond_wei": str(terms.min_bond),
        "slack": terms.slack,
        "proposal": terms.proposal,
        "dataset": None if terms.dataset == NO_HASH else terms.dataset,
        "attestors": list(terms.attestors),
        "quorum": terms.quorum,
        "arbiter": terms.arbiter,
        "ruling_window": terms.ruling_window,
        "payees": [{"account": payee.account, "bps": payee.bps} for payee in terms.payees],
        "milestones": [
            {
                "kind": step.kind.name,
                "bps": step.bps,
                "deadline": step.deadline,
                "min_score": None if step.min_score == NO_MINIMUM else step.min_score,
            }
            for step in terms.milestones
        ],
    }


def terms_lines(
    terms: Terms,
    asset: Asset,
    chain_id: int,
    *,
    now: int | None = None,
    names: Mapping[str, str] | None = None,
) -> list[str]:
    """Terms, as text: what a backer agrees to.

    Args:
        terms: The terms.
        asset: Their asset.
        chain_id: EIP-155 number.
        now: Unix seconds, to say how far off the end of funding is; `None` if the campaign is past that.
        names: Names of addresses, shown behind them.
    """

    def person(address: str) -> str:
        name = (names or {}).get(address)
        return f"{address} ({name})" if name else address

    share = f"backers of {format_share(terms.stop_bps)} of the pledges"
    stop = f"{share}, from {duration(VOTE_DELAY)} after activation until the weights are attested"
    deadline = terms.funding_deadline
    pairs = [
        ("researcher", person(terms.researcher)),
        ("asset", asset.name if asset.is_native else f"{asset.symbol} (token {terms.asset})"),
        ("goal", f"{asset.format(terms.goal)}; below it every pledge is refunded"),
        ("cap", asset.format(terms.cap)),
        ("funding until", when(deadline) if now is None else when_and_how_far(deadline, now)),
        ("can be stopped by", stop),
        ("paid out", _paid_out(terms)),
        ("a challenge costs", f"{_bond(terms, chain_id)}, for whoever shows the chunk"),
        ("answered within", f"{duration(terms.answer_window)}, or the campaign fails and refunds its backers"),
        ("may be late by", duration(terms.slack) if terms.slack else "no time"),
        ("proposal", terms.proposal),
        ("dataset", "only promised" if terms.dataset == NO_HASH else terms.dataset),
        ("attested by", f"{terms.quorum} of {len(terms.attestors)}"),
    ]
    pairs += [(f"  attestor {index}", person(attestor)) for index, attestor in enumerate(terms.attestors)]
    if terms.arbiter is not None:
        pairs.append(("arbiter", person(terms.arbiter)))
        pairs.append(("", f"can contest the weights' attestation and refuse it within {duration(terms.ruling_window)}"))
    pairs += [
        (f"payee {index}", f"{format_share(payee.bps)} to {person(payee.account)}")
        for index, payee in enumerate(terms.payees)
    ]
    for index, step in enumerate(terms.milestones):
        promise = "" if step.min_score == NO_MINIMUM else f", score at least {from_millionths(step.min_score)}"
        pairs.append(
            (f"milestone {index}", f"{step.kind.name}, {format_share(step.bps)}, before {when(step.deadline)}{promise}")
        )
    return rows(pairs)


def arbiter_facts(arbiter: Arbiter | None) -> dict[str, JsonValue]:
    """What is known about a campaign's arbiter, as JSON; `None` without one."""
    if arbiter is None:
        return {"arbiter": None}
    return {
        "arbiter": {
            "address": arbiter.address,
            "has_code": arbiter.has_code,
            "court": arbiter.court,
            "question": None if arbiter.asked is None else arbiter.asked.question,
            "extra_data": None if arbiter.asked is None else f"0x{arbiter.asked.extra_data.hex()}",
            "appeal_reserve": None if arbiter.asked is None else arbiter.asked.appeal_reserve,
            "dispute": arbiter.dispute,
        }
    }


def arbiter_results(client: CampaignClient, arbiter: Arbiter | None, block: BlockId = "latest") -> list[CheckResult]:
    """What backers should know about a campaign's arbiter; nothing without one.

    Args:
        client: The campaign.
        arbiter: Its arbiter.
        block: Which block.
    """
    if arbiter is None:
        return []
    pledge = client.pledge_of(arbiter.address, block)
    return list(arbiter_risks(client.terms, arbiter, pledge=pledge, asset=client.asset))


def arbiter_notes(client: CampaignClient) -> str:
    """What somebody should know before it relies on a campaign's arbiter, one note a line."""
    results = arbiter_results(client, arbiter_of(client))
    return "\n".join(f"Note: {risk.detail}." for risk in results if risk.status == "warn")


def arbiter_rows(arbiter: Arbiter | None) -> list[tuple[str, str]]:
    """What is known about a campaign's arbiter, as rows of text; none without one."""
    if arbiter is None:
        return []
    pairs = [("the arbiter", arbiter.kind if arbiter.court else f"is {arbiter.kind}")]
    if arbiter.dispute is not None:
        pairs.append(("", f"dispute {arbiter.dispute} about this campaign waits for the court's ruling"))
    return pairs


@dataclass(frozen=True)
class Risks:
    """What a backer should know before it agrees to terms.

    Attributes:
        bond: What the bond of a challenge is worth, and what a flood of them costs.
        warnings: What it should think twice about.
        over: Whether the campaign has ended, so that nothing of it matters any more.
    """

    bond: CheckResult
    warnings: Sequence[str]
    over: bool = False

    @property
    def lines(self) -> list[str]:
        """All of it as text."""
        if self.over:
            return []
        return [f"Note: {note}." for note in dict.fromkeys((*self.warnings, self.bond.detail))]

    @property
    def facts(self) -> dict[str, JsonValue]:
        """All of it as JSON."""
        bond: dict[str, JsonValue] = {"status": self.bond.status, "detail": self.bond.detail, **self.bond.data}
        return {"warnings": [*self.warnings], "challenge_bond": bond}


def risks_of(
    terms: Terms,
    asset: Asset,
    chain_id: int,
    *,
    cost: AnswerCost | DataFeeUnknownError,
    unreleased: int,
    arbiter: Iterable[CheckResult],
    state: CampaignProgress | None = None,
) -> Risks:
    """What a backer should know before it agrees to terms, or what of it still matters.

    Args:
        terms: The terms.
        asset: The campaign's asset.
        chain_id: EIP-155 number.
        cost: What an answer costs today, or why that could not be told.
        unreleased: What challenges protect, in the asset's smallest unit.
        arbiter: What was found about the arbiter; nothing without one.
        state: How far the campaign is; `None` while nobody has agreed to anything yet.
    """
    results = [*term_risks(terms, chain_id, cost=cost, unreleased=unreleased, money=asset.format), *arbiter]
    found = [risk.detail for risk in results if risk.status == "warn"]
    if terms.dataset == NO_HASH and (state is None or not state.attested):
        found.append("The terms do not fix the dataset; they only promise one")
    if state is None or state.attested < len(terms.milestones):
        found.append(
            f"Whoever pledges {asset.format(terms.blocking_stake(terms.goal))} of the goal, even the researcher, "
            "can block a stop vote"
        )
    forcing = terms.forcing_stake(terms.goal)
    if terms.goal + forcing <= terms.cap and (state is None or state.status is Status.FUNDING):
        found.append(
            f"The cap leaves room for whoever adds {asset.format(forcing)} to the goal: it can stop the campaign "
            f"{duration(VOTE_DELAY)} after activation, and gets it back"
        )
    (bond,) = (risk for risk in results if risk.name == CHALLENGE_BOND)
    over = state is not None and state.status in (Status.COMPLETED, Status.FAILED)
    return Risks(bond, [] if over else found, over=over)


def state_facts(terms: Terms, asset: Asset, state: CampaignState) -> dict[str, JsonValue]:
    """A state, as JSON."""
    failure = state.failure(terms)
    return {
        "status": state.status.label,
        "failure": None if failure is None else {"cause": failure.cause, "at": failure.at or None},
        "block": state.block,
        "timestamp": state.timestamp,
        "pledged": asset.plain(state.pledged),
        "released": asset.plain(state.released),
        "claimed": [asset.plain(amount) for amount in state.claimed],
        "claimable": [asset.plain(amount) for amount in state.claimable],
        "balance": asset.plain(state.balance),
        "stop_support": asset.plain(state.stop_support),
        "votes_from": state.votes_from or None,
        "attested": state.attested,
        "attested_at": state.attested_at or None,
        "window_end": state.window_end(terms) or None,
        "challenged_at": state.challenged_at or None,
        "contested": state.contested,
        "refused": state.refused,
        "stopped": state.stopped,
        "slack_used": state.slack_used,
        "training_seed": state.training_seed or None,
        "latest_evidence": state.latest_evidence,
    }


def content_facts(attestation: Attestation | None) -> dict[str, JsonValue]:
    """The content that can be challenged, as JSON; `None` before the first attestation."""
    if attestation is None:
        return {"content": None}
    return {"content": {"root": attestation.content_root, "size": attestation.content_size}}


def content_rows(attestation: Attestation | None) -> list[tuple[str, str]]:
    """The content that can be challenged, as rows of text; none before the first attestation."""
    if attestation is None:
        return []
    if not attestation.content_size:
        return [("attested content", "withheld: nothing of it can be challenged")]
    chunks = chunk_count(attestation.content_size)
    size = f"{attestation.content_size} bytes, {counted(chunks, 'chunk')} of 16 KiB"
    return [("attested content", f"root {attestation.content_root}"), ("", size)]


def state_rows(terms: Terms, asset: Asset, state: CampaignState) -> list[tuple[str, str]]:
    """A state, as rows of text."""
    share = f" ({state.pledged * 100 // terms.goal} % of the goal)"
    local, steps = local_when(state.timestamp), len(terms.milestones)
    pairs = [
        ("status", f"{state.status.label}{_explain_status(terms, state)}"),
        ("as of", f"block {state.block}, {when(state.timestamp)}{f' ({local})' if local else ''}"),
        ("pledged", f"{asset.format(state.pledged)}{share} {bar(state.pledged, terms.goal)}"),
        ("released", asset.format(state.released) + (f" {bar(state.released, state.pledged)}" if state.active else "")),
        ("milestones", f"{state.attested} of {steps} attested {bar(state.attested, steps)}"),
    ]
    if state.status is Status.ACTIVE and state.timestamp < state.votes_from and state.attested < len(terms.milestones):
        pairs.append(("votes to stop", f"open at {when_and_how_far(state.votes_from, state.timestamp)}"))
    if state.stop_support:
        pairs.append(("want to stop", asset.format(state.stop_support)))
    for index, claimable in enumerate(state.claimable):
        pairs.append(
            (f"payee {index} got", f"{asset.format(state.claimed[index])}; can claim {asset.format(claimable)}")
        )
    for index, step in enumerate(terms.milestones):
        pairs.append((f"milestone {index}", f"{step.kind.name}: {_milestone_status(terms, state, index)}"))
    if state.active and terms.slack and state.status is not Status.FAILED:
        pairs.append(("slack", f"{duration(state.slack_used)} used, {duration(terms.slack - state.slack_used)} left"))
    if state.training_seed:
        pairs.append(("training seed", state.training_seed))
    if state.attested:
        pairs.append(("latest evidence", state.latest_evidence))
    return pairs


def report(
    command: str,
    client: CampaignClient,
    receipt: Receipt,
    facts: Mapping[str, JsonValue],
    sentence: str,
    *,
    as_json: bool,
) -> None:
    """Print what a transaction did.

    Args:
        command: Name of the command.
        client: The campaign.
        receipt: The transaction's receipt.
        facts: What it did, as JSON.
        sentence: What it did, as text.
        as_json: Which of the two to print.
    """
    data: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": client.address,
        **facts,
        **receipt_facts(receipt),
    }
    emit(command, data, [sentence, *rows(receipt_rows(receipt, client.connection.chain_id))], as_json=as_json)


def receipt_facts(receipt: Receipt) -> dict[str, JsonValue]:
    """A receipt, as JSON."""
    return {
        "transaction": receipt.tx_hash,
        "block": receipt.block,
        "gas_used": receipt.gas_used,
        "fee_wei": str(receipt.fee),
        "data_fee_wei": str(receipt.data_fee),
    }


def receipt_rows(receipt: Receipt, chain_id: int) -> list[tuple[str, str]]:
    """A receipt, as rows of text."""
    data = f", {format_coin(receipt.data_fee, chain_id)} of it for its data" if receipt.data_fee else ""
    url = transaction_url(chain_id, receipt.tx_hash)
    return [
        ("transaction", f"0x{receipt.tx_hash}"),
        *([("", url)] if url is not None else []),
        ("block", str(receipt.block)),
        ("fee", format_coin(receipt.fee, chain_id) + data),
    ]


def last_tranche(client: CampaignClient, state: CampaignState) -> str:
    """The money that the last attestation releases, as text."""
    return client.asset.format(state.pledged - state.released)


def network_of(connection: Connection) -> str:
    """The chain, as text."""
    return f"{chain_title(connection.chain_id)} through {connection.shown_url}"


def _paid_out(terms: Terms) -> str:
    """When tranches are released, as text."""
    usual = f"{duration(terms.challenge_window)} after each attestation"
    if terms.arbiter is None:
        return usual
    return f"{usual}; the last one up to {duration(terms.ruling_window)} later if the arbiter contests it"


def _bond(terms: Terms, chain_id: int) -> str:
    """The least that a challenge costs, as text."""
    return f"a bond of {format_coin(terms.min_bond, chain_id)}, or the gas of an answer if that is more"


def _explain_status(terms: Terms, state: CampaignState) -> str:
    if state.status is Status.FUNDING:
        if state.timestamp >= terms.funding_deadline:
            return ", funding is over and the goal is met: anyone can activate it"
        missing = terms.goal - state.pledged
        return ", the goal is met" if missing <= 0 else ""
    failure = state.failure(terms)
    if failure is not None:
        at = f" before {when(failure.at)}" if failure.at else ""
        return _CAUSES[failure.cause].format(at=at, index=state.attested)
    found = []
    if state.challenged_at:
        by = state.challenged_at + terms.answer_window
        told = when_and_how_far(by, state.timestamp)
        found.append(f", a challenge is open: it must be answered before {told}, or the campaign fails")
    if state.status is Status.ACTIVE and state.contested and state.timestamp < state.window_end(terms):
        told = when_and_how_far(state.window_end(terms), state.timestamp)
        found.append(f", contested by its arbiter: a ruling counts before {told}")
    return "".join(found)


def _milestone_status(terms: Terms, state: CampaignState, index: int) -> str:
    failed = state.status is Status.FAILED
    if index >= state.attested:
        due = when_and_how_far(state.deadline(terms, index), state.timestamp)
        return "not reached" if failed else f"due before {due}"
    left = state.window_end(terms) - state.timestamp
    if index < state.attested - 1 or not (state.withheld or state.challenged_at or left > 0):
        return "attested and released"
    attested = f"attested {when(state.attested_at)}"
    if failed:
        return f"{attested}, never released"
    return f"{attested}, released in {duration(left)}" if left > 0 else f"{attested}, challenged"
