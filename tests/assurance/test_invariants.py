"""The short run of the invariant campaign, and how forge's answer is read."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from assurance import invariants
from assurance.harness import BrokenToolError


def test_every_invariant_holds_in_a_short_run() -> None:
    results = list(invariants.run(short=True))
    assert [result for result in results if not result.holds] == []
    assert [result.name for result in results[:-1]] == list(invariants.PROPERTIES)
    assert all(result.cases >= invariants.SHORT_CALLS for result in results[:-1])


def _forge(monkeypatch: pytest.MonkeyPatch, stdout: str, code: int = 0) -> None:
    def answer(*arguments: str, **_: Any) -> subprocess.CompletedProcess[str]:
        built = arguments[0] == "build"
        return subprocess.CompletedProcess(arguments, 0 if built else code, "" if built else stdout, "")

    monkeypatch.setattr(invariants, "forge", answer)


def _answer(reason: str | None) -> str:
    status = "Success" if reason is None else "Failure"
    kind = {"Invariant": {"runs": 24, "calls": 12_000, "reverts": 0}}
    tests = {
        invariants.INVARIANT: {"status": status, "reason": reason, "kind": kind},
        invariants.WALK: {"status": "Success", "reason": None, "kind": {"Unit": {"gas": 1}}},
    }
    return json.dumps({"tests/forge/CampaignInvariants.t.sol:CampaignInvariants": {"test_results": tests}})


@pytest.mark.parametrize(
    ("reason", "blamed"),
    [
        ('Disagreement("Promise 1: the escrow\'s balance", 2, 1)', "Promise 1"),
        ('Disagreement("money that nobody can ever move", 0, 9)', "No sequence leaves money"),
        ('WrongOutcome("claim", true, 0x)', "Every call goes through"),
    ],
)
def test_a_complaint_breaks_the_property_that_it_speaks_of(monkeypatch, reason: str, blamed: str) -> None:
    _forge(monkeypatch, _answer(reason), code=1)
    (broken,) = [result for result in invariants.run(short=True) if not result.holds]
    assert broken.name.startswith(blamed)
    assert reason in broken.detail
    assert "fuzz seed 0x" in broken.detail


@pytest.mark.parametrize("output", ["", "Error: nothing", "{}", '{"x": {"test_results": {}}}'])
def test_a_forge_without_a_result_is_broken(monkeypatch, output: str) -> None:
    _forge(monkeypatch, output, code=1)
    with pytest.raises(BrokenToolError, match="without a result"):
        list(invariants.run(short=True))
