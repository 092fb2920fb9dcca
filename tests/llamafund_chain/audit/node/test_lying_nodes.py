"""Each lie of a node ends in a verdict about the node, through a real proxy before a real chain; honesty passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_utils import keccak
from faulty_node import Fault, FaultyNode, changing

from llamafund_chain.audit import AuditReport, audit
from llamafund_chain.audit.node.settings import Demands
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.events import Challenged, MilestoneAttested
from llamafund_chain.campaign.storage import LEDGER, backer_slot
from llamafund_chain.chain import abi, nodes
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.headers import HASHED, read_header
from llamafund_chain.errors import ExitCode, NodeError, NotFinalError
from llamafund_chain.facts.base import Facts
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.trouble import ContradictionError

DAY = 86_400
ETHER = 10**18
CAMPAIGN = abi.contract("Campaign")
PLEDGE_OF = f"0x{CAMPAIGN.encode('pledgeOf', f'0x{1:040x}')[:4].hex()}"

PROVE = Demands(state=True)
PROVE_LOGS = Demands(state=True, logs=True)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(nodes, "sleep", made.append)
    return made


@pytest.fixture
def told(stage, tmp_path: Path) -> Iterator[Callable[..., AuditReport]]:
    """Audits the stage's campaign through a node with a fault, or several."""
    with ExitStack() as stack:

        def run(fault: Fault | None = None, demands: Demands = PROVE, *others: Fault | str, **more: Any) -> AuditReport:
            node = stack.enter_context(FaultyNode(stage.devnet.rpc_url, fault))
            further = [
                one if isinstance(one, str) else stack.enter_context(FaultyNode(stage.devnet.rpc_url, one)).url
                for one in others
            ]
            run.node = node
            return audit(
                CampaignClient(connect(node.url), stage.client.address),
                stage.run.store,
                demands=Demands(demands.state, demands.logs, demands.block_hash, tuple(further)),
                depth="books",
                workdir=tmp_path,
                progress=lambda text: None,
                **more,
            )

        yield run


@pytest.fixture
def busy(stage):
    """A campaign with pledges, a claim, votes, an open challenge and a finalized head."""
    stage.honest_until(1)
    stage.client.claim(stage.researcher, 0)
    stage.attest(1, stage.run.train(stage.seed))
    stage.client.vote_stop(stage.backers[2])
    stage.client.challenge(stage.backers[0], stage.client.latest_attestation(), 0, stage.client.required_bond())
    stage.devnet.finalize()
    return stage


def assert_blames_the_node(report: AuditReport, *names: str, who: str = "The node contradicts itself") -> None:
    assert report.verdict.outcome == "contradicted", report.verdict.headline
    assert report.verdict.headline.startswith(who)
    assert report.verdict.headline.endswith("This says nothing about the campaign or its people")
    assert report.verdict.failed == 0
    assert report.verdict.alarms == ()
    assert [check for check in report.checks if check.status == "fail"] == []
    found = {check.name for check in report.checks if check.contradiction}
    assert found
    assert set(names) <= found, found


def passed(report: AuditReport) -> set[str]:
    return {check.name for check in report.checks if check.group == "node" and check.status == "pass"}


def every_other(fault_of: str, change: Callable[[Any], Any]) -> Fault:
    return changing({fault_of: lambda result, params: change(result)})


# ------------------------------------------------------------------- honest


def test_an_honest_node_proves_everything(busy, told) -> None:
    report = told(None, PROVE_LOGS)

    assert report.verdict.outcome == "holds", report.verdict.headline
    assert passed(report) == {
        "code-proven",
        "proofs-given",
        "state-proven",
        "balance-proven",
        "pledges-proven",
        "claims-proven",
        "votes-proven",
        "bonds-proven",
        "counts-proven",
        "logs-proven",
        "headers-hashed",
        "logs-fit-headers",
    }
    assert report.verdict.headline.endswith(f"Books and events are proven by the hash of block {report.block}")
    assert report.proofs is not None
    assert report.proofs.hash_from == report.hash_from == "node"
    # Three pledges, the activation, two attestations, a claim, a vote and a challenge.
    assert len(report.proofs.logs) == 9
    assert AuditReport.model_validate_json(report.to_json()) == report


