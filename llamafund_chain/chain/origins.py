"""Who paid accounts first, and who paid those, as far back as is asked for.

An account that has no code has never held a coin or sent a transaction before its first payment, and has ever after.
So the block of that payment is found by bisection over states, in a few requests for all accounts together, however
long the chain is. It takes a node that keeps old states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import Connection, Read
from llamafund_chain.chain.node_errors import PrunedError, RpcError
from llamafund_chain.chain.transactions import Transaction

HOPS = 3
"""How often the payer of a payer is asked for."""

BUSY = 1_000
"""Transactions from which an account pays too many people to connect them: exchanges and faucets do."""

MOST_ACCOUNTS = 48
"""Accounts that are looked at in all."""

_POINTS = 3
"""States that are read at once for each account; each round leaves a quarter of the blocks."""


@dataclass(frozen=True)
class FirstPayment:
    """The first payment to an account.

    Attributes:
        account: Who got it, checksummed.
        sender: Who sent it, checksummed.
        value: Wei.
        block: Its number.
        tx_hash: 64 hexadecimal digits.
        sent_before: Transactions that the sender had sent by the block at which the search ended.
    """

    account: str
    sender: str
    value: int
    block: int
    tx_hash: str
    sent_before: int

    @property
    def busy(self) -> bool:
        """Whether the sender pays so many that this connects nobody."""
        return self.sent_before >= BUSY


@dataclass
class Origins:
    """What was found.

    Attributes:
        paid: First payments, by account.
        unpaid: Accounts that never held a coin nor sent a transaction.
        untold: Why an account's first payment could not be told, by account.
        hops: How many times payers' payers were asked for.
    """

    paid: dict[str, FirstPayment] = field(default_factory=dict)
    unpaid: set[str] = field(default_factory=set)
    untold: dict[str, str] = field(default_factory=dict)
    hops: int = 0

    def back_from(self, account: str) -> list[FirstPayment]:
        """The payments behind an account, the nearest first."""
        found: list[FirstPayment] = []
        while (payment := self.paid.get(account)) is not None and payment not in found:
            found.append(payment)
            account = payment.sender
        return found


def origins_of(connection: Connection, accounts: Sequence[str], head: int, *, hops: int = HOPS) -> Origins:
    """Who paid accounts without code first.

    Args:
        connection: The chain.
        accounts: Checksummed addresses of accounts that have no code, or only what a key delegates to.
        head: Number of the block to look back from.
        hops: How many payers to go back.

    Raises:
        NodeUnreachableError: The node does not answer.
    """
    found = Origins()
    asked: set[str] = set()
    wanted = list(dict.fromkeys(accounts))
    for hop in range(hops):
        room = MOST_ACCOUNTS - len(asked)
        for account in wanted[room:]:
            found.untold[account] = f"more than {MOST_ACCOUNTS} accounts were to be looked at"
        wanted = wanted[:room]
        if not wanted:
            break
        asked |= {*wanted}
        _look(connection, wanted, head, found)
        found.hops = hop + 1
        payments = [found.paid[account] for account in wanted if account in found.paid]
        wanted = list(dict.fromkeys(one.sender for one in payments if not one.busy and one.sender not in asked))
    return found


def _look(connection: Connection, accounts: Sequence[str], head: int, found: Origins) -> None:
    """Add what is found about accounts."""
    known = {} if connection.facts is None else connection.facts.first_payments(connection, accounts, head)
    searched = _search(connection, [account for account in accounts if account not in known], head, found)
    first = {**{account: block for account, (block, _) in known.items()}, **searched}
    # In the order of the accounts, so that a report says the same whatever was known.
    blocks = {account: first[account] for account in accounts if account in first}
    payments = {account: payment for account, (_, payment) in known.items() if payment is not None}
    new = _look_in_blocks(connection, {one: block for one, block in blocks.items() if one not in payments}, found)
    if connection.facts is not None and searched:
        connection.facts.keep_first_payments(connection, searched, new, head)
    payments |= new
    _follow(connection, {account: payments[account] for account in blocks if account in payments}, blocks, head, found)


def _search(connection: Connection, accounts: Sequence[str], head: int, found: Origins) -> dict[str, int]:
    """The blocks in which accounts are first used, of those of which that can be told."""
    if not accounts:
        return {}
    ends = dict.fromkeys(accounts, (-1, head))
    used = _used(connection, [(account, block) for account in accounts for block in (0, head)], found)
    for account in accounts:
        if account in found.untold:
            del ends[account]
        elif not used[account, head]:
            found.unpaid.add(account)
            del ends[account]
        elif used[account, 0]:
            found.untold[account] = "it had coins in the chain's first block"
            del ends[account]
    open_ = {account: (0, last) for account, (_, last) in ends.items()}
    while moving := [account for account, (without, with_) in open_.items() if with_ - without > 1]:
        points = {account: _points(*open_[account]) for account in moving}
        used = _used(connection, [(account, block) for account in moving for block in points[account]], found)
        for account in moving:
            if account in found.untold:
                del open_[account]
                continue
            without, with_ = open_[account]
            # Points are in order; from the first use on, an account is used for good.
            with_ = next((block for block in points[account] if used[account, block]), with_)
            without = max((block for block in points[account] if block < with_), default=without)
            open_[account] = without, with_
    return {account: with_ for account, (_, with_) in open_.items()}


def _points(without: int, with_: int) -> list[int]:
    step = max((with_ - without) // (_POINTS + 1), 1)
    return list(range(without + step, with_, step))[:_POINTS]


def _used(connection: Connection, places: Sequence[tuple[str, int]], found: Origins) -> dict[tuple[str, int], bool]:
    """Whether accounts held a coin or had sent a transaction at blocks. What the node does not tell is untold."""
    parts: list[tuple[list[Read], int]] = [
        ([("eth_getBalance", (account,)), ("eth_getTransactionCount", (account,))], block) for account, block in places
    ]
    used: dict[tuple[str, int], bool] = {}
    try:
        states = connection.read_states(parts)
    except PrunedError:
        oldest = min(block for _, block in places)
        for account, block in places:
            found.untold[account] = f"the node does not keep the state of block {oldest}"
            used[account, block] = False
        return used
    for (account, block), answers in zip(places, states, strict=True):
        refused = next((one for one in answers if isinstance(one, RpcError)), None)
        if refused is not None:
            found.untold[account] = f"the node does not tell the state of block {block}"
            used[account, block] = False
        else:
            used[account, block] = any(connection.quantity(one, "an account's balance or nonce") for one in answers)
    return used


def _follow(
    connection: Connection, paying: Mapping[str, Transaction], blocks: Mapping[str, int], head: int, found: Origins
) -> None:
    """Add the first payments that succeeded."""
    if not paying:
        return
    outcomes = connection.outcomes([one.tx_hash for one in paying.values()])
    senders = [checksum(one.sender) for one in paying.values()]
    sent = connection.read([("eth_getTransactionCount", (sender,)) for sender in senders], head)
    for (account, one), sender, outcome, count in zip(paying.items(), senders, outcomes, sent, strict=True):
        if outcome is None or not outcome.succeeded or isinstance(count, RpcError):
            found.untold[account] = f"the node does not tell whether the payment in block {blocks[account]} succeeded"
            continue
        before = connection.quantity(count, "a nonce")
        found.paid[account] = FirstPayment(account, sender, one.value, blocks[account], one.tx_hash, before)


def _look_in_blocks(connection: Connection, blocks: Mapping[str, int], found: Origins) -> dict[str, Transaction]:
    """The transactions that pay accounts in blocks, of those of which that can be told."""
    numbers = sorted({*blocks.values()})
    raw = connection.request_many([("eth_getBlockByNumber", (hex(one), True)) for one in numbers]) if numbers else []
    by_block = {number: _transactions(answer) for number, answer in zip(numbers, raw, strict=True)}
    paying: dict[str, Transaction] = {}
    for account, block in blocks.items():
        listed = by_block[block]
        mine = None if listed is None else next((one for one in listed if _pays(connection, one, account)), None)
        payment = connection.transaction_of(mine)
        if listed is None:
            found.untold[account] = f"the node does not tell the transactions of block {block}"
        elif payment is None:
            found.untold[account] = f"its first coins came in block {block} from inside a contract, or as a reward"
        else:
            paying[account] = payment
    return paying


def _transactions(answer: Any) -> list[Mapping[str, Any]] | None:
    listed = answer.get("transactions") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        return None
    return listed


def _pays(connection: Connection, transaction: Mapping[str, Any], account: str) -> bool:
    to = str(transaction.get("to") or "")
    if to.lower() != account.lower() or not {"from", "hash", "value"} <= transaction.keys():
        return False
    return connection.quantity(transaction["value"], "a transaction's value") > 0
