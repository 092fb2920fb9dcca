"""What an attestor checks before it signs, and an auditor afterwards.

A check looks at one milestone's evidence and yields results. The checks here need no machine-learning
library; packages add theirs through the entry point group `llamafund.checks`, each entry point a tuple of
checks.
A check is named after its function: `content_published` is `content-published`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from llamafund_chain.dataset import read_documents
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence import fetch_manifest, fetch_tree, verify_content
from llamafund_chain.hashing import raw_cid
from llamafund_chain.manifests import (
    MAX_MANIFEST_BYTES,
    CheckpointManifest,
    DatasetManifest,
    EvidenceManifest,
    ProposalManifest,
    WeightsManifest,
)
from llamafund_chain.terms import NO_HASH, NO_MINIMUM, Terms
from llamafund_chain.text import from_millionths, printable

if TYPE_CHECKING:
    from llamafund_chain.store import Store

CheckStatus = Literal["pass", "fail", "warn", "skip"]

ENTRY_POINT_GROUP = "llamafund.checks"

_WITHHELD = "The attestation says that this content is withheld, so no possession challenge is possible"

_TRAINER_PACKAGES = frozenset({"accelerate", "llamafund_trainer", "safetensors", "tokenizers", "torch", "transformers"})


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: Stable, in kebab case, for example `content-published`.
        status: `warn` asks for a person's judgement, `skip` was not looked at.
        detail: For a person, with the values that decided. Parts of it are strangers' text, so it is made
            printable.
        data: The same facts for machines.
    """

    name: str
    status: CheckStatus
    detail: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(self.detail, 1000))


@dataclass(frozen=True)
class CheckContext:
    """Everything a check may look at. What comes from the chain was read at one block.

    Attributes:
        chain_id: EIP-155 number.
        campaign: Checksummed address.
        training_seed: 64 hexadecimal digits, empty before activation.
        milestone: Index in the terms.
        ancestry: Evidence of the earlier milestones on chain, oldest first.
        score: What is or will be attested, millionths, higher is better; null when not known.
        entropy: Decides which random samples are taken; nobody could know it when the evidence was made.
        replay_segments: How many training segments to repeat; 0 for none.
        workdir: Existing directory for fetched files.
        progress: Called with a short sentence before anything that takes long.
        content_withheld: Whether the attestation says that the content is not published (`contentSize` 0).
    """

    store: Store
    proposal: ProposalManifest
    terms: Terms
    chain_id: int
    campaign: str
    training_seed: str
    milestone: int
    evidence: EvidenceManifest
    ancestry: tuple[EvidenceManifest, ...]
    score: int | None
    entropy: bytes
    replay_segments: int
    workdir: Path
    progress: Callable[[str], None]
    content_withheld: bool = False


Check = Callable[[CheckContext], Iterator[CheckResult]]


def check_name(check: Check) -> str:
    """The name under which a check is listed, skipped and reported."""
    name: str = getattr(check, "__name__", type(check).__name__)
    return name.strip("_").replace("_", "-")


def content_published(context: CheckContext) -> Iterator[CheckResult]:
    """Every byte that the manifest names can be had from the store and hashes to what it says."""
    name = "content-published"
    content = context.evidence.content
    amount = f"{len(context.evidence.files)} files, {content.size} bytes"
    facts: dict[str, JsonValue] = {
        "files": len(context.evidence.files),
        "bytes": content.size,
        "root": content.root,
    }
    context.progress(f"Reading {amount}")
    try:
        verify_content(context.store, context.evidence)
    except LlamafundError as error:
        if not context.content_withheld:
            yield CheckResult(name, "fail", str(error), facts)
            return
        detail = f"{_WITHHELD}. Only the attestors vouch for it, as the store does not have it. {error}"
        yield CheckResult(name, "warn", detail, facts)
        return
    detail = f"Every byte was read ({amount}): sizes, hashes and Merkle root agree"
    if context.content_withheld:
        detail = f"{_WITHHELD}: it may vanish unpunished. {detail} for now"
        yield CheckResult(name, "warn", detail, facts)
        return
    yield CheckResult(name, "pass", detail, facts)


