"""`llamafund watch`: answer a campaign's challenges as they come; or follow many campaigns, see `watch_many`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import click
from pydantic import JsonValue

from llamafund_chain.campaign.challenges import Challenges
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.guard import Answer, Guard, Opened, Outcome
from llamafund_chain.campaign.terms import Status
from llamafund_chain.checks.check import DEPTHS, Depth
from llamafund_chain.cli.facts import facts_option
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.numbers import duration_above_zero
from llamafund_chain.cli.options import (
    ACCOUNT,
    ADDRESS,
    Number,
    json_option,
    max_loss_option,
    rpc_option,
    stores_option,
)
from llamafund_chain.cli.output import event, note
from llamafund_chain.cli.shared import open_campaign, receipt_facts, sent_through
from llamafund_chain.cli.signer import Signer, optional_signer_options
from llamafund_chain.cli.watch_many import Pace, Wanted, follow
from llamafund_chain.errors import LlamafundError, NotFinalError, UsageError
from llamafund_chain.store import open_store
from llamafund_chain.times import duration, when

Say = Callable[[str, dict[str, JsonValue], str], None]

STALE_AFTER = 600.0
"""Seconds without a new block after which a node counts as stopped. No chain in use is that slow."""

_LONGEST_WAIT = 600.0


@click.command(short_help="Answer challenges as they come, and warn; or follow many campaigns.")
@click.argument("address", type=ADDRESS, metavar="[ADDRESS]", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Follow all campaigns of this chain, and send nothing on chain."
)
@click.option(
    "--backer",
    type=ACCOUNT,
    metavar="ADDRESS|NAME",
    help="Follow the campaigns in which this account takes part, and the money that waits for it.",
)
@click.option(
    "--interval",
    type=Number(0.05, 3_600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option(
    "--heartbeat",
    type=Number(0),
    default=3_600.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to report that all is well.",
)
@click.option(
    "--once", is_flag=True, help="Look once and exit, for cron; the exit code is 1 if a challenge stays open."
)
@click.option(
    "--soon",
    default="2d",
    show_default=True,
    metavar="DURATION",
    help="With --all or --backer: how long before an end to say so.",
)
@click.option(
    "--audit",
    "depth",
    type=click.Choice(DEPTHS),
    default=None,
    help="With --all or --backer: audit each new attestation, this far.",
)
@click.option(
    "--webhook",
    "webhooks",
    multiple=True,
    metavar="URL",
    help="With --all or --backer: also post each notice there as signed JSON.",
)
@click.option(
    "--ntfy", "topics", multiple=True, metavar="URL", help="With --all or --backer: also post each there as plain text."
)
@max_loss_option
@rpc_option
@facts_option
@stores_option
@optional_signer_options
@json_option
def watch(
    address: str | None,
    everything: bool,
    backer: str | None,
    soon: str,
    depth: Depth | None,
    webhooks: tuple[str, ...],
    topics: tuple[str, ...],
    interval: float,
    heartbeat: float,
    once: bool,
    max_loss: int,
    rpc: str,
    stores: tuple[str, ...],
    signer: Signer,
    as_json: bool,
) -> None:
    """Guard the campaign at ADDRESS: answer its challenges as they come, until its completion or failure is final.

    Use a dedicated wallet: the guard replaces pending transactions of the wallet that are in the way of an answer.
    Without a wallet it only warns. With --json each event is one line of JSON. After an error it tries again, more
    slowly each time. Ctrl-C stops it. The exit code is 1 if the campaign has failed.

    With --all or --backer it follows many campaigns instead, and says once what somebody should hear, on standard
    output and wherever --webhook and --ntfy say: attestations, windows that close, challenges, evidence that cannot be
    fetched, deadlines, slack, stop votes, money that waits, a node that stands still. It remembers what it has said,
    and sends again what did not arrive. A webhook's secret goes into LLAMAFUND_WEBHOOK_TOKEN or the file that
    LLAMAFUND_CREDENTIALS names; it signs as https://www.standardwebhooks.com says.

    With --once and --all or --backer, the exit code is 1 if somebody must act, 4 if the node stands still or a notice
    did not arrive, 7 if only evidence could not be fetched, else 0.

    \b
    Example:
      llamafund watch 0x5FbDB2315678afecb367f032d93F642f64180aa3 --store ./store --wallet rosa
      llamafund watch --backer alice.eth --store ./store --ntfy https://ntfy.sh/my-topic
    """
    if address is None or everything or backer is not None:
        _require_one(address, backer, everything=everything)
        if signer:
            note("The wallet is not used: challenges to many campaigns are told, not answered.")
        wanted = Wanted(backer, duration_above_zero(soon), depth, webhooks, topics, stores)
        follow(wanted, rpc, Pace(interval, heartbeat, STALE_AFTER), once=once, as_json=as_json)
        return
    if webhooks or topics or depth is not None:
        raise UsageError("--webhook, --ntfy and --audit are for --all and --backer", "", "Add one of these")
    opened = [open_store(store) for store in stores]
    if signer:
        signer.check()
        signer.check_signs_here()
    client = open_campaign(rpc, address)
    account = signer.unlock_to_sign() if signer else None
    if account is None:
        note("No wallet was named: challenges are reported, not answered.")
    guard = Guard(client, account, opened, max_loss=max_loss, replace=True)

    def say(kind: str, facts: dict[str, JsonValue], sentence: str) -> None:
        event("watch", {"event": kind, "campaign": client.address, **facts}, sentence, as_json=as_json)

    if_interrupted(sent_through(client.sender, "the watch has ended, and new challenges wait for an answer"))
    say("watching", {}, f"Watching {client.address}")
    _Watch(client, guard, say, interval, heartbeat).run(once=once)


def _require_one(address: str | None, backer: str | None, *, everything: bool) -> None:
    """One campaign can be guarded, or many can be followed.

    Raises:
        UsageError: Nothing was named, or what was named does not go together.
    """
    named = sum((address is not None, backer is not None, everything))
    if not named:
        raise UsageError("Nothing to watch was named", "", "Give the ADDRESS of a campaign, --all or --backer")
    if named > 1:
        raise UsageError(
            "It is not clear what to watch",
            "ADDRESS guards one campaign; --all and --backer follow many, and only tell",
            "Give one of them",
        )


@dataclass
class _Watch:
    """One watch, with what it remembers between looks.

    Attributes:
        troubles: How many looks in a row failed.
        told: Whether it has reported that the campaign has ended but this is not final.
    """

    client: CampaignClient
    guard: Guard
    say: Say
    interval: float
    heartbeat: float
    troubles: int = 0
    told: bool = False
    _block: int = -1
    _block_seen: float = field(default_factory=time.monotonic)
    _beaten: float = field(default_factory=time.monotonic)

    def run(self, *, once: bool) -> None:
        """Look until the campaign has ended.

        Raises:
            LlamafundError: The campaign has failed; or, with `once`, something is wrong.
        """
        while not self._look(once=once):
            threading.Event().wait(self._pause())

    def _look(self, *, once: bool) -> bool:
        """Answer what can be answered, and report. Returns whether the watch is over."""
        well = True
        try:
            for outcome in self.guard.settle():
                well &= self._tell(outcome)
                if isinstance(outcome, Answer):
                    # A flood may last for hours: an error at its beginning does not slow down what follows.
                    self.troubles = 0
            challenges = self.guard.look()
            standstill = self._standstill(challenges)
            final = self._is_final(challenges)
        except LlamafundError as error:
            if once:
                raise
            self._warn(error)
            self.troubles += 1
            return False
        if standstill is not None:
            self._warn(standstill)
        self.troubles = 0 if well and standstill is None else self.troubles + 1
        if final:
            label = challenges.status.label
            self.say("ended", {"status": label}, f"The campaign has {label.lower()}: nothing is left to guard")
        if challenges.status is Status.FAILED and (final or once):
            raise LlamafundError("The campaign has failed", "Backers get back what was not released")
        if once and standstill is not None:
            raise standstill
        if once and challenges.queue:
            raise LlamafundError(f"{len(challenges.queue)} challenges stay open", "The reasons are printed above")
        if once or final:
            return True
        self._beat(challenges)
        return False

    def _pause(self) -> float:
        """Seconds until the next look, which double after each failed look."""
        return min(self.interval * 2.0 ** min(self.troubles, 16), max(self.interval, _LONGEST_WAIT))

    def _tell(self, outcome: Outcome) -> bool:
        """Report what happened. Returns whether it went well."""
        if isinstance(outcome, Opened):
            one = outcome.challenge
            by = one.answer_by(self.client.terms)
            self.say(
                "open",
                {"chunk": one.chunk, "bond": self.client.coin.plain(one.bond), "answer_by": by},
                f"Chunk {one.chunk} is challenged: it must be shown before {when(by)}, in {duration(by - outcome.now)}",
            )
        elif isinstance(outcome, Answer):
            self.say(
                "answered",
                {"chunk": outcome.challenge.chunk, **receipt_facts(outcome.receipt)},
                f"Answered chunk {outcome.challenge.chunk} in transaction 0x{outcome.receipt.tx_hash}",
            )
        else:
            self._warn(outcome.problem)
            return False
        return True

    def _warn(self, problem: LlamafundError) -> None:
        self.say("warning", {"problem": str(problem)}, f"Warning: {problem}")

    def _standstill(self, challenges: Challenges) -> LlamafundError | None:
        """What is wrong with a node that shows no new blocks: it hides what happens on the chain."""
        now = time.monotonic()
        if challenges.block != self._block:
            self._block, self._block_seen = challenges.block, now
        age = max(time.time() - challenges.now, now - self._block_seen)
        if age < STALE_AFTER:
            return None
        return LlamafundError(
            f"The node is stuck: its latest block, {challenges.block}, is {duration(int(age))} old",
            "Challenges made since then cannot be seen",
            "Check it, or name another with --rpc",
        )

    def _is_final(self, challenges: Challenges) -> bool:
        """Whether the campaign has ended in a block that no reorganisation can undo."""
        if challenges.status not in (Status.COMPLETED, Status.FAILED):
            self.told = False
            return False
        try:
            block = self.client.connection.block("finalized").number
            final = self.client.exists_at(block) and self.client.status(block) is challenges.status
        except NotFinalError:
            final = False
        if not final and not self.told:
            self.told = True
            label = challenges.status.label
            self.say("ending", {"status": label}, f"The campaign has {label.lower()}, which is not final yet")
        return final

    def _beat(self, challenges: Challenges) -> None:

        now = time.monotonic()
        if now - self._beaten >= self.heartbeat:
            self._beaten = now
            self.say(
                "heartbeat",
                {"block": challenges.block, "block_time": challenges.now, "open": len(challenges.queue)},
                f"On guard at block {challenges.block}, {when(challenges.now)}; "
                f"{len(challenges.queue)} challenges open",
            )
