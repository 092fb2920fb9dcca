"""When attestations came, by headers and by the contract: each comparison at its very second and number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from small_campaign import FIRST, SECOND, state, terms

from llamafund_chain.audit.dates import Written, attestations_dated, written_after
from llamafund_chain.audit.timeline import AttestedMilestone, Misdated, Story, tell
from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.terms import MilestoneKind
from llamafund_chain.chain.connection import Block
from llamafund_chain.chain.node_errors import LaggingError, PrunedError, RpcError
from llamafund_chain.checks.check import Finding
from llamafund_chain.errors import NodeError, NodeUnreachableError

BLOCKS = {6: FIRST - 2, 7: FIRST - 1, 8: FIRST + 1, 9: SECOND - 1}
SAID = Attestation(0, MilestoneKind.DATASET, "aa" * 32, "11" * 32, "cc" * 32, 1, 0, SECOND)
STORY = replace(
    tell(terms(), (), int),
    attested=tuple(AttestedMilestone(SAID, 1, BLOCKS[block], 0, block, "dd" * 32) for block in (7, 9)),
)
WRITTEN = (Written(1, FIRST - 1), Written(2, SECOND - 1))


def found(
    story: Story = STORY, written: Sequence[Written | None] = WRITTEN, times: dict[int, int] | None = None, **seen: Any
) -> Finding | None:
    at = {**BLOCKS, **(times or {})}
    now = state(**{"block": 9, "attested": 2, "attested_at": SECOND - 1, **seen})
    return attestations_dated(story, now, lambda block: SimpleNamespace(timestamp=at[block]), written)  # type: ignore[arg-type, return-value]


def status(*args: Any, **more: Any) -> str:
    told = found(*args, **more)
    assert told is not None
    assert (told.contradiction is not None) is (told.status == "unchecked")
    return told.status


def test_what_headers_and_contract_say_alike_passes_and_nothing_is_nothing_to_judge() -> None:
    assert status() == "pass"
    assert found(replace(STORY, attested=()), ()) is None


def test_a_blocks_time_lies_between_those_of_its_neighbours() -> None:
    assert status(times={6: FIRST - 1, 8: FIRST - 1}) == "pass", "several blocks of some chains have one time"
    assert status(times={6: FIRST}) == "unchecked"
    assert status(times={8: FIRST - 2}) == "unchecked"
    assert status(times={8: SECOND}) == "unchecked", "the second one, too"


def test_there_is_no_block_before_the_first_one() -> None:
    (first, _) = STORY.attested
    alone = replace(STORY, attested=(replace(first, block=0),))
    assert status(alone, WRITTEN[:1], {0: FIRST - 1, 1: FIRST}) == "pass"


def test_the_contracts_record_names_number_and_second() -> None:
    for place, wrong in ((0, Written(1, FIRST)), (0, Written(2, FIRST - 1)), (1, Written(2, SECOND)), (1, WRITTEN[0])):
        written = [wrong if place == index else one for index, one in enumerate(WRITTEN)]
        assert status(written=written) == "unchecked", wrong


def test_of_the_last_one_the_state_of_the_audit_tells_too() -> None:
    assert status(written=(WRITTEN[0], None)) == "pass"
    assert status(written=(WRITTEN[0], None), attested_at=SECOND) == "unchecked"
    assert status(written=(WRITTEN[0], None), attested=1) == "unchecked"
    told = found(written=(None, None))
    assert told is not None
    assert told.status == "warn"
    assert "of milestone 0 could" in told.detail


def test_a_record_that_is_missing_hides_no_wrong_one() -> None:
    assert status(written=(None, Written(2, SECOND))) == "unchecked"


def test_a_challenge_that_is_dated_twice_is_told_even_without_an_attestation() -> None:
    twice = replace(STORY, attested=(), misdated=Misdated(8, FIRST, FIRST + 1))
    assert status(twice, ()) == "unchecked"


# What the contract says ---------------------------------------------------------------------------------------------

HEAD = Block(7, "ab" * 32, FIRST)


def client(answers: Callable[[], list[list[Any]]]) -> Any:
    """A campaign of which a node says so much."""
    connection = SimpleNamespace(read_past=lambda parts: answers())
    return SimpleNamespace(connection=connection, view=lambda name: name, shown=lambda name, answer: answer)


def test_the_record_is_the_number_of_milestones_and_the_time_of_the_last_one() -> None:
    ledger = (100, FIRST, 5, 6, 2, True, False, False, False)
    refused = RpcError("node", -32000, "no such state", None)
    assert written_after(client(lambda: [[ledger], [refused]]), [HEAD, HEAD]) == [Written(2, FIRST), None]


@pytest.mark.parametrize("error", [PrunedError("gone"), LaggingError("not there")])
def test_a_node_without_the_states_says_nothing(error: NodeError) -> None:
    def fail() -> list[list[Any]]:
        raise error

    assert written_after(client(fail), [HEAD, HEAD]) == [None, None]


def test_a_node_that_does_not_answer_ends_the_audit() -> None:
    def fail() -> list[list[Any]]:
        raise NodeUnreachableError("nothing there")

    with pytest.raises(NodeUnreachableError):
        written_after(client(fail), [HEAD])
