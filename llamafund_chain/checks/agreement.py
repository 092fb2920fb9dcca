"""Compares the proposal that backers read with the terms that the contract enforces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from llamafund_chain.campaign.promised import promised
from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, Terms
from llamafund_chain.checks.check import CheckResult, Finding, result_of
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.text import from_millionths


def proposal_against_terms(proposal: ProposalManifest, terms: Terms) -> Iterator[CheckResult]:
    """Whether the proposal that backers read agrees with the terms that the contract enforces."""
    yield _same(
        "researcher-matches",
        "The researcher",
        proposal.researcher.address.lower(),
        terms.researcher.lower(),
    )
    yield _same(
        "attestors-match",
        "The list of attestors",
        [party.address.lower() for party in proposal.attestors],
        [address.lower() for address in terms.attestors],
    )
    yield _same(
        "milestones-match",
        "The list of milestones",
        [promise.kind for promise in proposal.milestones],
        [milestone.kind.name for milestone in terms.milestones],
    )
    promised = proposal.dataset.manifest or NO_HASH
    yield _same("dataset-matches", "The dataset's hash", promised, terms.dataset)
    yield result_of(terms_as_promised, proposal, terms)
    yield result_of(promise_is_binding, proposal, terms)


def terms_as_promised(proposal: ProposalManifest, terms: Terms) -> Finding:
    """Whether the terms are those that the proposal promises in machine form, field by field."""
    if proposal.terms is None:
        detail = "The proposal promises no terms in machine form, as older ones do: compare its words with the terms"
        return Finding("warn", detail)
    said, agreed = (_fields(one.model_dump(mode="json")) for one in (proposal.terms, promised(terms)))
    other = [name for name in said.keys() | agreed.keys() if said.get(name) != agreed.get(name)]
    if not other:
        return Finding("pass", f"The terms are what the proposal promises, in all {len(agreed)} fields")
    listed: list[JsonValue] = [*sorted(other)]
    first = min(other)
    detail = f"The proposal promises {said.get(first)} for {first}, but the terms say {agreed.get(first)}"
    if len(other) > 1:
        detail += f"; {len(other) - 1} more fields differ"
    return Finding("fail", detail, {"differs": listed})


def _fields(terms: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Each field by its name, lists and records spelled out; addresses in lower case."""
    found: dict[str, JsonValue] = {}
    for name, value in terms.items():
        if isinstance(value, list):
            found[f"{name}.count"] = len(value)
            for place, part in enumerate(value):
                found |= {f"{name}[{place}].{key}": inner for key, inner in _fields(part).items()}
        else:
            found[name] = value.lower() if isinstance(value, str) else value
    return found


def promise_is_binding(proposal: ProposalManifest, terms: Terms) -> Finding:
    """Whether the terms require the score that the proposal promises."""
    target = proposal.outcome.score(proposal.outcome.target)
    floor = terms.milestones[-1].min_score
    facts: dict[str, JsonValue] = {"target": target, "min_score": floor}
    if floor >= target:
        detail = f"The last tranche requires a score of at least {from_millionths(floor)}, as promised"
        return Finding("pass", detail, facts)
    least = "any score" if floor == NO_MINIMUM else from_millionths(floor)
    detail = f"The proposal promises a score of {from_millionths(target)}; the terms already pay for {least}"
    return Finding("warn", detail, facts)


def _same(name: str, words: str, proposed: JsonValue, agreed: JsonValue) -> CheckResult:
    facts: dict[str, JsonValue] = {"proposal": proposed, "terms": agreed}
    if proposed == agreed:
        return CheckResult(name, "pass", f"{words} is the same in proposal and terms", facts)
    return CheckResult(name, "fail", f"{words} is {proposed} in the proposal, but {agreed} in the terms", facts)
