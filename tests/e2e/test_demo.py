"""The whole story as a user runs it, with a recipe that takes seconds; every claim is read from its JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.demo.facts import DemoFacts
from llamafund_chain.evidence.manifests import parse

_RECIPE = Path(__file__).parent / "recipes" / "tiny.yaml"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path, Path]:
    place = tmp_path_factory.mktemp("demo")
    home = place / "home"
    home.mkdir()
    arguments = ["demo", "--out", "demo-out", "--recipe", str(_RECIPE), "--promise", "7.5"]
    finished = subprocess.run(
        [sys.executable, "-m", "llamafund_chain", *arguments],
        cwd=place,
        env={**os.environ, "HOME": str(home), "PYTHONUTF8": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return finished, place / "demo-out", place / "demo-out" / "facts.json"


@pytest.fixture(scope="module")
def facts(told: tuple[subprocess.CompletedProcess[str], Path, Path]) -> dict[str, Any]:
    finished, _, file = told
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    loaded: dict[str, Any] = json.loads(file.read_text())
    return loaded


@pytest.fixture(scope="module")
def out(told: tuple[subprocess.CompletedProcess[str], Path, Path]) -> Path:
    return told[1]


def test_the_story_holds_and_every_act_was_played(facts: dict[str, Any]) -> None:
    assert facts["held"] is True
    assert [act["number"] for act in facts["acts"]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(expectation["held"] for expectation in facts["expectations"])
    assert DemoFacts.model_validate(facts).schema_ == "llamafund/demo/1"


def test_nothing_is_written_to_standard_error_and_no_control_sequences_to_a_pipe(
    told: tuple[subprocess.CompletedProcess[str], Path, Path], facts: dict[str, Any]
) -> None:
    assert told[0].stderr == ""
    assert "\x1b" not in told[0].stdout


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
    assert report["verdict"]["holds"] is True
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


def test_no_key_or_passphrase_is_told(
    told: tuple[subprocess.CompletedProcess[str], Path, Path], facts: dict[str, Any], out: Path
) -> None:
    passphrase = (out / "passphrase").read_text().strip()

    assert passphrase not in told[0].stdout
    assert passphrase not in told[2].read_text()
    assert all(passphrase not in log.read_text() for log in (out / "logs").iterdir())
