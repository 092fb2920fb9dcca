"""When attestations and challenges came: by the headers of their blocks, and by what the contract wrote down itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from llamafund_chain.audit.timeline import Story
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.chain.connection import Block
from llamafund_chain.chain.headers import Header
from llamafund_chain.chain.node_errors import LaggingError, PrunedError, RpcError
from llamafund_chain.checks.check import Finding, contradicts
from llamafund_chain.times import when


class Written(NamedTuple):
    """What the contract had written down in a state.

    Attributes:
        attested: Number of attested milestones.
        at: Time of the latest attestation, unix seconds.
    """

    attested: int
    at: int


def written_after(client: CampaignClient, blocks: Sequence[Block]) -> list[Written | None]:
    """What the contract had written down right after each of some blocks; `None` where the node has no such state.

    Raises:
        NodeError: The node does not answer.
        VerificationError: What is at the campaign's address answers with something else.
    """
    try:
        states = client.connection.read_past([([client.view("ledger")], block) for block in blocks])
    except (LaggingError, PrunedError):
        return [None] * len(blocks)
    return [None if isinstance(answer, RpcError) else _written(client.shown("ledger", answer)) for (answer,) in states]


def _written(ledger: Sequence[int]) -> Written:
    _, attested_at, _, _, attested, *_ = ledger
    return Written(attested, attested_at)


def attestations_dated(
    story: Story, state: CampaignState, header_at: Callable[[int], Header], written: Sequence[Written | None]
) -> Finding | None:
    """Whether attestations and challenges have the time of their blocks by the contract's own record, too.

    Deadlines and windows count from these times, which come from headers. `None` if there was neither.

    Args:
        story: The campaign's events, added up.
        state: The contract's state at the block of the audit.
        header_at: The header of a block.
        written: What the contract had written down right after each attestation; `None` where that cannot be read.
    """
    if story.misdated is not None:
        block, by_header, by_event = story.misdated
        return contradicts(
            f"It dates block {block} {when(by_header)}, and a challenge in it says that it came {when(by_event)}"
        )
    if not story.attested:
        return None
    unread = []
    for index, (one, record) in enumerate(zip(story.attested, written, strict=True)):
        early, late = (header_at(min(max(one.block + step, 0), state.block)) for step in (-1, 1))
        if not early.timestamp <= one.at <= late.timestamp:
            return contradicts(
                f"It dates block {one.block}, with the attestation of milestone {index}, {when(one.at)}, and the "
                f"blocks around it {when(early.timestamp)} and {when(late.timestamp)}"
            )
        if record is None and index == len(story.attested) - 1:
            record = Written(state.attested, state.attested_at)
        if record is None:
            unread.append(index)
        elif record != Written(index + 1, one.at):
            return contradicts(
                f"It dates the attestation of milestone {index} {when(one.at)}, and the contract's record right after "
                f"block {one.block} has {record.attested} attested, the last {when(record.at)}"
            )
    if unread:
        return Finding(
            "warn",
            f"The node keeps no state from which the contract's own record of milestone {', '.join(map(str, unread))} "
            "could be read: when that was attested, its headers alone say. An archive node tells, or --prove-logs",
        )
    return Finding("pass", f"{len(story.attested)} attested when their blocks' headers say, by the contract's record")
