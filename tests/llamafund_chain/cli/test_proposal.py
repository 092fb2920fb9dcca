"""`llamafund proposal check` finds what backers would find, before anything is sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.programs import Program

Change = Callable[[dict[str, Any]], None]
Checked = Callable[..., tuple[dict[str, tuple[str, str]], Any]]


@pytest.fixture
def checked(llamafund, stage, campaign_file, tmp_path: Path) -> Checked:
    """Checks the campaign file of the hand-made run after a change: statuses and details by name, and the run."""
    recipe = stage.run.store.read(raw_cid(stage.run.recipe), limit=1000)
    (tmp_path / "recipe.yaml").write_bytes(recipe)

    def run(change: Change = lambda _: None, *more: object) -> tuple[dict[str, tuple[str, str]], Any]:
        file = campaign_file()
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        change(document)
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        ran = llamafund("proposal", "check", file, "--store", stage.run.store.location, "--json", *more)
        return {one["name"]: (one["status"], one["detail"]) for one in ran.json["checks"]}, ran

    return run


def test_a_complete_proposal_passes_without_a_node(checked: Checked, stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMAFUND_RPC", "http://127.0.0.1:9")
    found, ran = checked()
    assert {status for status, _ in found.values()} == {"pass"}
    assert ran.code == 0
    assert stage.run.dataset.sha256 in found["dataset-published"][1]


def test_a_dataset_that_is_not_in_the_store_fails(checked: Checked, stage) -> None:
    found, ran = checked(lambda file: file["proposal"]["dataset"].update(manifest="ab" * 32))
    assert found["dataset-published"][0] == "fail"
    assert "llamafund dataset build" in found["dataset-published"][1]
    ran.refused(2, "1 check of 5 failed: dataset-published")


def test_a_file_of_the_dataset_that_is_not_in_the_store_fails(checked: Checked, stage) -> None:
    lost = stage.run.dataset.files[0]
    stage.run.remove_from_store(raw_cid(lost.sha256))
    found, _ = checked()
    assert found["dataset-published"][0] == "fail"
    assert f"1 file of the dataset is not in {stage.run.store.location}" in found["dataset-published"][1]
    assert lost.path in found["dataset-published"][1]


def test_a_dataset_under_another_license_than_promised_fails(checked: Checked) -> None:
    found, _ = checked(lambda file: file["proposal"]["dataset"].update(license="MIT"))
    assert found["dataset-published"] == ("fail", "The dataset's license is CC0-1.0, but the proposal says MIT")


def test_a_script_of_ones_own_as_the_recipe_is_a_remark_before_anybody_pledges(
    checked: Checked, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_bytes(b"import torch\n")
    sha256 = hashlib.sha256(b"import torch\n").hexdigest()
    found, ran = checked(lambda file: file["proposal"].update(recipe=sha256), "--recipe", tmp_path / "train.py")
    assert found["recipe-unchanged"][0] == "warn"
    assert found["recipe-unchanged"][1].startswith("Recorded, not replayable")
    assert ran.code == 0


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, "pass", "is the program that the proposal names"),
        ({"environment": {}}, "warn", "fixes no environment"),
        ({"arguments": ()}, "warn", "no argument of it is the training seed"),
        ({"entry": "b.py"}, "fail", "'b.py' is not one of the files"),
    ],
)
def test_a_program_as_the_recipe_is_read_before_anybody_pledges(
    checked: Checked, tmp_path: Path, change: dict[str, Any], status: str, words: str
) -> None:
    program = Program(
        entry="a.py", arguments=("{seed}",), environment={"machine": "x"}, python="3.11", lock={}, files={"a.py": ""}
    )
    data = program.model_copy(update=change).encoded
    (tmp_path / "recipe.json").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    found, _ = checked(lambda file: file["proposal"].update(recipe=sha256), "--recipe", tmp_path / "recipe.json")
    assert found["recipe-unchanged"][0] == status
    assert words in found["recipe-unchanged"][1]


def test_a_recipe_that_was_changed_or_is_not_there_fails(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("other")
    found, _ = checked(lambda _: None, "--recipe", tmp_path / "other.yaml")
    assert found["recipe-unchanged"][0] == "fail"
    assert "but the proposal names" in found["recipe-unchanged"][1]
    (tmp_path / "recipe.yaml").unlink()
    found, _ = checked()
    assert found["recipe-unchanged"][0] == "fail"
    assert "--recipe" in found["recipe-unchanged"][1]


def test_a_recipe_that_fixes_no_environment_is_noted(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"schema: llamafund/recipe/1\n")
    named = hashlib.sha256(b"schema: llamafund/recipe/1\n").hexdigest()
    found, ran = checked(lambda file: file["proposal"].update(recipe=named))
    assert found["recipe-unchanged"][0] == "warn"
    assert "--dry-run` prints what this machine has" in found["recipe-unchanged"][1]
    assert ran.code == 0


@pytest.mark.parametrize(
    ("score", "status"),
    [("-3", "pass"), ("-3.1", "fail"), ("-2.9", "warn"), (None, "warn")],
)
def test_a_promise_that_the_last_milestone_does_not_demand_is_told(checked: Checked, score, status: str) -> None:
    found, _ = checked(lambda file: file["terms"]["milestones"][-1].update(min_score=score))
    assert found["score-binds"][0] == status
    assert "heldout_bits_per_byte of 3" in found["score-binds"][1]


@pytest.mark.parametrize(("bits", "status"), [("4.256432", "pass"), ("4.256433", "fail")])
def test_a_promise_that_counting_letters_keeps_fails(checked: Checked, bits: str, status: str) -> None:
    def promise(file: dict[str, Any]) -> None:
        file["proposal"]["outcome"]["target"] = bits
        file["terms"]["milestones"][-1]["min_score"] = f"-{bits}"

    found, ran = checked(promise)
    assert found["promise-beats-counting"][0] == status
    if status == "fail":
        ran.refused(2, "promise-beats-counting")


def test_what_is_not_fixed_before_the_funding_is_noted(checked: Checked) -> None:
    def open_ended(file: dict[str, Any]) -> None:
        file["proposal"]["dataset"]["manifest"] = None
        file["proposal"]["recipe"] = None

    found, ran = checked(open_ended)
    assert (found["dataset-published"][0], found["recipe-unchanged"][0]) == ("warn", "warn")
    assert ran.code == 0


@pytest.mark.parametrize("place", ["researcher", "attestor", "payee", "arbiter"])
def test_an_account_whose_key_everybody_has_is_noted(checked: Checked, place: str) -> None:
    bob = next(account for account in KNOWN_ACCOUNTS if account.name == "bob")

    def name(file: dict[str, Any]) -> None:
        if place == "arbiter":
            file["terms"]["arbiter"] = {"account": bob.address, "ruling_window": "7d"}
        elif place == "payee":
            file["terms"]["payees"][1]["account"] = bob.address
        else:
            proposal = file["proposal"]
            (proposal["researcher"] if place == "researcher" else proposal["attestors"][1])["address"] = bob.address

    found, _ = checked(name)
    assert found["keys-secret"][0] == "warn"
    assert "the keys of bob," in found["keys-secret"][1]


def test_a_token_and_a_bond_that_only_the_chain_knows_need_no_node(checked: Checked) -> None:
    def in_a_token(file: dict[str, Any]) -> None:
        file["terms"]["asset"] = "0x" + "11" * 20
        del file["terms"]["min_bond"]

    assert checked(in_a_token)[1].code == 0


def test_a_mistake_in_the_file_is_told_with_its_line(llamafund, campaign_file, tmp_path: Path) -> None:
    llamafund("proposal", "check", campaign_file(goal="lots"), "--store", tmp_path).refused(2, "line ", "terms.goal")
    funding_over = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    file = campaign_file(funding_deadline=funding_over)
    llamafund("proposal", "check", file, "--store", tmp_path).refused(2, "terms.funding_deadline")


def test_a_person_reads_one_line_a_check_and_what_comes_next(llamafund, campaign_file, stage, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(stage.run.store.read(raw_cid(stage.run.recipe), limit=1000))
    ran = llamafund("proposal", "check", campaign_file(), "--store", stage.run.store.location)
    assert sum(line.startswith("ok    ") for line in ran.stdout.splitlines()) == 5
    assert ran.stderr == "Nothing stands in the way. Next: llamafund campaign create\n"
