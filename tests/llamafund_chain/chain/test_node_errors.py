"""Each error of a node means what it means, whoever words it."""

from __future__ import annotations

import pytest
from node_answers import (
    BATCHES,
    BLOCK_LIMITS,
    BUSY,
    NOT_THERE_YET,
    PRUNED,
    RATE_LIMITS,
    REFUSALS,
    RESULT_LIMITS,
    REVERTS,
    UNKNOWN_TAGS,
    Said,
)

from llamafund_chain.chain.node_errors import (
    BatchRefusedError,
    BusyError,
    LaggingError,
    LimitError,
    PrunedError,
    RateLimitedError,
    RpcError,
    UnsupportedTagError,
    meaning_of,
)
from llamafund_chain.errors import ExitCode, NodeError

CALL = ({"to": "0x00", "data": "0x"}, "0x10")


def meaning(said: Said, method: str = "eth_call", params: tuple[object, ...] = CALL) -> NodeError:
    return meaning_of(method, params, said.error, node="http://node", status=said.status)


@pytest.mark.parametrize("said", [said for said in RATE_LIMITS if "EIP" not in said.who], ids=lambda said: said.who)
@pytest.mark.parametrize("method", ["eth_getLogs", "eth_call", "eth_getBlockByNumber"])
def test_a_rate_limit_is_one_in_every_providers_words(said: Said, method: str) -> None:
    found = meaning(said, method)
    assert type(found) is RateLimitedError
    assert "finality" not in str(found)
    assert found.hopeless == ("a day" in said.who)


def test_what_means_two_things_depends_on_the_request() -> None:
    (said,) = (said for said in RATE_LIMITS if "EIP" in said.who)
    assert type(meaning(said, "eth_call")) is RateLimitedError
    assert type(meaning(said, "eth_getLogs")) is LimitError


@pytest.mark.parametrize(("said", "blocks"), BLOCK_LIMITS, ids=lambda value: getattr(value, "who", None))
def test_a_limit_on_blocks_is_read_with_its_number(said: Said, blocks: int | None) -> None:
    found = meaning(said, "eth_getLogs", ({},))
    assert isinstance(found, LimitError)
    assert (found.kind, found.blocks) == ("blocks", blocks)


@pytest.mark.parametrize(("said", "blocks"), RESULT_LIMITS, ids=lambda value: getattr(value, "who", None))
def test_a_limit_on_results_is_none_on_blocks(said: Said, blocks: int | None) -> None:
    found = meaning(said, "eth_getLogs", ({},))
    assert isinstance(found, LimitError)
    assert (found.kind, found.blocks) == ("results", blocks)


@pytest.mark.parametrize("said", NOT_THERE_YET, ids=lambda said: said.who)
@pytest.mark.parametrize("method", ["eth_getLogs", "eth_call"])
def test_a_block_that_is_not_there_yet_is_no_finding(said: Said, method: str) -> None:
    assert type(meaning(said, method)) is LaggingError


@pytest.mark.parametrize("said", PRUNED, ids=lambda said: said.who)
def test_a_node_that_forgot_an_old_state_is_told_apart(said: Said) -> None:
    assert type(meaning(said, "eth_getCode")) is PrunedError


@pytest.mark.parametrize("said", UNKNOWN_TAGS, ids=lambda said: said.who)
@pytest.mark.parametrize("tag", ["pending", "finalized"])
def test_a_name_of_a_block_that_a_node_does_not_know_is_told_apart(said: Said, tag: str) -> None:
    found = meaning(said, "eth_call", ({}, tag))
    assert isinstance(found, UnsupportedTagError)
    assert found.tag == tag


@pytest.mark.parametrize("said", REVERTS, ids=lambda said: said.who)
def test_a_revert_is_nothing_else_whatever_the_contract_says(said: Said) -> None:
    found = meaning(said)
    assert type(found) is RpcError
    assert found.data == said.data


@pytest.mark.parametrize("said", REFUSALS, ids=lambda said: f"{said.who} {said.code}")
def test_a_refusal_stays_a_refusal(said: Said) -> None:
    assert type(meaning(said)) is RpcError


@pytest.mark.parametrize("said", BUSY, ids=lambda said: f"{said.who} {said.code}")
def test_a_busy_node_may_answer_later(said: Said) -> None:
    found = meaning(said)
    assert isinstance(found, BusyError)
    assert not found.hopeless


@pytest.mark.parametrize(("said", "most"), BATCHES, ids=lambda value: getattr(value, "who", None))
def test_a_refused_batch_is_told_apart(said: Said, most: int | None) -> None:
    found = meaning(said)
    assert isinstance(found, BatchRefusedError)
    assert found.most == most


def test_a_node_that_says_how_long_to_wait_is_heard() -> None:
    waits = {said.who: getattr(meaning(said), "wait", None) for said in RATE_LIMITS}
    assert waits["Chainstack"] == 1.2
    assert waits["Infura"] == 30
    assert meaning_of("eth_call", CALL, {"code": 429}, node="n", wait=7).wait == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [None, 1, "words", [], {}, {"code": True}, {"code": "x", "message": 5, "data": [1]}])
def test_nonsense_is_a_refusal(error: object) -> None:
    assert isinstance(meaning_of("eth_call", CALL, error, node="n"), RpcError)


def test_no_trouble_of_a_node_ends_as_a_failed_verification() -> None:
    groups = (RATE_LIMITS, NOT_THERE_YET, PRUNED, UNKNOWN_TAGS, REFUSALS, BUSY)
    limits = [said for said, _ in (*BLOCK_LIMITS, *RESULT_LIMITS, *BATCHES)]
    for said in (*(said for group in groups for said in group), *limits):
        for method in ("eth_call", "eth_getLogs"):
            assert meaning(said, method, ({}, "finalized")).exit_code is not ExitCode.VERIFICATION_FAILED