def kind_matches(context: CheckContext) -> Iterator[CheckResult]:
    """The manifest is of the kind that terms and proposal name for this milestone."""
    actual = context.evidence.KIND
    agreed = context.terms.milestones[context.milestone].kind.name
    promises = context.proposal.milestones
    promised = promises[context.milestone].kind if context.milestone < len(promises) else "nothing"
    facts: dict[str, JsonValue] = {"manifest": actual, "terms": agreed, "proposal": promised}
    if actual == agreed == promised:
        yield CheckResult("kind-matches", "pass", f"It is {actual} evidence, as agreed", facts)
        return
    yield CheckResult(
        "kind-matches",
        "fail",
        f"The evidence is of kind {actual}; for milestone {context.milestone} the terms agree {agreed} "
        f"and the proposal promises {promised}",
        facts,
    )


def parent_links(context: CheckContext) -> Iterator[CheckResult]:
    """The evidence grows out of the evidence of the milestone before."""
    name = "parent-links"
    evidence = context.evidence
    before = context.ancestry[-1].sha256 if context.ancestry else context.proposal.sha256
    if isinstance(evidence, DatasetManifest):
        return
    if isinstance(evidence, WeightsManifest) and _grew_on_chain(context):
        yield _link(name, "These weights say they were exported from checkpoint", evidence.parent, before)
        return
    head = _head(context)
    if head.chain and head.parent != head.chain[-1]:
        yield _link(name, "The checkpoint names as its parent", head.parent, head.chain[-1])
        return
    first = fetch_manifest(context.store, head.chain[0], CheckpointManifest) if head.chain else head
    yield _link(name, "The first checkpoint of this milestone grows out of", first.parent, before)


def dataset_fixed(context: CheckContext) -> Iterator[CheckResult]:
    """The data is what backers saw: in terms, proposal, attested dataset and every later manifest."""
    name = "dataset-fixed"
    agreed = context.terms.dataset
    evidence = context.evidence
    earlier = [ancestor for ancestor in context.ancestry if isinstance(ancestor, DatasetManifest)]
    if isinstance(evidence, DatasetManifest):
        used, wanted, source = evidence.sha256, agreed, "the terms fix"
    else:
        used = _dataset_of(evidence)
        wanted, source = (earlier[-1].sha256, "attested was") if earlier else (agreed, "the terms fix")
    promised = context.proposal.dataset.manifest
    facts: dict[str, JsonValue] = {"used": used, "expected": wanted, "proposal": promised}
    if wanted != NO_HASH and used != wanted:
        yield CheckResult(name, "fail", f"The dataset is {used}, but {source} {wanted}", facts)
    elif promised is not None and used != promised:
        yield CheckResult(name, "fail", f"The dataset is {used}, but the proposal names {promised}", facts)
    elif wanted == NO_HASH and promised is None:
        yield CheckResult(
            name,
            "warn",
            f"The dataset is {used}; terms and proposal only describe it in words: "
            f"{context.proposal.dataset.description}",
            facts,
        )
    else:
        yield CheckResult(name, "pass", f"The dataset is {used}, as fixed before", facts)


def dataset_published(context: CheckContext) -> Iterator[CheckResult]:
    """Data that no milestone attests by itself can be had from the store, every byte of it."""
    dataset = _dataset(context)
    if dataset is None or dataset is context.evidence:
        return
    amount = f"{len(dataset.files)} files, {dataset.content.size} bytes"
    facts: dict[str, JsonValue] = {"dataset": dataset.sha256, "bytes": dataset.content.size}
    context.progress(f"Reading the dataset, {amount}")
    verify_content(context.store, dataset)
    detail = f"No milestone attests the dataset, so every byte of it was read ({amount}): it is what its manifest says"
    yield CheckResult("dataset-published", "pass", detail, facts)


