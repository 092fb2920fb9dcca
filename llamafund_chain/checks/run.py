"""Finding the checks, including those of plug-ins, and running them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

from llamafund_chain.checks.beside import files_beside_weights, weights_in_several_stores
from llamafund_chain.checks.check import Check, CheckContext, CheckResult, Finding, check_name, finding_of
from llamafund_chain.checks.documents import documents_distinct, heldout_separate
from llamafund_chain.checks.license import model_card_license_matches, weights_header_license_matches
from llamafund_chain.checks.lineage import (
    chain_published,
    checkpoint_chain,
    parent_links,
    seed_fresh,
    weights_match_run,
)
from llamafund_chain.checks.promises import (
    dataset_fixed,
    dataset_license_matches_proposal,
    license_matches_proposal,
    recipe_matches_proposal,
    score_matches_manifest,
    score_meets_promise,
)
from llamafund_chain.checks.published import (
    content_published,
    dataset_published,
    kind_matches,
)

LEFT_OUT = "Left out, as requested"
"""Detail of a check that was not run because its name was given."""

ENTRY_POINT_GROUP = "llamafund.checks"

BUILT_IN: tuple[Check, ...] = (
    content_published,
    kind_matches,
    parent_links,
    dataset_fixed,
    dataset_published,
    dataset_license_matches_proposal,
    heldout_separate,
    documents_distinct,
    seed_fresh,
    checkpoint_chain,
    chain_published,
    weights_match_run,
    recipe_matches_proposal,
    license_matches_proposal,
    model_card_license_matches,
    weights_header_license_matches,
    files_beside_weights,
    weights_in_several_stores,
    score_matches_manifest,
    score_meets_promise,
)
"""The checks of this package, the simplest first."""


def discover() -> tuple[Check, ...]:
    """The built-in checks, then those of installed packages in the order of their entry points' names.

    A package whose checks cannot be loaded is not left out silently: a check with that package's name reports why.
    """
    found: list[Check] = list(BUILT_IN)
    entries = entry_points(group=ENTRY_POINT_GROUP)
    for entry in sorted(entries, key=lambda candidate: (candidate.name, candidate.value)):
        found.extend(_load(entry))
    return tuple(found)


def run_checks(
    context: CheckContext, checks: Sequence[Check] | None = None, *, skip: Collection[str] = ()
) -> tuple[CheckResult, ...]:
    """Run checks on one milestone's evidence. Hostile evidence never makes it raise.

    Args:
        context: What to examine.
        checks: The checks; `None` for all that `discover` finds.
        skip: Names of checks not to run; each is reported as unchecked.

    Returns:
        The results in the order of the checks; for one that raises, see `finding_of`.
    """
    results: list[CheckResult] = []
    for check in discover() if checks is None else checks:
        name = check_name(check)
        if name in skip:
            results.append(CheckResult(name, "unchecked", LEFT_OUT))
            continue
        context.progress(f"Checking {name}")
        results.extend(CheckResult.of(name, finding) for finding in _findings(check, name, context))
    return tuple(results)


def _findings(check: Check, name: str, context: CheckContext) -> list[Finding]:
    findings: list[Finding] = []
    workdir = context.workdir / name
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        findings.extend(check(replace(context, workdir=workdir)))
    except Exception as error:  # noqa: BLE001 - hostile evidence may break a check in any way
        findings.append(finding_of(error))
    return findings


def _load(entry: EntryPoint) -> tuple[Check, ...]:
    try:
        loaded = tuple(entry.load())
    except Exception as error:  # noqa: BLE001 - a plug-in may be broken in any way; the others still run
        reason = f"The checks {entry.value} cannot be loaded: {type(error).__name__}: {error}"
        return (_NotLoaded(entry.name, Finding("unchecked", reason)),)
    return loaded


class _NotLoaded:
    """Replaces a package's checks that cannot be loaded."""

    def __init__(self, name: str, finding: Finding) -> None:
        self.__name__ = f"{name}_checks"
        self._finding = finding

    def __call__(self, context: CheckContext) -> Iterator[Finding]:
        context.progress(self._finding.detail)
        yield self._finding
