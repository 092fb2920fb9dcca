"""Further nodes, which must say the same: header by header, log by log, value by value, proof by proof."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest

from llamafund_chain.audit.node.state import ProofsRefusedError, StateProver
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.header_book import read_headers
from llamafund_chain.chain.headers import HASHED, Header
from llamafund_chain.chain.networks import chain_title
from llamafund_chain.chain.node_errors import LaggingError, PrunedError
from llamafund_chain.chain.state_proofs import ProofError
from llamafund_chain.chain.transactions import Log
from llamafund_chain.checks.check import Finding, contradicts
from llamafund_chain.errors import LlamafundError, NodeError


@dataclass(frozen=True)
class Said:
    """What the first node said, and the others must say too.

    Attributes:
        client: The campaign, through the first node.
        head: The block at which everything was read.
        headers: All headers that were used.
        code: The campaign's code.
        first: Block from which logs were searched; `None` if none were.
        topics: First topics of those logs, hexadecimal with 0x.
        logs: The logs, in order.
        state: The campaign's state; `None` if it could not be read.
        pledges: Each backer's pledge.
        words: The campaign's stored words that were proven, by slot, with what each is; empty if none were.
    """

    client: CampaignClient
    head: Header
    headers: Sequence[Header]
    code: bytes
    first: int | None
    topics: Collection[str]
    logs: Sequence[Log]
    state: CampaignState | None
    pledges: Mapping[str, int]
    words: Mapping[int, tuple[str, int]]


def other_says_the_same(url: str, said: Said, progress: Callable[[str], None]) -> Finding:
    """Whether another node says the same as the first one.

    What it does not answer is unchecked. What it answers otherwise, or cannot answer because it is behind or has thrown
    it away, contradicts the first node.

    Args:
        url: Its address.
        said: What the first node said.
        progress: Called with a short sentence before anything slow.
    """
    try:
        other = Connection(url)
    except LlamafundError as error:
        return Finding("unchecked", f"A further node could not be asked: {error}")
    progress(f"Asking {other.shown_url} the same")
    ours = said.client.connection.chain_id
    if other.chain_id != ours:
        return _apart(said, other, f"the first is of {chain_title(ours)}, the other of {chain_title(other.chain_id)}")
    try:
        differing = next(_differences(other, said), None)
    except (LaggingError, PrunedError, ProofError) as error:
        return _apart(said, other, f"the second one cannot show what the first one said. {error}")
    except NodeError as error:
        return Finding("unchecked", f"A further node did not answer everything: {error}")
    if differing is not None:
        return _apart(said, other, differing)
    parts = [f"{len(said.headers)} headers", f"{len(said.logs)} logs", "code and state"]
    if said.words:
        parts.append(f"proofs of {len(said.words)} words")
    return Finding("pass", f"{other.shown_url} says the same: {', '.join(parts)}")


def _apart(said: Said, other: Connection, how: str) -> Finding:
    first, second = said.client.connection.shown_url, other.shown_url
    return contradicts(f"{first} and {second} contradict each other: {how}", whom="each other")


def _differences(other: Connection, said: Said) -> Iterator[str]:
    """What the other node says otherwise, the first things first."""
    for ours, theirs in zip(said.headers, read_headers(other, [header.number for header in said.headers]), strict=True):
        if ours.hash != theirs.hash:
            yield f"block {ours.number} is 0x{ours.hash} for the first, 0x{theirs.hash} for the second"
        if ours.check == theirs.check == "recomputed":
            continue
        for name in HASHED:
            # Which fields it adds is each client's own affair.
            if name in theirs.fields and ours.fields.get(name, theirs.fields[name]) != theirs.fields[name]:
                yield f"the header of block {ours.number} has another {name}"
    address = said.client.address
    if other.code(address, said.head.number) != said.code:
        yield "the code at the campaign's address differs"
    if said.first is not None:
        yield from _logs_apart(other, said, said.first)
    client = CampaignClient(other, address, said.client.salt)
    if said.state is not None:
        ours_, theirs_ = asdict(said.state), asdict(client.state(said.head.number))
        for name in (name for name in ours_ if ours_[name] != theirs_[name]):
            yield f"{name.replace('_', ' ')} is {ours_[name]} for the first, {theirs_[name]} for the second"
    backers = list(said.pledges)
    for backer, pledge in zip(backers, client.pledges_of(backers, said.head.number) if backers else (), strict=True):
        if pledge != said.pledges[backer]:
            yield f"the pledge of {backer} is {said.pledges[backer]} for the first, {pledge} for the second"
    if said.words:
        yield from _proofs_apart(client, said)


def _logs_apart(other: Connection, said: Said, first: int) -> Iterator[str]:
    found = other.logs(said.client.address, topics=[sorted(said.topics)], first=first, last=said.head.number)
    for ours, theirs in zip_longest(said.logs, found):
        if ours == theirs:
            continue
        one = ours if theirs is None or (ours is not None and _place(ours) <= _place(theirs)) else theirs
        assert one is not None
        if ours is not None and theirs is not None and _place(ours) == _place(theirs):
            yield f"log {one.index} of block {one.block} differs"
        else:
            yield f"log {one.index} of block {one.block} is known to the {'first' if one is ours else 'second'} alone"


def _place(log: Log) -> tuple[int, int]:
    return log.block, log.index


def _proofs_apart(client: CampaignClient, said: Said) -> Iterator[str]:
    """Ask for the same proofs, which are checked against the same state root."""
    prover = StateProver(client, said.head, lambda _: None)
    try:
        values = prover.stored({slot: what for slot, (what, _) in said.words.items()})
    except ProofsRefusedError as error:
        raise NodeError(f"The node at {client.connection.shown_url} gives no proofs", str(error)) from error
    for (what, ours), theirs in zip(said.words.values(), values, strict=True):
        if ours != theirs:
            yield f"the {what} is proven to be {ours} by the first, {theirs} by the second"
