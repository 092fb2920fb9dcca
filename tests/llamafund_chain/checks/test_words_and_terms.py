"""Words and terms: whatever differs is found, and a promise binds from the very score on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import manifest_examples as examples
import pytest
from small_campaign import terms as small_terms

from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, Terms
from llamafund_chain.checks.agreement import promise_is_binding, proposal_against_terms
from llamafund_chain.evidence.manifests import ProposalManifest

WHO = examples.ADDRESS


def proposal(**changes: Any) -> ProposalManifest:
    kinds = ("DATASET", "WEIGHTS")
    promises = [{"kind": kind, "title": kind, "description": "done"} for kind in kinds]
    return ProposalManifest.model_validate_json(json.dumps({**examples.proposal(milestones=promises), **changes}))


def terms(**changes: Any) -> Terms:
    # Addresses on chain have letters in both cases.
    return small_terms(**{"researcher": WHO.replace("a", "A"), "attestors": (WHO,), **changes})


def scored(*floors: int) -> Terms:
    agreed = terms()
    steps = tuple(replace(step, min_score=floor) for step, floor in zip(agreed.milestones, floors, strict=True))
    return replace(agreed, milestones=steps)


def verdicts(promised: ProposalManifest, agreed: Terms) -> dict[str, str]:
    return {result.name: result.status for result in proposal_against_terms(promised, agreed)}


SAME = ("researcher-matches", "attestors-match", "milestones-match", "dataset-matches")


def test_the_same_words_and_terms_agree_whatever_the_case_of_an_address() -> None:
    found = verdicts(proposal(), terms())
    # Promised in words alone.
    assert found.pop("terms-as-promised") == "warn"
    assert found == dict.fromkeys((*SAME, "promise-is-binding"), "pass")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("researcher-matches", {"researcher": "0x" + "b2" * 20}),
        ("attestors-match", {"attestors": ("0x" + "b2" * 20,)}),
        ("milestones-match", {"milestones": small_terms().milestones[1:]}),
        ("dataset-matches", {"dataset": "11" * 32}),
    ],
)
def test_each_difference_is_named(name: str, changes: dict[str, Any]) -> None:
    found = verdicts(proposal(), terms(**changes))
    assert {key for key, status in found.items() if status == "fail"} == {name}


def test_a_dataset_that_the_proposal_names_must_be_the_terms_and_none_is_none() -> None:
    named = proposal(dataset={**examples.proposal()["dataset"], "manifest": "11" * 32})
    assert verdicts(named, terms(dataset="11" * 32))["dataset-matches"] == "pass"
    assert verdicts(named, terms(dataset="22" * 32))["dataset-matches"] == "fail"
    assert verdicts(named, terms(dataset=NO_HASH))["dataset-matches"] == "fail"


def test_the_last_tranche_binds_from_the_promised_score_on() -> None:
    # Lower is better: 2.0 is the score -2000000.
    for floor, status in ((-2_000_001, "warn"), (-2_000_000, "pass"), (-1_999_999, "pass")):
        # The other milestones say the contrary, so that only the last one can decide.
        other = NO_MINIMUM if status == "pass" else 0
        assert promise_is_binding(proposal(), scored(other, floor)).status == status


def test_a_weak_minimum_is_named_and_none_is_called_any_score() -> None:
    assert "already pay for -2.5" in promise_is_binding(proposal(), scored(0, -2_500_000)).detail
    assert "already pay for any score" in promise_is_binding(proposal(), scored(0, NO_MINIMUM)).detail
