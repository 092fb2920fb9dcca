"""A campaign's terms as its proposal promises them."""

from __future__ import annotations

from dataclasses import replace

from llamafund_chain.campaign.terms import NO_MINIMUM, Terms
from llamafund_chain.evidence.manifests import PromisedMilestone, PromisedPayee, PromisedTerms, ProposalManifest


def promised(terms: Terms) -> PromisedTerms:
    """What a proposal can promise of some terms: all but its own hash and what it says elsewhere."""
    return PromisedTerms(
        asset=terms.asset,
        goal=str(terms.goal),
        cap=str(terms.cap),
        funding_deadline=terms.funding_deadline,
        stop_bps=terms.stop_bps,
        challenge_window=terms.challenge_window,
        answer_window=terms.answer_window,
        min_bond=str(terms.min_bond),
        slack=terms.slack,
        quorum=terms.quorum,
        payees=tuple(PromisedPayee(account=payee.account, bps=payee.bps) for payee in terms.payees),
        milestones=tuple(
            PromisedMilestone(
                kind=step.kind.name,  # type: ignore[arg-type]
                bps=step.bps,
                deadline=step.deadline,
                min_score=None if step.min_score == NO_MINIMUM else str(step.min_score),
            )
            for step in terms.milestones
        ),
        arbiter=terms.arbiter,
        ruling_window=terms.ruling_window,
    )


def bind(proposal: ProposalManifest, terms: Terms) -> tuple[ProposalManifest, Terms]:
    """The proposal with the terms that it promises, and the terms with that proposal's hash."""
    bound = proposal.model_copy(update={"terms": promised(terms)})
    return bound, replace(terms, proposal=bound.sha256)
