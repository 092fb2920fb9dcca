"""`llamafund answer`: answer challenges and earn their bonds."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.challenges import Prover
from llamafund_chain.campaign.guard import Answer, Guard, Outcome, Unanswered
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.cli.options import (
    ADDRESS,
    ask,
    json_option,
    max_loss_option,
    rpc_option,
    stores_option,
    yes_option,
)
from llamafund_chain.cli.output import emit, note, progress
from llamafund_chain.cli.sending import dry_run_option, is_dry_run
from llamafund_chain.cli.shared import open_campaign, receipt_facts
from llamafund_chain.cli.signer import Signer, required_signer_options
from llamafund_chain.errors import LlamafundError
from llamafund_chain.store import open_store
from llamafund_chain.text import counted


@click.command(short_help="Answer challenges and earn their bonds.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@max_loss_option
@rpc_option
@stores_option
@required_signer_options
@dry_run_option
@yes_option
@json_option
def answer(
    address: str,
    max_loss: int,
    rpc: str,
    stores: tuple[str, ...],
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Answer every open challenge of the campaign at ADDRESS, oldest first.

    Before anything is sent, the content is read from the stores, hashed and compared with the attestation. Anyone may
    answer, and gets the bond. Several answers are sent at once.

    \b
    Example:
      llamafund answer 0x5FbDB2315678afecb367f032d93F642f64180aa3 --store ./store --wallet rosa
    """
    opened = [open_store(store) for store in stores]
    client = open_campaign(rpc, address)
    challenges = Guard(client, None, ()).look()
    facts: dict[str, JsonValue] = {"chain": client.connection.caip2, "campaign": client.address}
    if not challenges.queue:
        emit("answer", {**facts, "answered": []}, ["No challenge is open"], as_json=as_json)
        return
    count = len(challenges.queue)
    if not challenges.answerable or challenges.attestation is None:
        raise ContractRefusedError(
            f"It is too late to answer: the campaign has {challenges.status.label.lower()}",
            f"{count} challenge{' was' if count == 1 else 's were'} not answered in time",
        )
    account = signer.unlock()
    if is_dry_run():
        oldest = challenges.queue[0].chunk
        proof = Prover(opened).prove(challenges.attestation, [oldest])[oldest]
        # Only the oldest can be simulated: the others must wait until it is answered.
        client.answer(account, challenges.attestation, proof)
    bonds = client.coin.format(sum(challenge.bond for challenge in challenges.queue))
    limit = f" and {client.coin.format(max_loss)} for each answer" if max_loss else ""
    what = f"1 challenge as {account.address}, for a bond of {bonds}"
    if count > 1:
        what = f"{count} challenges as {account.address}, for bonds of {bonds} in all"
    ask(f"Answer {what}? It may cost what the bonds bring{limit}.", yes=yes)
    progress(f"Reading {challenges.attestation.content_size} bytes to prove {counted(count, 'chunk')}")
    guard = Guard(client, account, opened, max_loss=max_loss)
    done = _settle(guard)
    answered: list[JsonValue] = [
        {
            "chunk": one.challenge.chunk,
            "bond": client.coin.plain(one.challenge.bond),
            **receipt_facts(one.receipt),
        }
        for one in done
    ]
    lines = [
        f"Answered chunk {one.challenge.chunk} for {client.coin.format(one.challenge.bond)} "
        f"in transaction 0x{one.receipt.tx_hash}, which cost {client.coin.format(one.receipt.fee)}"
        for one in done
    ]
    emit("answer", {**facts, "answered": answered}, lines, as_json=as_json)


def _settle(guard: Guard) -> list[Answer]:
    """Answer what can be answered.

    Raises:
        LlamafundError: Challenges stay open. Answers sent before are reported on standard error.
    """
    done: list[Answer] = []
    problem: LlamafundError | None = None

    def take(outcome: Outcome) -> None:
        nonlocal problem
        if isinstance(outcome, Answer):
            done.append(outcome)
            progress(f"Answered chunk {outcome.challenge.chunk}")
        elif isinstance(outcome, Unanswered):
            problem = outcome.problem
            progress(f"Not answered: {problem}")

    try:
        for outcome in guard.settle():
            take(outcome)
        left = guard.look().queue
        if left:
            raise problem or LlamafundError(f"{len(left)} challenges stay open", remedy="Run the command again")
    except LlamafundError:
        for one in done:
            note(f"Answered before the error: chunk {one.challenge.chunk} in transaction 0x{one.receipt.tx_hash}")
        waiting = guard.under_way
        if waiting:
            note(f"Sent but not included yet: {', '.join(f'0x{tx_hash}' for tx_hash in waiting)}")
        raise
    return done
