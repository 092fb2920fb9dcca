"""Checks of where evidence comes from: its parent, its seed, the chain of checkpoints before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import JsonValue

from llamafund_chain.campaign.terms import NO_HASH
from llamafund_chain.checks.check import CheckContext, Finding, finding_of
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.manifests import (
    CheckpointManifest,
    DatasetManifest,
    EvidenceManifest,
    ProposalManifest,
    WeightsManifest,
)
from llamafund_chain.store.content import fetch_manifest, verify_content


def parent_links(context: CheckContext) -> Iterator[Finding]:
    """The evidence's parent is the evidence of the previous milestone."""
    evidence = context.evidence
    before = context.ancestry[-1].sha256 if context.ancestry else context.proposal.sha256
    if isinstance(evidence, DatasetManifest):
        return
    if isinstance(evidence, WeightsManifest) and _grew_on_chain(context):
        yield _link("These weights say they were exported from checkpoint", evidence.parent, before)
        return
    head = _head(context)
    if head.chain and head.parent != head.chain[-1]:
        yield _link("The checkpoint names as its parent", head.parent, head.chain[-1])
        return
    first = fetch_manifest(context.store, head.chain[0], CheckpointManifest) if head.chain else head
    yield _link("The first checkpoint of this milestone names as its parent", first.parent, before)


def seed_fresh(context: CheckContext) -> Iterator[Finding]:
    """The run started from the seed that the chain published at activation, so it is not an older run."""
    if isinstance(context.evidence, DatasetManifest):
        return
    if isinstance(context.evidence, WeightsManifest) and _grew_on_chain(context):
        head = context.ancestry[-1]
        if not isinstance(head, CheckpointManifest):
            raise TypeError("weights with a parent on chain have a checkpoint before them")
    else:
        head = _head(context)
    facts: dict[str, JsonValue] = {"used": head.seed, "published": context.training_seed or None}
    if not context.training_seed or context.training_seed == NO_HASH:
        detail = f"The run used the seed {head.seed}, but the campaign has not published one yet: it is an older run"
        yield Finding("fail", detail, facts)
    elif head.seed != context.training_seed:
        detail = (
            f"The run used the seed {head.seed}; this campaign published {context.training_seed}: "
            "it is an older run, or another campaign's"
        )
        yield Finding("fail", detail, facts)
    else:
        yield Finding("pass", f"The run used the campaign's seed {head.seed}", facts)


def checkpoint_chain(context: CheckContext) -> Iterator[Finding]:
    """The checkpoints form one unbroken run."""
    head = _own_head(context)
    if head is None:
        return
    facts: dict[str, JsonValue] = {"checkpoints": len(head.chain) + 1, "last_step": head.steps.last}
    links = _read_chain(context, head)
    problem = _problem_of(context, head, links)
    if problem is not None:
        yield Finding("fail", problem, facts)
        return
    detail = (
        f"{len(links)} checkpoints follow one another without a gap from step {links[0].steps.first} to step "
        f"{head.steps.last}, with one recipe, one dataset and one seed"
    )
    yield Finding("pass", detail, facts)


def chain_published(context: CheckContext) -> Iterator[Finding]:
    """Each checkpoint before the evidence is published, so that any step can be replayed."""
    head = _own_head(context)
    if head is None:
        return
    links = _read_chain(context, head)
    if _problem_of(context, head, links) is not None:
        yield Finding("unchecked", "The checkpoints do not form one run, so none of them was read")
        return
    # Another check makes sure that the evidence itself is published.
    between = links[:-1] if head is context.evidence else links
    size = sum(link.content.size for link in between)
    facts: dict[str, JsonValue] = {"checkpoints": len(between), "bytes": size}
    for index, link in enumerate(between):
        context.progress(f"Reading checkpoint {index + 1} of {len(between)}, {link.content.size} bytes")
        try:
            verify_content(context.store, link)
        except LlamafundError as error:
            found = finding_of(error)
            yield replace(found, detail=f"The checkpoint at step {link.steps.last}: {found.detail}", data=facts)
            return
    yield Finding("pass", f"All {len(between)} checkpoints in between, {size} bytes, were read and match", facts)


