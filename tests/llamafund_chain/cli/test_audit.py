"""The command `llamafund audit` on a real chain with hand-made evidence; nothing is trained or replayed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from faulty_node import FaultyNode, changing

from llamafund_chain.chain import abi, nodes
from llamafund_chain.cli.main import run
from llamafund_chain.evidence.hashing import raw_cid

DAY = 86_400


def arguments(stage, *more: str) -> list[str]:
    return [
        "audit",
        stage.client.address,
        "--rpc",
        stage.devnet.rpc_url,
        "--store",
        stage.run.store.location,
        *more,
    ]


@pytest.fixture
def funding(stage):
    """A campaign that still collects, so that no evidence has to be looked at."""
    stage.open()
    stage.client.pledge(stage.backers[0], 10**18)
    stage.devnet.finalize()
    return stage


def test_a_campaign_that_holds_ends_with_its_verdict_and_code_0(funding, capsys) -> None:
    assert run(arguments(funding)) == 0

    out = capsys.readouterr().out
    assert "Verdict: Everything holds so far" in out
    assert "ok    campaign-is-genuine" in out
    assert "pledged     1   1" in out


def test_the_json_is_one_versioned_document(funding, capsys) -> None:
    assert run(arguments(funding, "--json")) == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["command"]) == ("llamafund/cli/1", "audit")
    assert document["report"]["schema"] == "llamafund/audit/1"
    assert document["report"]["money"]["events"]["pledged"] == "1"
    assert document["report"]["chain"] == "eip155:31337"


def test_what_came_from_where_stands_beside_the_report_which_stays_the_same(funding, tmp_path: Path, capsys) -> None:
    assert run(arguments(funding, "--json")) == 0
    one = json.loads(capsys.readouterr().out)
    empty = tmp_path / "empty"
    empty.mkdir()
    before = int(time.time())
    assert run(arguments(funding, "--store", str(empty), "--json")) == 0
    text = capsys.readouterr().out
    other = json.loads(text)

    cids = {delivery["cid"] for delivery in other["fetched"]}
    assert {raw_cid(funding.run.proposal.sha256), raw_cid(funding.run.recipe)} < cids
    assert {delivery["store"] for delivery in other["fetched"]} == {0}
    assert all(before <= delivery["at"] <= time.time() for delivery in other["fetched"])
    assert len(cids) == len(other["fetched"]) == len(one["fetched"])
    assert one["report"] == other["report"]
    assert funding.run.store.location not in text


def test_the_page_is_written_beside_the_result(funding, tmp_path: Path, capsys) -> None:
    page = tmp_path / "audit.html"

    assert run(arguments(funding, "--html", str(page))) == 0

    assert page.read_text().startswith("<!DOCTYPE html>")
    assert str(page) in capsys.readouterr().err


def test_fraud_ends_with_code_3_and_says_until_when_something_can_be_done(stage, capsys) -> None:
    stage.honest_until(1)
    stage.attest(1, stage.run.train("01d0" * 16))

    assert run(arguments(stage, "--depth", "weights")) == 3

    captured = capsys.readouterr()
    assert "FAIL  seed-fresh" in captured.out
    assert "vote-stop" in captured.out
    assert captured.err.startswith("Error: Fraud or negligence")
    assert len(captured.err.splitlines()) == 1


def test_a_store_that_has_nothing_is_made_up_for_by_another(stage, tmp_path: Path) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    (tmp_path / "empty").mkdir()
    where = ["audit", stage.client.address, "--rpc", stage.devnet.rpc_url, "--store", str(tmp_path / "empty")]

    assert run(where) == 7
    assert run([*where, "--store", stage.run.store.location]) == 0


def test_checks_hear_how_many_processes_may_repeat_training(stage, monkeypatch) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    seen = []
    monkeypatch.setattr("llamafund_chain.audit.milestones.run_checks", lambda context, *_: seen.append(context) or ())
    run(arguments(stage, "--jobs", "3"))
    assert [context.jobs for context in seen] == [3]


def test_what_could_not_be_checked_can_be_accepted(stage, tmp_path: Path, capsys) -> None:
    stage.open()
    (tmp_path / "work").mkdir()
    where = ["audit", stage.client.address, "--rpc", stage.devnet.rpc_url, "--store", str(tmp_path / "empty")]

    assert run([*where, "--allow-unchecked", "--workdir", str(tmp_path / "work")]) == 0

    assert "proposal-published. The auditor accepts that" in capsys.readouterr().out
    assert list((tmp_path / "work").iterdir()) == []


def test_the_books_need_no_store(stage, tmp_path: Path) -> None:
    stage.open()
    where = ["audit", stage.client.address, "--rpc", stage.devnet.rpc_url, "--store", str(tmp_path / "empty")]

    assert run([*where, "--depth", "books"]) == 0


def test_a_look_alike_ends_with_code_3(stage, capsys) -> None:
    stage.open()

    code = run(["audit", stage.backers[0].address, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location])

    assert code == 3
    assert "do not send money" in capsys.readouterr().err


def test_a_campaign_that_is_not_settled_yet_ends_with_code_6(stage, capsys) -> None:
    stage.devnet.finalize()
    stage.open(settled=False)

    assert run(arguments(stage)) == 6
    assert "not finalized yet" in capsys.readouterr().err


def test_no_node_ends_with_code_4(stage, capsys) -> None:
    stage.open()

    code = run(["audit", stage.client.address, "--rpc", "http://127.0.0.1:9", "--store", stage.run.store.location])

    assert code == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("bad", [("not-an-address",), ("0x1234",), ("0x5FbDB2315678afecb367f032d93F642f64180aa4",)])
def test_an_address_that_is_none_ends_with_code_2(bad: tuple[str, ...], capsys) -> None:
    assert run(["audit", *bad]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_store_that_does_not_exist_ends_with_code_7(stage, tmp_path: Path, capsys) -> None:
    stage.open()

    code = run(
        ["audit", stage.client.address, "--rpc", stage.devnet.rpc_url, "--store", str(tmp_path / "nothing-here")]
    )

    assert code == 7
    shown = capsys.readouterr()
    assert "????  proposal-published" in shown.out
    assert "This says nothing about the campaign or its people" in shown.err


def test_what_was_proven_stands_in_the_document(funding, capsys) -> None:
    assert run(arguments(funding, "--prove-logs", "--json")) == 0

    report = json.loads(capsys.readouterr().out)["report"]
    proofs = report["proofs"]
    assert (proofs["head"]["hash"], proofs["hash_from"]) == (f"0x{report['block_hash']}", "node")
    assert {word["what"] for word in proofs["words"]} >= {"ledger", f"pledge of {funding.backers[0].address}"}
    assert (len(proofs["accounts"]), len(proofs["logs"]), len(proofs["receipts"])) == (3, 1, 2)
    assert proofs["nodes"]


def test_the_lines_say_where_the_blocks_hash_comes_from(funding, capsys) -> None:
    head = funding.devnet.connection.block("finalized").hash

    assert run(arguments(funding, "--prove")) == 0
    assert f"with the hash 0x{head}, taken from this one node" in capsys.readouterr().out
    assert run(arguments(funding, "--block-hash", f"0x{head}")) == 0
    assert f"with the hash 0x{head}, which was given" in capsys.readouterr().out
    assert run(arguments(funding, "--rpc", funding.devnet.rpc_url)) == 0
    assert f"with the hash 0x{head}, on which several nodes agree" in capsys.readouterr().out


def test_a_node_that_contradicts_itself_ends_with_code_4_and_accuses_nobody_else(funding, capsys, tmp_path) -> None:
    page = tmp_path / "audit.html"
    pledged = abi.contract("Campaign").topic("Pledged")
    hide = changing({"eth_getLogs": lambda logs, params: [log for log in logs if log["topics"][0] != pledged]})
    with FaultyNode(funding.devnet.rpc_url, hide) as node:
        where = ["audit", funding.client.address, "--rpc", node.url, "--depth", "books"]
        assert run([*where, "--html", str(page)]) == 4

    captured = capsys.readouterr()
    assert "Verdict: The node contradicts itself: " in captured.out
    assert "FAIL" not in captured.out
    assert captured.err.splitlines()[-1].startswith("Error: The node contradicts itself: ")
    assert "The nodes that were asked contradict themselves or each other" in page.read_text()


def test_nodes_that_disagree_end_with_code_4(funding, capsys) -> None:
    lie = changing({"eth_getBalance": lambda balance, params: "0x1"})
    with FaultyNode(funding.devnet.rpc_url, lie) as node:
        assert run(arguments(funding, "--rpc", node.url, "--depth", "books")) == 4

    captured = capsys.readouterr()
    assert "Verdict: The nodes disagree: " in captured.out
    assert captured.err.splitlines()[-1].startswith("Error: The nodes disagree: ")


def test_a_block_that_the_node_does_not_have_ends_with_code_4(funding, capsys, monkeypatch) -> None:
    monkeypatch.setattr(nodes, "sleep", lambda seconds: None)

    assert run(arguments(funding, "--block-hash", "ab" * 32)) == 4
    assert "another chain with the same number" in capsys.readouterr().err
    assert run(arguments(funding, "--block-hash", "0x1234")) == 2
