"""The command `llamafund audit` on a real chain with hand-made evidence; nothing is trained or replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamafund_chain.cli.main import run

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


def test_the_page_is_written_beside_the_result(funding, tmp_path: Path, capsys) -> None:
    page = tmp_path / "audit.html"

    assert run(arguments(funding, "--html", str(page))) == 0

    assert page.read_text().startswith("<!DOCTYPE html>")
    assert str(page) in capsys.readouterr().err


def test_fraud_ends_with_code_3_and_says_until_when_something_can_be_done(stage, capsys) -> None:
    stage.honest_until(1)
    stage.attest(1, stage.run.train("01d0" * 16))

    assert run(arguments(stage, "--segments", "0")) == 3

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

    assert run(where) == 3
    assert run([*where, "--store", stage.run.store.location]) == 0


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


def test_a_store_that_does_not_exist_ends_with_code_3(stage, tmp_path: Path, capsys) -> None:
    stage.open()

    code = run(
        ["audit", stage.client.address, "--rpc", stage.devnet.rpc_url, "--store", str(tmp_path / "nothing-here")]
    )

    assert code == 3
    assert "FAIL  proposal-published" in capsys.readouterr().out
