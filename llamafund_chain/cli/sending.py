"""How a command sends: its options, what it shows before and meanwhile, and what is printed if it stops earlier."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from llamafund_chain.cli.numbers import COIN_AMOUNT
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.errors import LlamafundError
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llamafund_chain.chain.connection import Connection
    from llamafund_chain.chain.journal import Entry
    from llamafund_chain.chain.sending import NotWaitedError, Policy, Preview, Sender, Wait

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = f"{__name__}.options"
_SENDERS = f"{__name__}.senders"
_MOST_BLOCKS = 10_000
_MOST_NOTED = 3
_NUMBER = re.compile(r"[0-9]{1,5}")


if TYPE_CHECKING:
    _WaitType = click.ParamType[Wait]
else:
    # Generic only in the newest versions of click.
    _WaitType = click.ParamType


class WaitType(_WaitType):
    """What to wait for after sending: `none`, `mined`, a number of blocks, `safe` or `finalized`."""

    name = "wait"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Wait:
        text = str(value).strip()
        if text in ("none", "mined", "safe", "finalized"):
            return cast("Wait", text)
        if not _NUMBER.fullmatch(text) or int(text) > _MOST_BLOCKS:
            self.fail(
                f"{text!r} cannot be waited for: write none, mined, safe, finalized or a number of blocks", param, ctx
            )
        return int(text)


def _kept(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Keep an option's value for `policy`, so that commands need not hand it on."""

    def keep(context: click.Context, _: click.Parameter, value: Any) -> Any:
        context.meta.setdefault(_OPTIONS, {})[name] = value
        return value

    return keep


def fee_options(command: F) -> F:
    """`--fee` and `--max-fee`."""
    limited = click.option(
        "--max-fee",
        envvar="LLAMAFUND_MAX_FEE",
        type=COIN_AMOUNT,
        default=None,
        metavar="AMOUNT",
        expose_value=False,
        show_envvar=True,
        callback=_kept("max_fee"),
        help="The most that a transaction's fee may be, in whole coins. With --yes it is 0.1 ether (10 of other coins) "
        "unless you say otherwise.",
    )(command)
    return click.option(
        "--fee",
        envvar="LLAMAFUND_FEE",
        type=click.Choice(["slow", "normal", "fast"]),
        default="normal",
        show_default=True,
        expose_value=False,
        show_envvar=True,
        callback=_kept("speed"),
        help="How much to offer, and so how soon a block includes the transaction.",
    )(limited)


def wait_option(command: F) -> F:
    """`--wait`."""
    return click.option(
        "--wait",
        envvar="LLAMAFUND_WAIT",
        type=WaitType(),
        default="mined",
        show_default=True,
        metavar="GOAL",
        expose_value=False,
        show_envvar=True,
        callback=_kept("wait"),
        help="What to wait for: none, mined, so many blocks on top, safe or finalized.",
    )(command)


def dry_run_option(command: F) -> F:
    """`--dry-run`."""
    return click.option(
        "--dry-run",
        is_flag=True,
        expose_value=False,
        callback=_kept("dry_run"),
        help="Simulate the transaction and show it with its cost, but sign and send nothing.",
    )(command)


def sending_options(command: F) -> F:
    """`--dry-run`, `--fee`, `--max-fee`, `--wait` and `--again`; see `policy`."""
    again = click.option(
        "--again",
        is_flag=True,
        expose_value=False,
        callback=_kept("again"),
        help="Send another transaction even if an earlier one of the same command is found.",
    )(command)
    return dry_run_option(fee_options(wait_option(again)))


