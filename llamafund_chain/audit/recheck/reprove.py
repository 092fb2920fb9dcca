"""Checks the proofs that a report carries: headers by their hashes, and what the campaign stores by the state root.

The events that a report carries must add up to what the state has: every backer's pledge, every payee's claims and
the votes. So none that decides can have been left out or put in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from llamafund_chain.audit.ledger import Ledger
from llamafund_chain.audit.model import AuditReport
from llamafund_chain.audit.pack import EvidencePack
from llamafund_chain.audit.proof_pack import PackedHeader, ProofPack
from llamafund_chain.audit.timeline import Story
from llamafund_chain.campaign import storage
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain.headers import Header, read_header
from llamafund_chain.chain.state_proofs import Nodes, ProvenAccount, prove_account, prove_word
from llamafund_chain.errors import LlamafundError

UNREADABLE = (LlamafundError, ValueError, LookupError, ArithmeticError, TypeError)
"""What nonsense from a stranger ends in."""

ItemStatus = Literal["holds", "broken", "unknown"]
"""Whether something holds, does not hold, or could not be told."""


@dataclass(frozen=True)
class Item:
    """One thing that a report says, checked again.

    Attributes:
        item: Its name, for example `books` or `signature-0-2`.
        status: What came out.
        detail: One sentence.
    """

    item: str
    status: ItemStatus
    detail: str


def proof_items(
    report: AuditReport, pack: EvidencePack, terms: Terms, story: Story | None, block_hash: str | None
) -> Iterator[Item]:
    """What the proofs show.

    Args:
        report: From whomever.
        pack: Its evidence.
        terms: From the code in it.
        story: Its events, added up; `None` if they cannot be.
        block_hash: Of the audited block, from elsewhere, 64 hexadecimal digits; `None` if the reader has none.
    """
    proofs = report.proofs
    if proofs is None:
        detail = f"Whether block {report.block} of {report.chain} has these events: the report carries no proof of it"
        yield Item("chain", "unknown", detail)
        return
    try:
        head = _header(proofs.head)
    except UNREADABLE as error:
        yield Item("header", "broken", f"The block's header makes no sense: {error}")
        return
    header = _head_item(report, head)
    yield header
    yield _times_item(pack, proofs)
    if header.status != "holds" or head.state_root is None:
        yield Item("state", "unknown", "Without the block's header nothing can be proven from its state root")
        return
    try:
        words = _proven_words(report, pack, proofs, head.state_root)
    except UNREADABLE as error:
        yield Item("state", "broken", f"The proofs do not prove what they came with: {error}")
        return
    yield Item("state", "holds", f"The code and {len(words)} stored words follow from the block's state root")
    if story is not None:
        yield _stored_item(terms, story, words)
    yield _chain_item(report, block_hash)


def _header(packed: PackedHeader) -> Header:
    return read_header({**packed.fields, "hash": packed.hash}, "the report")


def _head_item(report: AuditReport, head: Header) -> Item:
    if head.hash != report.block_hash or head.number != report.block or head.timestamp != report.time.timestamp():
        return Item("header", "broken", "The header that the report carries is another block's")
    if head.check == "recomputed":
        return Item("header", "holds", f"The hash of block {report.block} follows from its header")
    if head.check == "different":
        return Item("header", "broken", f"The hash of block {report.block} does not follow from its header")
    return Item("header", "unknown", "The header has fields of its chain's own, so its hash cannot be recomputed")


def _times_item(pack: EvidencePack, proofs: ProofPack) -> Item:
    times: dict[int, int] = {}
    try:
        for packed in (proofs.head, *proofs.headers):
            header = _header(packed)
            if header.check == "different":
                return Item("times", "broken", f"The hash of block {header.number} does not follow from its header")
            times[header.number] = header.timestamp
    except UNREADABLE as error:
        return Item("times", "broken", f"A header makes no sense: {error}")
    wrong = [one.block for one in pack.times if times.get(one.block, one.time) != one.time]
    if wrong:
        return Item("times", "broken", f"By its header, block {wrong[0]} was made at another time")
    missing = [one.block for one in pack.times if one.block not in times]
    if missing:
        return Item("times", "unknown", f"The header of block {missing[0]} is not carried, so its time is not shown")
    return Item("times", "holds", f"The times of {len(pack.times)} blocks are those in their headers")


def _proven_words(report: AuditReport, pack: EvidencePack, proofs: ProofPack, root: bytes) -> Mapping[int, int]:
    """The campaign's stored words by slot.

    Raises:
        LlamafundError: Something is not proven.
    """
    from eth_utils import keccak

    nodes = Nodes()
    for node in proofs.nodes:
        nodes.add([node])
    campaign: ProvenAccount | None = None
    for said in proofs.accounts:
        found = prove_account(root, said.address, nodes)
        shown = (found.nonce, str(found.balance), f"0x{found.storage_root.hex()}", f"0x{found.code_hash.hex()}")
        if shown != (said.nonce, said.balance, said.storage_root, said.code_hash):
            raise LlamafundError(f"The state has another account at {said.address}")
        if said.address.lower() == report.campaign.lower():
            campaign = found
    if campaign is None:
        raise LlamafundError("The campaign's account is not among them")
    if campaign.code_hash != keccak(bytes.fromhex(pack.code[2:])):
        raise LlamafundError("The state has other code at the campaign's address")
    words = {}
    for word in proofs.words:
        slot, value = int(word.slot, 16), int(word.value, 16)
        if prove_word(campaign.storage_root, slot, nodes) != value:
            raise LlamafundError(f"The state has another word as {word.what}")
        words[slot] = value
    return words


def _stored_item(terms: Terms, story: Story, words: Mapping[int, int]) -> Item:
    """Whether the events add up to what the campaign stores, backer by backer."""
    ledger = story.ledger
    wanted = _wanted(terms, ledger)
    missing = [what for slot, (what, _) in wanted.items() if slot not in words]
    if missing:
        return Item("stored", "unknown", f"Not proven: {missing[0]}, and {len(missing) - 1} more")
    wrong = [what for slot, (what, value) in wanted.items() if _masked(slot, words[slot]) != value]
    stored = storage.ledger_in(words[storage.LEDGER])
    if (stored.pledged, stored.attested, stored.slack_used, stored.active) != (
        ledger.pledged,
        len(ledger.attested_at),
        ledger.slack_used,
        ledger.activated,
    ):
        wrong.insert(0, "the ledger")
    if wrong:
        return Item("stored", "broken", f"The events do not add up to what the state has: {', '.join(wrong[:4])}")
    detail = f"The events add up to the proven state: {len(ledger.backers)} pledges, all claims, votes and attestations"
    return Item("stored", "holds", detail)


def _wanted(terms: Terms, ledger: Ledger) -> dict[int, tuple[str, int]]:
    """What the events say is stored, by slot."""
    wanted = {storage.LEDGER: ("the ledger", 0), storage.VOTES: ("the votes", ledger.stop_support)}
    for payee in range(len(terms.payees)):
        wanted[storage.claimed_slot(payee)] = (f"the claims of payee {payee}", ledger.claims.get(payee, 0))
    for backer in ledger.backers:
        pledge = 0 if backer in ledger.refunds else ledger.pledge_of(backer)
        wanted[storage.backer_slot(backer)] = (f"the pledge of {backer}", pledge)
    return wanted


def _masked(slot: int, word: int) -> int:
    """The amount in a word; of the ledger, which is compared part by part, nothing."""
    return 0 if slot == storage.LEDGER else word & (1 << 128) - 1


def _chain_item(report: AuditReport, block_hash: str | None) -> Item:
    if block_hash is None:
        detail = (
            f"That block {report.block} of {report.chain} has the hash 0x{report.block_hash}: compare it with a node "
            "or an explorer that you trust"
        )
        return Item("chain", "unknown", detail)
    if block_hash != report.block_hash:
        return Item("chain", "broken", f"The audited block has the hash 0x{report.block_hash}, not the one you gave")
    return Item("chain", "holds", "The audited block has the hash that you gave")