def heldout_separate(context: CheckContext) -> Iterator[CheckResult]:
    """No document that the model is measured with stands among those that it is trained on."""
    name = "heldout-separate"
    dataset = _dataset(context)
    if dataset is None:
        return
    heldout, train = dataset.part("heldout"), dataset.part("train")
    if not heldout:
        detail = "The dataset has no held-out part: nothing in it shows how the model does on unseen text"
        yield CheckResult(name, "warn", detail)
        return
    root = context.workdir / name
    try:
        fetch_tree(context.store, dataset, root)
    except LlamafundError as error:
        # Only the attested content may be withheld, not the data behind it.
        status: CheckStatus = "skip" if context.content_withheld and dataset is context.evidence else "fail"
        yield CheckResult(name, status, f"The documents cannot be compared. {error}")
        return
    seen = {_document_hash(document) for document in read_documents(root, train)}
    for entry in heldout:
        if any(_document_hash(document) in seen for document in read_documents(root, (entry,))):
            detail = f"A document of {entry.path!r} is held out and trained on, so the metric flatters the model"
            yield CheckResult(name, "fail", detail)
            return
    detail = f"None of the held-out documents is among the {len(seen)} training documents"
    yield CheckResult(name, "pass", detail)


def seed_fresh(context: CheckContext) -> Iterator[CheckResult]:
    """The run started from the seed that the chain published at activation: it is not an older one."""
    name = "seed-fresh"
    if isinstance(context.evidence, DatasetManifest):
        return
    if isinstance(context.evidence, WeightsManifest) and _grew_on_chain(context):
        head = context.ancestry[-1]
        if not isinstance(head, CheckpointManifest):
            raise TypeError("weights that grew on chain have a checkpoint before them")
    else:
        head = _head(context)
    facts: dict[str, JsonValue] = {"used": head.seed, "published": context.training_seed or None}
    if not context.training_seed or context.training_seed == NO_HASH:
        detail = f"The run used the seed {head.seed}, but the campaign has not published one yet: it is an older run"
        yield CheckResult(name, "fail", detail, facts)
    elif head.seed != context.training_seed:
        detail = (
            f"The run used the seed {head.seed}; this campaign published {context.training_seed}: "
            "it is an older run, or another campaign's"
        )
        yield CheckResult(name, "fail", detail, facts)
    else:
        yield CheckResult(name, "pass", f"The run used the campaign's seed {head.seed}", facts)


def checkpoint_chain(context: CheckContext) -> Iterator[CheckResult]:
    """The checkpoints form one unbroken run, and each is published so that any step can be repeated."""
    evidence = context.evidence
    if isinstance(evidence, DatasetManifest):
        return
    if isinstance(evidence, WeightsManifest) and _grew_on_chain(context):
        return
    head = _head(context)
    hashes = (*head.chain, head.sha256)
    facts: dict[str, JsonValue] = {"checkpoints": len(hashes), "last_step": head.steps.last}
    links: list[CheckpointManifest] = []
    for index, sha256 in enumerate(head.chain):
        try:
            links.append(fetch_manifest(context.store, sha256, CheckpointManifest))
        except LlamafundError as error:
            detail = f"Checkpoint {index} of {len(hashes)} in the chain cannot be read. {error}"
            yield CheckResult("checkpoint-chain", "fail", detail, facts)
            return
    links.append(head)
    before = context.ancestry[-1] if context.ancestry else None
    problem = _chain_problem(links, hashes, before, context.proposal)
    if problem is not None:
        yield CheckResult("checkpoint-chain", "fail", problem, facts)
        return
    yield CheckResult(
        "checkpoint-chain",
        "pass",
        f"{len(links)} checkpoints follow one another without a gap from step {links[0].steps.first} to step "
        f"{head.steps.last}, with one recipe, one dataset and one seed",
        facts,
    )
    yield _chain_published(context, links[:-1] if head is evidence else links)


def weights_match_run(context: CheckContext) -> Iterator[CheckResult]:
    """The weights name the data and the recipe of the run that they were exported from."""
    name = "weights-match-run"
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
                yield CheckResult(name, "fail", detail, facts)
                return
    detail = f"Weights and run name one dataset, {evidence.dataset}, and one recipe, {evidence.recipe}"
    yield CheckResult(name, "pass", detail, facts)


