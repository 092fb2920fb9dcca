"""`llamafund init` writes a start that works as it is, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS
from llamafund_chain.samples.corpus import LICENSE
from llamafund_chain.samples.machine import library_versions, processor_class
from llamafund_chain.samples.project import PROMISED_BITS_PER_BYTE, with_environment
from llamafund_trainer.recipe import parse_recipe

NAMES = [".gitignore", "README.md", "campaign.yaml", "data", "data-license.txt", "recipe.yaml"]
BUILD = ("--title", "Python reference", "--license", "PSF-2.0", "--source", "CPython's pydoc topics")


@pytest.fixture
def project(llamafund, tmp_path: Path) -> Path:
    ran = llamafund("init", tmp_path / "new" / "project")
    assert ran.code == 0, ran.stderr
    return tmp_path / "new" / "project"


def test_it_is_complete_and_passes_every_check_once_its_data_is_published(llamafund, project, tmp_path) -> None:
    assert sorted(path.name for path in project.iterdir()) == NAMES
    check = ("proposal", "check", project / "campaign.yaml", "--store", tmp_path / "store")
    llamafund(*check).refused(2, "1 check of 5 failed: dataset-published")
    built = llamafund("dataset", "build", project / "data", *BUILD, "--store", tmp_path / "store")
    assert built.code == 0, built.stderr
    statuses = {one["name"]: one["status"] for one in llamafund(*check, "--json").json["checks"]}
    assert statuses == {
        "dataset-published": "pass",
        "recipe-unchanged": "pass",
        "score-binds": "pass",
        "promise-beats-counting": "pass",
        "keys-secret": "warn",
    }


def test_its_readme_has_the_lines_that_these_tests_run(project) -> None:
    text = (project / "README.md").read_text(encoding="utf-8")
    assert '$ llamafund dataset build data --title "Python reference" --license PSF-2.0 --source "CPython\'s' in text
    assert "$ llamafund proposal check campaign.yaml\n" in text


def test_its_recipe_is_for_the_machine_that_it_was_written_on(project) -> None:
    environment = yaml.safe_load((project / "recipe.yaml").read_text(encoding="utf-8"))["environment"]
    assert environment == {**library_versions(), "processor_class": processor_class()}
    assert parse_recipe((project / "recipe.yaml").read_bytes()).recipe.environment.named["torch"] == (
        environment["torch"],
    )


def test_without_the_libraries_that_train_it_names_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamafund_chain.samples.project.library_versions", lambda: {"torch": "2.13.0"})
    assert with_environment(b"a recipe\n") == b"a recipe\n"


def test_its_people_are_the_test_chains_and_its_promise_the_measured_one(project) -> None:
    file = yaml.safe_load((project / "campaign.yaml").read_text(encoding="utf-8"))
    addresses = {account.name: account.address for account in KNOWN_ACCOUNTS}
    people = [file["proposal"]["researcher"], *file["proposal"]["attestors"]]
    assert {one["name"].lower(): one["address"] for one in people} == {
        name: addresses[name] for name in ("rosa", "tara", "vera", "otto")
    }
    assert [payee["account"] for payee in file["terms"]["payees"]] == [addresses["rosa"], addresses["tara"]]
    assert str(file["proposal"]["outcome"]["target"]) == PROMISED_BITS_PER_BYTE
    assert file["proposal"]["dataset"]["license"] == LICENSE
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in (project / "data-license.txt").read_text(encoding="utf-8")


def test_threat_terms_with_accounts_whose_keys_everybody_has_open_on_a_test_chain_only(
    llamafund, devnet, node, project, tmp_path: Path
) -> None:
    where = ("--store", tmp_path / "store", "--yes")
    create = ("campaign", "create", project / "campaign.yaml", "--rpc", devnet.rpc_url, *where)
    llamafund(*create, wallet="researcher").refused(5, "researcher is 0x90F79bf6EB2c4f870365E785982E1f101E93b906")
    node(lambda method, params, forward: "0x2105" if method == "eth_chainId" else forward())
    llamafund(*create, wallet="researcher").refused(
        2, "accounts of test chains (rosa, tara, vera, otto)", "chain 8453", "Everybody has their keys"
    )


def test_a_folder_that_has_something_is_refused_and_left_alone(llamafund, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "more.txt").write_text("mine")
    llamafund("init", tmp_path).refused(2, "is not empty: it has 'mine.txt' and 1 more")
    llamafund("init", tmp_path / "mine.txt").refused(2, "is not a folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "more.txt"]
    (tmp_path / "empty").mkdir()
    assert llamafund("init", tmp_path / "empty", "--json").json["files"] == NAMES
