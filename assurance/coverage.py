"""Which lines, branches and functions of the contracts forge's tests run: all of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assurance.forge import forge
from assurance.harness import ROOT, BrokenToolError, Result
from assurance.tools import broken

BUILD = ROOT / "build" / "assurance" / "coverage"
SEED = "0x4c6c616d6146756e64"
GAS_LIMIT = "20000000000"
"""For one test: code that counts what it runs is not optimized and costs more."""
EXCEPTIONS = ROOT / "assurance" / "coverage-exceptions.toml"
UNITS = {"DA": "lines", "BRDA": "branches", "FNDA": "functions"}
"""Record of an lcov file → what it counts."""


@dataclass
class Counts:
    """What of one kind there is, and what of it never ran.

    Attributes:
        total: How many there are.
        missed: Places that never ran, for example `contracts/Campaign.sol:64`.
    """

    total: int = 0
    missed: list[str] = field(default_factory=list)


def read_lcov(text: str) -> dict[str, Counts]:
    """Lines, branches and functions in an lcov file.

    Raises:
        BrokenToolError: There are none, or a record cannot be read.
    """
    counts = {unit: Counts() for unit in UNITS.values()}
    source = ""
    for line in text.splitlines():
        record, _, rest = line.partition(":")
        if record == "SF":
            source = rest
        elif record in UNITS:
            parts = rest.split(",")
            # DA is line, times; BRDA is line, block, branch, times or `-`; FNDA is times, name.
            times, place = (parts[0], parts[1]) if record == "FNDA" else (parts[-1], parts[0])
            count = counts[UNITS[record]]
            count.total += 1
            if not (times.isdigit() or times == "-"):
                raise BrokenToolError(f"forge's coverage report has a line that is not lcov: {line}")
            if times in {"0", "-"}:
                count.missed.append(f"{source}:{place}")
    if not all(count.total for count in counts.values()):
        raise BrokenToolError("forge's coverage report counts nothing")
    return counts


def excuse(counts: Mapping[str, Counts], exceptions: Path = EXCEPTIONS, root: Path = ROOT) -> dict[str, list[str]]:
    """What never ran, by unit, less the branches of which forge only lost sight.

    Args:
        counts: As `read_lcov` returns it.
        exceptions: File of branches that are known to run.
        root: Where the sources lie.

    Raises:
        BrokenToolError: An exception does not fit the sources, or is not needed any more.
    """
    missed = {unit: list(count.missed) for unit, count in counts.items()}
    for entry in tomllib.loads(exceptions.read_text()).get("exception", []):
        source = entry["source"]
        lines = [line.strip() for line in (root / source).read_text().splitlines()]
        if lines.count(entry["branch"]) != 1 or lines.count(entry["runs"]) != 1:
            raise BrokenToolError(f"{exceptions.name}: {source} does not have both lines once: {entry}")
        branch, runs = (f"{source}:{lines.index(entry[key]) + 1}" for key in ("branch", "runs"))
        if branch not in missed["branches"]:
            raise BrokenToolError(f"{exceptions.name}: forge sees {branch} run again, drop it")
        if runs not in missed["lines"]:
            missed["branches"].remove(branch)
    return missed


def run(short: bool) -> Iterator[Result]:
    """Run forge's tests on code that counts what it runs. Takes three minutes; there is no short version.

    Forge turns the optimizer down for it: the shipped code's branches are these, their order in the bytecode is not.

    Raises:
        MissingToolError: Forge is not installed.
        BrokenToolError: The tests fail, or forge printed no report.
    """
    if short:
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    report = BUILD / "lcov.info"
    report.unlink(missing_ok=True)
    where = {"FOUNDRY_OUT": str(BUILD / "out"), "FOUNDRY_CACHE_PATH": str(BUILD / "cache")}
    ended = forge(
        *("coverage", "--ir-minimum", "--report", "lcov", "--report-file", str(report), "--fuzz-seed", SEED),
        *("--skip", "tests/forge/proofs/**", "--no-match-coverage", "(node_modules|test)"),
        env={**where, "FOUNDRY_GAS_LIMIT": GAS_LIMIT},
    )
    if ended.returncode != 0 or not report.is_file():
        raise broken("forge could not measure coverage", ended)
    counts = read_lcov(report.read_text())
    missed = excuse(counts)
    for unit, count in counts.items():
        yield Result(
            name=f"forge's tests run all {unit} of the contracts",
            cases=count.total,
            unit=unit,
            holds=not missed[unit],
            detail="\n".join(f"  never run: {place}" for place in missed[unit]),
        )