def recipe_matches_proposal(context: CheckContext) -> Iterator[CheckResult]:
    """The recipe is the proposal's, and published."""
    name = "recipe-matches-proposal"
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    promised = context.proposal.recipe
    facts: dict[str, JsonValue] = {"used": evidence.recipe, "proposal": promised}
    if promised is not None and evidence.recipe != promised:
        yield CheckResult(name, "fail", f"The recipe is {evidence.recipe}, but the proposal promises {promised}", facts)
        return
    try:
        context.store.read(raw_cid(evidence.recipe), limit=MAX_MANIFEST_BYTES)
    except LlamafundError as error:
        detail = f"The recipe cannot be read, so nobody can repeat the run. {error}"
        yield CheckResult(name, "fail", detail, facts)
        return
    if promised is None:
        detail = f"The recipe {evidence.recipe} was chosen after the funding; the proposal does not fix one"
        yield CheckResult(name, "warn", detail, facts)
    else:
        detail = f"The recipe is {promised}, as the proposal promises, and published"
        yield CheckResult(name, "pass", detail, facts)


def licence_matches_proposal(context: CheckContext) -> Iterator[CheckResult]:
    """The weights' licence is the promised one."""
    name = "licence-matches-proposal"
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    promised = context.proposal.licence
    facts: dict[str, JsonValue] = {"licence": evidence.licence, "proposal": promised}
    if evidence.licence == promised:
        yield CheckResult(name, "pass", f"The weights are under {promised}, as promised", facts)
    else:
        detail = f"The weights are under {evidence.licence!r}, but the proposal promises {promised!r}"
        yield CheckResult(name, "fail", detail, facts)


def dataset_licence_matches_proposal(context: CheckContext) -> Iterator[CheckResult]:
    """The licence of each part of the dataset is the promised one."""
    name = "dataset-licence-matches-proposal"
    dataset = _dataset(context)
    if dataset is None:
        return
    promised = context.proposal.dataset.licence
    other = sorted({part.licence for part in dataset.parts} - {promised})
    listed: list[JsonValue] = [*other]
    facts: dict[str, JsonValue] = {"other_licences": listed, "proposal": promised}
    if other:
        found = ", ".join(map(repr, other))
        detail = f"Parts of the dataset are under {found}; the proposal says {promised!r}"
        yield CheckResult(name, "warn", detail, facts)
    else:
        yield CheckResult(name, "pass", f"The dataset is under {promised!r}, as promised", facts)


def score_matches_manifest(context: CheckContext) -> Iterator[CheckResult]:
    """The attested score is the manifest's, and the manifest's is the promised metric that it reports."""
    name = "score-matches-manifest"
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
            yield CheckResult(name, "fail", detail, facts)
            return
    if context.score is None:
        yield CheckResult(name, "skip", "No score is attested yet", facts)
    elif context.score != stated:
        detail = (
            f"The attested score is {from_millionths(context.score)}, but the evidence says {from_millionths(stated)}"
        )
        yield CheckResult(name, "fail", detail, facts)
    else:
        yield CheckResult(name, "pass", f"Attestation and evidence both say {from_millionths(stated)}", facts)


def score_meets_promise(context: CheckContext) -> Iterator[CheckResult]:
    """The score reaches what the terms ask for and, for the weights, the proposal's target."""
    name = "score-meets-promise"
    score = context.score if context.score is not None else (context.evidence.score or 0)
    floor = context.terms.milestones[context.milestone].min_score
    outcome = context.proposal.outcome
    target = outcome.score(outcome.target) if isinstance(context.evidence, WeightsManifest) else floor
    facts: dict[str, JsonValue] = {"score": score, "terms": floor, "proposal": target}
    if score < floor:
        detail = f"The score is {from_millionths(score)}; the terms pay from {from_millionths(floor)} upwards"
        yield CheckResult(name, "fail", detail, facts)
    elif score < target:
        detail = (
            f"The score is {from_millionths(score)}: enough for the terms ({from_millionths(floor)}), "
            f"but short of the proposal's target {from_millionths(target)}"
        )
        yield CheckResult(name, "warn", detail, facts)
    else:
        promised = max(floor, target)
        wanted = f"promised was at least {from_millionths(promised)}"
        if promised == NO_MINIMUM:
            wanted = "none was promised"
        detail = f"The score is {from_millionths(score)}; {wanted}"
        yield CheckResult(name, "pass", detail, facts)


