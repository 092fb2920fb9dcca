"""The base of facts of one chain: gives out logs, and asks the node only for those that it does not know.

A log is kept under the hash of its block. Whoever asks names the last block by its hash, too. The base gives out only
what is known of that block's own past: before anything is used, the highest block of the base is compared with the
node's. If the node shows another one, all blocks that were undone are forgotten at once, with everything in them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection as Session
from sqlalchemy import and_, delete, func, insert, select, update

from llamafund_chain.chain.connection import Block, Connection, LogPart, Read, Topics
from llamafund_chain.chain.known_accounts import TEST_CHAINS
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.transactions import Log, Outcome, Transaction
from llamafund_chain.deployment.addresses import predicted
from llamafund_chain.errors import NodeUnreachableError, NotFinalError
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.past import Past
from llamafund_chain.facts.rows import Row, add_rows, event_row, log_of, log_row
from llamafund_chain.facts.spans import Span, add, cut, missing
from llamafund_chain.facts.tables import chains, events, headers, logs, searches
from llamafund_chain.facts.trouble import ContradictionError, FactsError, damaged

SETTLING = 128
"""Blocks before the last one that are searched again each time. A node's index of logs may be behind its blocks."""

MOST_ADDRESSES = 500
"""Most contracts of one search for logs: geth takes up to 1 000."""

_AT_ONCE = 1_000
"""Rows that are read from the database at once."""

_MOST_LOGS = 5_000
"""Logs that are written at once, or those of one block."""

_LARGEST = 1 << 63
_BACK = (16, 128, 1_024)
"""How many blocks of the base are compared with the node's at once, from the newest back, to find where they part."""

_TOPIC_COLUMNS = (logs.c.topic0, logs.c.topic1, logs.c.topic2, logs.c.topic3)


@dataclass(frozen=True)
class _Header:
    number: int
    hash: str
    parent: str
    timestamp: int


