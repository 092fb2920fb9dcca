"""Proofs that hold for every input: halmos runs tests/forge/proofs on symbols, z3 proves the laws that they rest on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assurance.harness import ROOT, BrokenToolError, Result
from assurance.tools import broken, run_tool

LEMMAS = ROOT / "assurance" / "lemmas"
BUILD = ROOT / "build" / "assurance" / "proofs"
SOLVER_SECONDS = 120
"""What a solver gets for one path. The slowest needs a tenth of it."""


@dataclass(frozen=True)
class Property:
    """One property and the function that states it.

    Attributes:
        contract: In tests/forge/proofs.
        function: Without its arguments.
        name: In words, with the range of inputs.
        slow: Whether the short version leaves it out.
    """

    contract: str
    function: str
    name: str
    slow: bool = False


PROPERTIES = (
    Property("LedgerProof", "check_pledged", "ledger: setting the pledges changes nothing else, any word"),
    Property("LedgerProof", "check_challengedAt", "ledger: setting the challenge time changes nothing else, any word"),
    Property("LedgerProof", "check_slackUsed", "ledger: setting the slack used changes nothing else, any word"),
    Property("LedgerProof", "check_attestation", "ledger: an attestation adds one and its time, no more, any word"),
    Property("LedgerProof", "check_active", "ledger: activation sets its flag, nothing else, any word"),
    Property("LedgerProof", "check_stop", "ledger: a stop sets its flags, nothing else, any word"),
    Property("LedgerProof", "check_contested", "ledger: a contest or a ruling sets its flag, nothing else, any word"),
    Property(
        "TermsProof",
        "check_roundTrip",
        "terms: what was packed is what is read, with and without an arbiter, every value of every field",
    ),
    Property(
        "PriceProof",
        "check_startsAtTheBaseAndDoubles",
        "challenge: costs the base while none is open, and twice that for each 512; bases < 2^96, 57 doublings",
    ),
    Property(
        "PathProof",
        "check_agreesWithDefinition",
        "path: verified exactly where RFC 9162's recursion verifies it; longer and shorter ones refused; ≤ 16 leaves",
    ),
    Property(
        "PathProof",
        "check_oneLeafAndOnePath",
        "path: under a root, each index has one leaf and one path; every tree of ≤ 16 leaves",
    ),
    Property("PathProof", "check_noIndexBehindTheLast", "path: an index behind the last leaf is refused, any number"),
    Property(
        "QuorumProof",
        "check_quorumOfWallets",
        "quorum: accepted only with enough distinct wallets of the terms that said yes; any mask, 3 attestors",
        slow=True,
    ),
    Property(
        "QuorumProof",
        "check_quorumOfKeys",
        "quorum: accepted only with enough distinct keys of the terms that signed; any mask, 3 attestors",
        slow=True,
    ),
    Property(
        "MoneyProof",
        "check_tranchesSumToThePool",
        "tranches: only grow, never exceed the pledges, sum to them; pledges < 2^128, 3 milestones, any shares",
        slow=True,
    ),
    Property(
        "MoneyProof",
        "check_refundIsExactToTheUnit",
        "refund: never overpays, less than one unit short; pledges < 2^128, 3 milestones, any shares",
        slow=True,
    ),
    Property(
        "MoneyProof",
        "check_payeesShareWhatIsReleased",
        "payees: shares sum to what is released; pledges < 2^128, 3 milestones, 3 payees, any shares",
        slow=True,
    ),
)


def run(short: bool) -> Iterator[Result]:
    """Prove every property, in some minutes; in the short version the quick ones, in one.

    Raises:
        MissingToolError: Halmos, z3 or forge is not installed.
        BrokenToolError: One of them ended without a result, or there is a proof that no property names.
    """
    for lemma in sorted(LEMMAS.glob("*.smt2")):
        yield _prove_lemma(lemma)
    chosen = [stated for stated in PROPERTIES if not (short and stated.slow)]
    for contract in dict.fromkeys(stated.contract for stated in chosen):
        yield from _prove_contract(contract, [stated for stated in chosen if stated.contract == contract])


def judge_lemma(output: str) -> bool:
    """Whether a solver proved a lemma.

    A lemma is checked twice: its assumptions alone, which must not contradict each other, then with the opposite of
    what follows from them, which must.

    Raises:
        BrokenToolError: The solver printed anything but two answers.
    """
    answers = output.split()
    if len(answers) != 2 or not set(answers) <= {"sat", "unsat", "unknown"}:
        raise BrokenToolError(f"the solver gave no two answers:\n{output.strip()[-1000:]}")
    return answers == ["sat", "unsat"]


def judge_contract(contract: str, chosen: Sequence[Property], report: Mapping[str, Any]) -> list[Result]:
    """Results of one contract's proofs from halmos's JSON report.

    Holds means: no input breaks an assertion, no loop was cut short, and at least one path reached the end, so that the
    proof is about something.

    Raises:
        BrokenToolError: The report lacks a chosen proof, or has one that `PROPERTIES` does not list.
    """
    tests = [test for tests in report.get("test_results", {}).values() for test in tests]
    by_function = {test["name"].split("(")[0]: test for test in tests}
    stated = {p.function: p for p in chosen}
    if by_function.keys() != stated.keys():
        differing = ", ".join(sorted(by_function.keys() ^ stated.keys()))
        raise BrokenToolError(f"{contract} and assurance/proofs.py name different proofs: {differing}")
    return [_judge(stated[function], test) for function, test in by_function.items()]


def _judge(stated: Property, test: Mapping[str, Any]) -> Result:
    paths, finished, _ = test["num_paths"]
    if test["exitcode"] != 0:
        detail = "an input breaks it, or a solver gave up"
    elif test["num_bounded_loops"]:
        detail = "a loop was cut short"
    else:
        detail = "" if finished else "no input reaches the end: the proof says nothing"
    again = f"  {detail}; halmos --contract {stated.contract} --function {stated.function} says more"
    return Result(stated.name, paths, "paths (every input)", not detail, again if detail else "")


def _prove_lemma(lemma: Path) -> Result:
    ended = run_tool("z3", [f"-T:{SOLVER_SECONDS}", str(lemma)])
    title = re.match(r"; (.+)", lemma.read_text())
    if title is None:
        raise BrokenToolError(f"{lemma.name} must begin with a comment that says what it states")
    return Result(f"law: {title[1]}", 1, "theorem (all integers)", judge_lemma(ended.stdout))


def _prove_contract(contract: str, chosen: Sequence[Property]) -> list[Result]:
    BUILD.mkdir(parents=True, exist_ok=True)
    report = BUILD / f"{contract}.json"
    report.unlink(missing_ok=True)
    out = str((BUILD / "out").relative_to(ROOT))
    options = ["--root", ".", "--forge-build-out", out, "--contract", contract, "--json-output", str(report)]
    limits = ["--loop", "256", "--solver-timeout-assertion", f"{SOLVER_SECONDS}s", "--no-status"]
    # Halmos follows a branch that no input takes where a busy machine's solver does not rule it out in time: by default
    # in a millisecond, and a loop over symbols then has no end.
    limits += ["--solver-timeout-branching", "5s"]
    left_out = [p.function for p in PROPERTIES if p.contract == contract and p not in chosen]
    if left_out:
        limits += ["--match-test", f"^(?!{'|'.join(left_out)})check_"]
    # Halmos builds by itself: a folder of its own, with the proofs and what they need.
    proofs = "tests/forge/proofs"
    env = {"FOUNDRY_TEST": proofs, "FOUNDRY_SCRIPT": proofs, "FOUNDRY_OUT": out}
    ended = run_tool("halmos", options + limits, env={**env, "FOUNDRY_CACHE_PATH": str(BUILD / "cache")})
    if not report.is_file():
        raise broken(f"halmos ended without a report on {contract}", ended)
    return judge_contract(contract, chosen, json.loads(report.read_text()))