@pytest.mark.parametrize("ending", ["funding", "goal missed", "stopped", "completed", "unanswered"])
def test_honest_campaigns_of_every_ending_are_proven(stage, told, ending: str) -> None:
    if ending == "funding":
        stage.open()
        stage.client.pledge(stage.backers[0], ETHER)
        stage.client.unpledge(stage.backers[0], ETHER // 3)
    elif ending == "goal missed":
        stage.open()
        for backer in stage.backers:
            stage.client.pledge(backer, ETHER)
        stage.devnet.advance(11 * DAY)
        stage.client.refund(stage.compute, stage.backers[0].address)
    elif ending == "stopped":
        stage.honest_until(1)
        stage.client.vote_stop(stage.backers[0])
        for backer in stage.backers[:2]:
            stage.client.refund(stage.compute, backer.address)
    elif ending == "completed":
        stage.honest_until(3)
        stage.client.claim(stage.researcher, 0)
        stage.client.claim(stage.compute, 1)
    else:
        stage.honest_until(0)
        stage.attest(0, stage.run.dataset)
        attestation = stage.client.latest_attestation()
        for backer, chunk in zip(stage.backers, range(1), strict=False):
            stage.client.challenge(backer, attestation, chunk, stage.client.required_bond())
        stage.devnet.advance(3 * DAY)
        stage.client.return_bond(stage.backers[0], 0)
    stage.devnet.finalize()

    report = told(None, PROVE_LOGS)

    assert report.verdict.outcome == "holds", report.verdict.headline


def test_a_token_campaign_is_proven_but_for_its_balance(stage, told) -> None:
    token = stage.devnet.deploy_token("Coin", "C", 6)
    stage.open(asset=token, goal=1_000_000, cap=5_000_000)
    stage.devnet.mint_token(token, stage.backers[0].address, 3_000_000)
    stage.client.approve(stage.backers[0], 3_000_000)
    stage.client.pledge_token(stage.backers[0], 1_500_000)
    stage.devnet.finalize()

    report = told(None, PROVE_LOGS)

    assert report.verdict.outcome == "holds"
    (balance,) = (check for check in report.checks if check.name == "balance-proven")
    assert (balance.status, "not proven" in balance.detail) == ("warn", True)


def test_a_block_long_past_is_proven_too(busy, told) -> None:
    old = busy.devnet.connection.block(busy.devnet.connection.block("finalized").number)
    busy.devnet.advance(DAY // 2)
    for _ in range(40):
        busy.devnet.advance(1)

    report = told(None, Demands(state=True, logs=True, block_hash=old.hash))

    assert report.verdict.outcome == "holds"
    assert (report.block, report.block_hash, report.hash_from) == (old.number, old.hash, "given")


# --------------------------------------------------------------------- lies


def test_threat_a_header_with_a_changed_field_is_the_nodes_verdict(busy, told) -> None:
    for field, value in (("stateRoot", "0x" + "11" * 32), ("timestamp", "0x70000000"), ("gasUsed", "0x1")):
        forge = every_other("eth_getBlockByNumber", lambda raw, f=field, v=value: raw and {**raw, f: v})

        assert_blames_the_node(told(forge, Demands()), "headers-hashed")


def test_a_header_that_is_re_dated_for_one_attestation_is_noticed(busy, told) -> None:
    dated = busy.client.events()[-4].block

    def later(raw: Any) -> Any:
        if raw and int(raw["number"], 16) == dated:
            return {**raw, "timestamp": hex(int(raw["timestamp"], 16) + 60)}
        return raw

    assert_blames_the_node(told(every_other("eth_getBlockByNumber", later), PROVE), "headers-hashed")


def with_its_own_fields(block: int, later: int) -> Fault:
    """Headers whose hash nobody can recompute, as of some rollups, one of them re-dated."""

    def change(raw: Any) -> Any:
        if raw and int(raw["number"], 16) == block:
            raw = {**raw, "timestamp": hex(int(raw["timestamp"], 16) + later)}
        return raw and {**raw, "l1BatchNumber": "0x1", "gasUsed": "0x77"}

    return every_other("eth_getBlockByNumber", change)


def of_kind(stage: Any, kind: type[Any]) -> int:
    """The block of the campaign's first event of a kind."""
    return next(event.block for event in stage.client.events() if isinstance(event, kind))


def dated(report: AuditReport) -> str:
    (found,) = (check for check in report.checks if check.name == "attestations-dated")
    return f"{found.status}: {found.detail}"


@pytest.mark.parametrize("later", [60, -1, 7 * DAY, -7 * DAY])
def test_threat_an_attestation_that_is_re_dated_where_no_hash_can_be_recomputed_is_noticed(busy, told, later) -> None:
    at = of_kind(busy, MilestoneAttested)

    assert told(with_its_own_fields(at, 0), Demands()).verdict.outcome == "holds"
    assert_blames_the_node(told(with_its_own_fields(at, later), Demands()), "attestations-dated")


def test_threat_a_challenge_that_is_re_dated_does_not_fit_what_it_says_itself(busy, told) -> None:
    report = told(with_its_own_fields(of_kind(busy, Challenged), 1), Demands())

    assert_blames_the_node(report, "attestations-dated")
    assert "a challenge in it says" in dated(report)


def test_threat_a_record_that_a_node_re_dates_does_not_fit_the_header(busy, told) -> None:
    asked = f"0x{CAMPAIGN.encode('ledger').hex()}"
    after = busy.devnet.connection.block(of_kind(busy, MilestoneAttested)).hash
    for place, value in ((1, 7), (4, 2)):

        def other(result: Any, params: Any, place: int = place, value: int = value) -> Any:
            if params[0].get("data") != asked or params[1] != {"blockHash": f"0x{after}", "requireCanonical": True}:
                return result
            start = 2 + 64 * place
            return f"{result[:start]}{value:064x}{result[start + 64 :]}"

        assert_blames_the_node(told(changing({"eth_call": other}), Demands()), "attestations-dated")


def test_a_node_without_old_states_leaves_earlier_dates_to_its_headers_and_accuses_nobody(busy, told) -> None:
    gone = {"code": -32000, "message": "missing trie node 1234 (path ) state 0x12 is not available"}
    head = busy.devnet.connection.block("finalized").hash

    def pruned(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        block = request["params"][-1] if request["method"] == "eth_call" else None
        if isinstance(block, dict) and block.get("blockHash") != f"0x{head}":
            return {"jsonrpc": "2.0", "id": request["id"], "error": gone}
        return forward(request)

    report = told(pruned, Demands())

    assert report.verdict.outcome == "holds"
    assert dated(report).startswith("warn: The node keeps no state")
    assert "record of milestone 0 could" in dated(report), "the last one is in the state of the audit's block"


def test_threat_a_state_that_a_node_invents_is_proven_wrong(busy, told) -> None:
    for view, value, check in (
        (("stopSupport",), 1, "state-proven"),
        (("latestContent",), 7, "state-proven"),
        (("pledgeOf", busy.backers[0].address), ETHER, "backers-agree"),
    ):
        asked = f"0x{CAMPAIGN.encode(*view).hex()}"

        def lie(result: Any, params: Any, asked: str = asked, value: int = value) -> Any:
            if "to" not in params[0]:
                # All backers' pledges at once, each before what can be refunded; the first backer's is the first.
                return f"0x{value:064x}{result[66:]}" if asked[:10] == PLEDGE_OF else result
            return f"0x{value:064x}" if params[0]["data"].startswith(asked) else result

        assert_blames_the_node(told(changing({"eth_call": lie}), PROVE), check)


def test_a_balance_that_a_node_invents_is_proven_wrong(busy, told) -> None:
    for held in (1, 10**24):
        lie = changing({"eth_getBalance": lambda result, params, held=held: hex(held)})

        assert_blames_the_node(told(lie, PROVE), "balance-proven")


def test_code_that_a_node_invents_is_no_reason_to_call_a_campaign_a_look_alike(busy, told) -> None:
    address = busy.client.address.lower()

    def other(result: Any, params: Any) -> Any:
        return result[:-2] + "77" if params[0].lower() == address else result

    report = told(changing({"eth_getCode": other}), PROVE)

    assert_blames_the_node(report, "code-proven")


def with_code(address: str, change: Callable[[str], str], *, where: str = "") -> Fault:
    """Other code at an address, at every block or at the one that is asked for by this name."""

    def other(result: Any, params: Any) -> Any:
        return change(result) if params[0].lower() == address.lower() and where in params[1] else result

    return changing({"eth_getCode": other})


def test_threat_code_that_a_node_hides_is_proven_before_a_campaign_is_called_none(busy, told) -> None:
    deployment = busy.devnet.deployment
    for address in (busy.client.address, deployment.implementation, deployment.factory):
        for change in (lambda code: "0x", lambda code: f"{code[:-2]}77"):
            assert_blames_the_node(told(with_code(address, change), Demands()), "code-proven")
        hidden = with_code(address, lambda code: "0x", where="latest")
        assert_blames_the_node(told(hidden, Demands()), "code-proven")


def test_what_is_no_campaign_is_called_none_whether_the_node_proves_that_or_not(busy, told) -> None:
    connection, fake = busy.devnet.connection, "0x00000000000000000000000000000000000000f2"
    connection.request("anvil_setCode", fake, f"0x{connection.code(busy.client.address).hex()}")
    busy.devnet.finalize()
    for address in (busy.backers[0].address, fake):
        busy.client = CampaignClient(connection, address)
        for fault, proven in ((None, "pass"), (without_proofs, "unchecked")):
            report = told(fault, Demands())

            assert report.verdict.headline.startswith("This is not a genuine")
            assert [one.status for one in report.checks if one.name == "code-proven"] == [proven]
    connection.request("anvil_setCode", fake, "0x")


def test_threat_a_creation_that_does_not_fit_the_campaign_accuses_nobody(busy, told) -> None:
    created = abi.contract("CampaignFactory").topic("CampaignCreated")
    # The data ends with zeros, and its second word is the salt.
    for place, words in ((-1, "that no factory writes"), (2 + 64, "so the node does not tell the truth")):

        def other(logs: Any, place: int = place) -> Any:
            ours = [log for log in logs if log["topics"][0] == created]
            for log in ours:
                log["data"] = f"{log['data'][:place]}{int(log['data'][place], 16) ^ 1:x}{log['data'][place:][1:]}"
            return logs

        report = told(every_other("eth_getLogs", other), Demands())

        assert (report.verdict.outcome, report.verdict.failed) == ("unchecked", 0)
        assert words in next(one.detail for one in report.checks if one.name == "campaign-is-genuine")


def left_out(event: str, number: int = 0) -> Fault:
    """Leaves out one log of a kind, whenever it is asked for."""
    topic = CAMPAIGN.topic(event)

    def censor(result: Any, params: Any) -> Any:
        kept, seen = [], 0
        for log in result:
            if log["topics"][0] == topic:
                seen += 1
                if seen == number + 1:
                    continue
            kept.append(log)
        return kept

    return changing({"eth_getLogs": censor})


@pytest.mark.parametrize(
    ("event", "check"),
    [
        ("Pledged", "pledges-proven"),
        ("Claimed", "claims-proven"),
        ("StopVoted", "votes-proven"),
        ("Challenged", "bonds-proven"),
        ("MilestoneAttested", "counts-proven"),
        ("Activated", "counts-proven"),
    ],
)
def test_threat_a_log_that_a_node_leaves_out_is_missed(busy, told, event: str, check: str) -> None:
    assert_blames_the_node(told(left_out(event), PROVE_LOGS), check, "logs-proven")


def test_a_log_left_out_is_the_nodes_verdict_without_any_proof(busy, told) -> None:
    assert_blames_the_node(told(left_out("Pledged"), Demands()), "pledged-agrees")


def with_logs(change: Callable[[list[Any]], list[Any]]) -> Fault:
    def lie(result: Any, params: Any) -> Any:
        ours = [log for log in result if log["topics"][0] == CAMPAIGN.topic("Pledged")]
        return change(result) if ours else result

    return changing({"eth_getLogs": lie})


def test_threat_a_log_that_a_node_invents_is_missed_in_the_receipts(busy, told) -> None:
    def invent(logs: list[Any]) -> list[Any]:
        # A pledge and its withdrawal add nothing to any sum, and name somebody who was never there.
        pledged = next(log for log in logs if log["topics"][0] == CAMPAIGN.topic("Pledged"))
        stranger = "0x" + "00" * 12 + "77" * 20
        topics = pledged["topics"]
        new = {**pledged, "logIndex": "0x5", "topics": [topics[0], stranger, topics[2]]}
        gone = {**new, "logIndex": "0x6", "topics": [CAMPAIGN.topic("Unpledged"), stranger, stranger]}
        at = logs.index(pledged)
        return [*logs[: at + 1], new, gone, *logs[at + 1 :]]

    report = told(with_logs(invent), PROVE)
    assert report.verdict.outcome == "holds", "the sums alone cannot know"
    assert_blames_the_node(told(with_logs(invent), PROVE_LOGS), "logs-proven")


def test_a_log_that_comes_twice_is_noticed(busy, told) -> None:
    assert_blames_the_node(told(with_logs(lambda logs: [logs[0], *logs]), Demands()), "logs-fit-headers")


def test_a_log_that_no_contract_writes_is_the_nodes_and_nobody_elses(busy, told) -> None:
    cut = with_logs(lambda logs: [{**logs[0], "data": "0x"}, *logs[1:]])

    assert_blames_the_node(told(cut, Demands()), "events-readable")


def test_a_state_that_no_contract_returns_is_the_nodes_and_nobody_elses(busy, told) -> None:
    asked = f"0x{CAMPAIGN.encode('ledger').hex()}"
    cut = changing({"eth_call": lambda result, params: "0x1234" if params[0]["data"] == asked else result})

    assert_blames_the_node(told(cut, Demands()), "state-readable")


def test_logs_in_another_order_are_put_right(busy, told) -> None:
    assert told(with_logs(lambda logs: logs[::-1]), PROVE_LOGS).verdict.outcome == "holds"


def test_logs_that_swap_their_places_are_noticed(busy, told) -> None:
    def swap(logs: list[Any]) -> list[Any]:
        places = ("blockNumber", "blockHash", "logIndex", "transactionHash")
        first, second = logs[0], logs[1]
        return [
            {**first, **{name: second[name] for name in places}},
            {**second, **{name: first[name] for name in places}},
            *logs[2:],
        ]

    assert_blames_the_node(told(with_logs(swap), PROVE_LOGS), "logs-proven")


def test_a_log_moved_to_another_block_is_noticed(busy, told) -> None:
    def move(logs: list[Any]) -> list[Any]:
        return [{**logs[0], "blockNumber": hex(int(logs[0]["blockNumber"], 16) - 1), "logIndex": "0x0"}, *logs[1:]]

    assert_blames_the_node(told(with_logs(move), PROVE), "logs-fit-headers")


def test_a_whole_header_that_a_node_makes_up_breaks_the_chain_of_headers(busy, told) -> None:
    """The block of the first attestation comes an hour earlier, with a hash that fits, in headers and logs alike."""
    attested = next(event for event in busy.client.events() if isinstance(event, MilestoneAttested))
    real = busy.devnet.connection.request("eth_getBlockByNumber", hex(attested.block), False)
    made_up = {**real, "timestamp": hex(int(real["timestamp"], 16) - 3600)}
    fields = [
        bytes.fromhex(made_up[name][2:]) if name not in NUMBERS else number(made_up[name]) for name in HASHED[:20]
    ]
    made_up["hash"] = f"0x{keccak(rlp.encode(fields)).hex()}"
    assert read_header(made_up, "node").check == "recomputed"

    lie = changing(
        {
            "eth_getBlockByNumber": lambda raw, params: made_up if raw and raw["number"] == real["number"] else raw,
            "eth_getLogs": lambda logs, params: [
                {**log, "blockHash": made_up["hash"]} if log["blockNumber"] == real["number"] else log for log in logs
            ],
        }
    )

    assert_blames_the_node(told(lie, Demands()), "attestations-dated", "headers-hashed")
    assert_blames_the_node(told(lie, PROVE_LOGS), "logs-proven")
    assert_blames_the_node(told(None, PROVE, lie), "nodes-agree", who="The nodes disagree")


NUMBERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas")


def number(text: str) -> bytes:
    """A number as a header's hash covers it."""
    value = int(text, 16)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


# ------------------------------------------------------------------- proofs


def test_threat_a_forged_proof_proves_nothing(busy, told) -> None:
    slots = {backer_slot(busy.backers[0].address), LEDGER}

    def value(result: Any, params: Any) -> Any:
        for one in result["storageProof"]:
            if int(one["key"], 16) in slots:
                one["value"] = hex(int(one["value"], 16) + 1)
        return result

    def node(result: Any, params: Any) -> Any:
        for one in result["storageProof"]:
            one["proof"] = [text[:-2] + f"{int(text[-2:], 16) ^ 1:02x}" for text in one["proof"]]
        return result

    def missing(result: Any, params: Any) -> Any:
        for one in result["storageProof"]:
            one["proof"] = one["proof"][:-1]
        return result

    def account(result: Any, params: Any) -> Any:
        result["accountProof"] = result["accountProof"][:-1]
        return result

    def fewer(result: Any, params: Any) -> Any:
        result["storageProof"] = result["storageProof"][:-1]
        return result

    for forge in (value, node, missing, account, fewer):
        report = told(changing({"eth_getProof": forge}), PROVE)
        if forge is fewer or forge is account or report.verdict.outcome == "contradicted":
            assert report.verdict.outcome == "contradicted", forge
        assert_blames_the_node(report)


def test_a_proof_of_another_block_proves_nothing(busy, told) -> None:
    before = hex(busy.devnet.connection.block("finalized").number - 30)

    def older(request: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        return forward({**request, "params": [*request["params"][:2], before]})

    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        return older(request, forward) if request["method"] == "eth_getProof" else forward(request)

    assert_blames_the_node(told(fault, PROVE))


def without_proofs(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
    """A node that gives no proofs."""
    refused = {"code": -32601, "message": "the method eth_getProof does not exist/is not available"}
    if request["method"] == "eth_getProof":
        return {"jsonrpc": "2.0", "id": request["id"], "error": refused}
    return forward(request)


def test_a_node_without_proofs_leaves_them_unchecked_and_accuses_nobody(busy, told) -> None:
    report = told(without_proofs, PROVE)

    assert report.verdict.outcome == "unchecked"
    assert report.verdict.failed == 0


def test_a_node_that_has_thrown_the_blocks_state_away_leaves_the_proofs_unchecked(busy, told) -> None:
    gone = {"code": -32000, "message": "missing trie node 1234 (path ) state 0x12 is not available"}

    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getProof":
            return {"jsonrpc": "2.0", "id": request["id"], "error": gone}
        return forward(request)

    report = told(fault, PROVE)

    assert (report.verdict.outcome, report.verdict.failed) == ("unchecked", 0)
    assert "proven" not in report.verdict.headline.partition(": ")[2].partition(".")[2]


def test_a_node_that_takes_few_words_at_once_is_asked_for_fewer(busy, told) -> None:
    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getProof" and len(request["params"][1]) > 2:
            refused = {"code": -32602, "message": "too many keys (max 2)"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": refused}
        return forward(request)

    assert told(fault, PROVE).verdict.outcome == "holds"


def test_a_node_without_receipts_leaves_the_logs_unchecked(busy, told) -> None:
    refused = {"code": -32601, "message": "the method eth_getBlockReceipts does not exist/is not available"}

    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getBlockReceipts":
            return {"jsonrpc": "2.0", "id": request["id"], "error": refused}
        return forward(request)

    report = told(fault, PROVE_LOGS)

    assert report.verdict.outcome == "unchecked"
    untold = {check.name for check in report.checks if check.status == "unchecked" and check.group != "risks"}
    assert untold == {"logs-proven"}


def test_a_header_with_fields_of_its_own_cannot_be_told_and_accuses_nobody(busy, told) -> None:
    def foreign(raw: Any) -> Any:
        return raw and {**raw, "l1BatchNumber": "0x1", "hash": raw["hash"], "gasUsed": "0x77"}

    plain = told(every_other("eth_getBlockByNumber", foreign), Demands())
    proven = told(every_other("eth_getBlockByNumber", foreign), PROVE)

    assert (plain.verdict.outcome, proven.verdict.outcome) == ("holds", "unchecked")


def test_what_an_earlier_node_left_out_of_the_base_is_not_this_nodes_lie(busy, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("llamafund_chain.facts.base.SETTLING", 0)

    def through(url: str) -> AuditReport:
        connection = connect(url)
        connection.facts = Facts(Database(str(tmp_path / "facts.sqlite")), connection)
        client = CampaignClient(connection, busy.client.address)
        more: dict[str, Any] = {"depth": "books", "workdir": tmp_path, "progress": lambda text: None}
        return audit(client, busy.run.store, demands=PROVE, **more)

    with FaultyNode(busy.devnet.rpc_url, left_out("Pledged")) as liar:
        assert_blames_the_node(through(liar.url), "pledges-proven")
    with pytest.raises(ContradictionError, match="Repeat the command"):
        through(busy.devnet.rpc_url)
    assert through(busy.devnet.rpc_url).verdict.outcome == "holds"


@pytest.mark.parametrize("method", ["eth_getProof", "eth_getBlockReceipts"])
def test_nonsense_in_place_of_proofs_accuses_nobody(busy, told, method: str) -> None:
    nothing: tuple[Any, ...] = (None, 7, "0x", [], {}, [[]], [{}], {"storageProof": [None]}, [{"logs": [{}]}])
    for answer in nothing:
        report = told(changing({method: lambda result, params, answer=answer: answer}), PROVE_LOGS)

        assert report.verdict.outcome in ("contradicted", "unchecked"), answer
        assert report.verdict.failed == 0


def test_a_few_proofs_suffice_for_many_backers(stage, told) -> None:
    stage.open(cap=2_000 * ETHER)
    for number in range(60):
        stage.client.pledge(stage.backers[0], ETHER, backer=f"0x{number + 1:040x}")
    stage.devnet.finalize()

    report = told(None, PROVE)

    assert report.verdict.outcome == "holds"
    assert report.verdict.headline.endswith(f"The books are proven by the hash of block {report.block}")
    assert told.node.methods.count("eth_getProof") == 5, "three accounts, what is fixed, and the pledges"


# ------------------------------------------------------------- several nodes


def test_honest_nodes_agree(busy, told) -> None:
    report = told(None, PROVE_LOGS, busy.devnet.rpc_url, busy.devnet.rpc_url)

    assert report.verdict.outcome == "holds"
    assert report.hash_from == "nodes"
    assert [check.status for check in report.checks if check.name == "nodes-agree"] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("eth_getBlockByNumber", lambda raw, params: raw and {**raw, "timestamp": "0x70000000"}),
        ("eth_getLogs", lambda logs, params: logs[:-1]),
        ("eth_getLogs", lambda logs, params: [*logs, *logs[-1:]]),
        ("eth_getBalance", lambda balance, params: "0x1"),
        ("eth_getCode", lambda code, params: code[:-2] + "77"),
        ("eth_call", lambda word, params: word[:-1] + ("0" if word[-1] != "0" else "1")),
        ("eth_getProof", lambda proof, params: {**proof, "accountProof": []}),
    ],
    ids=["re-dated", "omitted", "repeated", "balance", "code", "state", "proof"],
)
def test_threat_nodes_that_disagree_are_a_verdict_of_their_own(busy, told, method: str, change: Any) -> None:
    report = told(None, PROVE, changing({method: change}))

    assert_blames_the_node(report, "nodes-agree", who="The nodes disagree")


def test_a_second_node_that_lags_or_has_pruned_is_told_apart_from_a_lie(busy, told) -> None:
    def behind(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getBlockByNumber" and request["params"][0] not in ("latest", "finalized", "0x0"):
            return {"jsonrpc": "2.0", "id": request["id"], "result": None}
        return forward(request)

    def pruned(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_call":
            gone = {"code": -32000, "message": "missing trie node 1234 (path ) state 0x12 is not available"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": gone}
        return forward(request)

    for fault, words in ((behind, "knows no block"), (pruned, "no longer")):
        report = told(None, PROVE, fault)
        assert_blames_the_node(report, "nodes-agree", who="The nodes disagree")
        assert words in report.verdict.headline


def test_a_second_node_that_is_not_there_is_unchecked(busy, told, no_node) -> None:
    report = told(None, PROVE, no_node)

    assert report.verdict.outcome == "unchecked"


def test_a_second_node_of_another_chain_disagrees(busy, told) -> None:
    other = changing({"eth_chainId": lambda result, params: "0x1"})

    report = told(None, Demands(), other)

    assert_blames_the_node(report, "nodes-agree", who="The nodes disagree")
    assert "Ethereum" in report.verdict.headline


# ----------------------------------------------------- which chain this is


def test_threat_a_private_chain_with_a_public_number_is_not_vouched_for(busy, told) -> None:
    public = changing({"eth_chainId": lambda result, params: "0x1"})

    alone = told(public, Demands())

    assert alone.verdict.headline.endswith("no private chain of that number is the word of this one node")
    real = busy.devnet.connection.block("finalized").hash
    given = told(public, Demands(block_hash=real))
    assert given.hash_from == "given"
    assert "private chain" not in given.verdict.headline
    with pytest.raises(NodeError, match="another chain with the same number") as caught:
        told(public, Demands(block_hash="ab" * 32))
    assert caught.value.exit_code == ExitCode.NODE_UNREACHABLE
    with Devnet() as private:
        report = told(None, Demands(), private.rpc_url)
    assert_blames_the_node(report, "nodes-agree", who="The nodes disagree")


def test_a_block_that_is_not_settled_is_not_read_because_somebody_names_it(busy, told) -> None:
    newest = busy.devnet.connection.block("latest")
    assert newest.number > busy.devnet.connection.block("finalized").number

    with pytest.raises(NotFinalError, match="not finalized yet"):
        told(None, Demands(block_hash=newest.hash))


def test_a_head_that_becomes_another_block_meanwhile_is_noticed(busy, told) -> None:
    head = hex(busy.devnet.connection.block("finalized").number)
    asked: list[int] = []
    honest = 10**9

    def undone(result: Any, params: Any) -> Any:
        if params[0] == head:
            asked.append(1)
            if len(asked) == honest:
                return {**result, "hash": "0x" + "ab" * 32}
        return result

    fault = changing({"eth_getBlockByNumber": undone})
    assert told(fault, Demands()).verdict.outcome == "holds"
    honest = len(asked)
    asked.clear()

    assert_blames_the_node(told(fault, Demands()), "block-still-there")
    asked.clear()
    busy.devnet.connection.request("evm_mine")
    head = hex(busy.devnet.connection.block("latest").number)
    with pytest.raises(NotFinalError, match="at the end"):
        told(fault, Demands(), finality="latest")


def test_a_state_of_another_block_than_the_head_is_noticed(busy, told) -> None:
    head = hex(busy.devnet.connection.block("finalized").number)
    asked: list[int] = []

    def earlier(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getBlockByNumber" and request["params"][0] == head:
            asked.append(1)
            if len(asked) == 2:
                answer = forward({**request, "params": [hex(int(head, 16) - 1), False]})
                return {**answer, "result": {**answer["result"], "number": head}}
        return forward(request)

    assert_blames_the_node(told(earlier, Demands()), "block-told-once")
