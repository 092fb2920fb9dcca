"""What an audit finds out before anybody pledges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from faulty_store import FAULTS, StoreWithAFault

from llamafund_chain.audit import AuditReport, audit
from llamafund_chain.checks.run import BUILT_IN
from llamafund_chain.evidence.manifests import DatasetPromise

FIXED = (
    "promised-dataset-published",
    "content-published",
    "dataset-license-matches-proposal",
    "heldout-separate",
    "documents-distinct",
    "promised-recipe-published",
    "terms-as-promised",
)


@pytest.fixture
def look(stage, tmp_path: Path):
    """Audits the stage's campaign with the built-in checks."""

    def run(store: object = None) -> AuditReport:
        return audit(
            stage.client,
            stage.run.store if store is None else store,
            depth="evidence",
            workdir=tmp_path,
            progress=lambda text: None,
            checks=BUILT_IN,
        )

    return run


def fixed(report: AuditReport) -> dict[str, str]:
    """The outcomes of the checks before a pledge."""
    return {check.name: check.status for check in report.checks if check.group == "proposal" and check.name in FIXED}


def test_data_and_recipe_of_an_honest_proposal_are_read_before_anybody_pledges(stage, look) -> None:
    stage.open()
    report = look()
    assert fixed(report) == dict.fromkeys(FIXED, "pass")
    assert report.verdict.outcome == "holds"
    names = {check.name: check.status for check in report.checks if check.group == "risks"}
    assert {"score-is-required", "promise-beats-counting"} <= names.keys()


def test_what_a_milestone_proves_is_not_read_twice(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    assert "promised-recipe-published" not in fixed(look())


def test_threat_data_that_was_fixed_but_is_nowhere_is_told_before_a_pledge(stage, look) -> None:
    stage.open()
    stage.run.remove_from_store(stage.run.dataset.files[0].cid)
    report = look()
    assert fixed(report)["content-published"] == "unchecked"
    assert report.verdict.outcome == "unchecked"


def test_a_recipe_that_is_none_is_caught_before_a_pledge(stage, look) -> None:
    recipe = stage.run.store.put_bytes(b"schema: llamafund/recipe/1\nsteps: [1, 2\n").sha256
    stage.open(proposal={"recipe": recipe})
    report = look()
    assert fixed(report)["promised-recipe-published"] == "fail"
    assert report.verdict.outcome == "fails"


@pytest.mark.parametrize(
    "data", [b"# Some other program's settings.\nrate: 3\n", b"[1]\n", b"import torch\nsteps = [1, 2\n"]
)
def test_a_recipe_of_another_program_is_a_remark(stage, look, data: bytes) -> None:
    stage.open(proposal={"recipe": stage.run.store.put_bytes(data).sha256})
    assert fixed(look())["promised-recipe-published"] == "warn"


def test_threat_a_recipe_that_fixes_no_environment_is_a_remark_before_anybody_pledges(stage, look) -> None:
    stage.open(proposal={"recipe": stage.run.store.put_bytes(b"schema: llamafund/recipe/1\n").sha256})
    report = look()
    assert fixed(report)["promised-recipe-published"] == "warn"
    assert report.verdict.outcome == "holds"
    assert any("fixes no environment" in check.detail for check in report.checks)


def test_a_recipe_that_leaves_a_choice_of_machines_is_a_remark(stage, look) -> None:
    recipe = b"schema: llamafund/recipe/1\nenvironment: {torch: [2.13.0, 2.14.0], processor_class: Apple M2}\n"
    stage.open(proposal={"recipe": stage.run.store.put_bytes(recipe).sha256})
    report = look()
    assert fixed(report)["promised-recipe-published"] == "warn"
    assert any("leaves a choice of torch. A difference" in check.detail for check in report.checks)


def test_a_proposal_that_fixes_neither_data_nor_recipe_is_a_remark(stage, look) -> None:
    words = DatasetPromise(manifest=None, description="texts", sources=("here",), license="CC0-1.0")
    stage.open(proposal={"recipe": None, "dataset": words}, dataset="00" * 32)
    report = look()
    assert fixed(report) == {
        "promised-dataset-published": "warn",
        "promised-recipe-published": "warn",
        "terms-as-promised": "pass",
    }
    assert report.verdict.outcome == "holds"


def test_a_dataset_that_is_no_dataset_is_caught_before_a_pledge(stage, look) -> None:
    other = json.dumps({"schema": "nothing"}, separators=(",", ":")).encode()
    sha256 = stage.run.store.put_bytes(other).sha256
    words = DatasetPromise(manifest=sha256, description="texts", sources=("here",), license="CC0-1.0")
    stage.open(proposal={"dataset": words}, dataset=sha256)
    assert fixed(look())["promised-dataset-published"] == "fail"


@pytest.mark.parametrize("fault", FAULTS)
def test_no_trouble_of_a_store_accuses_a_campaign_before_a_pledge(stage, look, fault: str) -> None:
    stage.open()
    whole = look()
    for asked in range(1, 40):
        store = StoreWithAFault(stage.run.store, FAULTS[fault], asked)
        report = look(store)
        if store.left > 0:
            break
        assert not [check for check in report.checks if check.status == "fail"]
    assert store.left > 0
    assert report == whole
