"""What the proposal and the terms fix already, examined before any milestone is attested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.campaign.terms import NO_HASH, Terms
from llamafund_chain.checks.check import CheckContext, CheckResult, Finding, check_name, finding_of
from llamafund_chain.checks.documents import documents_distinct, heldout_separate
from llamafund_chain.checks.promises import dataset_license_matches_proposal
from llamafund_chain.checks.published import content_published
from llamafund_chain.checks.run import run_checks
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES, DatasetManifest, ProposalManifest
from llamafund_chain.evidence.programs import parse_program
from llamafund_chain.evidence.recipes import NOT_REPLAYABLE, RecipeKind, recipe_kind
from llamafund_chain.mistakes import DocumentError
from llamafund_chain.store.base import Source, called
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.strict_yaml import load_yaml

if TYPE_CHECKING:
    from llamafund_chain.store import Store

_DATASET_CHECKS = (content_published, dataset_license_matches_proposal, heldout_separate, documents_distinct)
"""What a dataset must pass when its milestone is attested, and can be asked before."""

NO_ENVIRONMENT = (
    "it fixes no environment: afterwards, any machine can be claimed to have trained, and that can explain any weights"
)


def environment_of(recipe: object) -> dict[str, object] | None:
    """Where a recipe of the trainer, as plain values, says that it is trained; `None` if it says nothing."""
    environment = recipe.get("environment") if isinstance(recipe, dict) else None
    return environment if isinstance(environment, dict) else None


def before_pledge(
    proposal: ProposalManifest,
    terms: Terms,
    store: Store,
    *,
    chain_id: int,
    campaign: str,
    workdir: Path,
    progress: Callable[[str], None],
) -> Iterator[CheckResult]:
    """Check the dataset and the recipe that are fixed before anybody pledges, as a milestone's would be.

    Args:
        proposal: The campaign's.
        terms: The campaign's.
        store: Where its evidence should be.
        chain_id: EIP-155 number.
        campaign: Checksummed address.
        workdir: Existing directory for fetched files.
        progress: Called with a short sentence before anything slow.
    """
    progress("Reading what the proposal fixes")
    fixed = terms.dataset if terms.dataset != NO_HASH else proposal.dataset.manifest
    dataset = None
    if fixed is None:
        detail = "No dataset is fixed, so none could be checked: backers must believe its description"
        yield CheckResult("promised-dataset-published", "warn", detail)
    else:
        try:
            dataset = fetch_manifest(store, fixed, DatasetManifest)
        except Exception as error:  # noqa: BLE001 - hostile evidence may break its reader in any way
            yield CheckResult.of("promised-dataset-published", finding_of(error))
        else:
            detail = f"The dataset's manifest was fetched, and its hash is the fixed one, {fixed}"
            yield CheckResult("promised-dataset-published", "pass", detail)
    if dataset is not None:
        context = CheckContext(
            store=store,
            proposal=proposal,
            terms=terms,
            chain_id=chain_id,
            campaign=campaign,
            training_seed="",
            milestone=0,
            evidence=dataset,
            ancestry=(),
            score=None,
            # Nothing of it is chosen at random.
            entropy=bytes(32),
            replay_segments=0,
            workdir=workdir / "proposal",
            progress=progress,
        )
        yield from run_checks(context, _DATASET_CHECKS)
    yield recipe_result(proposal, store)


def recipe_result(proposal: ProposalManifest, source: Source) -> CheckResult:
    """The result of `promised_recipe_published`.

    Args:
        proposal: The campaign's.
        source: Where its recipe should be.
    """
    try:
        finding = promised_recipe_published(proposal, source)
    except Exception as error:  # noqa: BLE001 - hostile evidence may break its reader in any way
        finding = finding_of(error)
    return CheckResult.of(check_name(promised_recipe_published), finding)


def promised_recipe_published(proposal: ProposalManifest, source: Source) -> Finding:
    """Whether the recipe that the proposal names can be fetched and repeated, and fixes where it is trained."""
    if proposal.recipe is None:
        return Finding("warn", "The proposal names no recipe: it can be chosen after the funding")
    cid = raw_cid(proposal.recipe)
    with called({cid: f"recipe {proposal.recipe}"}):
        data = source.read(cid, limit=MAX_MANIFEST_BYTES)
    kind = recipe_kind(data)
    try:
        found = _told_of(proposal.recipe, data, kind)
    except Exception as error:  # noqa: BLE001 - as above
        found = finding_of(error)
    return replace(found, data={**found.data, "replayable": kind is not RecipeKind.OTHER})


def _told_of(recipe: str, data: bytes, kind: RecipeKind) -> Finding:
    if kind is RecipeKind.OTHER:
        detail = f"{NOT_REPLAYABLE}: no program reads or repeats the recipe {recipe}"
        return Finding("warn", f"{detail}. How the weights are made will rest on what the attestors say")
    try:
        if kind is RecipeKind.PROGRAM:
            program = parse_program(data).program
            detail = f"The recipe {recipe} is a program of the researcher's own, {program.entry!r}"
            if not program.environment:
                return Finding("warn", f"{detail}, but {NO_ENVIRONMENT}")
            return Finding("pass", f"{detail}: replay runs it in a sandbox. Only reading it tells what it does")
        document = load_yaml(data)
    except DocumentError as error:
        return Finding("fail", f"The recipe {recipe} is none: {error.problem}")
    environment = environment_of(document)
    if environment is None:
        return Finding("warn", f"The recipe {recipe} is published, but {NO_ENVIRONMENT}")
    choices = sorted(str(name)[:40] for name, values in environment.items() if isinstance(values, list) and values[1:])
    if choices:
        detail = f"The recipe {recipe} leaves a choice of {', '.join(choices)}"
        return Finding("warn", f"{detail}. A difference that it explains can only be told where it was trained")
    place = str(environment.get("gpu", environment.get("processor_class")))[:200]
    detail = f"The recipe {recipe} was fetched, and its hash is the proposal's"
    return Finding("pass", f"{detail}. It is to be trained on {place!r}, and machines like that can repeat it")
