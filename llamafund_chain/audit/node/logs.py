"""The logs that an audit adds up: whether they fit together, and the proof that none is missing and none is new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.header_book import HeaderBook, read_headers
from llamafund_chain.chain.headers import Header, broken_link
from llamafund_chain.chain.receipts import BlockReceipts, read_receipts
from llamafund_chain.chain.transactions import Log
from llamafund_chain.checks.check import Finding, contradicts
from llamafund_chain.errors import NodeError

MAX_BLOCKS = 500_000
"""Blocks of the longest range whose headers are all read: 5 000 requests."""

MAX_PACKED_BYTES = 32 << 20
"""Bytes of receipts that are kept for whoever checks the proofs again; of the blocks after that, none are."""

_STRETCH = 1_000
"""Headers that are in memory at once."""


class LogBook:
    """The logs as they come, in order.

    Attributes:
        counts: Number of logs by their first topic.
        logs: All of them; empty unless they are kept.
        trouble: What is wrong with them; empty if nothing is.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._last: Log | None = None
        self._hashes: dict[int, str] = {}
        self.counts: Counter[bytes] = Counter()
        self.logs: list[Log] = []
        self.trouble = ""

    def enter(self, log: Log) -> None:
        """Take in the next log."""
        last, self._last = self._last, log
        self.counts[log.topics[0] if log.topics else b""] += 1
        if last is not None and (last.block, last.index) == (log.block, log.index):
            self.trouble = self.trouble or f"Log {log.index} of block {log.block} came twice"
        if log.block_hash and self._hashes.setdefault(log.block, log.block_hash) != log.block_hash:
            self.trouble = self.trouble or f"The logs of block {log.block} name two hashes of that block"
        if self._keep:
            self.logs.append(log)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Numbers of the blocks that have logs, in order."""
        return tuple(sorted(self._hashes))

    def unlike(self, header: Header) -> bool:
        """Whether the logs of a block name another hash of it than its header."""
        return self._hashes.get(header.number, header.hash) != header.hash


def logs_fit_headers(book: LogBook, headers: Sequence[Header]) -> Finding:
    """Whether no log came twice, and each belongs to the block that the node has there."""
    if book.trouble:
        return contradicts(book.trouble)
    wrong = next((header for header in headers if book.unlike(header)), None)
    if wrong is not None:
        return contradicts(
            f"The logs of block {wrong.number} name another hash of it than 0x{wrong.hash}, its header's"
        )
    total = sum(book.counts.values())
    return Finding("pass", f"Each of {total} logs came once, and those of one block belong to one block")


@dataclass(frozen=True)
class ProvenLogs:
    """What came of proving the logs.

    Attributes:
        finding: Whether they are exactly those of the chain.
        first: The first block of the range whose headers were linked; `None` if they were not.
        headers: The headers of the blocks with receipts.
        receipts: Of each block whose header allows a log of the campaign; without their bytes after the first 32 MiB.
    """

    finding: Finding
    first: int | None = None
    headers: tuple[Header, ...] = ()
    receipts: tuple[BlockReceipts, ...] = ()


def prove_logs(
    connection: Connection,
    head: Header,
    first: int,
    *,
    campaign: str,
    factory: str | None,
    kinds: Collection[bytes],
    logs: Sequence[Log],
    progress: Callable[[str], None],
) -> ProvenLogs:
    """Hash and link every header of a range, and compare logs with the receipts that the headers name.

    Args:
        connection: The node.
        head: Last block of the range, whose hash is known.
        first: First block.
        campaign: The campaign's address.
        factory: Address of the factory whose log in the first block opened the campaign; `None` if it is not known
            which block that was.
        kinds: First topics of the logs that are compared.
        logs: The campaign's logs as the node gave them, in order.
        progress: Called with a short sentence before anything slow.

    Raises:
        NodeUnreachableError: The node does not answer.
    """
    count = head.number - first + 1
    if count > MAX_BLOCKS:
        detail = f"{count} blocks passed since the campaign was opened; at most {MAX_BLOCKS} are read one by one"
        return ProvenLogs(Finding("unchecked", detail))
    progress(f"Hashing {count} headers")
    address = bytes.fromhex(campaign[2:])
    wanted: list[Header] = []
    before: Header | None = None
    for start in range(first, head.number + 1, _STRETCH):
        part = read_headers(connection, range(start, min(start + _STRETCH, head.number + 1)))
        trouble = _unhashed(part) or _unlinked([*([before] if before else []), *part])
        if trouble is not None:
            return ProvenLogs(trouble)
        wanted += [header for header in part if header.number == first or header.may_hold(address)]
        before = part[-1]
    if before is None or before.hash != head.hash:
        return ProvenLogs(contradicts(f"Block {head.number} has two hashes"))
    receipts: list[BlockReceipts] = []
    contracts = {campaign.lower(), *(() if factory is None else (factory.lower(),))}
    room = MAX_PACKED_BYTES
    try:
        for one in read_receipts(connection, wanted, contracts):
            trouble = _misfit(one)
            if trouble is not None:
                return ProvenLogs(trouble, first)
            room -= sum(map(len, one.encoded))
            receipts.append(one if room >= 0 else replace(one, encoded=()))
    except NodeError as error:
        return ProvenLogs(Finding("unchecked", str(error)), first)
    finding = _compared(receipts, campaign, factory, kinds, logs)
    return ProvenLogs(finding or _all_there(count, receipts, logs), first, tuple(wanted), tuple(receipts))


def _misfit(receipts: BlockReceipts) -> Finding | None:
    if receipts.check == "unknown":
        detail = f"Block {receipts.block} has receipts of a kind that this program does not know how to hash"
        return Finding("unchecked", detail)
    if receipts.check == "different":
        return contradicts(f"The receipts of block {receipts.block} are not those that its header names")
    return None


def _unhashed(headers: Sequence[Header]) -> Finding | None:
    for header in headers:
        if header.check == "different":
            return contradicts(f"The header of block {header.number} does not have the hash 0x{header.hash}")
        if header.check == "unknown":
            detail = f"Block {header.number} has a header with fields that this program does not know how to hash"
            return Finding("unchecked", detail)
    return None


def _unlinked(headers: Sequence[Header]) -> Finding | None:
    broken = broken_link(headers)
    if broken is None:
        return None
    before, after = broken
    return contradicts(f"Block {after.number} names 0x{after.parent} as its parent, block {before.number} is another")


def _compared(
    receipts: Sequence[BlockReceipts], campaign: str, factory: str | None, kinds: Collection[bytes], logs: Sequence[Log]
) -> Finding | None:
    """What is wrong with the logs; `None` if nothing is."""
    opening = receipts[0].logs if receipts else ()
    named = campaign[2:].lower()
    if factory is not None and not any(
        log.address == factory.lower() and any(topic.hex().endswith(named) for topic in log.topics) for log in opening
    ):
        return contradicts("The block that opened the campaign, as the node says, has no log of the factory about it")
    proven = {
        (one.block, log.index): log
        for one in receipts
        for log in one.logs
        if log.address == campaign.lower() and log.topics and log.topics[0] in kinds
    }
    said = {(log.block, log.index): log for log in logs}
    for where in sorted(proven.keys() | said.keys()):
        block, index = where
        if where not in said:
            return contradicts(f"It left out log {index} of block {block}, which the block's receipts have")
        if where not in proven:
            return contradicts(f"It invented log {index} of block {block}, which the block's receipts do not have")
        if (said[where].topics, said[where].data) != (proven[where].topics, proven[where].data):
            return contradicts(f"It changed log {index} of block {block}: the block's receipts have another")
    return None


def _all_there(count: int, receipts: Sequence[BlockReceipts], logs: Sequence[Log]) -> Finding:
    detail = (
        f"{count} headers, each with its own hash and the next one's parent; of {len(receipts)} blocks with the "
        f"receipts that their headers name. So these {len(logs)} logs are all, and none is new"
    )
    return Finding("pass", detail, {"blocks": count, "receipts": len(receipts), "logs": len(logs)})


def headers_hashed(headers: HeaderBook, *, strict: bool) -> Finding:
    """Whether every header that the audit used has the hash that the node says it has.

    Args:
        headers: Those that were read.
        strict: Whether it counts as unchecked that this cannot be told; otherwise it is a remark.
    """
    read = headers.all
    wrong = next((header for header in read if header.check == "different"), None)
    if wrong is not None:
        return contradicts(
            f"The header of block {wrong.number} does not have the hash 0x{wrong.hash} that it comes with"
        )
    broken = _unlinked(read)
    if broken is not None:
        return broken
    unknown = next((header for header in read if header.check == "unknown"), None)
    if unknown is not None:
        detail = (
            f"The hash of block {unknown.number} could not be recomputed: its header has other fields than those of "
            "Ethereum. So what the node says about it is taken from the node alone"
        )
        return Finding("unchecked" if strict else "warn", detail)
    return Finding("pass", f"{len(read)} headers were read, and each has the hash that follows from its fields")
