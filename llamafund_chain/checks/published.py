"""Checks of what is published: the content, its kind and the dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding, finding_of
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.manifests import (
    CheckpointManifest,
    DatasetManifest,
    EvidenceManifest,
    WeightsManifest,
)
from llamafund_chain.store.content import fetch_manifest, verify_content

_WITHHELD = "The attestation says that this content is withheld, so nothing of it can be challenged"


def content_published(context: CheckContext) -> Iterator[Finding]:
    """Every byte that the manifest names can be fetched from the store and has the right hash."""
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
        found = finding_of(error)
        detail = f"{_WITHHELD}. Only the attestors vouch for it. {error}" if context.content_withheld else found.detail
        yield replace(found, detail=detail, data=facts)
        return
    detail = f"Every byte was read ({amount}): sizes, hashes and Merkle root agree"
    if context.content_withheld:
        detail = f"{_WITHHELD}: it may vanish unpunished. {detail} for now"
        yield Finding("warn", detail, facts)
        return
    yield Finding("pass", detail, facts)


def kind_matches(context: CheckContext) -> Iterator[Finding]:
    """The manifest has the kind that terms and proposal name for this milestone."""
    actual = context.evidence.KIND
    agreed = context.terms.milestones[context.milestone].kind.name
    promises = context.proposal.milestones
    promised = promises[context.milestone].kind if context.milestone < len(promises) else "nothing"
    facts: dict[str, JsonValue] = {"manifest": actual, "terms": agreed, "proposal": promised}
    if actual == agreed == promised:
        yield Finding("pass", f"It is {actual} evidence, as agreed", facts)
        return
    yield Finding(
        "fail",
        f"The evidence is of kind {actual}; for milestone {context.milestone} the terms fix {agreed} "
        f"and the proposal promises {promised}",
        facts,
    )


def dataset_published(context: CheckContext) -> Iterator[Finding]:
    """Every byte of data that no milestone attests can be fetched from the store."""
    dataset = dataset_manifest(context)
    if dataset is None or dataset is context.evidence:
        return
    amount = f"{len(dataset.files)} files, {dataset.content.size} bytes"
    facts: dict[str, JsonValue] = {"dataset": dataset.sha256, "bytes": dataset.content.size}
    context.progress(f"Reading the dataset, {amount}")
    verify_content(context.store, dataset)
    detail = f"No milestone attests the dataset, so every byte of it was read ({amount}): it matches its manifest"
    yield Finding("pass", detail, facts)


def dataset_manifest(context: CheckContext) -> DatasetManifest | None:
    """The dataset that this milestone must prove; `None` if an earlier milestone proved it."""
    if isinstance(context.evidence, DatasetManifest):
        return context.evidence
    if any(isinstance(ancestor, DatasetManifest) for ancestor in context.ancestry):
        return None
    return fetch_manifest(context.store, dataset_named_by(context.evidence), DatasetManifest)


def dataset_named_by(evidence: EvidenceManifest) -> str:
    if isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return evidence.dataset
    raise TypeError(f"{type(evidence).__name__} names no dataset")
