"""Random calls to a real campaign against a model of it: `tests/forge/CampaignInvariants.t.sol`."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from assurance.forge import forge
from assurance.harness import Result
from assurance.tools import broken

CALLS = 1_000_000
SHORT_CALLS = 12_000
DEPTH = 500
"""Calls in a row before the chain starts afresh: several campaigns' lives."""

NOT_BUILT = ("--skip", "tests/forge/proofs/**", "--skip", "tests/forge/*Unit.t.sol")
"""Halmos builds the proofs by itself; the units take as long as all the rest."""

INVARIANT = "invariant_theCampaignDoesWhatTheModelSays()"
WALK = "test_aRandomWalkReachesEveryOutcome()"

PROPERTIES = {
    "Promise 1: solvent": "Promise 1",
    "Promise 2: conserved to the last unit": "Promise 2",
    "Promise 3: nothing up front": "Promise 3",
    "Promise 4: weights or money back": "Promise 4",
    "Promise 6: time alone ends every campaign": "time alone",
    "No sequence leaves money that nobody can ever move": "nobody can ever move",
    "Any order of refunds, claims and bonds pays the same amounts": "what arrived",
    "Nobody re-enters while it is paid": "reentry",
    "A challenge never costs less for a longer queue": "a price that fell",
    "n open challenges hold base × 512 × (2^⌊n/512⌋ − 1) or more": "a flood that was cheap",
    "Every call goes through or is refused, and every number is, as the model says": "",
}
"""Property → what the handler's complaint says when it does not hold; the last one is all the others."""


class _Run(NamedTuple):
    seed: str
    calls: int
    complaint: str
    walk: str


def run(short: bool) -> Iterator[Result]:
    """Run the invariant campaign, on every core in full, and report the promises that it holds.

    Raises:
        MissingToolError: There is no forge.
        BrokenToolError: forge ended without a result.
    """
    built = forge("build", *NOT_BUILT)
    if built.returncode != 0:
        raise broken("forge could not compile the contracts", built)
    workers = 1 if short else os.cpu_count() or 1
    calls = (SHORT_CALLS if short else CALLS) // workers
    with ThreadPoolExecutor(workers) as pool:
        runs = list(pool.map(_run, [-(-calls // DEPTH)] * workers))
    total = sum(each.calls for each in runs)
    complaint = next((each for each in runs if each.complaint), None)
    blamed = _property(complaint.complaint) if complaint else None
    for name in PROPERTIES:
        detail = f"{complaint.complaint}\nfuzz seed {complaint.seed}" if complaint and name == blamed else ""
        yield Result(name, total, "calls", name != blamed, detail)
    walk = next((each.walk for each in runs if each.walk), "")
    yield Result("A random walk sees every function go through and be refused", 4_000, "calls", not walk, walk)


def _run(runs: int) -> _Run:
    seed = hex(secrets.randbits(64))
    settings = {"FOUNDRY_INVARIANT_RUNS": str(runs), "FOUNDRY_INVARIANT_DEPTH": str(DEPTH)}
    chosen = ("--match-contract", "^CampaignInvariants$", *NOT_BUILT)
    ended = forge("test", *chosen, "--fuzz-seed", seed, "--json", env=settings)
    try:
        (suite,) = json.loads(ended.stdout).values()
        invariant, walk = (suite["test_results"][name] for name in (INVARIANT, WALK))
        return _Run(seed, int(invariant["kind"]["Invariant"]["calls"]), _complaint(invariant), _complaint(walk))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise broken("forge ended without a result", ended) from error


def _complaint(result: dict[str, Any]) -> str:
    if result["status"] == "Success":
        return ""
    calls = json.dumps(result.get("counterexample"))[:4000]
    return f"{result.get('reason')}\n{calls}"


def _property(complaint: str) -> str:
    return next(name for name, mark in PROPERTIES.items() if mark in complaint)