def weights_match_run(context: CheckContext) -> Iterator[Finding]:
    """The weights name the data and the recipe of the run that they came from."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    heads = [_head(context)]
    if context.ancestry and isinstance(context.ancestry[-1], CheckpointManifest):
        heads.append(context.ancestry[-1])
    for head in heads:
        facts: dict[str, JsonValue] = {"checkpoint": head.sha256, "recipe": head.recipe, "dataset": head.dataset}
        for what, said, used in (
            ("dataset", evidence.dataset, head.dataset),
            ("recipe", evidence.recipe, head.recipe),
        ):
            if said != used:
                detail = f"The weights name the {what} {said}, but checkpoint {head.sha256} was trained with {used}"
                yield Finding("fail", detail, facts)
                return
    detail = f"Weights and run name one dataset, {evidence.dataset}, and one recipe, {evidence.recipe}"
    yield Finding("pass", detail, facts)


def _grew_on_chain(context: CheckContext) -> bool:
    return bool(context.ancestry) and isinstance(context.ancestry[-1], CheckpointManifest)


def _head(context: CheckContext) -> CheckpointManifest:
    """The last checkpoint of this milestone's run: the evidence, or the checkpoint that the weights came from."""
    evidence = context.evidence
    if isinstance(evidence, CheckpointManifest):
        return evidence
    if isinstance(evidence, WeightsManifest):
        return fetch_manifest(context.store, evidence.parent, CheckpointManifest)
    raise TypeError(f"{type(evidence).__name__} belongs to no training run")


def _own_head(context: CheckContext) -> CheckpointManifest | None:
    """The last checkpoint of the run that this milestone must prove; `None` if it proves none."""
    evidence = context.evidence
    if isinstance(evidence, DatasetManifest) or (isinstance(evidence, WeightsManifest) and _grew_on_chain(context)):
        return None
    return _head(context)


def _read_chain(context: CheckContext, head: CheckpointManifest) -> list[CheckpointManifest]:
    """The checkpoints of a run, oldest first."""
    return [*(fetch_manifest(context.store, sha256, CheckpointManifest) for sha256 in head.chain), head]


def _problem_of(context: CheckContext, head: CheckpointManifest, links: Sequence[CheckpointManifest]) -> str | None:
    """The first fault in the checkpoints of a run, or `None`."""
    before = context.ancestry[-1] if context.ancestry else None
    return _chain_problem(links, (*head.chain, head.sha256), before, context.proposal)


def _link(words: str, actual: str, expected: str) -> Finding:
    facts: dict[str, JsonValue] = {"actual": actual, "expected": expected}
    if actual == expected:
        return Finding("pass", f"{words} {actual}, as it must", facts)
    return Finding("fail", f"{words} {actual}; it must be {expected}", facts)


def _chain_problem(
    links: Sequence[CheckpointManifest],
    hashes: Sequence[str],
    before: EvidenceManifest | None,
    proposal: ProposalManifest,
) -> str | None:
    """The first fault in a run of checkpoints, or `None`.

    Args:
        links: The checkpoints, oldest first; the last one is the run's head.
        hashes: Their hashes as the head lists them, and its own.
        before: Evidence of the previous milestone, if there is one.
        proposal: The first milestone's parent.
    """
    if len(set(hashes)) != len(hashes):
        repeated = next(sha256 for sha256 in hashes if hashes.count(sha256) > 1)
        return f"Checkpoint {repeated} is in the chain more than once"
    parent = before.sha256 if before is not None else proposal.sha256
    previous = before if isinstance(before, CheckpointManifest) else None
    for index, (link, sha256) in enumerate(zip(links, hashes, strict=True)):
        problem = _link_problem(link, previous, parent, hashes[:index])
        if problem is not None:
            return f"Checkpoint {index} of {len(links)} ({sha256}) {problem}"
        parent, previous = sha256, link
    return None


def _link_problem(
    link: CheckpointManifest, previous: CheckpointManifest | None, parent: str, earlier: Sequence[str]
) -> str | None:
    """Why a checkpoint does not continue the one before it, as the rest of a sentence."""
    if link.parent != parent:
        return f"names {link.parent} as its parent, but the one before it is {parent}"
    if link.chain != tuple(earlier):
        return f"lists other checkpoints before it than the {len(earlier)} that the chain has there"
    start = previous.steps.last if previous is not None else 0
    if link.steps.first != start:
        return f"starts at step {link.steps.first}, but the one before it ends at step {start}"
    if previous is None and link.steps.last != 0:
        return f"is the first, at step {link.steps.last}: the initial weights are missing"
    if previous is not None and link.steps.last <= start:
        return f"ends at step {link.steps.last}, where the one before it already ended"
    return _difference(link, previous)


def _difference(link: CheckpointManifest, previous: CheckpointManifest | None) -> str | None:
    if previous is None:
        return None
    for name in ("recipe", "dataset", "seed", "data_order_seed"):
        now, then = getattr(link, name), getattr(previous, name)
        if now != then:
            return f"uses the {name.replace('_', ' ')} {now}, the one before it {then}"
    return None
