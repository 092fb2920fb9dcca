"""The promises of proposal and terms, each at its boundary. The evidence is made of words alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import manifest_examples as examples
import pytest
from small_campaign import terms

from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM
from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.checks.promises import (
    dataset_fixed,
    dataset_license_matches_proposal,
    license_matches_proposal,
    recipe_matches_proposal,
    score_matches_manifest,
    score_meets_promise,
)
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.manifests import (
    CheckpointManifest,
    DatasetManifest,
    EvidenceManifest,
    ProposalManifest,
    WeightsManifest,
)
from llamafund_chain.store import LocalStore

A, B = "aa" * 32, "bb" * 32


def dataset(**changes: Any) -> DatasetManifest:
    return DatasetManifest.model_validate_json(json.dumps(examples.dataset(**changes)))


def checkpoint(**changes: Any) -> CheckpointManifest:
    return CheckpointManifest.model_validate_json(json.dumps(examples.checkpoint(**changes)))


def weights(**changes: Any) -> WeightsManifest:
    return WeightsManifest.model_validate_json(json.dumps(examples.weights(**changes)))


def proposal(named: str | None = None, **changes: Any) -> ProposalManifest:
    promised = {**examples.proposal()["dataset"], "manifest": named}
    return ProposalManifest.model_validate_json(json.dumps(examples.proposal(**{"dataset": promised, **changes})))


def context(
    tmp_path: Path,
    evidence: EvidenceManifest,
    *,
    fixed: str = NO_HASH,
    floors: tuple[int, int] = (0, 0),
    **changes: Any,
) -> CheckContext:
    agreed = terms(dataset=fixed)
    steps = tuple(replace(step, min_score=floor) for step, floor in zip(agreed.milestones, floors, strict=True))
    values: dict[str, Any] = {
        "store": LocalStore(tmp_path / "store"),
        "proposal": proposal(),
        "terms": replace(agreed, milestones=steps),
        "chain_id": 1,
        "campaign": "0x" + "ca" * 20,
        "training_seed": "",
        "milestone": 1,
        "evidence": evidence,
        "ancestry": (),
        "score": None,
        "entropy": b"",
        "replay_segments": 0,
        "workdir": tmp_path,
        "progress": lambda text: None,
    }
    return CheckContext(**{**values, **changes})


def told(check: Callable[[CheckContext], Iterator[Finding]], given: CheckContext) -> tuple[str, str]:
    (found,) = check(given)
    return found.status, found.detail


@pytest.mark.parametrize(
    ("used", "attested", "fixed", "named", "status", "words"),
    [
        (A, None, A, A, "pass", "as fixed before"),
        (A, None, A, None, "pass", "as fixed before"),
        (A, None, NO_HASH, A, "pass", "as fixed before"),
        (A, None, NO_HASH, None, "warn", "only describe it in words: texts"),
        (A, None, B, A, "fail", f"the terms fix {B}"),
        (A, None, A, B, "fail", f"the proposal names {B}"),
        (A, None, NO_HASH, B, "fail", f"the proposal names {B}"),
        (A, "other", NO_HASH, None, "fail", "the attested one is"),
        ("same", "same", B, None, "pass", "as fixed before"),
    ],
)
def test_the_data_is_what_was_fixed_or_attested_before(
    tmp_path: Path, used: str, attested: str | None, fixed: str, named: str | None, status: str, words: str
) -> None:
    earlier = tuple(dataset(title=title) for title in ("oldest", "older", "Texts")) if attested else ()
    evidence = checkpoint(dataset=earlier[-1].sha256 if used == "same" else used)
    given = context(tmp_path, evidence, fixed=fixed, proposal=proposal(named), ancestry=earlier)
    found = told(dataset_fixed, given)
    assert found[0] == status
    assert words in found[1]


def test_a_dataset_that_is_attested_is_itself_the_one_in_use(tmp_path: Path) -> None:
    one = dataset()
    assert told(dataset_fixed, context(tmp_path, one, fixed=one.sha256))[0] == "pass"
    found = told(dataset_fixed, context(tmp_path, one, fixed=A, ancestry=(one,)))
    assert found[0] == "fail"
    assert f"the terms fix {A}" in found[1]


def test_the_recipe_is_the_proposals_and_published(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    recipe = store.put_bytes(b"recipe").sha256
    for evidence in (checkpoint(recipe=recipe), weights(recipe=recipe)):
        assert told(recipe_matches_proposal, context(tmp_path, evidence, proposal=proposal(recipe=recipe)))[0] == "pass"
        assert told(recipe_matches_proposal, context(tmp_path, evidence))[0] == "warn"
        assert told(recipe_matches_proposal, context(tmp_path, evidence, proposal=proposal(recipe=A)))[0] == "fail"
    with pytest.raises(LlamafundError, match=f"recipe {A}"):
        told(recipe_matches_proposal, context(tmp_path, checkpoint(recipe=A)))
    assert list(recipe_matches_proposal(context(tmp_path, dataset()))) == []


def test_the_weights_license_is_the_promised_one(tmp_path: Path) -> None:
    assert told(license_matches_proposal, context(tmp_path, weights(license="Apache-2.0")))[0] == "pass"
    assert told(license_matches_proposal, context(tmp_path, weights(license="MIT")))[0] == "fail"
    assert list(license_matches_proposal(context(tmp_path, checkpoint()))) == []


def test_each_part_of_the_dataset_has_the_promised_license(tmp_path: Path) -> None:
    def parts(*licenses: str) -> DatasetManifest:
        listed = [{**part, "license": one} for part, one in zip(examples.dataset()["parts"], licenses, strict=True)]
        return dataset(parts=listed)

    assert told(dataset_license_matches_proposal, context(tmp_path, parts("CC0-1.0", "CC0-1.0")))[0] == "pass"
    status, words = told(dataset_license_matches_proposal, context(tmp_path, parts("MIT", "CC0-1.0")))
    assert (status, "'MIT'" in words) == ("warn", True)
    # It was judged where it was attested.
    assert list(dataset_license_matches_proposal(context(tmp_path, checkpoint(), ancestry=(dataset(),)))) == []


def test_the_attested_score_is_the_manifests_and_that_is_the_promised_metrics(tmp_path: Path) -> None:
    def judged(evidence: EvidenceManifest, score: int | None) -> str:
        return told(score_matches_manifest, context(tmp_path, evidence, score=score))[0]

    right = weights(metrics={"loss": 5}, outcome_score=-5)
    assert [judged(right, score) for score in (-6, -5, -4)] == ["fail", "pass", "fail"]
    assert judged(right, None) == "unchecked"
    assert judged(weights(metrics={"loss": 5}, outcome_score=5), 5) == "fail"
    assert judged(weights(metrics={}, outcome_score=-5), -5) == "fail"
    assert judged(checkpoint(metrics={"loss": 5}, outcome_score=-5), -5) == "pass"
    # Without a score of its own, evidence counts as zero.
    assert [judged(checkpoint(), score) for score in (0, 1, -1)] == ["pass", "fail", "fail"]
    assert [judged(dataset(), score) for score in (0, 1)] == ["pass", "fail"]


def test_a_missing_metric_is_called_missing(tmp_path: Path) -> None:
    found = told(score_matches_manifest, context(tmp_path, weights(metrics={}, outcome_score=-5), score=-5))
    assert "it reports no value for the promised metric loss" in found[1]
    found = told(score_matches_manifest, context(tmp_path, weights(metrics={"loss": 7}, outcome_score=-5), score=-5))
    assert "it reports 0.000007 for" in found[1]


def test_the_score_reaches_the_terms_minimum_and_then_the_proposals_target(tmp_path: Path) -> None:
    def judged(score: int | None, floor: int, evidence: EvidenceManifest | None = None) -> tuple[str, str]:
        # The other milestone's minimum does not count. The proposal's target is the score -2000000.
        given = context(tmp_path, evidence or weights(outcome_score=-7), floors=(10**9, floor), score=score)
        return told(score_meets_promise, given)

    for score, status in ((-3_000_001, "fail"), (-3_000_000, "warn"), (-2_000_001, "warn"), (-2_000_000, "pass")):
        assert judged(score, -3_000_000)[0] == status
    assert judged(-1_000_001, -1_000_000)[0] == "fail"
    assert "at least -1" in judged(-1_000_000, -1_000_000)[1]
    # The target is the weights' alone, and the manifest's score stands in for one that nobody attested.
    assert judged(-3_000_000, -3_000_000, checkpoint())[0] == "pass"
    assert judged(None, -6)[0] == "fail"
    assert judged(None, -7)[0] == "pass"
    assert [judged(None, floor, dataset())[0] for floor in (0, 1)] == ["pass", "fail"]
    assert judged(0, NO_MINIMUM, checkpoint())[1].endswith("there was no promise")
    assert "no promise" not in judged(0, NO_MINIMUM)[1]
