"""Challenges: the challenged chunks of the attested content, and the proofs that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from llamafund_chain.campaign.terms import Status
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.evidence.manifests import EvidenceManifest, Manifest
from llamafund_chain.evidence.merkle import CHUNK_SIZE, ChunkProof, Outline, chunk_count
from llamafund_chain.store.content import Progress, fetch_manifest, prove_content
from llamafund_chain.text import counted

if TYPE_CHECKING:
    from llamafund_chain.campaign.attestation import Attestation
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.campaign.state import OpenChallenge
    from llamafund_chain.store import Store


T = TypeVar("T")

MAX_PROOFS = 16_384
"""Most proofs kept at once (about 300 MB). Blocks take hours to include that many answers; the next proofs follow."""


@dataclass(frozen=True)
class Challenges:
    """The open challenges to a campaign at one block.

    Attributes:
        attestation: The attestation of the challenged content; `None` before the first.
        queue: The unanswered challenges, in the order in which they must be answered.
        status: The campaign's status.
        now: Unix seconds of the block at which all this was read.
        block: That block's number.
    """

    attestation: Attestation | None
    queue: tuple[OpenChallenge, ...]
    status: Status
    now: int
    block: int

    @property
    def answerable(self) -> bool:
        """Whether the campaign would accept an answer now."""
        return self.status is Status.ACTIVE and self.attestation is not None and bool(self.queue)


def challenges_on(client: CampaignClient, *, known: Challenges | None = None) -> Challenges:
    """The challenges that need an answer now, read at one block.

    Args:
        client: The campaign.
        known: The result of an earlier call; unchanged parts are not read again.

    Raises:
        VerificationError: The node contradicts the campaign's record.
    """
    block = client.connection.block()
    queue = client.open_challenges(block.number, known=known.queue if known else ())
    attestation = client.latest_attestation(block.number, known=known.attestation if known else None)
    return Challenges(attestation, queue, client.status(block.number), block.timestamp, block.number)


def evidence_of(stores: Sequence[Store], attestation: Attestation) -> EvidenceManifest:
    """The manifest whose content an attestation commits to, from the first store that has it.

    Raises:
        LlamafundError: No store has it.
        VerificationError: It is not evidence, or commits to other content than was attested.
    """
    manifest = first_of(stores, lambda store: fetch_manifest(store, attestation.evidence, Manifest))
    if not isinstance(manifest, EvidenceManifest):
        raise VerificationError(f"{attestation.evidence} is a {manifest.schema_}, which has no content")
    stated = (attestation.content_root, attestation.content_size)
    if (manifest.content.root, manifest.content.size) != stated:
        raise VerificationError(
            f"The evidence {attestation.evidence} has other content than was attested",
            f"Its content root is {manifest.content.root} over {manifest.content.size} bytes; the attested one is "
            f"{stated[0]} over {stated[1]} bytes",
            "Nobody can answer for such an attestation: challenge any chunk of it",
        )
    return manifest


class Prover:
    """Makes proofs of attested content, and keeps them and the content's outline for the next time.

    The first proof of a content reads all of it. A later one reads only the files that its chunk touches, and nothing
    if it was made before.

    Args:
        stores: Where to look, in this order.
        progress: Called with the number of bytes read since the previous call.
    """

    def __init__(self, stores: Sequence[Store], *, progress: Progress | None = None) -> None:
        self._stores = stores
        self._progress = progress
        self._attestation: Attestation | None = None
        self._outline: Outline | None = None
        self._proofs: dict[int, ChunkProof] = {}

    def prove(self, attestation: Attestation, chunks: Sequence[int]) -> dict[int, ChunkProof]:
        """Proofs by chunk. Proofs of other chunks are forgotten.

        Args:
            attestation: The attestation of the content.
            chunks: Their numbers, from 0, the most urgent first.

        Raises:
            ContractRefusedError: There is no such chunk.
            LlamafundError: No store has the whole content; the message says what each lacks.
        """
        missing = self.missing(attestation, chunks)
        if missing:
            for chunk in missing:
                check_chunk(attestation, chunk)
            manifest = evidence_of(self._stores, attestation)
            self._outline, found = first_of(
                self._stores,
                lambda store: prove_content(store, manifest, missing, outline=self._outline, progress=self._progress),
            )
            self._proofs |= found
        return dict(self._proofs)

    def missing(self, attestation: Attestation, chunks: Sequence[int]) -> list[int]:
        """Which of the first `MAX_PROOFS` chunks have no proof yet.

        Args:
            attestation: The attestation of the content.
            chunks: As for `prove`.
        """
        if self._attestation != attestation:
            self._attestation, self._outline, self._proofs = attestation, None, {}
        wanted = dict.fromkeys(chunks[:MAX_PROOFS])
        self._proofs = {chunk: proof for chunk, proof in self._proofs.items() if chunk in wanted}
        return [chunk for chunk in wanted if chunk not in self._proofs]

    @property
    def proofs(self) -> Mapping[int, ChunkProof]:
        """The kept proofs, by chunk."""
        return self._proofs


def chunk_at(attestation: Attestation, offset: int) -> int:
    """Number of the chunk that contains a byte of the content.

    Raises:
        ContractRefusedError: The content is shorter.
    """
    if not 0 <= offset < attestation.content_size:
        raise ContractRefusedError(
            f"The content has no byte {offset}", f"It has {attestation.content_size} bytes, counted from 0"
        )
    return offset // CHUNK_SIZE


def check_chunk(attestation: Attestation, chunk: int) -> None:
    """Refuse a chunk that the content does not have.

    Raises:
        ContractRefusedError: There is no such chunk.
    """
    count = chunk_count(attestation.content_size)
    if not 0 <= chunk < count:
        raise ContractRefusedError(
            f"The content has no chunk {chunk}",
            f"It has {counted(count, 'chunk')} of 16 KiB, counted from 0"
            if count
            else "The attestation says that it is withheld",
        )


def offset_of(manifest: EvidenceManifest, path: str) -> int:
    """Offset of a file in the content, in bytes.

    Raises:
        ContractRefusedError: The manifest names no such file, or the file is empty.
    """
    offset = 0
    for entry in manifest.files:
        if entry.path == path:
            if not entry.size:
                raise ContractRefusedError(f"{path!r} is empty", "There is no chunk of it to challenge")
            return offset
        offset += entry.size
    raise ContractRefusedError(f"The evidence has no file {path!r}", "Paths are as in its manifest")


def first_of(stores: Sequence[Store], get: Callable[[Store], T]) -> T:
    problems: list[LlamafundError] = []
    for store in stores:
        try:
            return get(store)
        except LlamafundError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    raise LlamafundError(
        f"None of {len(stores)} stores has it",
        "; ".join(f"{store.location}: {problem.what}" for store, problem in zip(stores, problems, strict=True)),
        "Name a store that has the whole content with --store",
    )
