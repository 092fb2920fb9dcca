"""The proofs that take seconds, and how their tools' answers are read."""

import pytest

from assurance import proofs
from assurance.harness import BrokenToolError, MissingToolError

LEDGER = [stated for stated in proofs.PROPERTIES if stated.contract == "LedgerProof"]


def _report(**changed):
    tests = [
        {"name": f"{p.function}(uint256)", "exitcode": 0, "num_paths": [3, 2, 0], "num_bounded_loops": 0, **changed}
        for p in LEDGER
    ]
    return {"exitcode": 0, "test_results": {"LedgerProof.sol:LedgerProof": tests}}


def test_every_quick_proof_holds():
    results = list(proofs.run(short=True))
    assert [result.name for result in results if not result.holds] == []
    assert len(results) == len(list(proofs.LEMMAS.glob("*.smt2"))) + sum(not p.slow for p in proofs.PROPERTIES)
    assert all(result.cases > 0 for result in results)


def test_a_finished_proof_holds_with_its_number_of_paths():
    results = proofs.judge_contract("LedgerProof", LEDGER, _report())
    assert [(result.holds, result.cases) for result in results] == [(True, 3)] * len(LEDGER)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"exitcode": 1}, "an input breaks it"),
        ({"num_bounded_loops": 1}, "a loop was cut short"),
        ({"num_paths": [3, 0, 0]}, "no input reaches the end"),
    ],
)
def test_a_proof_that_says_nothing_does_not_hold(changed, why):
    results = proofs.judge_contract("LedgerProof", LEDGER, _report(**changed))
    assert not any(result.holds for result in results)
    assert all(why in result.detail for result in results)


@pytest.mark.parametrize("report", [{}, {"test_results": {"LedgerProof": []}}])
def test_a_report_without_the_proofs_is_no_result(report):
    with pytest.raises(BrokenToolError, match="check_pledged"):
        proofs.judge_contract("LedgerProof", LEDGER, report)


def test_a_lemma_needs_assumptions_that_can_hold_and_no_counterexample():
    assert proofs.judge_lemma("sat\nunsat\n")
    assert not proofs.judge_lemma("unsat\nunsat\n")
    assert not proofs.judge_lemma("sat\nsat\n")
    assert not proofs.judge_lemma("sat\nunknown\n")


@pytest.mark.parametrize("output", ["", "sat", "timeout", '(error "line 1")\nsat\nunsat'])
def test_a_solver_that_does_not_answer_is_broken(output):
    with pytest.raises(BrokenToolError):
        proofs.judge_lemma(output)


def test_a_missing_tool_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("LLAMAFUND_ASSURANCE_TOOLS", str(tmp_path))
    with pytest.raises(MissingToolError, match="make"):
        next(proofs.run(short=True))


def test_a_tool_that_prints_garbage_is_shown_with_its_last_lines(monkeypatch, tmp_path):
    fake = tmp_path / "z3"
    fake.write_text("#!/bin/sh\necho segmentation of faults\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("LLAMAFUND_ASSURANCE_TOOLS", str(tmp_path))
    with pytest.raises(BrokenToolError, match="segmentation of faults"):
        next(proofs.run(short=True))
