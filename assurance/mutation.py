"""Mutation testing: one small fault at a time goes into a copy of the contracts, and the tests have to notice it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from assurance.forge import forge
from assurance.harness import ROOT, BrokenToolError, Result
from assurance.tools import broken

SOURCES = (
    "contracts/Campaign.sol",
    "contracts/CampaignFactory.sol",
    "contracts/libraries/ChallengePrice.sol",
    "contracts/libraries/ContentProof.sol",
    "contracts/libraries/PackedLedger.sol",
    "contracts/libraries/PackedTerms.sol",
)
SURVIVORS = ROOT / "assurance" / "mutation-survivors.toml"
BUILD = ROOT / "build" / "mutation"
WORKERS = 2
MIN_SCORE = 0.95
SEED = "0x4c6c616d6146756e64"
"""Of forge's random numbers, so that a mutant's fate does not change from run to run."""
GAS_LIMIT = "20000000000"
STAGES = (
    ("--no-match-contract", "^CampaignInvariants$"),
    ("--match-test", "^test_aRandomWalk"),
    ("--match-test", "^invariant_"),
)
"""What a mutant has to survive, the quick first."""

REPLACEMENTS: Mapping[str, Sequence[str]] = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "/": ("*",),
    "&": ("|",),
    "|": ("&",),
    "<<": (">>",),
    ">>": ("<<",),
    "+=": ("-=",),
    "-=": ("+=",),
}
"""Operator → what is put in its place: the boundary moved by one, and the opposite."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        source: Path of the file, from the checkout's root.
        start: Where it begins, bytes from the start of the file.
        old: What stands there.
        new: What is put in its place.
        line: The whole line, stripped: with `old` and `new` what a survivor is known by.
        number: Of the line, from 1.
    """

    source: str
    start: int
    old: str
    new: str
    line: str
    number: int

    def apply(self, root: Path) -> None:
        """Put the fault into the copy of the checkout at `root`."""
        code = (ROOT / self.source).read_bytes()
        end = self.start + len(self.old.encode())
        (root / self.source).write_bytes(code[: self.start] + self.new.encode() + code[end:])

    def undo(self, root: Path) -> None:
        """Take it out again."""
        shutil.copyfile(ROOT / self.source, root / self.source)

    def __str__(self) -> str:
        return f"{self.source}:{self.number}: {self.line}  —  {self.old!r} → {self.new!r}"


def mutants(source: str, code: bytes, tree: Mapping[str, Any]) -> list[Mutant]:
    """Every fault for one file, in the order of the file.

    Operators are exchanged, conditions made true and false, statements dropped, negations dropped. Left alone is what
    lies in assembly or outside functions, and the counting of loops, without which they would not end.

    Args:
        source: Its path, from the checkout's root.
        code: What is in it.
        tree: Its syntax tree, as the compiler prints it.
    """
    found: dict[tuple[int, str, str], Mutant] = {}

    def add(start: int, end: int, new: str) -> None:
        old = code[start:end].decode()
        number = code.count(b"\n", 0, start) + 1
        line = code.splitlines()[number - 1].decode().strip()
        found[start, old, new] = Mutant(source, start, old, new, line, number)

    def between(left: Mapping[str, Any], right: Mapping[str, Any], operator: str) -> tuple[int, int]:
        start = code.index(operator.encode(), _span(left)[1], _span(right)[0])
        return start, start + len(operator.encode())

    for node in _nodes(tree):
        kind = node["nodeType"]
        if kind == "BinaryOperation":
            where = between(node["leftExpression"], node["rightExpression"], node["operator"])
            for new in REPLACEMENTS.get(node["operator"], ()):
                add(*where, new)
        elif kind == "Assignment" and node["operator"] in REPLACEMENTS:
            where = between(node["leftHandSide"], node["rightHandSide"], node["operator"])
            for new in REPLACEMENTS[node["operator"]]:
                add(*where, new)
        elif kind in {"IfStatement", "Conditional"}:
            for new in ("true", "false"):
                add(*_span(node["condition"]), new)
        elif kind == "UnaryOperation" and node["operator"] in {"!", "~"}:
            add(*_span(node), code[slice(*_span(node["subExpression"]))].decode())
        elif kind in {"ExpressionStatement", "EmitStatement"}:
            # Without its semicolon in some versions of the tree: an empty block stands for the statement either way.
            start, end = _span(node)
            add(start, end if code[end - 1 : end] == b";" else code.index(b";", end) + 1, "{}")
    return sorted(found.values(), key=lambda mutant: (mutant.start, mutant.new))


def read_survivors(path: Path = SURVIVORS) -> dict[tuple[str, str, str, str], str]:
    """Why a mutant may survive, by source, line, old and new.

    Raises:
        BrokenToolError: An entry is not complete.
    """
    reasons: dict[tuple[str, str, str, str], str] = {}
    for entry in tomllib.loads(path.read_text()).get("survivor", []):
        source, line, old, new, reason = (entry.get(key) for key in ("source", "line", "old", "new", "reason"))
        if not (source and line and old and new and reason):
            raise BrokenToolError(f"a survivor in {path.name} needs source, line, old, new and reason: {entry}")
        reasons[source, line, old, new] = reason
    return reasons


def run(short: bool) -> Iterator[Result]:
    """Try every mutant with forge's tests. Takes about two hours the first time; there is no short version.

    Results are kept in build/mutation by contracts, tests and mutant: a run that was cut short goes on where it was.

    Raises:
        MissingToolError: Forge is not installed.
        BrokenToolError: The contracts do not compile, or the tests fail without any fault.
    """
    if short:
        return
    yield score(_all_mutants())


def score(chosen: Sequence[Mutant]) -> Result:
    """Try these mutants, and compare the survivors with those that are explained.

    Raises:
        BrokenToolError: The tests fail without any fault.
    """
    copies = [_copy(number) for number in range(WORKERS)]
    unharmed = _test(copies[0])
    if unharmed.returncode != 0:
        raise broken("the tests fail on the contracts as they are", unharmed)
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)
    cache = BUILD / "results" / _fingerprint()
    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        fates = dict(zip(chosen, pool.map(lambda mutant: _fate(mutant, free, cache), chosen), strict=True))
    return judge(fates, read_survivors())


def judge(fates: Mapping[Mutant, str], explained: Mapping[tuple[str, str, str, str], str]) -> Result:
    """The score, with the survivors that nobody explained.

    Args:
        fates: `killed`, `survived` or `invalid` (it does not compile) for each mutant.
        explained: As `read_survivors` returns it.
    """
    killed = sum(fate == "killed" for fate in fates.values())
    survivors = [mutant for mutant, fate in fates.items() if fate == "survived"]
    new = [m for m in survivors if (m.source, m.line, m.old, m.new) not in explained]
    valid = killed + len(survivors)
    reached = killed / valid if valid else 0.0
    lines = [f"  {killed} of {valid} killed: {reached:.1%}", *(f"  survives: {mutant}" for mutant in new)]
    return Result(
        name=f"the tests notice at least {MIN_SCORE:.0%} of small faults, and the rest is explained",
        cases=valid,
        unit="mutants",
        holds=reached >= MIN_SCORE and not new,
        detail="\n".join(lines),
    )


def _nodes(tree: Any, inside: bool = False) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, list):
        for item in tree:
            yield from _nodes(item, inside)
    elif isinstance(tree, dict):
        kind = tree.get("nodeType")
        if kind == "InlineAssembly":
            return
        inside = inside or kind == "FunctionDefinition"
        if inside and kind is not None:
            yield tree
        for name, value in tree.items():
            if name != "loopExpression":
                yield from _nodes(value, inside)


def _span(node: Mapping[str, Any]) -> tuple[int, int]:
    start, length, _ = node["src"].split(":")
    return int(start), int(start) + int(length)


def _all_mutants() -> list[Mutant]:
    out = BUILD / "ast"
    built = forge(
        *("build", *SOURCES, "--ast", "--skip", "tests/**", "--out", str(out)),
        *("--cache-path", str(BUILD / "ast-cache")),
    )
    if built.returncode != 0:
        raise broken("forge could not compile the contracts", built)
    found: list[Mutant] = []
    for source in SOURCES:
        name = Path(source).name
        artifact = next((out / name).glob("*.json"))
        found += mutants(source, (ROOT / source).read_bytes(), json.loads(artifact.read_text())["ast"])
    return found


def _copy(number: int) -> Path:
    """A copy of what forge needs; the checkout itself is never touched."""
    copy = BUILD / f"worker-{number}"
    for part in ("contracts", "tests/forge"):
        shutil.rmtree(copy / part, ignore_errors=True)
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("proofs"))
    shutil.copyfile(ROOT / "foundry.toml", copy / "foundry.toml")
    for part in ("node_modules", ".venv/solc"):
        link = copy / part
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(ROOT / part)
    return copy


def _test(copy: Path) -> subprocess.CompletedProcess[str]:
    # Tests find the contracts' code at run time, so that a fault compiles one file and not the tests that use it. No
    # optimizer, a third faster: the fault counts, not the gas. A loop that a fault made endless runs out of gas.
    env = {"FOUNDRY_DYNAMIC_TEST_LINKING": "true", "FOUNDRY_OPTIMIZER": "false", "FOUNDRY_GAS_LIMIT": GAS_LIMIT}
    for chosen in STAGES:
        ended = forge("test", "--fail-fast", "--fuzz-seed", SEED, *chosen, env=env, cwd=copy)
        if ended.returncode != 0:
            break
    return ended


def _fate(mutant: Mutant, free: SimpleQueue[Path], cache: Path) -> str:
    key = hashlib.sha256(f"{mutant.source}\0{mutant.start}\0{mutant.old}\0{mutant.new}".encode()).hexdigest()
    known = cache / key[:32]
    if known.is_file():
        return known.read_text()
    copy = free.get()
    try:
        mutant.apply(copy)
        ended = _test(copy)
        mutant.undo(copy)
    finally:
        free.put(copy)
    if ended.returncode == 0:
        fate = "survived"
    else:
        fate = "invalid" if "Compiler run failed" in ended.stdout + ended.stderr else "killed"
    known.write_text(fate)
    return fate


def _fingerprint() -> str:
    """Of the contracts and the tests: results are good for these alone."""
    digest = hashlib.sha256()
    files: Iterable[Path] = [*(ROOT / "contracts").rglob("*.sol"), *(ROOT / "tests" / "forge").glob("*.sol")]
    for path in sorted([*files, ROOT / "foundry.toml"]):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]