def is_dry_run() -> bool:
    """Whether nothing is to be signed or sent."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_OPTIONS, {}).get("dry_run"))


def policy() -> Policy:
    """How to send, as the options of the running command say."""
    from llamafund_chain.chain.sending import Policy

    context = click.get_current_context(silent=True)
    return Policy(**(context.meta.get(_OPTIONS, {}) if context is not None else {}))


def _limited(wanted: Policy, chain_id: int) -> Policy:
    """With a limit on fees that nobody sees before they are paid: a node may advise any tip, and it would be paid."""
    from llamafund_chain.chain.networks import unseen_fee

    context = click.get_current_context(silent=True)
    if wanted.max_fee is not None or context is None or not context.params.get("yes"):
        return wanted
    return replace(wanted, max_fee=unseen_fee(chain_id))


def sender_for(connection: Connection) -> Sender:
    """What sends the running command's transactions: with the user's journal, and told on the screen."""
    from llamafund_chain.chain.journal import Journal, default_folder
    from llamafund_chain.chain.sending import Reporter, Sender

    class OnScreen(Reporter):
        """Says on standard error what happens."""

        def __init__(self, *, may_ask: bool) -> None:
            self._may_ask = may_ask

        def preview(self, preview: Preview) -> None:
            note("\n".join(preview_lines(preview)))

        def signed(self, entry: Entry) -> None:
            note(f"Transaction 0x{entry.tx_hash}, number {entry.nonce} of {entry.sender}: sending")

        def note(self, text: str) -> None:
            note(text)

        def another(self, question: str) -> bool:
            return self._may_ask and sys.stdin.isatty() and click.confirm(printable(question, 400), err=True)

    context = click.get_current_context(silent=True)
    words = "" if context is None else context.command_path.partition(" ")[2]
    may_ask = context is not None and not context.params.get("yes")
    sender = Sender(
        connection,
        journal=Journal(default_folder(), connection.chain_id),
        policy=_limited(policy(), connection.chain_id),
        reporter=OnScreen(may_ask=may_ask),
        command=words,
    )
    if context is not None:
        context.meta.setdefault(_SENDERS, []).append(sender)
    return sender


def preview_lines(preview: Preview) -> list[str]:
    """What would be sent, as text."""
    from llamafund_chain.chain.coins import format_coin
    from llamafund_chain.chain.networks import chain_title
    from llamafund_chain.chain.sending import cost_words

    pairs = [("to", preview.to), ("calls", preview.call.sentence)]
    if preview.value:
        pairs.append(("value", format_coin(preview.value, preview.chain_id)))
    pairs.append(("fee", cost_words(preview)))
    head = f"Transaction on {chain_title(preview.chain_id)} from {preview.sender}:"
    return [head, *(f"  {line}" for line in rows(pairs))]


def preview_facts(preview: Preview) -> dict[str, JsonValue]:
    """What would be sent, as JSON."""
    return {
        "chain": f"eip155:{preview.chain_id}",
        "from": preview.sender,
        "to": preview.to,
        "function": preview.call.function,
        "arguments": {**preview.call.arguments},
        "value_wei": str(preview.value),
        "gas": preview.gas,
        "highest_fee_wei": str(preview.highest_fee),
        "data_fee_wei": None if preview.data_fee is None else str(preview.data_fee),
    }


def print_dry_run(preview: Preview, *, as_json: bool) -> None:
    """Print what a command would have sent."""
    command = click.get_current_context().command_path.partition(" ")[2]
    lines = ["Not sent: this was a dry run. The simulation went well."]
    emit(command, {"dry_run": preview_facts(preview)}, lines, as_json=as_json)


def print_sent(sent: NotWaitedError, *, as_json: bool) -> None:
    """Print the hash of what was sent and is not waited for."""
    command = click.get_current_context().command_path.partition(" ")[2]
    lines = [f"Sent transaction 0x{sent.tx_hash}. Wait for it with: llamafund tx wait 0x{sent.tx_hash}"]
    emit(command, {"transaction": sent.tx_hash, "block": None}, lines, as_json=as_json)


def all_told() -> None:
    """Take note that the command has printed what became of its transactions."""
    sys.stdout.flush()
    for sender in _senders():
        sender.told()


def note_unfinished() -> None:
    """After an error before anything was sent, tell of earlier transactions whose outcome nobody was told."""
    for sender in _senders():
        if sender.outbox.sent:
            continue
        try:
            unfinished = [entry for entry in sender.entries() if entry.is_open][-_MOST_NOTED:]
            for entry in unfinished:
                words = sender.fate(entry).words
                name = f"0x{entry.tx_hash}" if entry.tx_hash else f"number {entry.nonce} of {entry.sender}"
                note(f"Note: an earlier transaction, {name} of `{entry.command}`, {words}.")
        except LlamafundError:
            continue


def _senders() -> list[Sender]:
    context = click.get_current_context(silent=True)
    return [] if context is None else context.meta.get(_SENDERS, [])
