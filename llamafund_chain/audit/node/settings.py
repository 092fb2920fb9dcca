"""How much an audit demands of the nodes that it asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from llamafund_chain.chain.connection import Block, Connection, Finality
from llamafund_chain.chain.node_errors import LaggingError
from llamafund_chain.errors import NodeError, NotFinalError


@dataclass(frozen=True)
class Demands:
    """What an audit demands beside answers.

    Attributes:
        state: Whether terms, books and balance must be proven against the block's state root.
        logs: Whether every header up to the block must be hashed and linked, and every log be that of its receipts.
        block_hash: Hash of the block at which to read, 64 hexadecimal digits, from elsewhere; `None` if the node
            names the block.
        others: Addresses of further nodes that must say the same, each like `--rpc`.
    """

    state: bool = False
    logs: bool = False
    block_hash: str | None = None
    others: tuple[str, ...] = field(default=(), repr=False)


NOTHING = Demands()


def head_of(connection: Connection, finality: Finality, block_hash: str | None) -> Block:
    """The block at which an audit reads: the newest of a finality, or the one with a hash.

    Raises:
        NotFinalError: There is no block of that finality, or the named block is newer.
        NodeError: The node does not have the named block, or it does not belong to its chain.
    """
    settled = connection.block(finality)
    if block_hash is None:
        return settled
    try:
        raw = connection.request("eth_getBlockByHash", f"0x{block_hash}", False)
    except LaggingError as error:
        raise NodeError(
            f"The node at {connection.shown_url} knows no block 0x{block_hash}",
            "It is of another chain with the same number, or behind",
            "Check the hash, or name another node with --rpc",
        ) from error
    number = connection.quantity(raw.get("number") if isinstance(raw, dict) else None, "a block's number")
    block = connection.block(number)
    if block.hash != block_hash:
        raise NodeError(
            f"The node at {connection.shown_url} has another block {number} than 0x{block_hash}",
            f"Its own is 0x{block.hash}: the other one was undone, or is of another chain with the same number",
            "Check the hash, or name another node with --rpc",
        )
    if number > settled.number:
        raise NotFinalError(
            f"Block {number} is on chain, but not {finality} yet",
            "A reorganisation could still undo it",
            "Wait a few blocks. Or pass --finality latest, if you accept that",
        )
    return block
