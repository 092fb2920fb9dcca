"""The receipts of a whole block, checked against its header's `receiptsRoot`: then no log is missing, and none is new.

Receipts are those of the Yellow Paper (4.4.1), with the type in front since EIP-2718. Some chains have types of their
own; where those keep the root from being recomputed, that is not the node's fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llamafund_chain.chain.headers import Check, Header, bloom_bits
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.state_proofs import root_of
from llamafund_chain.errors import NodeUnreachableError

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Connection
    from llamafund_chain.chain.transactions import Log

_KNOWN_TYPES = frozenset(range(5))
"""Legacy, EIP-2930, EIP-1559, EIP-4844, EIP-7702."""

_AT_ONCE = 16
"""Blocks whose receipts are asked for in one request; those of a full block take about 1 MB."""

_DEPOSIT = 0x7E
"""The OP stack's deposits, whose receipts end with two fields of their own since Regolith and Canyon."""


@dataclass(frozen=True)
class BlockReceipts:
    """The receipts of a block.

    Attributes:
        block: Number of the block.
        check: Whether they are those that the block's header names.
        logs: The logs of the contracts that were asked for, in order, each with its place among all logs of the block.
        encoded: Each receipt as the header's root covers it, in order.
    """

    block: int
    check: Check
    logs: tuple[Log, ...]
    encoded: tuple[bytes, ...]


def read_receipts(
    connection: Connection, headers: Sequence[Header], contracts: Collection[str]
) -> Iterator[BlockReceipts]:
    """All receipts of some blocks, several blocks in one request.

    Args:
        connection: The node.
        headers: Of the blocks.
        contracts: Addresses in lower case, whose logs are kept.

    Raises:
        NodeUnreachableError: There is no answer, or it makes no sense.
        RpcError: The node does not give the receipts of whole blocks.
    """
    for first in range(0, len(headers), _AT_ONCE):
        part = headers[first : first + _AT_ONCE]
        answers = connection.request_many([("eth_getBlockReceipts", (hex(header.number),)) for header in part])
        for header, answer in zip(part, answers, strict=True):
            if isinstance(answer, RpcError):
                raise answer
            yield _block_receipts(connection, header, answer, contracts)


def _block_receipts(connection: Connection, header: Header, raw: Any, contracts: Collection[str]) -> BlockReceipts:
    if not isinstance(raw, list) or not all(isinstance(one, Mapping) for one in raw):
        raise NodeUnreachableError(
            f"The node at {connection.shown_url} answered eth_getBlockReceipts with something that makes no sense",
            "Such an answer is not used",
            "Name another node with --rpc",
        )
    logs: list[Log] = []
    encoded: list[bytes] = []
    known = True
    for one in raw:
        kind = connection.quantity(one.get("type") or "0x0", "a receipt's type")
        known = known and kind in _KNOWN_TYPES
        listed = one.get("logs")
        own = [connection.log_of(log) for log in listed] if isinstance(listed, list) else []
        logs += own
        encoded.append(_encoded(connection, one, kind, own))
    same = header.receipts_root is not None and root_of(encoded) == header.receipts_root
    if same:
        check: Check = "recomputed"
    else:
        check = "different" if known and header.receipts_root is not None else "unknown"
    ours = tuple(replace(log, index=place) for place, log in enumerate(logs) if log.address in contracts)
    return BlockReceipts(header.number, check, ours, tuple(encoded))


def _encoded(connection: Connection, raw: Mapping[str, Any], kind: int, logs: Sequence[Log]) -> bytes:
    import rlp

    bloom = 0
    for log in logs:
        for item in (bytes.fromhex(log.address[2:]), *log.topics):
            bloom |= bloom_bits(item)
    # Before Byzantium a receipt has the state's root in place of its outcome.
    outcome = _word(raw["root"]) if raw.get("status") is None and raw.get("root") else None
    fields: list[Any] = [
        _number(connection.quantity(raw.get("status"), "a receipt's status")) if outcome is None else outcome,
        _number(connection.quantity(raw.get("cumulativeGasUsed"), "a receipt's gas")),
        bloom.to_bytes(256, "big"),
        [[bytes.fromhex(log.address[2:]), list(log.topics), log.data] for log in logs],
    ]
    if kind == _DEPOSIT:
        own = [raw[name] for name in ("depositNonce", "depositReceiptVersion") if raw.get(name) is not None]
        fields += [_number(connection.quantity(value, "a deposit's receipt")) for value in own]
    body: bytes = rlp.encode(fields)
    return body if kind == 0 else bytes([kind & 0xFF]) + body


def _word(text: Any) -> bytes | None:
    try:
        return bytes.fromhex(str(text)[2:66])
    except ValueError:
        return None


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
