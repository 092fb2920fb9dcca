"""Checks that the delivered evidence keeps the promises of the proposal and the terms."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM
from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.checks.published import dataset_manifest, dataset_named_by
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import (
    MAX_MANIFEST_BYTES,
    CheckpointManifest,
    DatasetManifest,
    WeightsManifest,
)
from llamafund_chain.store.base import called
from llamafund_chain.text import from_millionths


def dataset_fixed(context: CheckContext) -> Iterator[Finding]:
    """The data is what backers saw: the same in terms, proposal, attested dataset and every later manifest."""
    agreed = context.terms.dataset
    evidence = context.evidence
    earlier = [ancestor for ancestor in context.ancestry if isinstance(ancestor, DatasetManifest)]
    if isinstance(evidence, DatasetManifest):
        used, wanted, source = evidence.sha256, agreed, "the terms fix"
    else:
        used = dataset_named_by(evidence)
        wanted, source = (earlier[-1].sha256, "the attested one is") if earlier else (agreed, "the terms fix")
    promised = context.proposal.dataset.manifest
    facts: dict[str, JsonValue] = {"used": used, "expected": wanted, "proposal": promised}
    if wanted != NO_HASH and used != wanted:
        yield Finding("fail", f"The dataset is {used}, but {source} {wanted}", facts)
    elif promised is not None and used != promised:
        yield Finding("fail", f"The dataset is {used}, but the proposal names {promised}", facts)
    elif wanted == NO_HASH and promised is None:
        yield Finding(
            "warn",
            f"The dataset is {used}; terms and proposal only describe it in words: "
            f"{context.proposal.dataset.description}",
            facts,
        )
    else:
        yield Finding("pass", f"The dataset is {used}, as fixed before", facts)


def recipe_matches_proposal(context: CheckContext) -> Iterator[Finding]:
    """The recipe is the proposal's, and published."""
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    promised = context.proposal.recipe
    facts: dict[str, JsonValue] = {"used": evidence.recipe, "proposal": promised}
    if promised is not None and evidence.recipe != promised:
        yield Finding("fail", f"The recipe is {evidence.recipe}, but the proposal promises {promised}", facts)
        return
    with called({raw_cid(evidence.recipe): f"recipe {evidence.recipe}"}):
        context.store.read(raw_cid(evidence.recipe), limit=MAX_MANIFEST_BYTES)
    if promised is None:
        detail = f"The recipe {evidence.recipe} was chosen after the funding; the proposal does not fix one"
        yield Finding("warn", detail, facts)
    else:
        detail = f"The recipe is {promised}, as the proposal promises, and published"
        yield Finding("pass", detail, facts)


def license_matches_proposal(context: CheckContext) -> Iterator[Finding]:
    """The weights' license is the promised one."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    promised = context.proposal.license
    facts: dict[str, JsonValue] = {"license": evidence.license, "proposal": promised}
    if evidence.license == promised:
        yield Finding("pass", f"The weights are under {promised}, as promised", facts)
    else:
        detail = f"The weights are under {evidence.license!r}, but the proposal promises {promised!r}"
        yield Finding("fail", detail, facts)


def dataset_license_matches_proposal(context: CheckContext) -> Iterator[Finding]:
    """The license of each part of the dataset is the promised one."""
    dataset = dataset_manifest(context)
    if dataset is None:
        return
    promised = context.proposal.dataset.license
    other = sorted({part.license for part in dataset.parts} - {promised})
    listed: list[JsonValue] = [*other]
    facts: dict[str, JsonValue] = {"other_licenses": listed, "proposal": promised}
    if other:
        found = ", ".join(map(repr, other))
        detail = f"Parts of the dataset are under {found}; the proposal says {promised!r}"
        yield Finding("warn", detail, facts)
    else:
        yield Finding("pass", f"The dataset is under {promised!r}, as promised", facts)


def score_matches_manifest(context: CheckContext) -> Iterator[Finding]:
    """The attested score is the manifest's score, which follows from the promised metric in the manifest."""
    evidence = context.evidence
    stated = evidence.score or 0
    outcome = context.proposal.outcome
    facts: dict[str, JsonValue] = {"attested": context.score, "manifest": evidence.score}
    if evidence.score is not None and isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        measured = evidence.metrics.get(outcome.metric)
        facts["metric"] = measured
        if measured is None or outcome.score(measured) != evidence.score:
            shown = "no value" if measured is None else from_millionths(measured)
            detail = (
                f"The manifest's score is {from_millionths(evidence.score)}, but it reports {shown} for the "
                f"promised metric {outcome.metric} ({outcome.direction} is better)"
            )
            yield Finding("fail", detail, facts)
            return
    if context.score is None:
        yield Finding("unchecked", "No score is attested yet", facts)
    elif context.score != stated:
        detail = (
            f"The attested score is {from_millionths(context.score)}, but the evidence says {from_millionths(stated)}"
        )
        yield Finding("fail", detail, facts)
    else:
        yield Finding("pass", f"Attestation and evidence both say {from_millionths(stated)}", facts)


def score_meets_promise(context: CheckContext) -> Iterator[Finding]:
    """The score reaches the terms' minimum and, for the weights, the proposal's target."""
    score = context.score if context.score is not None else (context.evidence.score or 0)
    floor = context.terms.milestones[context.milestone].min_score
    outcome = context.proposal.outcome
    target = outcome.score(outcome.target) if isinstance(context.evidence, WeightsManifest) else floor
    facts: dict[str, JsonValue] = {"score": score, "terms": floor, "proposal": target}
    if score < floor:
        detail = f"The score is {from_millionths(score)}; the terms require at least {from_millionths(floor)}"
        yield Finding("fail", detail, facts)
    elif score < target:
        detail = (
            f"The score is {from_millionths(score)}: enough for the terms ({from_millionths(floor)}), "
            f"but short of the proposal's target {from_millionths(target)}"
        )
        yield Finding("warn", detail, facts)
    else:
        promised = max(floor, target)
        wanted = f"the promise was at least {from_millionths(promised)}"
        if promised == NO_MINIMUM:
            wanted = "there was no promise"
        detail = f"The score is {from_millionths(score)}; {wanted}"
        yield Finding("pass", detail, facts)
