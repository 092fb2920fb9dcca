"""The whole story as a user runs it, with a recipe that takes seconds; every claim is read from its JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from threading import Event, Timer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import list_campaigns
from llamafund_chain.chain import abi
from llamafund_chain.chain.connection import connect
from llamafund_chain.demo.facts import DemoFacts
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import parse
from llamafund_chain.samples.project import PROMISED_BITS_PER_BYTE, RECIPE


@dataclass
class Told:
    """A demo that was told and ended.

    Attributes:
        kept: What was seen while its chain and page were still up.
    """

    returncode: int
    stdout: str
    stderr: str
    out: Path
    kept: dict[str, Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The story is told once; then it stays up, is looked at, and is interrupted."""
    place = tmp_path_factory.mktemp("demo")
    home = place / "home"
    home.mkdir()
    arguments = ["demo", "--keep", "--out", "demo-out", "--recipe", str(RECIPE)]
    arguments += ["--promise", PROMISED_BITS_PER_BYTE]
    with (place / "stderr").open("w+", encoding="utf-8") as stderr:
        running = subprocess.Popen(
            [sys.executable, "-m", "llamafund_chain", *arguments],
            cwd=place,
            env={**os.environ, "HOME": str(home), "PYTHONUTF8": "1", "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
        )
        too_long = Timer(600, running.kill)
        too_long.start()
        try:
            lines = _until_it_stays(running)
            kept = _looked_at("".join(lines), place / "demo-out") if running.poll() is None else {}
            running.send_signal(signal.SIGINT)
            rest, _ = running.communicate()
        finally:
            too_long.cancel()
            running.kill()
            running.wait()
        stderr.seek(0)
        yield Told(running.returncode, "".join(lines) + rest, stderr.read(), place / "demo-out", kept)


def _until_it_stays(running: subprocess.Popen[str]) -> list[str]:
    assert running.stdout is not None
    lines: list[str] = []
    for line in running.stdout:
        lines.append(line)
        # The sentence may stand on two lines.
        if "Ctrl-C stops everything." in " ".join("".join(lines[-2:]).split()):
            return lines
    running.wait()
    return lines


def _looked_at(story: str, out: Path) -> dict[str, Any]:
    """What somebody sees who follows the link, and pledges with an account of the chain's own."""
    page, rpc = (re.search(rf"{what}: (http://127.0.0.1:\d+\S*)", story) for what in ("The page", "The chain"))
    assert page is not None
    assert rpc is not None
    opened = requests.get(page[1], timeout=60, allow_redirects=False)
    proposal = json.loads((out / "facts.json").read_text())["manifests"]["open-proposal"]
    block = requests.get(page[1].replace("open", f"ipfs/{raw_cid(proposal)}?format=raw"), timeout=60)
    connection = connect(rpc[1])
    campaigns = list_campaigns(connection)
    client = CampaignClient(connection, campaigns[-1].campaign)
    account = connection.request("eth_accounts")[0]
    data = abi.contract("Campaign").encode("pledgeCoin", account)
    call = {"from": account, "to": client.address, "value": hex(10**18), "data": f"0x{data.hex()}"}
    receipt = connection.w3.eth.wait_for_transaction_receipt(connection.request("eth_sendTransaction", call))
    patience = Event()
    while connection.block("finalized").number < receipt["blockNumber"]:
        patience.wait(0.1)
    return {
        "page": page[1],
        "rpc": rpc[1],
        "leads to": unquote(opened.headers["Location"]),
        "proposal": (hashlib.sha256(block.content).hexdigest(), proposal),
        "statuses": [CampaignClient(connection, one.campaign).status().name for one in campaigns],
        "pledged": client.pledge_of(account),
    }


@pytest.fixture(scope="module")
def facts(told: Told) -> dict[str, Any]:
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    loaded: dict[str, Any] = json.loads((told.out / "facts.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def out(told: Told) -> Path:
    return told.out


def test_the_story_holds_and_every_act_was_played(facts: dict[str, Any]) -> None:
    assert facts["held"] is True
    assert [act["number"] for act in facts["acts"]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(expectation["held"] for expectation in facts["expectations"])
    assert DemoFacts.model_validate(facts).schema_ == "llamafund/demo/1"


def test_the_story_stays_up_on_request_with_a_campaign_that_is_open_and_ends_cleanly(
    told: Told, facts: dict[str, Any]
) -> None:
    kept = told.kept
    # The link leads to the list of campaigns, through the story's node, and the page's server has their proposals.
    assert kept["leads to"] == f"/#/31337?rpc={kept['rpc']}"
    served, wanted = kept["proposal"]
    assert served == wanted
    assert kept["statuses"][-1] == "FUNDING"
    assert set(kept["statuses"][:-1]) == {"COMPLETED", "FAILED"}
    assert len(kept["statuses"]) == len(facts["campaigns"]) + 1
    # Anybody pledges with an account of the chain's own, and the pledge becomes final.
    assert kept["pledged"] == 10**18
    assert "The chain and the page have stopped." in told.stdout
    for url in (kept["page"], kept["rpc"]):
        with socket.socket() as knock:
            assert knock.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) != 0


def test_nothing_is_written_to_standard_error_and_no_control_sequences_to_a_pipe(
    told: Told, facts: dict[str, Any]
) -> None:
    assert told.stderr == ""
    assert "\x1b" not in told.stdout


def test_nothing_is_written_to_the_home_directory(out: Path, facts: dict[str, Any]) -> None:
    assert list((out.parent / "home").rglob("*")) == []


def test_all_money_of_every_campaign_is_accounted_for_to_the_last_unit(facts: dict[str, Any]) -> None:
    assert [campaign["name"] for campaign in facts["campaigns"]] == ["honest", "forged", "token", "lied"]
    for campaign in facts["campaigns"]:
        pledged, paid, refunded, dust = (Decimal(campaign[key]) for key in ("pledged", "paid", "refunded", "dust"))
        assert pledged == paid + refunded
        assert dust == 0
        assert pledged == sum(Decimal(backer["pledged"]) for backer in campaign["backers"])
        assert refunded == sum(Decimal(backer["refunded"]) for backer in campaign["backers"])
        assert paid == sum(Decimal(payee["paid"]) for payee in campaign["payees"])


def test_the_honest_campaign_is_paid_in_full_and_the_cheats_only_for_the_data(facts: dict[str, Any]) -> None:
    honest, *cheats = facts["campaigns"]

    assert (honest["status"], honest["pledged"]) == ("Completed", honest["paid"])
    assert Decimal(honest["taken_back"]) == Decimal("1.5")
    for cheat in cheats:
        assert cheat["status"] == "Failed"
        assert Decimal(cheat["paid"]) <= Decimal(cheat["pledged"]) / 10


def test_each_rug_pull_was_caught_by_the_check_that_is_meant_for_it(facts: dict[str, Any]) -> None:
    caught = [set(fraud["caught_by"]) for fraud in facts["frauds"]]

    for meant, found in zip(
        (
            "weights-equal-checkpoint",
            "content-published",
            "seed-fresh",
            "initial-weights-from-seed",
            "initial-weights-from-seed",
            "deadline",
            "weights-equal-checkpoint",
        ),
        caught,
        strict=True,
    ):
        assert meant in found
    assert all(fraud["said"] for fraud in facts["frauds"])


def test_a_lie_at_the_end_is_disputed_by_one_command_and_every_backer_has_the_last_tranche_back(
    facts: dict[str, Any], out: Path
) -> None:
    lied = facts["campaigns"][-1]
    assert (lied["status"], [backer["name"] for backer in lied["backers"]]) == ("Failed", ["alice", "bob"])
    assert all(Decimal(b["refunded"]) >= Decimal(b["pledged"]) * 9 / 10 > 0 for b in lied["backers"])
    disputed = [log.read_text() for log in (out / "logs").iterdir() if "dispute" in log.name]
    assert len(disputed) == 1
    assert "exit code 0" in disputed[0]


def test_the_audits_verdicts_are_what_the_files_say(facts: dict[str, Any], out: Path) -> None:
    honest, forged, lied = facts["audits"]
    report = json.loads((out / honest["report"]).read_text())

    assert honest["failed"] == 0
    assert report["verdict"]["outcome"] == "holds"
    for cheat in (forged, lied):
        assert cheat["failed"] > 0
        assert json.loads((out / cheat["report"]).read_text())["verdict"]["alarms"][0]["in_time"] is True
    assert report["money"]["events"]["claimed"] == report["money"]["state"]["claimed"]
    page = (out / "audit.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_model_is_better_than_counting_and_the_numbers_are_the_manifests(facts: dict[str, Any], out: Path) -> None:
    training = facts["training"]
    weights = json.loads((out / "manifests" / "weights.json").read_text())

    assert training["heldout_bits_per_byte"] < training["unigram_bits_per_byte"]
    assert weights["metrics"]["heldout_bits_per_byte"] == training["heldout_bits_per_byte"]
    assert training["sample"].startswith(training["sample_prompt"])
    assert training["replayed"]


def test_every_kept_manifest_has_the_hash_that_the_facts_name(facts: dict[str, Any], out: Path) -> None:
    assert len(facts["manifests"]) >= 7
    for name, sha256 in facts["manifests"].items():
        assert parse((out / "manifests" / f"{name}.json").read_bytes()).sha256 == sha256


def test_no_key_or_passphrase_is_told(told: Told, facts: dict[str, Any], out: Path) -> None:
    passphrase = (out / "passphrase").read_text().strip()

    assert passphrase not in told.stdout
    assert passphrase not in (out / "facts.json").read_text()
    assert all(passphrase not in log.read_text() for log in (out / "logs").iterdir())