BUILT_IN: tuple[Check, ...] = (
    content_published,
    kind_matches,
    parent_links,
    dataset_fixed,
    dataset_published,
    dataset_licence_matches_proposal,
    heldout_separate,
    seed_fresh,
    checkpoint_chain,
    weights_match_run,
    recipe_matches_proposal,
    licence_matches_proposal,
    score_matches_manifest,
    score_meets_promise,
)
"""The checks of this package, cheapest to understand first."""


def discover() -> tuple[Check, ...]:
    """The built-in checks, then those of installed packages in the order of their entry points' names.

    A package whose checks cannot be loaded is not passed over in silence: a check of that package's name
    reports why.
    """
    found: list[Check] = list(BUILT_IN)
    entries = entry_points(group=ENTRY_POINT_GROUP)
    for entry in sorted(entries, key=lambda candidate: (candidate.name, candidate.value)):
        found.extend(_load(entry))
    return tuple(found)


def run_checks(
    context: CheckContext, checks: Sequence[Check] | None = None, *, skip: Collection[str] = ()
) -> tuple[CheckResult, ...]:
    """Run checks on one milestone's evidence. Never raises because of what it is given to look at.

    Args:
        context: What to look at.
        checks: The checks; all that `discover` finds when null.
        skip: Names of checks not to run; each is reported as skipped.

    Returns:
        The results in the order of the checks. A check that raises is a failed check with the error's text;
        one that lacks the optional trainer packages is skipped and says so.
    """
    results: list[CheckResult] = []
    for check in discover() if checks is None else checks:
        name = check_name(check)
        if name in skip:
            results.append(CheckResult(name, "skip", "Left out as asked"))
            continue
        context.progress(f"Checking {name}")
        results.extend(_outcomes(check, name, context))
    return tuple(results)


def _outcomes(check: Check, name: str, context: CheckContext) -> list[CheckResult]:
    results: list[CheckResult] = []
    try:
        results.extend(check(context))
    except LlamafundError as error:
        results.append(CheckResult(name, "fail", str(error)))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _TRAINER_PACKAGES:
            detail = f"Needs the package {error.name}, which is not installed"
            results.append(CheckResult(name, "skip", f"{detail}. Try: pip install 'llamafund[trainer]'"))
        else:
            results.append(CheckResult(name, "fail", f"The check itself broke: {error!r}"))
    except Exception as error:  # noqa: BLE001 - hostile evidence may break a check in any way
        results.append(CheckResult(name, "fail", f"The check itself broke: {type(error).__name__}: {error}"))
    return results


def _load(entry: EntryPoint) -> tuple[Check, ...]:
    try:
        loaded = tuple(entry.load())
    except Exception as error:  # noqa: BLE001 - a plug-in may be broken in any way; the others still run
        reason = f"The checks {entry.value} cannot be loaded: {type(error).__name__}: {error}"
        status: CheckStatus = "skip" if isinstance(error, ModuleNotFoundError) else "fail"
        return (_NotLoaded(entry.name, CheckResult(f"{entry.name}-checks", status, reason)),)
    return loaded


class _NotLoaded:
    """Stands in for a package's checks that could not be loaded."""

    def __init__(self, name: str, result: CheckResult) -> None:
        self.__name__ = f"{name}_checks"
        self._result = result

    def __call__(self, context: CheckContext) -> Iterator[CheckResult]:
        context.progress(self._result.detail)
        yield self._result


def _grew_on_chain(context: CheckContext) -> bool:
    return bool(context.ancestry) and isinstance(context.ancestry[-1], CheckpointManifest)


def _head(context: CheckContext) -> CheckpointManifest:
    """The last checkpoint of this milestone's run: the evidence, or what the weights were exported from."""
    evidence = context.evidence
    if isinstance(evidence, CheckpointManifest):
        return evidence
    if isinstance(evidence, WeightsManifest):
        return fetch_manifest(context.store, evidence.parent, CheckpointManifest)
    raise TypeError(f"{type(evidence).__name__} belongs to no training run")


