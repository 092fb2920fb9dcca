"""Logs, transactions and receipts as rows of the base, and back."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection as Session
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from llamafund_chain.chain import abi
from llamafund_chain.chain.transactions import Log, Outcome, Transaction
from llamafund_chain.errors import VerificationError
from llamafund_chain.http.answers import parse_json

_TOPICS = ("topic0", "topic1", "topic2", "topic3")
_ACCOUNTS = ("backer", "challenger", "answerer", "recipient", "researcher")
_AMOUNTS = ("amount", "bond", "weight", "pledged")

Row = dict[str, Any]


def add_rows(session: Session, table: Table, rows: Collection[Row]) -> None:
    """Insert rows, except those that are there."""
    if rows:
        dialect = postgresql if session.dialect.name == "postgresql" else sqlite
        session.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


def log_row(chain: int, log: Log) -> Row:
    """A log as a row of `logs`."""
    topics = [f"0x{topic.hex()}" for topic in log.topics[: len(_TOPICS)]]
    return {
        "chain": chain,
        "block_hash": f"0x{log.block_hash}",
        "log_index": log.index,
        "block": log.block,
        "tx_hash": f"0x{log.tx_hash}",
        "address": log.address.lower(),
        **dict(zip(_TOPICS, [*topics, None, None, None, None], strict=False)),
        "data": f"0x{log.data.hex()}",
    }


def log_of(row: Any) -> Log:
    """The log of a row.

    Raises:
        ValueError: The row makes no sense.
    """
    return Log(
        row.address,
        tuple(bytes.fromhex(topic[2:]) for name in _TOPICS if (topic := getattr(row, name)) is not None),
        bytes.fromhex(row.data[2:]),
        int(row.block),
        int(row.log_index),
        row.tx_hash[2:],
        row.block_hash[2:],
    )


def transaction_row(chain: int, one: Transaction) -> Row:
    """A transaction as a row of `transactions`."""
    return {
        "chain": chain,
        "block_hash": f"0x{one.block_hash}",
        "tx_hash": f"0x{one.tx_hash}",
        "sender": one.sender,
        "recipient": one.recipient,
        "value": str(one.value),
        "data": f"0x{one.data.hex()}",
    }


def transaction_of(row: Any) -> Transaction:
    """The transaction of a row.

    Raises:
        ValueError: The row makes no sense.
    """
    data = bytes.fromhex(row.data[2:])
    return Transaction(row.tx_hash[2:], row.block_hash[2:], row.sender, row.recipient, int(row.value), data)


def outcome_row(chain: int, one: Outcome) -> Row:
    """What came of a transaction, as a row of `receipts`."""
    logs = [
        [log.block, log.index, log.address, [f"0x{topic.hex()}" for topic in log.topics], f"0x{log.data.hex()}"]
        for log in one.logs
    ]
    return {
        "chain": chain,
        "block_hash": f"0x{one.block_hash}",
        "tx_hash": f"0x{one.tx_hash}",
        "succeeded": int(one.succeeded),
        "logs": json.dumps(logs, separators=(",", ":")),
    }


def outcome_of(row: Any) -> Outcome:
    """What came of the transaction of a row.

    Raises:
        ValueError: The row makes no sense.
    """
    tx_hash, block_hash = row.tx_hash[2:], row.block_hash[2:]
    logs = tuple(
        Log(
            str(address),
            tuple(bytes.fromhex(topic[2:]) for topic in topics),
            bytes.fromhex(data[2:]),
            int(block),
            int(index),
            tx_hash,
            block_hash,
        )
        for block, index, address, topics, data in parse_json(row.logs.encode())
    )
    return Outcome(tx_hash, block_hash, bool(row.succeeded), logs)


def event_row(chain: int, log: Log) -> Row | None:
    """A log in words, as a row of `events`; `None` if it is no event of ours, or one that cannot be decoded."""
    for contract in ("Campaign", "CampaignFactory"):
        try:
            decoded = abi.contract(contract).decode_log(log.topics, log.data)
        except VerificationError:
            return None
        if decoded is not None:
            break
    else:
        return None
    values = decoded.values
    milestone = values.get("milestone")
    return {
        "chain": chain,
        "block_hash": f"0x{log.block_hash}",
        "log_index": log.index,
        "campaign": str(values.get("campaign", log.address)).lower(),
        "event": decoded.name,
        "account": _first(values, _ACCOUNTS),
        "amount": _first(values, _AMOUNTS),
        "milestone": milestone if isinstance(milestone, int) and milestone < 1 << 31 else None,
        "details": json.dumps({name: _plain(value) for name, value in values.items()}),
    }


def _first(values: Mapping[str, Any], names: Sequence[str]) -> str | None:
    found = next((values[name] for name in names if name in values), None)
    return None if found is None else str(found)


def _plain(value: Any) -> Any:
    """A value as JSON without loss: numbers as decimal text, bytes as hexadecimal text."""
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, bool):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value)
