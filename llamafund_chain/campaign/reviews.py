"""Reviews: what anybody says of a proposal, signed with their wallet, for everybody to read.

A review is a manifest like any other. Nobody has to permit it, and nobody can change it. But neither a chain nor a
server lists them: whoever looks for reviews finds those whose hashes somebody passed on, and those in a store that can
tell what it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from llamafund_chain.campaign.attestation import domain_of
from llamafund_chain.chain.known_accounts import require_own_key
from llamafund_chain.chain.signatures import DOMAIN_FIELDS, digest_of, usual_form
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import sha256_of_raw_cid
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES, ReviewManifest, parse_head
from llamafund_chain.files import read_text

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.chain.connection import Block

MAX_FILE_BYTES = 256 * 1024
MAX_CHARACTERS = 20_000
"""Most characters of a review's text, as in its manifest."""

STRUCT = [
    {"name": "proposal", "type": "bytes32"},
    {"name": "written", "type": "uint64"},
    {"name": "text", "type": "string"},
]


@runtime_checkable
class Listed(Protocol):
    """A store that can tell what it has."""

    def sizes(self) -> dict[str, int]:
        """The bytes of each content, by its address."""

    def read(self, cid: str, *, limit: int) -> bytes:
        """A content's bytes."""


@dataclass(frozen=True)
class Review:
    """A review whose signature was looked at.

    Attributes:
        sha256: Of its manifest.
        manifest: What it says; `None` where nobody signed that, or where it is unknown.
        verdict: Genuine, refused (it is not what it says it is), or unchecked (that could not be told).
        problem: Why it is not genuine; empty if it is.
        pledge: Smallest units that the reviewer has pledged to the campaign at the block; `None` without a manifest.
    """

    sha256: str
    manifest: ReviewManifest | None
    verdict: Literal["genuine", "refused", "unchecked"]
    problem: str = ""
    pledge: int | None = None

    @property
    def reviewer(self) -> str:
        """Checksummed address of whoever wrote it; empty without a manifest."""
        from eth_utils import to_checksum_address

        return "" if self.manifest is None else str(to_checksum_address(self.manifest.reviewer))


def typed_data(chain_id: int, campaign: str, proposal: str, written: int, text: str) -> dict[str, Any]:
    """The EIP-712 document that a reviewer's wallet shows and signs.

    Args:
        chain_id: EIP-155 number.
        campaign: Address of the campaign.
        proposal: SHA-256 of the proposal, 64 hexadecimal digits.
        written: Unix seconds.
        text: The whole review.
    """
    return {
        "types": {"EIP712Domain": DOMAIN_FIELDS, "Review": STRUCT},
        "primaryType": "Review",
        "domain": domain_of(chain_id, campaign),
        "message": {"proposal": f"0x{proposal}", "written": written, "text": text},
    }


def read_review(path: Path) -> str:
    """The text of a review.

    Args:
        path: Markdown in UTF-8.

    Raises:
        UsageError: There is no such file, it is not text, or it is empty or too long.
    """
    text = read_text(path, MAX_FILE_BYTES).strip()
    if not 0 < len(text) <= MAX_CHARACTERS:
        raise UsageError(
            f"The text of {str(path)!r} has {len(text)} characters",
            f"A review has 1 to {MAX_CHARACTERS}",
            "Publish a longer text as a file, and name its hash",
        )
    return text


def write_review(client: CampaignClient, account: BaseAccount, text: str, written: int) -> ReviewManifest:
    """Sign a review of the campaign's proposal.

    Args:
        client: The campaign.
        account: The reviewer.
        text: Markdown, of at most `MAX_CHARACTERS`.
        written: Now, unix seconds.

    Raises:
        UsageError: The account signs elsewhere, or no typed data, or everybody has its key.
        VerificationError: Its signer returned something else.
    """
    from llamafund_chain.chain.signers import typed_signature

    chain_id, proposal, reviewer = client.connection.chain_id, client.terms.proposal, str(account.address)
    require_own_key(reviewer, chain_id)
    signature = typed_signature(account, typed_data(chain_id, client.address, proposal, written, text))
    return ReviewManifest(
        campaign=client.caip10, proposal=proposal, reviewer=reviewer, written=written, text=text, signature=signature
    )


def find_reviews(store: object, campaign: str) -> Iterator[str]:
    """The hashes of the reviews that a store has of a campaign, whoever wrote them.

    Args:
        store: One that can tell what it has, as a folder can. Each of its contents that may be a manifest is read.
        campaign: The campaign with its chain (CAIP-10).

    Raises:
        UsageError: The store cannot tell what it has.
        LlamafundError: It cannot be read.
    """
    if not isinstance(store, Listed):
        raise UsageError(
            "That store cannot tell what it has", "Only a folder can", "Fetch the reviews whose hashes you know"
        )
    for cid, size in store.sizes().items():
        if size > MAX_MANIFEST_BYTES:
            continue
        try:
            manifest = parse_head(store.read(cid, limit=MAX_MANIFEST_BYTES), sha256=sha256_of_raw_cid(cid))
        except (UsageError, VerificationError):
            # Most content is no manifest, or has another kind of address.
            continue
        if isinstance(manifest, ReviewManifest) and manifest.campaign.lower() == campaign.lower():
            yield manifest.sha256


def check_reviews(
    client: CampaignClient,
    found: Iterable[tuple[str, ReviewManifest | LlamafundError]],
    at: Block | None = None,
) -> tuple[Review, ...]:
    """Reviews with what became of their check, newest first by what they say themselves.

    Args:
        client: The campaign.
        found: Each hash with its manifest, or with why there is none.
        at: The block at which pledges are read; `None` for the latest.

    Raises:
        NodeError: The node does not answer.
    """
    block = client.connection.block() if at is None else at
    checked = [
        _without(sha256, manifest) if isinstance(manifest, LlamafundError) else _check(client, sha256, manifest)
        for sha256, manifest in dict(found).items()
    ]
    reviewers = [one.reviewer for one in checked if one.reviewer]
    pledges = iter(client.pledges_of(reviewers, block.number) if reviewers else ())
    told = [one if one.manifest is None else replace(one, pledge=next(pledges)) for one in checked]
    return tuple(sorted(told, key=lambda one: -1 if one.manifest is None else one.manifest.written, reverse=True))


def _without(sha256: str, why: LlamafundError) -> Review:
    return Review(sha256, None, "refused" if isinstance(why, VerificationError) else "unchecked", str(why))


def _check(client: CampaignClient, sha256: str, manifest: ReviewManifest) -> Review:
    from eth_account.messages import encode_typed_data

    if manifest.campaign.lower() != client.caip10.lower():
        return Review(sha256, None, "refused", f"It is a review of {manifest.campaign}.")
    if manifest.proposal != client.terms.proposal:
        return Review(sha256, None, "refused", f"It reviews another proposal, {manifest.proposal}.")
    document = typed_data(
        client.connection.chain_id, client.address, manifest.proposal, manifest.written, manifest.text
    )
    digest, signature = digest_of(encode_typed_data(full_message=document)), bytes.fromhex(manifest.signature[2:])
    if usual_form(digest, signature, manifest.reviewer):
        return Review(sha256, manifest, "genuine")
    if not client.connection.code(manifest.reviewer):
        return Review(sha256, None, "refused", f"{manifest.reviewer} did not sign it.")
    if client.accepts_signature(manifest.reviewer, digest, signature):
        return Review(sha256, manifest, "genuine")
    # A wallet contract may have had other owners when the review was written.
    return Review(sha256, None, "unchecked", f"The wallet contract {manifest.reviewer} did not confirm its signature.")