def _document_hash(document: str) -> bytes:
    """What two documents have in common that differ in nothing but white space."""
    return hashlib.sha256(" ".join(document.split()).encode()).digest()


def _dataset(context: CheckContext) -> DatasetManifest | None:
    """The dataset that this milestone answers for; null when an earlier milestone answered for it."""
    if isinstance(context.evidence, DatasetManifest):
        return context.evidence
    if any(isinstance(ancestor, DatasetManifest) for ancestor in context.ancestry):
        return None
    return fetch_manifest(context.store, _dataset_of(context.evidence), DatasetManifest)


def _dataset_of(evidence: EvidenceManifest) -> str:
    if isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return evidence.dataset
    raise TypeError(f"{type(evidence).__name__} names no dataset")


def _link(name: str, words: str, actual: str, expected: str) -> CheckResult:
    facts: dict[str, JsonValue] = {"actual": actual, "expected": expected}
    if actual == expected:
        return CheckResult(name, "pass", f"{words} {actual}, as it must", facts)
    return CheckResult(name, "fail", f"{words} {actual}; it must be {expected}", facts)


def _chain_problem(
    links: Sequence[CheckpointManifest],
    hashes: Sequence[str],
    before: EvidenceManifest | None,
    proposal: ProposalManifest,
) -> str | None:
    """The first thing that is wrong with a run of checkpoints, or null.

    Args:
        links: The checkpoints, oldest first; the last one is the run's head.
        hashes: Their hashes as the head lists them, and its own.
        before: Evidence of the milestone before, if there is one.
        proposal: What the first milestone grows out of.
    """
    if len(set(hashes)) != len(hashes):
        repeated = next(sha256 for sha256 in hashes if hashes.count(sha256) > 1)
        return f"Checkpoint {repeated} stands in the chain more than once"
    parent = before.sha256 if before is not None else proposal.sha256
    previous = before if isinstance(before, CheckpointManifest) else None
    for index, (link, sha256) in enumerate(zip(links, hashes, strict=True)):
        place = f"Checkpoint {index} of {len(links)} ({sha256})"
        if link.parent != parent:
            return f"{place} grows out of {link.parent}, but before it stands {parent}"
        if link.chain != tuple(hashes[:index]):
            return f"{place} lists other checkpoints before it than the {index} that the chain has there"
        start = previous.steps.last if previous is not None else 0
        if link.steps.first != start:
            return f"{place} starts at step {link.steps.first}, but the one before it ends at step {start}"
        if previous is None and link.steps.last != 0:
            return f"{place} is the first, at step {link.steps.last}: the initial weights are missing"
        if previous is not None and link.steps.last <= start:
            return f"{place} ends at step {link.steps.last}, where the one before it ended already"
        differing = _difference(link, previous)
        if differing is not None:
            return f"{place} {differing}"
        parent, previous = sha256, link
    return None


def _difference(link: CheckpointManifest, previous: CheckpointManifest | None) -> str | None:
    if previous is None:
        return None
    for name in ("recipe", "dataset", "seed", "data_order_seed"):
        now, then = getattr(link, name), getattr(previous, name)
        if now != then:
            return f"uses the {name.replace('_', ' ')} {now}, the one before it {then}"
    return None


def _chain_published(context: CheckContext, links: Sequence[CheckpointManifest]) -> CheckResult:
    size = sum(link.content.size for link in links)
    facts: dict[str, JsonValue] = {"checkpoints": len(links), "bytes": size}
    for index, link in enumerate(links):
        context.progress(f"Reading checkpoint {index + 1} of {len(links)}, {link.content.size} bytes")
        try:
            verify_content(context.store, link)
        except LlamafundError as error:
            detail = f"The checkpoint at step {link.steps.last} is not published as it says. {error}"
            return CheckResult("chain-published", "fail", detail, facts)
    detail = f"All {len(links)} checkpoints in between, {size} bytes, were read and agree"
    return CheckResult("chain-published", "pass", detail, facts)
