"""The evidence that a report carries, so that whoever has the report can compute its books again without a node.

It is bounded: a report stays small enough to open and to send. What did not fit is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from llamafund_chain.chain.transactions import Log
from llamafund_chain.evidence.manifests import Manifest

MAX_LOGS = 10_000
"""Above it no logs are carried: with a part of them nothing could be added up."""

MAX_MANIFESTS_BYTES = 4 * 1024 * 1024
"""Bytes of all manifests together."""


Hex = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$")]
"""Bytes, hexadecimal with 0x."""

_Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
_Digits = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackedEvent(_Part):
    """A log of the campaign; hexadecimal with 0x.

    Attributes:
        index: Position in its block.
    """

    block: int
    index: int
    transaction: Hex
    topics: tuple[Hex, ...]
    data: Hex


class PackedTime(_Part):
    """When a block was made, unix seconds."""

    block: int
    time: int


class PackedManifest(_Part):
    """A manifest's bytes as text (UTF-8), with the hash by which it was named."""

    sha256: _Digits
    text: str


class EvidencePack(_Part):
    """What a report's books, signatures and manifests are computed from.

    Attributes:
        factory: Address of the factory that made the campaign.
        salt: With it and the code, the campaign's address follows from the factory's (CREATE2).
        code: The campaign's code, hexadecimal with 0x. Its end are the terms.
        logs: All events that decide, in order; empty if they were too many.
        times: When the blocks were made whose time decides.
        manifests: The proposal, and each milestone's evidence.
        left_out: What is missing here, and why, as sentences.
    """

    factory: _Address
    salt: _Digits
    code: Hex
    logs: tuple[PackedEvent, ...]
    times: tuple[PackedTime, ...]
    manifests: tuple[PackedManifest, ...]
    left_out: tuple[str, ...]


class Recorder:
    """Keeps what an audit reads and a report should carry."""

    def __init__(self) -> None:
        self._logs: list[Log] = []
        self._count = 0
        self._times: dict[int, int] = {}

    def log(self, log: Log) -> None:
        """Keep an event, as long as there are not too many."""
        self._count += 1
        if self._count <= MAX_LOGS:
            self._logs.append(log)

    def timed(self, time_of: Callable[[int], int]) -> Callable[[int], int]:
        """A clock that remembers what it was asked for.

        Args:
            time_of: Unix seconds of a block.
        """

        def remembered(block: int) -> int:
            self._times[block] = time_of(block)
            return self._times[block]

        return remembered

    def pack(self, *, factory: str, salt: str, code: bytes, manifests: Sequence[Manifest]) -> EvidencePack:
        """Everything kept, within the bounds.

        Args:
            factory: Address of the factory.
            salt: The campaign's, 64 hexadecimal digits.
            code: The campaign's code.
            manifests: Those that could be read.
        """
        left_out = []
        logs = self._logs
        if self._count > MAX_LOGS:
            logs = []
            left_out.append(f"{self._count} events: more than the {MAX_LOGS} that a report carries")
        kept, room = [], MAX_MANIFESTS_BYTES
        for manifest in manifests:
            data = manifest.to_bytes()
            room -= len(data)
            if room < 0:
                left_out.append(f"The manifest {manifest.sha256}: it would make the report too long")
                continue
            kept.append(PackedManifest(sha256=manifest.sha256, text=data.decode("utf-8")))
        return EvidencePack(
            factory=factory,
            salt=salt,
            code=f"0x{code.hex()}",
            logs=tuple(map(_packed, logs)),
            times=tuple(PackedTime(block=block, time=time) for block, time in sorted(self._times.items())),
            manifests=tuple(kept),
            left_out=tuple(left_out),
        )


def _packed(log: Log) -> PackedEvent:
    return PackedEvent(
        block=log.block,
        index=log.index,
        transaction=f"0x{log.tx_hash}",
        topics=tuple(f"0x{topic.hex()}" for topic in log.topics),
        data=f"0x{log.data.hex()}",
    )
