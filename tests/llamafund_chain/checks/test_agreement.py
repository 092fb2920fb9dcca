"""The terms that a proposal promises in machine form, against the terms that the contract enforces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from manifest_examples import proposal as example

from llamafund_chain.campaign.promised import bind, promised
from llamafund_chain.campaign.terms import NO_MINIMUM, Milestone, MilestoneKind, Payee, Terms
from llamafund_chain.checks.agreement import proposal_against_terms, terms_as_promised
from llamafund_chain.evidence.manifests import PromisedTerms, ProposalManifest, parse_as

TERMS = Terms(
    researcher="0x" + "11" * 20,
    asset="0x" + "AA" * 20,
    goal=10**30,
    cap=2 * 10**30,
    funding_deadline=1_800_000_000,
    stop_bps=5_000,
    challenge_window=172_800,
    answer_window=86_400,
    min_bond=10**16,
    slack=3_600,
    proposal="00" * 32,
    dataset="ab" * 32,
    attestors=("0x" + "22" * 20,),
    quorum=1,
    payees=(Payee("0x" + "33" * 20, 6_000), Payee("0x" + "44" * 20, 4_000)),
    milestones=(
        Milestone(MilestoneKind.DATASET, 2_000, 1_810_000_000, NO_MINIMUM),
        Milestone(MilestoneKind.WEIGHTS, 8_000, 1_820_000_000, -(2**62)),
    ),
    arbiter="0x" + "55" * 20,
    ruling_window=604_800,
)


@pytest.fixture
def bound() -> tuple[ProposalManifest, Terms]:
    """A proposal with the terms that it promises."""
    return bind(ProposalManifest.model_validate(example(), strict=False), TERMS)


def test_terms_that_are_what_the_proposal_promises_hold(bound: tuple[ProposalManifest, Terms]) -> None:
    proposal, terms = bound
    assert terms_as_promised(proposal, terms).status == "pass"
    assert terms == replace(TERMS, proposal=proposal.sha256)
    assert parse_as(ProposalManifest, proposal.to_bytes()) == proposal


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("asset", {"asset": "0x" + "ab" * 20}),
        ("goal", {"goal": 10**30 - 1}),
        ("cap", {"cap": 2 * 10**30 + 1}),
        ("funding_deadline", {"funding_deadline": 1_800_000_001}),
        ("stop_bps", {"stop_bps": 5_001}),
        ("challenge_window", {"challenge_window": 172_801}),
        ("answer_window", {"answer_window": 86_401}),
        ("min_bond", {"min_bond": 10**16 - 1}),
        ("slack", {"slack": 3_601}),
        ("quorum", {"quorum": 2}),
        ("payees[0].account", {"payees": (Payee("0x" + "99" * 20, 6_000), TERMS.payees[1])}),
        ("payees[1].bps", {"payees": (TERMS.payees[0], Payee(TERMS.payees[1].account, 4_001))}),
        ("payees.count", {"payees": TERMS.payees[:1]}),
        ("milestones[0].kind", {"milestones": (replace(TERMS.milestones[0], kind=MilestoneKind.CHECKPOINT),)}),
        ("milestones[1].bps", {"milestones": (TERMS.milestones[0], replace(TERMS.milestones[1], bps=8_001))}),
        ("milestones[1].deadline", {"milestones": (TERMS.milestones[0], replace(TERMS.milestones[1], deadline=1))}),
        ("milestones[1].min_score", {"milestones": (TERMS.milestones[0], replace(TERMS.milestones[1], min_score=0))}),
        ("milestones.count", {"milestones": TERMS.milestones[:1]}),
        ("arbiter", {"arbiter": None}),
        ("ruling_window", {"ruling_window": 604_801}),
    ],
)
def test_threat_each_field_of_the_terms_that_the_proposal_promised_otherwise_is_told(
    bound: tuple[ProposalManifest, Terms], field: str, change: dict[str, Any]
) -> None:
    found = terms_as_promised(bound[0], replace(bound[1], **change))
    assert found.status == "fail"
    assert field in found.data["differs"]


def test_the_first_field_is_told_with_both_values_and_the_others_are_counted(
    bound: tuple[ProposalManifest, Terms],
) -> None:
    changes = {"cap": 2 * 10**30 + 1, "quorum": 2, "slack": 1}
    for count, end in (
        (1, f"the terms say {changes['cap']}"),
        (2, "; 1 more fields differ"),
        (3, "; 2 more fields differ"),
    ):
        some = dict(list(changes.items())[:count])
        found = terms_as_promised(bound[0], replace(bound[1], **some))
        assert f"{TERMS.cap} for cap" in found.detail
        assert found.detail.endswith(end)


def test_every_field_is_compared() -> None:
    elsewhere = {"researcher", "attestors", "proposal", "dataset"}
    assert PromisedTerms.model_fields.keys() == Terms.__dataclass_fields__.keys() - elsewhere


def test_a_field_that_this_version_does_not_know_is_told(bound: tuple[ProposalManifest, Terms]) -> None:
    terms = promised(bound[1]).model_copy(update={"refund_fee": "0"})
    found = terms_as_promised(bound[0].model_copy(update={"terms": terms}), bound[1])
    assert (found.status, found.data["differs"]) == ("fail", ["refund_fee"])


def test_addresses_are_compared_whatever_their_capitals(bound: tuple[ProposalManifest, Terms]) -> None:
    assert terms_as_promised(bound[0], replace(bound[1], asset=TERMS.asset.lower())).status == "pass"


def test_an_older_proposal_is_a_remark_and_keeps_its_hash() -> None:
    proposal = ProposalManifest.model_validate(example(), strict=False)
    assert b'"terms"' not in proposal.to_bytes()
    assert proposal.wording == proposal.sha256
    (found,) = (one for one in proposal_against_terms(proposal, TERMS) if one.name == "terms-as-promised")
    assert found.status == "warn"


def test_the_wording_does_not_change_with_the_terms(bound: tuple[ProposalManifest, Terms]) -> None:
    other, _ = bind(bound[0], replace(TERMS, funding_deadline=1_800_000_777))
    assert (other.wording, other.sha256 != bound[0].sha256) == (bound[0].wording, True)
