"""What nodes said about blocks that are known: states after them, transactions and receipts in them.

None of that can change without another hash of the block. So an answer is kept under that hash, and forgotten with the
block. A node that has thrown old states or transactions away answers with nothing, of which nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Table, select

from llamafund_chain.chain.connection import Block, Connection, Read
from llamafund_chain.chain.node_errors import LaggingError, PrunedError
from llamafund_chain.chain.transactions import Outcome, Transaction
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.rows import Row, add_rows, outcome_of, outcome_row, transaction_of, transaction_row
from llamafund_chain.facts.tables import headers, receipts, states, transactions
from llamafund_chain.facts.trouble import ContradictionError, damaged

T = TypeVar("T", Transaction, Outcome)

MOST_CHARACTERS = 1 << 20
"""Longest answer that is kept."""

_ASKED = {"eth_getBalance": "balance", "eth_getTransactionCount": "nonce"}
_LONGEST_CALL = 200
_AT_ONCE = 500

Place = tuple[str, str, str]
"""Where an answer about a state is kept: `states.block_hash`, `address` and `asked`."""


@dataclass
class _Kind(Generic[T]):
    """Transactions, or what came of them.

    Attributes:
        given: Those that were given out from the base, by hash.
    """

    table: Table
    parse: Callable[[Any], T]
    row: Callable[[int, T], Row]
    given: dict[str, T] = field(default_factory=dict)


class Past:
    """The tables of the past of one chain.

    Args:
        database: The base.
        chain: Number of the chain in it.
    """

    def __init__(self, database: Database, chain: int) -> None:
        self._database = database
        self._chain = chain
        self._given: dict[Place, tuple[Read, Block, str]] = {}
        self._transactions = _Kind(transactions, transaction_of, transaction_row)
        self._outcomes = _Kind(receipts, outcome_of, outcome_row)

    # ---------------------------------------------------------------- states

    def read(self, connection: Connection, parts: Sequence[tuple[Sequence[Read], Block]]) -> list[list[Any]]:
        """Requests about states after blocks; the node is asked for those that are not known.

        Args:
            connection: The chain.
            parts: As for `Connection.read_states`.
        """
        flat = [(read, block, _place(read, block)) for reads, block in parts for read in reads]
        known = self._states({place for _, _, place in flat if place is not None})
        missing = [([read], block) for read, block, place in flat if place not in known]
        fresh = iter(connection.read_states(missing) if missing else ())
        answers: list[Any] = []
        new: dict[Place, str] = {}
        for read, block, place in flat:
            if place is not None and place in known:
                self._given[place] = read, block, known[place]
                answers.append(known[place])
                continue
            (answer,) = next(fresh)
            answers.append(answer)
            if place is not None and _is_answer(answer):
                new[place] = answer.lower()
        names = ("chain", "block_hash", "address", "asked", "answer")
        self._keep(
            states, [dict(zip(names, (self._chain, *place, answer), strict=True)) for place, answer in new.items()]
        )
        each = iter(answers)
        return [[next(each) for _ in reads] for reads, _ in parts]

    # --------------------------------------------------------- first payments

    def first_payments(self, accounts: Collection[str], last: int) -> dict[str, tuple[int, Transaction | None]]:
        """What is known of accounts' first payments: see `KnownFacts.first_payments`."""
        named = {one.lower(): one for one in accounts}
        query = (
            select(states, headers.c.number)
            .join_from(states, headers)
            .where(states.c.chain == self._chain, states.c.asked.in_(_ASKED.values()), headers.c.number <= last)
            .where(states.c.address.in_(named))
        )
        seen: dict[str, dict[int, list[Any]]] = {}
        with self._database.reading() as session:
            for row in session.execute(query):
                seen.setdefault(row.address, {}).setdefault(row.number, []).append(row)
        found: dict[str, tuple[int, Transaction | None]] = {}
        for address, blocks in seen.items():
            used = {
                number: any(self._number(row.answer) for row in rows)
                for number, rows in blocks.items()
                if len(rows) == len(_ASKED)
            }
            first = next((one for one in sorted(used) if used[one] and used.get(one - 1) is False), None)
            if first is not None:
                found[named[address]] = first, self._payment_to(address, first)
                for row in (*blocks[first - 1], *blocks[first]):
                    method = next(method for method, asked in _ASKED.items() if asked == row.asked)
                    block = Block(row.number, row.block_hash[2:], 0)
                    self._given[row.block_hash, address, row.asked] = (method, (address,)), block, row.answer
        return found

    def keep_first_payments(
        self,
        connection: Connection,
        around: Mapping[str, tuple[Block, Block]],
        payments: Collection[Transaction],
    ) -> None:
        """Read states by the hashes of their blocks, whose headers are known, and keep what they say of accounts.

        Args:
            connection: The chain.
            around: The block before an account's first use, and that of its first use, by account.
            payments: The transactions that paid them there, as far as there are any.
        """
        reads = {one: [(method, (one,)) for method in _ASKED] for one in around}
        with suppress(LaggingError, PrunedError):
            self.read(connection, [(reads[one], block) for one, blocks in around.items() for block in blocks])
            self._keep(transactions, [transaction_row(self._chain, one) for one in payments])

    def _payment_to(self, account: str, block: int) -> Transaction | None:
        """A transaction in a block that paid an account; `None` if none is known."""
        query = (
            select(transactions)
            .join_from(transactions, headers)
            .where(transactions.c.chain == self._chain, headers.c.number == block)
            .where(transactions.c.recipient == account, transactions.c.value != "0")
            .order_by(transactions.c.tx_hash)
        )
        with self._database.reading() as session:
            row = session.execute(query).first()
        if row is None:
            return None
        found = self._parsed(self._transactions, row)
        self._transactions.given[found.tx_hash] = found
        return found

    # -------------------------------------------- transactions and receipts

    def transactions(self, connection: Connection, hashes: Sequence[str]) -> list[Transaction | None]:
        """Transactions; the node is asked for those that are not known. See `Connection.transactions`."""
        return self._look_up(self._transactions, hashes, connection.ask_transactions)

    def outcomes(self, connection: Connection, hashes: Sequence[str]) -> list[Outcome | None]:
        """What came of transactions; see `transactions` and `Connection.outcomes`."""
        return self._look_up(self._outcomes, hashes, connection.ask_outcomes)

    # --------------------------------------------------------------- confirm

    def confirm(self, connection: Connection) -> None:
        """Ask the node for all that was given out from the base, so that the base's word accuses nobody.

        What the node does not tell any more says nothing.

        Raises:
            ContradictionError: It says something else.
        """
        with suppress(LaggingError, PrunedError):
            asked = [([read], block) for read, block, _ in self._given.values()]
            found = connection.read_states(asked) if asked else []
            for (place, (_, _, known)), (answer,) in zip(self._given.items(), found, strict=True):
                if _is_answer(answer) and answer.lower() != known:
                    raise self._differing(connection, f"what {place[1]} had after block {place[0]}")
        kinds: Sequence[tuple[_Kind[Any], Callable[[Sequence[str]], Sequence[Any]]]] = (
            (self._transactions, connection.ask_transactions),
            (self._outcomes, connection.ask_outcomes),
        )
        for kind, ask in kinds:
            for one, known in zip(ask([*kind.given]), kind.given.values(), strict=True):
                if one is not None and one != known:
                    raise self._differing(connection, f"the transaction 0x{one.tx_hash}")

    def _differing(self, connection: Connection, what: str) -> ContradictionError:
        return ContradictionError(
            f"The node at {connection.shown_url} shows {what} otherwise than {self._database.shown}",
            "That block is the same: this node or the one asked then is wrong, or somebody changed the base",
            "Name another node with --rpc, or go without the base of facts with --no-facts",
        )

    # --------------------------------------------------------------- helpers

    def _states(self, places: Collection[Place]) -> dict[Place, str]:
        blocks = {block for block, _, _ in places}
        addresses = {address for _, address, _ in places}
        found: dict[Place, str] = {}
        with self._database.reading() as session:
            for some in _parts([*blocks]):
                query = select(states).where(states.c.chain == self._chain, states.c.block_hash.in_(some))
                for row in session.execute(query.where(states.c.address.in_(addresses))):
                    found[row.block_hash, row.address, row.asked] = row.answer
        known = {place: found[place] for place in places if place in found}
        for answer in known.values():
            self._number(answer)
        return known

    def _look_up(
        self, kind: _Kind[T], hashes: Sequence[str], ask: Callable[[Sequence[str]], list[T | None]]
    ) -> list[T | None]:
        known: dict[str, T] = {}
        with self._database.reading() as session:
            for some in _parts([f"0x{one}" for one in hashes]):
                query = select(kind.table).where(kind.table.c.chain == self._chain, kind.table.c.tx_hash.in_(some))
                known |= {one.tx_hash: one for one in (self._parsed(kind, row) for row in session.execute(query))}
        kind.given |= known
        missing = [one for one in hashes if one not in known]
        fresh = dict(zip(missing, ask(missing), strict=True))
        self._keep(kind.table, [kind.row(self._chain, one) for one in fresh.values() if one is not None])
        return [known.get(one) or fresh[one] for one in hashes]

    def _keep(self, table: Table, rows: Sequence[Row]) -> None:
        """Write rows, except those of blocks that are not known and those that are too long."""
        short = [row for row in rows if all(len(str(value)) <= MOST_CHARACTERS for value in row.values())]
        if not short:
            return
        hashes = {row["block_hash"] for row in short}
        with self._database.writing() as session:
            there: set[str] = set()
            for some in _parts([*hashes]):
                query = select(headers.c.hash).where(headers.c.chain == self._chain, headers.c.hash.in_(some))
                there |= {*session.execute(query).scalars()}
            add_rows(session, table, [row for row in short if row["block_hash"] in there])

    def _parsed(self, kind: _Kind[T], row: Any) -> T:
        try:
            return kind.parse(row)
        except (ValueError, TypeError) as error:
            raise damaged(self._database.shown, f"A row of {kind.table.name} in it makes no sense") from error

    def _number(self, answer: str) -> int:
        try:
            return int(answer, 16)
        except ValueError as error:
            raise damaged(self._database.shown, "An answer in it is not written as one") from error


def _place(read: Read, block: Block) -> Place | None:
    """Where the answer to a read is kept; `None` if answers of that kind are not."""
    method, parameters = read
    if method in _ASKED:
        return f"0x{block.hash}", str(parameters[0]).lower(), _ASKED[method]
    if method == "eth_call" and parameters[0].keys() == {"to", "data"}:
        to, data = (str(parameters[0][name]).lower() for name in ("to", "data"))
        return (f"0x{block.hash}", to, data) if len(data) <= _LONGEST_CALL else None
    return None


def _is_answer(answer: Any) -> bool:
    """Whether a node said something about a state: bytes or a number, and not nothing."""
    return isinstance(answer, str) and answer.startswith("0x") and len(answer) > 2


def _parts(some: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(some), _AT_ONCE):
        yield some[start : start + _AT_ONCE]