class Facts:
    """The facts about the chain of a connection. Bound to its number and to the hash of its first block.

    Args:
        database: The base.
        connection: The chain.
        on_trouble: Called with what is wrong with the base, whereupon the node alone is asked; `None` to raise it.

    Raises:
        FactsError: The base cannot be used.
        NodeUnreachableError: The node does not show its first block.
    """

    def __init__(
        self, database: Database, connection: Connection, on_trouble: Callable[[FactsError], None] | None = None
    ) -> None:
        self._database = database
        self._on_trouble = on_trouble
        self._guarded = connection.chain_id not in TEST_CHAINS
        self._agreed: tuple[str, int] | None = None
        self._final = 0
        self._done: tuple[str, dict[str, int]] = ("", {})
        genesis = connection.genesis()
        if not genesis:
            raise NodeUnreachableError(
                f"The node at {connection.shown_url} does not show its first block",
                "Without it nobody could tell which chain it is of",
                "Name another node with --rpc, or go without a base of facts with --no-facts",
            )
        self._chain = self._bind(connection.chain_id, f"0x{genesis}")
        self._past = Past(database, self._chain)

    @property
    def database(self) -> Database:
        """The base."""
        return self._database

    @property
    def chain(self) -> int:
        """Number of the chain in the base, for queries of its tables: `chains.id`."""
        return self._chain

    # -------------------------------------------------------------------- ask

    def logs(
        self, connection: Connection, addresses: Sequence[str], topics: Topics, first: int, end: Block
    ) -> Iterator[Log]:
        """All logs of contracts up to a block, in order; the node is asked for those that are not known.

        Args:
            connection: The chain.
            addresses: The contracts.
            topics: Wanted topics by position.
            first: First block.
            end: Last block, as the node has just shown it.

        Raises:
            ContradictionError: The node says something else than before of a block that it says is the same.
            FactsError: The base cannot be used.
            NodeError: The node does not answer, or not yet.
            NotFinalError: A block was undone meanwhile.
        """
        try:
            self.sync(connection, addresses, first, end)
        except FactsError as error:
            self._go_without(connection, error)
            for part in connection.log_parts(addresses, topics=topics, first=first, end=end):
                yield from part.logs
            return
        yield from self._known(addresses, topics, first, end)

    def sync(self, connection: Connection, addresses: Sequence[str], first: int, end: Block) -> None:
        """Ask the node for those logs of contracts that are not known; see `logs`."""
        trusted = self._agree(connection, end)
        if self._done[0] != end.hash:
            self._done = end.hash, {}
        done = self._done[1]
        places = sorted({one.lower() for one in addresses if done.get(one.lower(), first + 1) > first})
        with self._database.reading() as session:
            spans, opened = self._spans(session, places), self._opened(session, places)
        gaps: dict[bool, dict[str, int]] = {True: {}, False: {}}
        for place in places:
            wanted = Span(max(first, opened.get(place, first)), end.number)
            gap = missing([cut(span, trusted) for span in spans.get(place, ())], wanted)
            if gap is not None:
                # Those that are new must not make the node search again for all that is known of the others.
                gaps[place in spans][place] = gap.first
        for some in gaps.values():
            for at in range(0, len(some), MOST_ADDRESSES):
                group = list(some)[at : at + MOST_ADDRESSES]
                for part in connection.log_parts(group, first=min(some.values()), end=end):
                    for slice_ in _slices(part):
                        self._keep(connection, group, slice_, end.number - SETTLING)
        done.update(dict.fromkeys(places, first))

    def doubt(self, addresses: Sequence[str]) -> None:
        """Ask the node for all logs of contracts again the next time. What is known of them stays."""
        self._done = "", {}
        here = and_(searches.c.chain == self._chain, searches.c.address.in_([one.lower() for one in addresses]))
        with self._database.writing() as session:
            session.execute(delete(searches).where(here))

    def confirm(self, connection: Connection, addresses: Sequence[str], first: int, end: Block) -> None:
        """Ask the node for all logs of contracts again now, so that nothing is said of anybody on the base's word.

        Raises:
            ContradictionError: The node says something else.
        """
        self._past.confirm(connection)
        before = self._count(addresses, end)
        self.doubt(addresses)
        self.sync(connection, addresses, first, end)
        lacking = self._count(addresses, end) - before
        if lacking:
            raise ContradictionError(
                f"The node at {connection.shown_url} shows {lacking} logs that were not in {self._database.shown}",
                "The node that was asked before hid them or was behind, or somebody changed the base",
                "They are in it now. Repeat the command",
            )

    def time_of(self, number: int) -> int | None:
        """Unix seconds of a block whose logs were given out; `None` if it is not known."""
        if self._agreed is None or number > self._agreed[1]:
            return None
        with self._database.reading() as session:
            query = select(headers.c.timestamp).where(headers.c.chain == self._chain, headers.c.number == number)
            found = session.execute(query).scalar()
        return None if found is None else int(found)

    # ------------------------------------------------------------- the past

    def read_past(self, connection: Connection, parts: Sequence[tuple[Sequence[Read], Block]]) -> list[list[Any]]:
        """Requests about states after blocks of the past; see `Connection.read_past`."""
        try:
            return self._past.read(connection, parts)
        except FactsError as error:
            self._go_without(connection, error)
            return connection.read_past(parts)

    def transactions(self, connection: Connection, hashes: Sequence[str]) -> list[Transaction | None]:
        """Transactions that blocks include; see `Connection.transactions`."""
        try:
            return self._past.transactions(connection, hashes)
        except FactsError as error:
            self._go_without(connection, error)
            return connection.transactions(hashes)

    def outcomes(self, connection: Connection, hashes: Sequence[str]) -> list[Outcome | None]:
        """What came of transactions; see `Connection.outcomes`."""
        if self._agreed is None:
            # A block that was undone may still be in the base.
            return connection.ask_outcomes(hashes)
        try:
            return self._past.outcomes(connection, hashes)
        except FactsError as error:
            self._go_without(connection, error)
            return connection.outcomes(hashes)

    def first_payments(
        self, connection: Connection, accounts: Collection[str], last: int
    ) -> dict[str, tuple[int, Transaction | None]]:
        """What is known of accounts' first payments; see `KnownFacts`."""
        if self._agreed is None or self._agreed[1] < last:
            return {}
        try:
            return self._past.first_payments(accounts, last)
        except FactsError as error:
            self._go_without(connection, error)
            return {}

    def keep_first_payments(
        self, connection: Connection, blocks: Mapping[str, int], payments: Mapping[str, Transaction], last: int
    ) -> None:
        """Keep what was found out, after another look; see `KnownFacts`."""
        agreed = self._agreed
        if agreed is None or agreed[1] != last:
            return
        try:
            numbers = sorted({near for block in blocks.values() for near in (block - 1, block)})
            # The last block comes last: it was there before these were searched, and still is.
            shown = self._headers(connection, [*numbers, last])
            if shown[last].hash != f"0x{agreed[0]}":
                return
            with self._database.writing() as session:
                some = [shown[number] for number in numbers]
                add_rows(session, headers, [{"chain": self._chain, **vars(one)} for one in some])
                self._check_headers(connection, session, some)
            at = {number: Block(number, one.hash[2:], one.timestamp) for number, one in shown.items()}
            around = {account: (at[block - 1], at[block]) for account, block in blocks.items()}
            self._past.keep_first_payments(connection, around, payments.values())
        except FactsError as error:
            self._go_without(connection, error)

    def _go_without(self, connection: Connection, error: FactsError) -> None:
        """Tell that the base cannot be used, and ask the node alone from now on."""
        if self._on_trouble is None:
            raise error
        self._on_trouble(error)
        connection.facts = None

    # ----------------------------------------------------------------- agree

    def _agree(self, connection: Connection, end: Block) -> int:
        """Make sure that the base is of the past of a block, or forget what is not.

        Returns:
            The number up to which the base is known to be of the same chain.
        """
        if self._agreed is not None and self._agreed[0] == end.hash:
            return self._agreed[1]
        top, below = self._highest(None), self._highest(end.number)
        trusted = end.number
        if top is not None and below is not None:
            known = {top.number: top.hash, below.number: below.hash}
            if top.number > end.number and top.number > _head(connection):
                # A node that does not have our highest block yet says nothing about those between.
                known.pop(top.number)
                trusted = below.number
            shown = self._headers(connection, [number for number in known if number != end.number])
            hashes = {end.number: f"0x{end.hash}", **{number: one.hash for number, one in shown.items()}}
            if any(hashes[number] != hash_ for number, hash_ in known.items()):
                self._roll_back(connection, end)
                return self._agree(connection, end)
            self._final = min(self._final_block(connection), end.number)
        self._agreed = end.hash, trusted
        return trusted

    def _roll_back(self, connection: Connection, end: Block) -> None:
        """Forget the blocks that were undone, and everything in them, at once."""
        fork = self._fork(connection)
        if connection.block(end.number).hash != end.hash:
            raise _undone(end.number)
        with self._database.writing() as session:
            final = session.execute(select(chains.c.final_block).where(chains.c.id == self._chain)).scalar_one()
            if self._guarded and fork < final:
                raise ContradictionError(
                    f"The node at {connection.shown_url} shows other blocks than those known, from below block {final}",
                    f"That block was final. Either this node is wrong, or the one that filled {self._database.shown}",
                    "Ask another node with --rpc; then repeat this one with --no-facts or another file for --facts",
                )
            here = searches.c.chain == self._chain
            session.execute(delete(headers).where(headers.c.chain == self._chain, headers.c.number > fork))
            session.execute(delete(searches).where(here, searches.c.first > fork))
            session.execute(update(searches).where(here, searches.c.last > fork).values(last=fork))

    def _fork(self, connection: Connection) -> int:
        """Number of the highest block of the base that the node has, too; -1 if there is none."""
        below, step = _head(connection) + 1, 0
        while True:
            query = (
                select(headers.c.number, headers.c.hash)
                .where(headers.c.chain == self._chain, headers.c.number < below)
                .order_by(headers.c.number.desc())
                .limit(_BACK[min(step, len(_BACK) - 1)])
            )
            with self._database.reading() as session:
                known = session.execute(query).all()
            if not known:
                return -1
            shown = self._headers(connection, [number for number, _ in known])
            for number, hash_ in known:
                if shown[number].hash == hash_:
                    return int(number)
            below, step = known[-1][0], step + 1

    def _final_block(self, connection: Connection) -> int:
        """Number of the block that the node calls final; 0 if it knows none."""
        if not self._guarded:
            return 0
        (raw,) = connection.request_many([("eth_getBlockByNumber", ("finalized", False))])
        return 0 if raw is None or isinstance(raw, RpcError) else _header(connection, raw).number

    @staticmethod
    def _headers(connection: Connection, numbers: Sequence[int]) -> dict[int, _Header]:
        """Blocks as the node shows them now, by number.

        Raises:
            LaggingError: It does not show one of them. That says nothing about it.
        """
        asked = [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
        found: dict[int, _Header] = {}
        for number, raw in zip(numbers, connection.request_many(asked) if asked else (), strict=True):
            if isinstance(raw, RpcError):
                raise raw
            found[number] = _header(connection, raw)
            if found[number].number != number:
                raise _nonsense(connection)
        return found

    def _highest(self, most: int | None) -> _Header | None:
        query = select(headers).where(headers.c.chain == self._chain).order_by(headers.c.number.desc()).limit(1)
        with self._database.reading() as session:
            row = session.execute(query if most is None else query.where(headers.c.number <= most)).first()
        return None if row is None else _Header(row.number, row.hash, row.parent, row.timestamp)

    # ------------------------------------------------------------------ keep

    def _keep(self, connection: Connection, addresses: Sequence[str], part: LogPart, settled: int) -> None:
        """Write a part of a search, with all that it needs to be of one chain, at once.

        Args:
            connection: The chain.
            addresses: The contracts, in lower case.
            part: What the node found.
            settled: The block up to which this need not be asked for again.
        """
        with self._database.reading() as session:
            known = {(row["block_hash"], row["log_index"]): row for row in self._rows(session, addresses, part)}
        found = {(f"0x{log.block_hash}", log.index): log_row(self._chain, log) for log in part.logs}
        if any(log.index >= _LARGEST or log.block >= _LARGEST or not log.block_hash for log in part.logs):
            raise _nonsense(connection)
        blocks = {row["block"]: row["block_hash"] for row in (*found.values(), *known.values())}
        before = self._highest(part.first - 1)
        # The last block first and the one before the part last: what they agree with was of one chain in between.
        asked = [part.last, *sorted(blocks.keys() - {part.last})]
        if before is not None and before.number not in asked:
            asked.append(before.number)
        shown = self._headers(connection, asked)
        expected = {row["block_hash"]: row["block"] for row in (*found.values(), *known.values())}
        if part.end is not None:
            expected[f"0x{part.end.hash}"] = part.last
        if before is not None:
            expected[before.hash] = before.number
        for hash_, number in expected.items():
            if shown[number].hash != hash_:
                raise _undone(number)
        self._check_same(connection, known, found)
        span = Span(part.first, min(part.last, settled))
        self._write(connection, addresses, span, [shown[number] for number in {part.last, *blocks}], part.logs)

    def _check_same(self, connection: Connection, known: Mapping[Any, Row], found: Mapping[Any, Row]) -> None:
        """Notice when a node hides or changes logs of a block that is as it was. What is known is never deleted."""
        wrong = [row for place, row in known.items() if found.get(place) != row]
        if wrong:
            raise ContradictionError(
                f"The node at {connection.shown_url} does not show {len(wrong)} of the logs that are known, "
                f"for example number {wrong[0]['log_index']} of block {wrong[0]['block']}",
                "That block is the same as before: this node or the one asked then hides or changes logs, or somebody "
                "changed the base",
                "Name another node with --rpc. Nodes that keep no old logs cannot be used. Or go without the base of "
                "facts with --no-facts",
            )

    def _write(
        self,
        connection: Connection,
        addresses: Sequence[str],
        span: Span,
        blocks: Sequence[_Header],
        found: Sequence[Log],
    ) -> None:
        decoded = [row for log in found if (row := event_row(self._chain, log)) is not None]
        with self._database.writing() as session:
            add_rows(session, headers, [{"chain": self._chain, **vars(one)} for one in blocks])
            self._check_headers(connection, session, blocks)
            add_rows(session, logs, [log_row(self._chain, log) for log in found])
            add_rows(session, events, decoded)
            final = update(chains).where(chains.c.id == self._chain, chains.c.final_block < self._final)
            session.execute(final.values(final_block=self._final))
            if span.first > span.last:
                return
            spans = self._spans(session, addresses)
            here = and_(searches.c.chain == self._chain, searches.c.address.in_(addresses))
            session.execute(delete(searches).where(here))
            session.execute(
                insert(searches),
                [
                    {"chain": self._chain, "address": place, "first": one.first, "last": one.last}
                    for place in addresses
                    for one in add(spans.get(place, ()), span)
                ],
            )

    def _check_headers(self, connection: Connection, session: Session, blocks: Sequence[_Header]) -> None:
        """Notice when the base has other headers than those just added."""
        for start in range(0, len(blocks), _AT_ONCE):
            some = blocks[start : start + _AT_ONCE]
            query = select(headers).where(
                headers.c.chain == self._chain, headers.c.number.in_([one.number for one in some])
            )
            there = {
                row.number: _Header(row.number, row.hash, row.parent, row.timestamp) for row in session.execute(query)
            }
            for one in some:
                known = there.get(one.number)
                if known is None or known.hash != one.hash:
                    raise _undone(one.number)
                if known != one:
                    raise ContradictionError(
                        f"The node at {connection.shown_url} shows block {one.number} otherwise than it is known",
                        "Its hash is the same, but its time or its parent is another",
                        "Ask another node with --rpc, or go without the base of facts with --no-facts",
                    )

    # ---------------------------------------------------------------- helpers

    def _bind(self, chain_id: int, genesis: str) -> int:
        query = select(chains.c.id).where(chains.c.chain_id == chain_id, chains.c.genesis == genesis)
        with self._database.reading() as session:
            found = session.execute(query).scalar()
        if found is None:
            with self._database.writing() as session:
                add_rows(session, chains, [{"chain_id": chain_id, "genesis": genesis, "final_block": 0}])
                found = session.execute(query).scalar_one()
        return int(found)

    def _spans(self, session: Session, addresses: Sequence[str]) -> dict[str, list[Span]]:
        query = select(searches.c.address, searches.c.first, searches.c.last).where(
            searches.c.chain == self._chain, searches.c.address.in_(addresses)
        )
        found: dict[str, list[Span]] = {}
        for address, first, last in session.execute(query):
            found.setdefault(address, []).append(Span(first, last))
        return found

    def _opened(self, session: Session, addresses: Sequence[str]) -> dict[str, int]:
        """The blocks that opened those campaigns of which it is known."""
        factory = predicted().factory.lower()
        query = (
            select(events.c.campaign, logs.c.block)
            .join_from(events, logs)
            .where(logs.c.chain == self._chain, logs.c.address == factory, events.c.event == "CampaignCreated")
            .where(events.c.campaign.in_(addresses))
        )
        return {row.campaign: row.block for row in session.execute(query)}

    def _count(self, addresses: Sequence[str], end: Block) -> int:
        """Number of the known logs of contracts up to a block."""
        places = [one.lower() for one in addresses]
        query = select(func.count()).select_from(logs)
        query = query.where(logs.c.chain == self._chain, logs.c.address.in_(places), logs.c.block <= end.number)
        with self._database.reading() as session:
            return int(session.execute(query).scalar_one())

    def _rows(self, session: Session, addresses: Sequence[str], part: LogPart) -> list[Row]:
        query = select(logs).where(
            logs.c.chain == self._chain, logs.c.address.in_(addresses), logs.c.block.between(part.first, part.last)
        )
        return [dict(row) for row in session.execute(query).mappings()]

    def _known(self, addresses: Sequence[str], topics: Topics, first: int, end: Block) -> Iterator[Log]:
        query = (
            select(logs)
            .where(logs.c.chain == self._chain, logs.c.block.between(first, end.number))
            .where(logs.c.address.in_([one.lower() for one in addresses]))
            .order_by(logs.c.block, logs.c.log_index)
        )
        for column, wanted in zip(_TOPIC_COLUMNS, topics, strict=False):
            choices = [wanted] if isinstance(wanted, str) else wanted
            query = query.where(column.is_not(None) if choices is None else column.in_([*map(str.lower, choices)]))
        at_end = select(headers.c.hash).where(headers.c.chain == self._chain, headers.c.number == end.number)
        with self._database.reading() as session:
            # One transaction, so that no other process can forget blocks in between.
            if session.execute(at_end).scalar() not in (None, f"0x{end.hash}"):
                raise _undone(end.number)
            for row in session.execute(query.execution_options(yield_per=_AT_ONCE)):
                try:
                    yield log_of(row)
                except (ValueError, TypeError) as error:
                    raise damaged(self._database.shown, "A log in it is not written as a log") from error


def _slices(part: LogPart) -> Iterator[LogPart]:
    """A part in smaller ones, so that little is in memory at once; none ends within a block."""
    first, start = part.first, 0
    for place in range(1, len(part.logs)):
        if place - start >= _MOST_LOGS and part.logs[place].block != part.logs[place - 1].block:
            last = part.logs[place].block - 1
            yield LogPart(first, last, None, part.logs[start:place])
            first, start = last + 1, place
    yield LogPart(first, part.last, part.end, part.logs[start:])


def _header(connection: Connection, raw: Any) -> _Header:
    if not isinstance(raw, Mapping):
        raise _nonsense(connection)
    number, timestamp = (connection.quantity(raw.get(name), f"a block's {name}") for name in ("number", "timestamp"))
    hash_, parent = (str(raw.get(name)).lower() for name in ("hash", "parentHash"))
    if max(number, timestamp) >= _LARGEST or not (_is_hash(hash_) and _is_hash(parent)):
        raise _nonsense(connection)
    return _Header(number, hash_, parent, timestamp)


def _head(connection: Connection) -> int:
    return connection.quantity(connection.request("eth_blockNumber"), "eth_blockNumber")


def _is_hash(text: str) -> bool:
    return len(text) == 66 and text.startswith("0x") and all(digit in "0123456789abcdef" for digit in text[2:])


def _nonsense(connection: Connection) -> NodeUnreachableError:
    return NodeUnreachableError(
        f"The node at {connection.shown_url} answered with something that makes no sense",
        "Such an answer is not kept",
        "Name another node with --rpc",
    )


def _undone(number: int) -> NotFinalError:
    return NotFinalError(
        f"Block {number} was undone while it was read",
        "Nothing of it was used",
        "Repeat the command",
    )
