"""The tables and views of a base of facts. docs/facts.md is written from the comments here."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA = 2
"""Version of the tables. A program refuses a base with a newer one, and adds tables to one with an older one."""

APPLICATION = 0x4C46_4654
"""`application_id` of an SQLite file that is a base of facts."""

metadata = MetaData()

_HASH = String(66)
_ADDRESS = String(42)


def _chain() -> Column[int]:
    return Column("chain", Integer, ForeignKey("chains.id"), primary_key=True, comment="The chain: `chains.id`")


def _block_hash() -> Column[str]:
    return Column("block_hash", _HASH, primary_key=True, comment="Hash of the block: `headers.hash`")


about = Table(
    "about",
    metadata,
    Column("name", String(40), primary_key=True, comment="`schema`"),
    Column("value", Text, nullable=False, comment="The version of these tables"),
    comment="What this base is.",
)

chains = Table(
    "chains",
    metadata,
    Column("id", Integer, primary_key=True, comment="Number of the chain in this base"),
    Column("chain_id", BigInteger, nullable=False, comment="EIP-155 number"),
    Column("genesis", _HASH, nullable=False, comment="Hash of the chain's first block"),
    Column("final_block", BigInteger, nullable=False, comment="Number of the highest block that a node called final"),
    UniqueConstraint("chain_id", "genesis"),
    comment="The chains. Two with one number are told apart by their first blocks.",
)

headers = Table(
    "headers",
    metadata,
    _chain(),
    Column("hash", _HASH, primary_key=True, comment="Hash of the block"),
    Column("number", BigInteger, nullable=False, comment="Number of the block"),
    Column("parent", _HASH, nullable=False, comment="Hash of the block before it"),
    Column("timestamp", BigInteger, nullable=False, comment="Time of the block, unix seconds"),
    UniqueConstraint("chain", "number"),
    comment="The blocks that have logs here, or up to which a search went. Of each number there is one.",
)

logs = Table(
    "logs",
    metadata,
    _chain(),
    _block_hash(),
    Column("log_index", BigInteger, primary_key=True, comment="Position in the block"),
    Column("block", BigInteger, nullable=False, comment="Number of the block"),
    Column("tx_hash", _HASH, nullable=False, comment="Hash of the transaction"),
    Column("address", _ADDRESS, nullable=False, comment="The contract that wrote it, in lower case"),
    Column("topic0", _HASH, comment="First topic: the kind of event"),
    Column("topic1", _HASH, comment="Second topic"),
    Column("topic2", _HASH, comment="Third topic"),
    Column("topic3", _HASH, comment="Fourth topic"),
    Column("data", Text, nullable=False, comment="The rest, hexadecimal"),
    ForeignKeyConstraint(["chain", "block_hash"], ["headers.chain", "headers.hash"], ondelete="CASCADE"),
    Index("logs_by_address", "chain", "address", "block", "log_index"),
    Index("logs_by_topic", "chain", "topic1"),
    comment="Raw logs of the factory and of campaigns, as nodes gave them.",
)

events = Table(
    "events",
    metadata,
    _chain(),
    _block_hash(),
    Column("log_index", BigInteger, primary_key=True, comment="Position in the block"),
    Column("campaign", _ADDRESS, nullable=False, comment="The campaign, in lower case"),
    Column("event", String(40), nullable=False, comment="Name of the event"),
    Column("account", _ADDRESS, comment="Who is credited or acts: backer, challenger, recipient, researcher"),
    Column("amount", String(78), comment="Smallest units, or wei of a bond, in decimal digits"),
    Column("milestone", BigInteger, comment="Number of the milestone"),
    Column("details", Text, nullable=False, comment="All its values as JSON; numbers are decimal text"),
    ForeignKeyConstraint(
        ["chain", "block_hash", "log_index"], ["logs.chain", "logs.block_hash", "logs.log_index"], ondelete="CASCADE"
    ),
    Index("events_by_campaign", "chain", "campaign", "event"),
    Index("events_by_account", "chain", "account"),
    comment="The logs in words, for people and queries. The program itself reads the raw logs.",
)

searches = Table(
    "searches",
    metadata,
    _chain(),
    Column("address", _ADDRESS, primary_key=True, comment="The contract, in lower case"),
    Column("first", BigInteger, primary_key=True, comment="First block of the range"),
    Column("last", BigInteger, nullable=False, comment="Last block of the range"),
    comment="The ranges of blocks in which all logs of a contract are known.",
)

states = Table(
    "states",
    metadata,
    _chain(),
    _block_hash(),
    Column("address", _ADDRESS, primary_key=True, comment="The contract or account that was asked, in lower case"),
    Column("asked", String(200), primary_key=True, comment="`balance`, `nonce`, or the data of a call, hexadecimal"),
    Column("answer", Text, nullable=False, comment="What the state after the block says, hexadecimal"),
    ForeignKeyConstraint(["chain", "block_hash"], ["headers.chain", "headers.hash"], ondelete="CASCADE"),
    Index("states_by_address", "chain", "address"),
    comment=(
        "What states of the past say: the contract's record right after each attestation, and what accounts had in the "
        "blocks around their first use."
    ),
)

transactions = Table(
    "transactions",
    metadata,
    _chain(),
    _block_hash(),
    Column("tx_hash", _HASH, primary_key=True, comment="Hash of the transaction"),
    Column("sender", _ADDRESS, nullable=False, comment="Who sent it, in lower case"),
    Column("recipient", _ADDRESS, nullable=False, comment="Where it went, in lower case; empty if it made a contract"),
    Column("value", String(78), nullable=False, comment="Wei, in decimal digits"),
    Column("data", Text, nullable=False, comment="The call data, hexadecimal"),
    ForeignKeyConstraint(["chain", "block_hash"], ["headers.chain", "headers.hash"], ondelete="CASCADE"),
    Index("transactions_by_hash", "chain", "tx_hash"),
    comment="Transactions that carry attestations, and those that paid people first.",
)

receipts = Table(
    "receipts",
    metadata,
    _chain(),
    _block_hash(),
    Column("tx_hash", _HASH, primary_key=True, comment="Hash of the transaction"),
    Column("succeeded", Integer, nullable=False, comment="1 if it did what it was to do, 0 if it reverted"),
    Column("logs", Text, nullable=False, comment="Its logs as JSON: block, index, address, topics and data of each"),
    ForeignKeyConstraint(["chain", "block_hash"], ["headers.chain", "headers.hash"], ondelete="CASCADE"),
    Index("receipts_by_hash", "chain", "tx_hash"),
    comment="What came of first payments, and of the first pledges in a token.",
)

VIEWS = {
    "campaigns": """
        SELECT c.chain_id, e.campaign, e.account AS researcher, h.number AS block, {time} AS opened, l.tx_hash
        FROM events e
        JOIN chains c ON c.id = e.chain
        JOIN headers h ON h.chain = e.chain AND h.hash = e.block_hash
        JOIN logs l ON l.chain = e.chain AND l.block_hash = e.block_hash AND l.log_index = e.log_index
        WHERE e.event = 'CampaignCreated'""",
    "timeline": """
        SELECT c.chain_id, e.campaign, h.number AS block, {time} AS time, e.event, e.account, e.amount, e.milestone,
            e.details, l.tx_hash, e.log_index
        FROM events e
        JOIN chains c ON c.id = e.chain
        JOIN headers h ON h.chain = e.chain AND h.hash = e.block_hash
        JOIN logs l ON l.chain = e.chain AND l.block_hash = e.block_hash AND l.log_index = e.log_index""",
}
"""Views with readable columns, by name."""

VIEW_COMMENTS = {
    "campaigns": "Which campaigns there are, who opened them and when.",
    "timeline": "What happened in all campaigns, with the time of each block.",
}

TIME = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', h.timestamp, 'unixepoch')",
    "postgresql": "to_char(to_timestamp(h.timestamp) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
}
"""A block's time as text, UTC, by the kind of database."""
