"""`llamafund watch --all` and `--backer`: follow many campaigns, and tell what somebody should hear, once."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from llamafund_chain.audit import audit
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.lookout import Alert, Lookout, Sight, standing_still
from llamafund_chain.campaign.notices import Ntfy, Sink, Webhook
from llamafund_chain.chain.connection import Block, Connection
from llamafund_chain.chain.journal import default_folder
from llamafund_chain.chain.remembered import Remembered
from llamafund_chain.checks.check import Depth
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.output import event, note, progress
from llamafund_chain.cli.shared import account_named, open_chain
from llamafund_chain.deployment import addresses
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UncheckedError, UsageError
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store import Store
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import counted
from llamafund_chain.times import when

_SIGNS = {"act": "!!", "soon": "! ", "info": "  "}
_MAX_MEMORY = 4 << 20
_LONGEST_WAIT = 600.0


@dataclass(frozen=True)
class Wanted:
    """What to follow, and whom to tell.

    Attributes:
        backer: Whose campaigns, as an address or an ENS name; `None` for all.
        soon: Seconds before an end from which on it is near.
        depth: How far new attestations are audited; `None` for not at all.
        webhooks: Addresses.
        topics: Addresses.
        stores: Locations where evidence should be.
    """

    backer: str | None
    soon: int
    depth: Depth | None
    webhooks: tuple[str, ...]
    topics: tuple[str, ...]
    stores: tuple[str, ...]


@dataclass(frozen=True)
class Pace:
    """Seconds between looks, between signs of life, and without a block until a node counts as stopped."""

    interval: float
    heartbeat: float
    stale_after: float


def follow(wanted: Wanted, rpc: str, pace: Pace, *, once: bool, as_json: bool) -> None:
    """Follow many campaigns until Ctrl-C, or look once.

    Args:
        wanted: What, and for whom.
        rpc: The node's address.
        pace: How often.
        once: Whether to look once; then the exit code is that of the most urgent alert.
        as_json: Whether standard output gets JSON.

    Raises:
        UsageError: An address, a secret or a name is not as it must be.
        LlamafundError: With `once`, something needs somebody, or could not be looked at or delivered.
    """
    sinks: list[Sink] = [Terminal(as_json), *map(Webhook, wanted.webhooks), *map(Ntfy, wanted.topics)]
    source = open_stores(wanted.stores) if wanted.stores else None
    if source is None:
        note("No store was named: whether evidence can be fetched is not looked at.")
    audits = None
    if wanted.depth is not None:
        if source is None:
            raise UsageError("--audit needs a store", "No store was named", "Name one with --store")
        audits = wanted.depth, source
    connection = open_chain(rpc)
    backer = None
    if wanted.backer is not None:
        backer = account_named(connection, wanted.backer, connection.block("latest"))
    if_interrupted("what comes next is told when it is started again")
    Follower(
        connection,
        Lookout(connection, source, backer=backer, soon=wanted.soon),
        sinks,
        memory_of(connection, backer),
        pace,
        as_json,
        backer,
        audits,
    ).run(once=once)


@dataclass(frozen=True)
class Terminal:
    """Standard output as a place for notices."""

    as_json: bool

    @property
    def name(self) -> str:
        return "standard output"

    @property
    def id(self) -> str:
        return "output"

    def send(self, alert: Alert, document: Mapping[str, JsonValue]) -> None:
        shown = {key: value for key, value in document.items() if key not in ("schema", "command")}
        event("watch", shown, f"{_SIGNS[alert.urgency]} {document['text']}", as_json=self.as_json)


@dataclass
class Follower:
    """Looks again and again, and tells each place what it has not heard.

    Attributes:
        connection: The chain.
        lookout: What looks.
        sinks: Where notices go; standard output first.
        memory: What each place has heard, from run to run.
        pace: How often.
        backer: Whom the output names.
        audits: How far new attestations are audited, and with which store; `None` for not at all.
        troubles: How many looks in a row failed.
    """

    connection: Connection
    lookout: Lookout
    sinks: Sequence[Sink]
    memory: Remembered[list[str]]
    pace: Pace
    as_json: bool
    backer: str | None
    audits: tuple[Depth, Store] | None = None
    troubles: int = 0
    _audited: dict[str, Alert] = field(default_factory=dict)
    _block: int = -1
    _block_seen: float = field(default_factory=time.monotonic)
    _beaten: float | None = None

    def run(self, *, once: bool) -> None:
        """Look until Ctrl-C, or once.

        Raises:
            LlamafundError: With `once`, something needs somebody, or could not be looked at or delivered.
        """
        while True:
            try:
                undelivered = self._look(once=once)
            except LlamafundError as error:
                if once:
                    raise
                self._warn(str(error))
                self.troubles += 1
            else:
                if once:
                    if undelivered is not None:
                        raise undelivered
                    return
                self.troubles = self.troubles + 1 if undelivered is not None else 0
            threading.Event().wait(self._pause())

    def _pause(self) -> float:
        """Seconds until the next look, which double after each that failed."""
        return min(self.pace.interval * 2.0 ** min(self.troubles, 16), max(self.pace.interval, _LONGEST_WAIT))

    def _look(self, *, once: bool) -> LlamafundError | None:
        """Look, and tell. Returns what could not be delivered, if anything."""
        _, latest, _ = self.connection.look_at(addresses.predicted().factory)
        sight = self.lookout.look(latest)
        self._beat(sight)
        alerts = [*sight.alerts, *self._stuck(latest)]
        alerts += self._audit(alerts)
        undelivered = self._tell(alerts)
        if once:
            _judge(alerts)
        return undelivered

    def _stuck(self, latest: Block) -> list[Alert]:
        now = time.monotonic()
        if latest.number != self._block:
            self._block, self._block_seen = latest.number, now
        age = max(time.time() - latest.timestamp, now - self._block_seen)
        return [standing_still(latest, age)] if age >= self.pace.stale_after else []

    def _audit(self, alerts: Sequence[Alert]) -> list[Alert]:
        """The verdicts on attestations whose window is open, each audited once."""
        if self.audits is None:
            return []
        depth, store = self.audits
        open_ = {alert.key: alert for alert in alerts if alert.kind == "attested"}
        told = {key for keys in self.memory.read().values() for key in keys}
        for key, alert in open_.items():
            before = f"audited {alert.campaign} {alert.what}"
            if key not in self._audited and not any(one.startswith(before) for one in told):
                progress(f"Auditing {alert.campaign}")
                try:
                    self._audited[key] = self._verdict(alert, depth, store)
                except LlamafundError as error:
                    # Of this one there is no verdict yet; the others must be told.
                    self._warn(f"The audit of {alert.campaign} reached no verdict, and is tried again later. {error}")
        self._audited = {key: verdict for key, verdict in self._audited.items() if key in open_}
        # One that another run has told stays told.
        kept = [
            Alert("audited", "info", alert.campaign, key.split(" ", 2)[2], "", alert.until)
            for alert in open_.values()
            for key in told
            if key.startswith(f"audited {alert.campaign} {alert.what}") and alert.key not in self._audited
        ]
        return [*self._audited.values(), *kept]

    def _verdict(self, alert: Alert, depth: Depth, store: Store) -> Alert:
        client = CampaignClient(self.connection, alert.campaign)
        with ScratchFolder("watch", None) as folder:
            report = audit(
                client, store, finality="latest", depth=depth, workdir=folder, progress=progress, replay_segments=1
            )
        verdict = report.verdict
        return Alert(
            "audited",
            "act" if verdict.outcome == "fails" else "info",
            alert.campaign,
            f"{alert.what} {verdict.outcome}",
            f"Audited ({depth}): {verdict.headline}",
            alert.until,
            {"depth": depth, "outcome": verdict.outcome},
        )

    def _tell(self, alerts: Sequence[Alert]) -> LlamafundError | None:
        """Tell each place what it has not heard. What does not arrive is tried again at the next look."""
        heard = self.memory.read()
        holding = {alert.key for alert in alerts}
        undelivered: LlamafundError | None = None
        for sink in self.sinks:
            known = set(heard.get(sink.id, ()))
            # What happened before somebody began to follow is no news.
            kept = known & holding if sink.id in heard else {one.key for one in alerts if one.urgency == "info"}
            for alert in alerts:
                if alert.key in kept:
                    continue
                try:
                    sink.send(alert, self._document(alert))
                except LlamafundError as error:
                    undelivered = error
                    self._warn(f"A notice did not reach {sink.name}, and is sent again later. {error}")
                    break
                kept.add(alert.key)
                # At once: who is killed in the middle repeats nothing.
                heard[sink.id] = sorted(kept)
                self.memory.write({name: {"heard": keys} for name, keys in heard.items()})
            heard[sink.id] = sorted(kept)
        self.memory.write({name: {"heard": keys} for name, keys in heard.items()})
        return undelivered

    def _document(self, alert: Alert) -> dict[str, JsonValue]:
        where = f"{alert.campaign}: " if alert.campaign else ""
        return {
            "schema": "llamafund/cli/1",
            "command": "watch",
            "event": "alert",
            "chain": self.connection.caip2,
            "kind": alert.kind,
            "urgency": alert.urgency,
            "campaign": alert.campaign or None,
            "text": f"{where}{alert.sentence}",
            "until": alert.until or None,
            "facts": dict(alert.facts),
        }

    def _warn(self, problem: str) -> None:
        event("watch", {"event": "trouble", "problem": problem}, f"Warning: {problem}", as_json=self.as_json)

    def _beat(self, sight: Sight) -> None:
        now = time.monotonic()
        if self._beaten is not None and now - self._beaten < self.pace.heartbeat:
            return
        self._beaten = now
        facts: dict[str, JsonValue] = {
            "event": "following",
            "backer": self.backer,
            "campaigns": sight.campaigns,
            "block": sight.at.number,
            "block_time": sight.at.timestamp,
        }
        whose = f" of {self.backer}" if self.backer else ""
        sentence = (
            f"Following {counted(sight.campaigns, 'campaign')}{whose} at block {sight.at.number}, "
            f"{when(sight.at.timestamp)}"
        )
        event("watch", facts, sentence, as_json=self.as_json)


def memory_of(connection: Connection, backer: str | None) -> Remembered[list[str]]:
    """What was told about the campaigns of a chain, or of one account there, in the user's state folder."""
    scope = f"{connection.caip2} {connection.genesis()} {backer or 'all'}"
    name = f"{hashlib.sha256(scope.encode()).hexdigest()[:32]}.json"
    path: Path = default_folder().parent / "watch" / name
    return Remembered(name, _MAX_MEMORY, _heard, path)


def _heard(fact: Mapping[str, Sequence[str]]) -> list[str]:
    return [str(key) for key in fact["heard"]]


def _judge(alerts: Sequence[Alert]) -> None:
    """End with the exit code of the most urgent alert.

    Raises:
        NodeUnreachableError: The node stands still.
        UncheckedError: All that is urgent is content that could not be reached.
        LlamafundError: Something needs somebody.
    """
    acting = [alert for alert in alerts if alert.urgency == "act"]
    stuck = next((alert for alert in acting if alert.kind == "node-standing-still"), None)
    if stuck is not None:
        raise NodeUnreachableError(stuck.sentence, "", "Check it, or name another with --rpc")
    if not acting:
        return
    first = next((alert for alert in acting if alert.kind != "evidence-unreachable"), acting[0])
    error: Callable[..., LlamafundError] = UncheckedError if first.kind == "evidence-unreachable" else LlamafundError
    more = f"{counted(len(acting), 'thing')} to act on"
    raise error(f"{more}: {first.campaign}: {first.sentence}", "", "All of them were printed when they were new")
