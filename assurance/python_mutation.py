"""Mutation testing of the Python that decides about money and verdicts.

cosmic-ray makes the faults; see `python_mutants`. Each is tried in a fork of one process that has pytest and all
libraries loaded already, and which imports the faulty text in place of the module: nothing on disk changes. The tests
that call the faulty function come first, so a mutant costs the second that the first of them takes to fail; one that
survives has run all of them.

`python -m assurance.python_mutation [MODULE…]` tries every fault of some modules, or of all.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import click
from hypothesis import Phase, settings

from assurance.harness import ROOT, BrokenToolError, MissingToolError, Result
from assurance.mutation import MIN_SCORE, Mutant, judge, read_survivors
from assurance.tools import broken, run_tool

SURVIVORS = ROOT / "assurance" / "python-mutation-survivors.toml"
RESULTS = ROOT / "build" / "python-mutation"
GENERATOR = ROOT / "assurance" / "python_mutants.py"

_TESTS = "tests/llamafund_chain"
_MANIFESTS = tuple(f"{_TESTS}/evidence/test_{name}.py" for name in ("manifests", "schemas"))
_LISTINGS = (*_MANIFESTS, f"{_TESTS}/evidence/test_listings.py")
TARGETS: Mapping[str, Sequence[str]] = {
    "audit/comparisons": (f"{_TESTS}/audit/test_comparisons.py",),
    "audit/dates": (f"{_TESTS}/audit/test_dates.py",),
    "audit/ledger": (f"{_TESTS}/audit/test_ledger.py",),
    "audit/money": (f"{_TESTS}/audit/test_money.py",),
    "audit/timeline": (f"{_TESTS}/audit/test_timeline.py",),
    "audit/verdict": (f"{_TESTS}/audit/test_verdict.py",),
    "campaign/attestation": (f"{_TESTS}/campaign/test_attestation.py",),
    "campaign/terms": (f"{_TESTS}/campaign/test_terms_bounds.py", f"{_TESTS}/campaign/test_terms.py"),
    "checks/agreement": (f"{_TESTS}/checks/test_words_and_terms.py", f"{_TESTS}/checks/test_agreement.py"),
    "checks/baselines": (f"{_TESTS}/checks/test_baselines.py",),
    "checks/promises": (f"{_TESTS}/checks/test_promises.py",),
    "checks/rules": (f"{_TESTS}/checks/test_rules.py",),
    "checks/stakes": (f"{_TESTS}/checks/test_stakes.py",),
    "evidence/merkle": (f"{_TESTS}/evidence/test_merkle.py",),
    "evidence/manifests/base": _MANIFESTS,
    "evidence/manifests/encoding": _MANIFESTS,
    "evidence/manifests/listings": _LISTINGS,
    "evidence/manifests/models": _LISTINGS,
    "evidence/manifests/paths": (f"{_TESTS}/evidence/test_manifest_paths.py", _MANIFESTS[0]),
    "evidence/manifests/reading": _LISTINGS,
}
"""Module below `llamafund_chain` → the tests that decide about it. Those of them that need a chain are left out."""

LIBRARIES = (
    *("pytest", "_pytest.assertion.rewrite", "hypothesis", "pydantic", "web3", "eth_account", "eth_abi", "rlp", "yaml"),
    *("requests", "rich.console", "jinja2", "click", "jsonschema", "rfc8785"),
)
"""Loaded once, before the first fork."""

_CALLED = "__called__"
"""Name of the set, in a module, that its functions note their calls in."""

WORKERS = os.cpu_count() or 1
EXAMPLES = 100
"""Most examples that a test draws: what only the next thousand would notice takes a test of its own."""

SLOWER = 20
MIN_SECONDS = 2.0
"""With a fault a test may take so many times the processor's time that it takes without one, and at least so many
seconds of it. Longer is noticed: the fault made it endless."""

PATIENCE = 600.0
"""Seconds after which a fault is noticed in any case: it waits for something."""

MEMORY = 6 * 2**30
"""Most bytes of address space: an endless loop may collect something."""


@dataclass(frozen=True)
class Trial:
    """A fault with the text to import in place of the module.

    Attributes:
        target: The module's key in `TARGETS`.
    """

    target: str
    mutant: Mutant
    text: str


class _Faulty(SourceFileLoader):
    """Imports one module from a text; also the finder for it.

    Args:
        called: Gets the names of the module's functions that are called; `None` to note none.
    """

    def __init__(self, fullname: str, path: str, text: str, called: set[str] | None = None) -> None:
        super().__init__(fullname, path)
        self._text = text
        self._called = called

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        """The text's code; never that of a cached file."""
        text = self._text if self._called is None else _noting(self._text)
        code: CodeType = compile(text, self.path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """See importlib."""
        vars(module)[_CALLED] = self._called
        super().exec_module(module)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """The module's, for its own name alone."""
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None


@dataclass(frozen=True)
class _Tests:
    """What is known of a module's tests.

    Attributes:
        seconds: Of the processor, that each takes.
        callers: Those that call each function, the quickest first.
    """

    seconds: Mapping[str, float]
    callers: Mapping[str, Sequence[str]]


class _QuickFirst:
    """Leaves out the tests that start a chain, too slow to repeat for every fault, and puts the quickest first.

    Args:
        first: Names of the tests to try before the others, the quickest first.
        seconds: That each takes without a fault.
    """

    def __init__(self, first: Sequence[str] = (), seconds: Mapping[str, float] | None = None) -> None:
        self._first = {name: place for place, name in enumerate(first)}
        self._seconds = seconds

    def pytest_sessionstart(self) -> None:
        """See pytest. The tests' own settings are in force by now."""
        # One example that fails is enough, and those that broke another mutant say nothing about this one.
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", database=None, derandomize=True, phases=phases)
        settings.load_profile("mutation")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """See pytest."""
        if self._seconds is not None:
            # The signal ends the process.
            signal.setitimer(signal.ITIMER_PROF, max(MIN_SECONDS, SLOWER * self._seconds.get(nodeid, 0.0)))

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """See pytest."""
        quick = [item for item in items if "_worker_devnet" not in item.fixturenames]
        for test in {item.obj for item in quick if hasattr(item.obj, "hypothesis")}:
            drawn = test._hypothesis_internal_use_settings
            test._hypothesis_internal_use_settings = settings(drawn, max_examples=min(drawn.max_examples, EXAMPLES))
        last, seconds = len(self._first), self._seconds or {}
        items[:] = sorted(quick, key=lambda one: (self._first.get(one.nodeid, last), seconds.get(one.nodeid, 0.0)))


class _Callers:
    """Notes which functions of a module each test calls, in the order of the time that it takes, and what was imported.

    Args:
        called: Where the module notes them.
        into: Where it goes, as JSON.
    """

    def __init__(self, called: set[str], into: Path) -> None:
        self._called, self._into = called, into
        self._tests: list[tuple[float, str, list[str]]] = []

    def pytest_runtest_logstart(self) -> None:
        """See pytest."""
        self._called.clear()
        self._began = time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """See pytest."""
        self._tests.append((time.process_time() - self._began, nodeid, sorted(self._called)))

    def pytest_sessionfinish(self) -> None:
        """See pytest."""
        loaded = [name for name, module in sys.modules.items() if _is_library(module)]
        self._into.write_text(json.dumps({"loaded": loaded, "tests": sorted(self._tests)}))


def trials(target: str) -> list[Trial]:
    """All faults of a module, in the order of the file.

    Raises:
        BrokenToolError: cosmic-ray cannot read it.
        MissingToolError: It is not installed.
    """
    path = _source(target)
    ended = run_tool("python", [str(GENERATOR), str(path)])
    if ended.returncode != 0:
        raise broken(f"cosmic-ray made no mutants of {target}", ended)
    code = path.read_text(encoding="utf-8")
    made = [_trial(target, code, json.loads(line)) for line in ended.stdout.splitlines()]
    unique = {(trial.mutant.start, trial.text): trial for trial in made}
    return sorted(unique.values(), key=lambda trial: (trial.mutant.start, trial.mutant.old, trial.mutant.new))


def run(short: bool) -> Iterator[Result]:
    """Try every fault, which takes long the first time. There is no short version.

    Raises:
        MissingToolError: cosmic-ray is not installed.
        BrokenToolError: The tests fail without any fault.
    """
    if not short:
        yield score([trial for target in TARGETS for trial in trials(target)])


def score(chosen: Sequence[Trial]) -> Result:
    """Try these faults, and compare the survivors with those that are explained.

    Raises:
        BrokenToolError: The tests fail without any fault.
    """
    judged = judge(fates(chosen), read_survivors(SURVIVORS))
    return replace(judged, name=f"the tests of what decides notice at least {MIN_SCORE:.0%} of small faults in Python")


def fates(chosen: Sequence[Trial]) -> dict[Mutant, str]:
    """`killed`, `survived` or `invalid` (it is no Python) for each.

    Results are kept in build/python-mutation by module, its tests and mutant: a run that was cut short goes on where it
    was.

    Raises:
        BrokenToolError: The tests fail without any fault.
    """
    found: dict[Mutant, str] = {}
    for target in dict.fromkeys(trial.target for trial in chosen):
        folder = RESULTS / _fingerprint(target)
        files = {
            trial: folder / hashlib.sha256(trial.text.encode()).hexdigest()[:32]
            for trial in chosen
            if trial.target == target
        }
        missing = [trial for trial, file in files.items() if not file.is_file()]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            for trial, fate in _try_all(missing, _look_at_tests(target, folder)):
                files[trial].write_text(fate)
        found |= {trial.mutant: file.read_text() for trial, file in files.items()}
    return found


def _trial(target: str, code: str, line: Sequence[Any]) -> Trial:
    _, first, column, last, end_column, text = line
    rows = code.splitlines(keepends=True)
    start = sum(map(len, rows[: first - 1])) + column
    end = sum(map(len, rows[: last - 1])) + end_column
    old, new = code[start:end].strip(), text[start : len(text) - (len(code) - end)].strip()
    shown = rows[first - 1].strip()
    if not old or not new:
        # Something was dropped: the whole line shows what.
        old, new = shown, text.splitlines()[first - 1].strip()
    source = str(_source(target).relative_to(ROOT))
    return Trial(target, Mutant(source, start, old, new, shown, first), text)


def _look_at_tests(target: str, folder: Path) -> _Tests:
    """Run a module's tests without a fault.

    Raises:
        BrokenToolError: They fail.
    """
    into = folder / "callers.json"
    called: set[str] = set()
    text = _source(target).read_text(encoding="utf-8")
    ended = _started(target, text, [_QuickFirst(), _Callers(called, into)], called)
    if os.waitpid(ended, 0)[1] != 0:
        raise BrokenToolError(f"the tests of {target} fail without any fault: {' '.join(TARGETS[target])}")
    noted = json.loads(into.read_text())
    _preload(target, noted["loaded"])
    callers: dict[str, list[str]] = {}
    for _, name, called in noted["tests"]:
        for function in called:
            callers.setdefault(function, []).append(name)
    return _Tests({name: seconds for seconds, name, _ in noted["tests"]}, callers)


def _is_library(module: ModuleType) -> bool:
    """Whether a module is of the project's own library or of one that it uses, and not of the tests."""
    spec = getattr(module, "__spec__", None)
    if spec is None or not spec.origin:
        return False
    path = Path(spec.origin)
    return spec.name.startswith("llamafund_") or not path.is_relative_to(ROOT) or ".venv" in path.parts


def _preload(target: str, names: Sequence[str]) -> None:
    """Import, once for all forks, what the tests of a module need and what does not need the module itself."""
    fresh = _dependents(_module(target))
    for name in names:
        if name not in fresh:
            with suppress(ImportError):
                importlib.import_module(name)


@cache
def _importers() -> Mapping[str, set[str]]:
    """Which modules of ours import each module, anywhere in their texts."""
    importers: dict[str, set[str]] = {}
    for root, package in ((ROOT, "llamafund_chain"), (ROOT / "trainer", "llamafund_trainer")):
        for path in (root / package).rglob("*.py"):
            name = ".".join(path.with_suffix("").relative_to(root).parts).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for imported in _imported(node):
                    importers.setdefault(imported, set()).add(name)
    return importers


def _dependents(module: str) -> frozenset[str]:
    """A module of ours, and all that import it or one that does."""
    importers = _importers()
    found, waiting = {module}, [module]
    while waiting:
        new = importers.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return frozenset(found)


def _imported(node: ast.AST) -> list[str]:
    """The modules that a statement may import."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    return []


def _try_all(chosen: Sequence[Trial], tests: _Tests) -> Iterator[tuple[Trial, str]]:
    """Try faults of one module, several at once."""
    waiting = list(reversed(chosen))
    running: dict[int, tuple[Trial, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < WORKERS:
                trial = waiting.pop()
                if not _compiles(trial):
                    yield trial, "invalid"
                    continue
                functions = _functions(_source(trial.target).read_text(encoding="utf-8"))
                first = tests.callers.get(_function_at(functions, trial.mutant.number), ())
                child = _started(trial.target, trial.text, [_QuickFirst(first, tests.seconds)])
                running[child] = trial, time.monotonic() + PATIENCE
            for child, (trial, end) in [*running.items()]:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    del running[child]
                    yield trial, "survived" if status == 0 else "killed"
                elif time.monotonic() > end:
                    # Its fate is known when it has ended.
                    os.killpg(child, signal.SIGKILL)
            time.sleep(0.02)
    finally:
        for child in running:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _compiles(trial: Trial) -> bool:
    try:
        compile(trial.text, trial.target, "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _started(target: str, text: str, plugins: Sequence[object], called: set[str] | None = None) -> int:
    """Fork a process that runs a module's tests on a text in its place, and ends with 0 if they pass; its number."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()
    child = os.fork()
    if child == 0:
        _try(target, text, plugins, called)
    with suppress(OSError):
        # The child does the same; whoever is first, its group is there when it has to be killed.
        os.setpgid(child, child)
    return child


def _try(target: str, text: str, plugins: Sequence[object], called: set[str] | None) -> None:
    """In the fork: run the tests on the faulty module, and end with 0 if they pass."""
    code = 1
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        os.chdir(ROOT)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        for name in _dependents(_module(target)):
            sys.modules.pop(name, None)
            package, _, last = name.rpartition(".")
            if package in sys.modules:
                vars(sys.modules[package]).pop(last, None)
        sys.dont_write_bytecode = True
        # Looking for plugins takes as long as all the rest; none is needed.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.meta_path.insert(0, _Faulty(_module(target), str(_source(target)), text, called))
        import pytest

        code = int(pytest.main([*TARGETS[target], "-x", "-q", "-p", "no:cacheprovider"], plugins=[*plugins]))
    finally:
        os._exit(code)


def _functions(code: str) -> list[tuple[int, int, str]]:
    """The functions of a file that lie in no other: first and last line, and name. Methods are among them."""
    found: list[tuple[int, int, str]] = []
    nodes: list[ast.AST] = [ast.parse(code)]
    while nodes:
        for node in ast.iter_child_nodes(nodes.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                found.append((first, node.end_lineno or first, f"{node.name}:{first}"))
            else:
                nodes.append(node)
    return found


def _noting(code: str) -> str:
    """A file whose functions note that they were called. A trace of all calls would take as long as the tests."""
    tree = ast.parse(code)
    names = {line: name for line, _, name in _functions(code)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if first in names:
                node.body[:0] = ast.parse(f"{_CALLED}.add({names[first]!r})").body
    return ast.unparse(tree)


def _function_at(functions: Sequence[tuple[int, int, str]], line: int) -> str:
    return next((name for first, last, name in functions if first <= line <= last), "")


def _module(target: str) -> str:
    return "llamafund_chain." + target.replace("/", ".")


def _source(target: str) -> Path:
    return ROOT / "llamafund_chain" / f"{target}.py"


def _fingerprint(target: str) -> str:
    """Of the module and the tests that decide about it: results are good for these alone."""
    digest = hashlib.sha256()
    for path in (_source(target), *(ROOT / name for name in TARGETS[target])):
        digest.update(path.read_bytes())
    return f"{target.replace('/', '-')}-{digest.hexdigest()[:24]}"


@click.command()
@click.argument("modules", nargs=-1, type=click.Choice(list(TARGETS)))
def main(modules: Sequence[str]) -> None:
    """Try every fault of modules, or of all, one after the other.

    Example: python -m assurance.python_mutation audit/ledger audit/money
    """
    holds = True
    try:
        for target in modules or TARGETS:
            result = score(trials(target))
            holds = holds and result.holds
            click.echo(f"{'holds' if result.holds else 'BROKEN':<7} {target}\n{result.detail}")
    except (MissingToolError, BrokenToolError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
