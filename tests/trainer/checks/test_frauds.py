"""Every fraud in the catalogue is caught by the check that the documentation names, and honest work passes it."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from frauds import CATALOGUE, DishonestRuns, Fraud, train_dishonestly

from llamafund_chain.checks.check import Check, CheckContext, check_name
from llamafund_chain.checks.run import discover, run_checks
from llamafund_trainer.checks import CHECKS

MakeContext = Callable[..., CheckContext]
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "verification.md"


def check_called(name: str) -> Check:
    return next(check for check in discover() if check_name(check) == name)


@pytest.fixture(scope="session")
def dishonest_runs(
    lab: object, tuned: dict[str, object], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> DishonestRuns:
    """Trained once, also when several processes share the tests."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "dishonest-runs"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return train_dishonestly(lab, tuned, root)


@pytest.mark.parametrize("fraud", CATALOGUE, ids=lambda fraud: fraud.name.replace(" ", "-"))
def test_fraud(fraud: Fraud, lab: object, dishonest_runs: DishonestRuns, context: MakeContext, tmp_path: Path) -> None:
    planted = fraud.commit(lab, dishonest_runs, tmp_path / "planted")
    made = context(planted.evidence, **planted.context)
    results = list(check_called(fraud.check)(made))
    failed = [result for result in results if result.status == "fail"]
    assert failed, [(result.status, result.detail) for result in results]
    for result in failed:
        assert re.search(fraud.words, result.detail), result.detail
    if planted.segments is not None:
        found = tuple(index for index, result in enumerate(results) if result.status == "fail")
        assert found == planted.segments


def test_honest_work_passes_what_catches_frauds_without_a_trainer(lab: object, context: MakeContext) -> None:
    """The trainer's own checks have this test in test_checks.py."""
    contexts = (context(lab.dataset, milestone=0, ancestry=()), context(lab.run[-1]), context(lab.weights))
    for name in sorted({fraud.check for fraud in CATALOGUE} - {check_name(check) for check in CHECKS}):
        results = [result for made in contexts for result in run_checks(made, (check_called(name),))]
        assert {result.status for result in results} == {"pass"}, (name, results)


def table() -> list[tuple[str, str]]:
    """Fraud and check of each line of the first table below the heading."""
    section = DOCUMENT.read_text(encoding="utf-8").split("## Frauds and what catches them")[1]
    first = section[section.index("\n|") + 1 :].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in first.splitlines()]
    return [(row[0].strip(), row[1].strip().strip("`")) for row in rows[2:]]


def test_the_table_in_the_documentation_is_the_suite() -> None:
    assert sorted(table()) == sorted((fraud.name, fraud.check) for fraud in CATALOGUE)


def test_every_fraud_has_its_own_name() -> None:
    names = [fraud.name for fraud in CATALOGUE]
    assert len(set(names)) == len(names) >= 40
