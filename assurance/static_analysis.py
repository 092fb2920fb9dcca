"""Slither's detectors on the contracts that ship; what they may report is listed in slither-exceptions.toml."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assurance.forge import forge
from assurance.harness import ROOT, BrokenToolError, Result
from assurance.tools import broken, run_tool

EXCEPTIONS = ROOT / "assurance" / "slither-exceptions.toml"
SEVERE = frozenset({"High", "Medium", "Low"})
"""Impacts above `Informational` and `Optimization`."""


@dataclass(frozen=True, order=True)
class Finding:
    """One report of a detector.

    Attributes:
        detector: Its name, for example `timestamp`.
        place: What it points at, for example `Campaign.attest`.
        text: Slither's own words.
    """

    detector: str
    place: str
    text: str


def read_exceptions(path: Path = EXCEPTIONS) -> dict[tuple[str, str], str]:
    """Why a detector may report a place, by detector and place.

    Raises:
        BrokenToolError: An exception lacks its detector, its places or its reason, or is there twice.
    """
    exceptions: dict[tuple[str, str], str] = {}
    for entry in tomllib.loads(path.read_text()).get("exception", []):
        detector, places, reason = (entry.get(key) for key in ("detector", "places", "reason"))
        if not (detector and places and reason):
            raise BrokenToolError(f"an exception in {path.name} needs a detector, places and a reason: {entry}")
        for place in places:
            if (detector, place) in exceptions:
                raise BrokenToolError(f"{path.name} lists {detector} at {place} twice")
            exceptions[detector, place] = reason
    return exceptions


def severe_findings(report: Mapping[str, Any]) -> list[Finding]:
    """Everything in slither's JSON report that is above informational.

    Raises:
        BrokenToolError: The report says that slither failed, or is none.
    """
    if report.get("success") is not True or not isinstance(report.get("results"), dict):
        raise BrokenToolError(f"slither failed: {report.get('error') or 'its report has no results'}")
    return sorted(
        Finding(found["check"], _place(found["elements"][0]), " ".join(found["description"].split()))
        for found in report["results"].get("detectors", [])
        if found["impact"] in SEVERE
    )


def compare(findings: Iterable[Finding], exceptions: Mapping[tuple[str, str], str]) -> list[str]:
    """What is wrong, one line each: findings that nobody explained, explanations of nothing."""
    found = list(findings)
    wrong = [f"{f.detector} at {f.place}: {f.text}" for f in found if (f.detector, f.place) not in exceptions]
    stale = set(exceptions) - {(f.detector, f.place) for f in found}
    wrong += [f"{detector} at {place}: slither no longer reports it, drop it" for detector, place in sorted(stale)]
    return wrong


def run(short: bool) -> Iterator[Result]:  # noqa: ARG001 — every campaign is called alike
    """Compile the contracts and let every detector of slither read them. Takes about 15 seconds, short or not.

    Raises:
        MissingToolError: Slither or forge is not installed.
        BrokenToolError: The contracts do not compile, or slither printed no report.
    """
    # Slither reads every build-info file that it finds: none may be left from an earlier state of the contracts.
    build = ROOT / "build" / "assurance" / "slither"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    compiled = forge(
        *("build", "contracts", "--skip", "contracts/test/**", "--skip", "tests/**", "--build-info"),
        *("--build-info-path", str(build / "info"), "--out", str(build / "out"), "--cache-path", str(build / "cache")),
    )
    if compiled.returncode != 0:
        raise broken("forge could not compile the contracts", compiled)
    report = build / "report.json"
    options = ("--foundry-ignore-compile", "--foundry-out-directory", str(build / "out"), "--fail-none")
    where = ("--foundry-build-info-directory", str(build / "info"), "--json", str(report))
    ended = run_tool("slither", [".", *options, *where, "--filter-paths", "node_modules"])
    summary = re.search(r"analyzed \((\d+) contracts with (\d+) detectors\)", ended.stderr)
    if not report.is_file() or summary is None:
        raise broken("slither ended without a report", ended)
    wrong = compare(severe_findings(json.loads(report.read_text())), read_exceptions())
    yield Result(
        name="static analysis finds nothing above informational that is not explained",
        cases=int(summary[2]),
        unit="detectors",
        holds=not wrong,
        detail="\n".join(f"  {line}" for line in wrong),
    )


def _place(element: Mapping[str, Any]) -> str:
    """`Contract.function`, or `Contract.function.variable`, without argument types."""
    name: str = element["name"]
    parent = element.get("type_specific_fields", {}).get("parent")
    return f"{_place(parent)}.{name}" if parent and parent["type"] in {"contract", "function"} else name
