"""Commands that read say the same through a node that misbehaves, or say that it is the node: never anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faulty_node import Fault, FaultyNode, answers, behind, drop, once
from node_answers import BLOCK_LIMITS, NOT_THERE_YET, PRUNED, RATE_LIMITS, RESULT_LIMITS, UNKNOWN_TAGS, Said
from review_examples import signed_review

from llamafund_chain.chain import nodes
from llamafund_chain.chain.connection import Connection
from llamafund_chain.errors import ExitCode
from llamafund_chain.store.content import publish_manifest

COMMANDS = {
    "show": lambda stage: ("campaign", "show", stage.client.address, "--json"),
    "list": lambda stage: ("campaign", "list", "--json"),
    "mine": lambda stage: ("mine", "--backer", stage.backers[0].address, "--json"),
    "people": lambda stage: ("people", stage.backers[0].address, "--json"),
    "inspect": lambda stage: ("inspect", stage.client.address, "--store", stage.run.store.location, "--json"),
    "reviews": lambda stage: (
        *(
            "review",
            "list",
            stage.client.address,
            publish_manifest(stage.run.store, signed_review(stage, b"\x07" * 32)),
        ),
        *("--store", stage.run.store.location, "--json"),
    ),
    "verify-deployment": lambda stage: ("verify-deployment", stage.client.address, "--json"),
}
BRIEF = {name: COMMANDS[name] for name in ("show", "list")}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(nodes, "sleep", made.append)
    return made


@pytest.fixture
def read(attested, llamafund) -> Callable[..., tuple[Any, int]]:
    """Runs a command through a faulty node; what it printed, and how many requests it made."""

    def run(name: str, fault: Fault | None = None, *, code: int = 0, batches: bool = True) -> tuple[Any, int]:
        with FaultyNode(attested.devnet.rpc_url, fault, batches=batches) as node:
            ran = llamafund(*COMMANDS[name](attested), "--rpc", node.url)
        assert ran.code == code, ran.stderr
        assert "Traceback" not in ran.stderr
        return (ran.json if code == 0 else ran.stderr), node.count

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_a_connection_that_breaks_at_any_request_changes_nothing(read, name: str) -> None:
    clean, count = read(name)
    for number in range(1, count):
        assert read(name, once(number, drop)) == (clean, count + 1), f"request {number}"


@pytest.mark.parametrize("said", [said for said in RATE_LIMITS if "a day" not in said.who], ids=lambda said: said.who)
@pytest.mark.parametrize("name", BRIEF)
def test_a_rate_limit_at_any_request_changes_nothing(read, name: str, said: Said) -> None:
    clean, count = read(name)
    for number in range(count):
        assert read(name, once(number, answers(said)))[0] == clean, f"request {number}"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_node_that_always_limits_is_blamed_and_nothing_else(read, name: str) -> None:
    for said in RATE_LIMITS:
        told, _ = read(name, answers(said), code=ExitCode.NODE_UNREACHABLE)
        assert "limits how often" in told
        assert "--finality" not in told


@pytest.mark.parametrize("name", BRIEF)
def test_a_block_that_is_not_there_yet_changes_nothing(read, name: str) -> None:
    clean, count = read(name)
    for number in range(count):
        assert read(name, once(number, answers(NOT_THERE_YET[0])))[0] == clean, f"request {number}"


@pytest.mark.parametrize("method", ["eth_getLogs", "eth_call", "eth_getCode", "eth_getBalance"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_method_that_lags_behind_the_others_is_waited_for(read, name: str, method: str) -> None:
    clean, _ = read(name)
    assert read(name, behind(2, frozenset({method}), 7))[0] == clean


@pytest.mark.parametrize("method", ["eth_getLogs", "eth_call"])
@pytest.mark.parametrize("name", BRIEF)
def test_a_method_that_stays_behind_accuses_nobody(read, name: str, method: str) -> None:
    told, _ = read(name, behind(3, frozenset({method}), 10**6), code=ExitCode.NODE_UNREACHABLE)
    assert "do not send money" not in told.lower()


@pytest.mark.parametrize(
    ("said", "blocks"), [*BLOCK_LIMITS, *RESULT_LIMITS], ids=lambda value: getattr(value, "who", None)
)
def test_a_limit_on_searches_changes_nothing(read, said: Said, blocks: int | None) -> None:
    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        filter_ = request["params"][0] if request["method"] == "eth_getLogs" else {}
        if "toBlock" in filter_ and int(filter_["toBlock"], 16) - int(filter_["fromBlock"], 16) >= 7:
            return {"jsonrpc": "2.0", "id": request["id"], "error": said.error}
        return forward(request)

    clean, _ = read("show")
    assert read("show", fault)[0] == clean


@pytest.mark.parametrize("name", COMMANDS)
def test_a_node_without_batches_or_hashes_is_read_one_by_one(read, name: str) -> None:
    def old(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if (
            request["params"]
            and isinstance(request["params"][-1], dict)
            and "requireCanonical" in request["params"][-1]
        ):
            invalid = {"code": -32602, "message": "invalid argument 1: json: cannot unmarshal object into Go value"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": invalid}
        return forward(request)

    clean, _ = read(name)
    assert read(name, old, batches=False)[0] == clean


def test_a_node_without_finality_is_read_all_the_same(read) -> None:
    clean, _ = read("show")
    for said in UNKNOWN_TAGS:

        def fault(at: int, request: dict[str, Any], forward: Any, said: Said = said) -> dict[str, Any]:
            if "finalized" in request["params"]:
                return {"jsonrpc": "2.0", "id": request["id"], "error": said.error}
            return forward(request)

        assert read("show", fault)[0] == {**clean, "final": None}


def test_showing_a_campaign_takes_few_requests(attested, llamafund) -> None:
    with FaultyNode(attested.devnet.rpc_url) as node:
        assert llamafund(*COMMANDS["show"](attested), "--rpc", node.url).code == 0
        assert node.count <= 6, node.methods


def test_a_node_without_old_states_needs_a_hint_on_a_long_chain(attested, llamafund, monkeypatch) -> None:
    """The chain here is short: what counts as short and long is moved instead."""
    monkeypatch.setattr(Connection.first_block_of, "__kwdefaults__", {"since": 0, "few": 0})
    monkeypatch.setattr("llamafund_chain.campaign.factory._LONG_CHAIN", 0)
    head = attested.devnet.connection.block().number

    def forgetful(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        block = request["params"][-1] if request["method"] == "eth_getCode" else None
        if isinstance(block, str) and block.startswith("0x") and int(block, 16) < head - 1:
            return {"jsonrpc": "2.0", "id": request["id"], "error": PRUNED[0].error}
        return forward(request)

    with FaultyNode(attested.devnet.rpc_url, forgetful) as node:
        show = COMMANDS["show"](attested)
        ran = llamafund(*show, "--rpc", node.url)
        ran.refused(ExitCode.NODE_UNREACHABLE, "--from-block")
        assert llamafund(*show, "--rpc", node.url, "--from-block", 1).code == 0
        with monkeypatch.context() as patch:
            patch.setenv("LLAMAFUND_FROM_BLOCK", "1")
            assert llamafund("campaign", "list", "--rpc", node.url).code == 0


def test_the_block_of_creation_is_found_without_a_search_through_the_chain(read, monkeypatch) -> None:
    clean, _ = read("show")
    monkeypatch.setattr(Connection.first_block_of, "__kwdefaults__", {"since": 0, "few": 0})
    searches: list[dict[str, str]] = []

    def watched(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getLogs" and "toBlock" in request["params"][0]:
            searches.append(request["params"][0])
        return forward(request)

    assert read("show", watched)[0] == clean
    assert searches[0]["fromBlock"] == searches[0]["toBlock"] == searches[1]["fromBlock"]


def test_the_block_of_creation_is_remembered_from_run_to_run(read, monkeypatch) -> None:
    monkeypatch.setattr(Connection.first_block_of, "__kwdefaults__", {"since": 0, "few": 0})
    clean, first = read("show")
    asked: list[str] = []

    def watched(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getCode" and str(request["params"][1]).startswith("0x"):
            asked.append(request["params"][1])
        return forward(request)

    again, second = read("show", watched)
    assert (again, asked) == (clean, [])
    assert second < first


def test_a_search_that_broke_off_goes_on_where_it_was(attested, llamafund, monkeypatch) -> None:
    """A node without old states, that searches five blocks at once and fails in the middle."""
    monkeypatch.setattr(Connection.first_block_of, "__kwdefaults__", {"since": 0, "few": 0})
    for _ in range(40):
        attested.devnet.connection.request("evm_mine")
    show = COMMANDS["show"](attested)
    fails_from = [0]
    searched: list[int] = []

    def node_without_states(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        wanted = request["params"][0] if request["method"] == "eth_getLogs" else {}
        if request["method"] == "eth_getCode" and str(request["params"][1]).startswith("0x"):
            return {"jsonrpc": "2.0", "id": request["id"], "error": PRUNED[0].error}
        if "toBlock" in wanted:
            start, stop = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
            if stop - start >= 5:
                return {"jsonrpc": "2.0", "id": request["id"], "error": BLOCK_LIMITS[0][0].error}
            searched.append(start)
            if fails_from[0] and start >= fails_from[0]:
                return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no such method"}}
        return forward(request)

    with FaultyNode(attested.devnet.rpc_url, node_without_states) as node:
        fails_from[0] = 4
        assert llamafund(*show, "--rpc", node.url).code == ExitCode.ERROR
        fails_from[0] = 0
        searched.clear()
        assert llamafund(*show, "--rpc", node.url).code == 0
    assert searched[0] > 0


def _empty(logs: list[Any]) -> list[Any]:
    return []


def _cut_short(logs: list[Any]) -> list[Any]:
    return logs[: len(logs) // 2]


@pytest.mark.parametrize("change", [_empty, _cut_short])
@pytest.mark.parametrize("number", range(3))
def test_logs_that_are_missing_accuse_nobody(read, change: Callable[[list[Any]], list[Any]], number: int) -> None:
    """The first search is for the campaign's creation, the second for its attestation; each is asked in two ways."""
    searches = 0

    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        nonlocal searches
        answer = forward(request)
        if request["method"] == "eth_getLogs":
            searches += 1
            if number in (searches // 3, 2):
                answer["result"] = change(answer["result"])
        return answer

    told, _ = read("show", fault, code=ExitCode.NODE_UNREACHABLE)
    assert "does not show" in told
    assert "Do not send money" not in told


@pytest.mark.parametrize("missing", ["number", "hash", "timestamp", "logsBloom", "baseFeePerGas"])
@pytest.mark.parametrize("name", BRIEF)
def test_fields_that_are_missing_accuse_nobody(read, name: str, missing: str) -> None:
    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getBlockByNumber":
            answer["result"].pop(missing)
        return answer

    needed = missing in ("number", "hash", "timestamp")
    read(name, fault, code=ExitCode.NODE_UNREACHABLE if needed else 0)


@pytest.mark.parametrize("missing", ["address", "topics", "data", "blockNumber", "logIndex", "transactionHash"])
@pytest.mark.parametrize("name", BRIEF)
def test_logs_with_missing_fields_accuse_nobody(read, name: str, missing: str) -> None:
    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getLogs":
            for log in answer["result"]:
                log.pop(missing)
        return answer

    assert "makes no sense" in read(name, fault, code=ExitCode.NODE_UNREACHABLE)[0]


def test_a_look_alike_is_still_one_through_a_node_that_hides_nothing(attested, llamafund) -> None:
    connection = attested.devnet.connection
    fake = "0x00000000000000000000000000000000000000f1"
    connection.request("anvil_setCode", fake, f"0x{connection.code(attested.client.address).hex()}")
    attested.devnet.finalize()
    ran = llamafund("campaign", "show", fake, "--rpc", attested.devnet.rpc_url)
    ran.refused(ExitCode.VERIFICATION_FAILED, "look-alike")
    connection.request("anvil_setCode", fake, "0x")


def every_third(number: int, do: Fault) -> Fault:
    """A fault of every third HTTP request: three of them meet each request once."""

    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        return do(at, request, forward) if at and at % 3 == number else forward(request)

    return fault


@pytest.fixture
def audited(stage, llamafund) -> Callable[..., tuple[dict[str, str], str, int]]:
    """Audits a campaign that collects, through a faulty node: each check's outcome, the errors and the exit code."""
    stage.open()
    stage.client.pledge(stage.backers[0], 10**18)
    stage.devnet.finalize()

    def run(fault: Fault | None = None) -> tuple[dict[str, str], str, int]:
        with FaultyNode(stage.devnet.rpc_url, fault) as node:
            places = ("--rpc", node.url, "--store", stage.run.store.location)
            ran = llamafund("audit", stage.client.address, *places, "--json")
        # Without a verdict there is only the error.
        report = ran.json.get("report") or {"checks": [], **ran.json["error"]}
        return {check["name"]: check["status"] for check in report["checks"]}, ran.stderr, ran.code

    return run


@pytest.mark.parametrize(
    "trouble",
    [drop, answers(RATE_LIMITS[0]), answers(RATE_LIMITS[1]), answers(NOT_THERE_YET[0])],
    ids=["drop", "HTTP 429", "limit in HTTP 200", "not there yet"],
)
def test_an_audit_has_the_same_outcome_whatever_a_node_does_at_any_request(audited, trouble: Fault) -> None:
    clean, _, code = audited()
    assert code == 0
    assert "pass" in clean.values()
    for number in range(3):
        assert audited(every_third(number, trouble))[::2] == (clean, 0)


@pytest.mark.parametrize("trouble", [drop, *map(answers, (RATE_LIMITS[0], NOT_THERE_YET[0], PRUNED[0]))])
def test_an_audit_through_a_node_that_fails_reaches_no_verdict(audited, trouble: Fault) -> None:
    for first in (1, 3, 5, 8):

        def fault(at: int, request: dict[str, Any], forward: Any, first: int = first) -> dict[str, Any]:
            return trouble(at, request, forward) if at >= first else forward(request)

        checks, told, code = audited(fault)
        assert (checks, code) == ({}, ExitCode.NODE_UNREACHABLE), told


@pytest.mark.parametrize("trouble", [drop, answers(RATE_LIMITS[1])], ids=["drop", "limit"])
def test_a_guard_looks_once_whatever_a_node_does_at_any_request(attested, llamafund, trouble: Fault) -> None:
    for number in range(3):
        with FaultyNode(attested.devnet.rpc_url, every_third(number, trouble)) as node:
            places = ("--rpc", node.url, "--store", attested.run.store.location)
            ran = llamafund("watch", attested.client.address, "--once", *places, "--json", wallet="stranger")
        assert ran.code == 0, ran.stderr
