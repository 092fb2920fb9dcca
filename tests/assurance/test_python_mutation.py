"""Which faults are put into the Python that decides, and that they are tried for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from assurance.harness import ROOT
from assurance.mutation import read_survivors
from assurance.python_mutation import (
    EXAMPLES,
    GENERATOR,
    RESULTS,
    SURVIVORS,
    TARGETS,
    _dependents,
    _function_at,
    _functions,
    _noting,
    _QuickFirst,
    run,
)
from assurance.tools import find_tool

CODE = '''\
from dataclasses import dataclass

@dataclass(frozen=True)
class A:
    held: int | None = 1

def solvent(balance: int | None, held: int) -> bool | None:
    """Not 1 < 2."""
    if balance > held and not held == 0:
        return True
    for _ in range(held):
        break
    return None
'''


def test_boundaries_conditions_numbers_and_loops_are_changed_and_types_are_not(tmp_path: Path) -> None:
    python = find_tool("python")
    (tmp_path / "a.py").write_text(CODE)
    ended = subprocess.run([python, GENERATOR, tmp_path / "a.py"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    faults = [json.loads(line) for line in ended.stdout.splitlines()]
    before = CODE.splitlines()
    changed = set()
    for _, first, _, _, _, text in faults:
        after = text.splitlines()
        assert after[: first - 1] == before[: first - 1]
        changed |= {new.strip() for old, new in zip(before, after, strict=False) if old != new}
    assert {
        "if balance >= held and not held == 0:",
        "if balance <= held and not held == 0:",
        "if balance > held or not held == 0:",
        "if balance > held and not held != 0:",
        "if balance > held and not held == 1:",
        "return False",
        "continue",
    } <= changed
    assert len([line for line in changed if line.startswith("for _ in")]) == 1
    assert not [line for line in changed if line.startswith(("@", "def", '"""'))]
    # The value of a field decides; its type does not.
    assert {line for line in changed if line.startswith("held:")} == {"held: int | None = 0", "held: int | None = 2"}


TRY = """
from assurance import python_mutation as it
target = "checks/agreement"
text = it._source(target).read_text()
it.RESULTS = Path(sys.argv[1])
changes = ("floor > target", "floor >", "__import__('time').sleep(99)", "[0 for _ in iter(int, 1)]")
texts = [text, *(text.replace("floor >= target", new) for new in changes)]
places = [it.Trial(target, it.Mutant("", place, "", "", "", 20), text) for place, text in enumerate(texts)]
fates = it.fates(places[:3])
it.PATIENCE, patience = 0.5, it.PATIENCE
fates |= it.fates(places[3:4])
it.PATIENCE, it.MIN_SECONDS = patience, 0.5
fates |= it.fates(places[4:])
print(*(fates[trial.mutant] for trial in places))
it._try_all = None
assert it.fates(places) == fates, "what was found out is not found out again"
"""


def test_a_fault_is_noticed_by_the_tests_that_decide_about_its_module_and_the_file_stays_as_it_is(
    tmp_path: Path,
) -> None:
    file = ROOT / "llamafund_chain" / "checks" / "agreement.py"
    before = file.read_bytes()
    words = [sys.executable, "-c", f"import sys\nfrom pathlib import Path\n{TRY}", tmp_path]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout.split() == ["survived", "killed", "invalid", "killed", "killed"], ended.stderr
    assert file.read_bytes() == before


def test_the_tests_that_call_the_faulty_function_are_tried_first(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class A:\n    def f(self):\n        return lambda: 1\n\n\ndef g():\n    return 2\n")
    functions = _functions((tmp_path / "a.py").read_text())
    assert [_function_at(functions, line) for line in (1, 2, 3, 5, 7)] == ["", "f:2", "f:2", "", "g:6"]
    items = [SimpleNamespace(nodeid=name, fixturenames=(), obj=None) for name in ("a", "b", "c", "d")]
    _QuickFirst(["d", "b"]).pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == ["d", "b", "a", "c"]


def test_functions_note_that_they_were_called() -> None:
    code = "class A:\n    @staticmethod\n    def f(): return g(1)\n\ndef g(n):\n    return n\n\ndef h(): return 2\n"
    space: dict[str, Any] = {"__called__": set()}
    exec(compile(_noting(code), "a.py", "exec"), space)
    assert space["A"].f() == 1
    assert space["__called__"] == {"f:2", "g:5"} <= {name for _, _, name in _functions(code)}


@settings(max_examples=EXAMPLES + 1)
@given(st.none())
def drawing(_: None) -> None:
    """No test by itself."""


def test_a_test_draws_only_so_many_examples_for_a_fault() -> None:
    item = SimpleNamespace(nodeid="a", fixturenames=(), obj=drawing)
    _QuickFirst().pytest_collection_modifyitems([item])
    assert drawing._hypothesis_internal_use_settings.max_examples == EXAMPLES  # type: ignore[attr-defined]


def test_whatever_imports_the_faulty_module_is_imported_anew() -> None:
    found = _dependents("llamafund_chain.audit.money")
    assert {"llamafund_chain.audit.money", "llamafund_chain.audit.auditor", "llamafund_chain.audit"} <= found
    assert not {"llamafund_chain.audit.ledger", "llamafund_chain.campaign.terms"} & found
    # By an import within a function, in the trainer, and by the package that hands its names on.
    everywhere = _dependents("llamafund_chain.evidence.merkle")
    assert {"llamafund_trainer.runs.export", "llamafund_chain.campaign.challenges"} <= everywhere


def test_every_module_and_each_of_its_tests_is_there() -> None:
    for target, tests in TARGETS.items():
        assert (ROOT / "llamafund_chain" / f"{target}.py").is_file(), target
        assert tests
        assert all((ROOT / name).is_file() for name in tests), tests


def test_every_explained_survivor_is_in_the_code_as_it_is() -> None:
    sources = {f"llamafund_chain/{target}.py" for target in TARGETS}
    for source, line, old, _ in read_survivors(SURVIVORS):
        assert source in sources, source
        assert line in [row.strip() for row in (ROOT / source).read_text(encoding="utf-8").splitlines()], line
        assert old in (ROOT / source).read_text(encoding="utf-8"), old


def test_there_is_no_short_version_and_nothing_is_kept_in_the_sources() -> None:
    assert list(run(short=True)) == []
    assert RESULTS.is_relative_to(ROOT / "build")
