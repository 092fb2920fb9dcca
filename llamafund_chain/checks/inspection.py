"""What a backer should know before a pledge: the facts from chain and store, and what the published rules make of them.

Nothing here is sent. What a node or a store does not tell is left out of the facts, so that the rules that need it end
in "could not be told".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import AnswerCost, told_cost
from llamafund_chain.campaign.arbiter import Arbiter, arbiter_of
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import NO_HASH, NO_MINIMUM, Terms
from llamafund_chain.chain.connection import Block
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.known_accounts import TEST_CHAINS, names_of
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.token_trials import Trial, try_token
from llamafund_chain.chain.tokens import Asset
from llamafund_chain.checks.agreement import proposal_against_terms
from llamafund_chain.checks.baselines import ENGLISH, UNIFORM, UnknownBaselineError, counting_on, knows
from llamafund_chain.checks.before_pledge import recipe_result
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.people import People, look_at_people
from llamafund_chain.checks.risks import (
    arbiter_facts,
    asset_facts,
    cost_facts,
    money_facts,
    term_facts,
    unreleased_of,
)
from llamafund_chain.checks.rules import GradeRule, Judged, grade, judge
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.manifests import ExpectedOutcome, ProposalManifest
from llamafund_chain.store.base import Source
from llamafund_chain.store.content import fetch_manifest

FactsDict = dict[str, JsonValue]

_TOKEN_RULES = (
    "token-pays-in",
    "token-pays-out",
    "token-tells-one-balance",
    "token-keeps-balances",
    "token-cannot-be-stopped",
    "token-blocks-nobody",
    "token-takes-no-fee-later",
    "token-keeps-its-code",
)
_UNLIKE_ANY = "the promised metric is not one whose baselines this package knows"


@dataclass(frozen=True)
class Inspection:
    """A campaign as the rules see it.

    Attributes:
        facts: As `risk_rules.json` describes them.
        judged: The rules' outcomes.
        proposal: `None` if it could not be read.
        people: The accounts in the terms; `None` if the node did not tell.
        trial: What the token did; `None` for the chain's coin.
        training: Whether anybody can repeat the promised training; `None` without a proposal.
    """

    facts: FactsDict
    judged: tuple[Judged, ...]
    proposal: ProposalManifest | None = None
    people: People | None = None
    trial: Trial | None = None
    training: CheckResult | None = None

    @property
    def grade(self) -> GradeRule:
        """The grade that follows."""
        return grade(self.judged)


@dataclass(frozen=True)
class Asked:
    """What an inspection is made with.

    Attributes:
        state: The campaign's state.
        at: The block that it was read at.
        arbiter: The campaign's arbiter; `None` if there is none.
        cost: What an answer costs today, or why that could not be told.
    """

    state: CampaignState
    at: Block
    arbiter: Arbiter | None
    cost: AnswerCost | DataFeeUnknownError

    @classmethod
    def of(cls, client: CampaignClient) -> Asked:
        """What is there at the latest block.

        Args:
            client: The campaign.

        Raises:
            NodeUnreachableError: No node answers.
        """
        at = client.heads[0]
        return cls(client.state(at), at, arbiter_of(client, at.number), told_cost(client.connection))


def inspect(
    client: CampaignClient,
    source: Source,
    asked: Asked,
    *,
    amount: int,
    payer: str | None,
    progress: Callable[[str], None],
) -> Inspection:
    """Gather every fact, and apply every rule.

    Args:
        client: The campaign, proven to be one.
        source: Where the proposal and the dataset may be.
        asked: What was read already.
        amount: What the token is tried out with, in its smallest unit.
        payer: Who pledges in that trial; `None` for a stranger.
        progress: Called with a sentence before anything slow.

    Raises:
        NodeUnreachableError: No node answers.
    """
    terms = client.terms
    facts, people = chain_facts(client, asked)
    progress("Reading the proposal")
    proposal, problem = _proposal(source, terms)
    facts |= proposal_facts(terms, proposal) if proposal else {"proposal_problem": problem}
    progress("Counting in the dataset")
    facts |= promise_facts(terms, proposal.outcome if proposal else None, source)
    trial = None
    if not terms.is_native:
        progress("Trying out the token")
        trial = try_token(client.connection, terms.asset, client.address, amount, asked.at, payer)
        facts |= token_facts(trial)
    training = None if proposal is None else recipe_result(proposal, source)
    facts |= training_facts(proposal, training)
    return Inspection(facts, tuple(judge(facts)), proposal, people, trial, training)


def inspect_terms(client: CampaignClient, asked: Asked) -> Inspection:
    """The same from the chain's plain answers alone: nothing is fetched or tried out.

    Rules about what was not looked at are left out.

    Args:
        client: The campaign, proven to be one.
        asked: What was read already.
    """
    facts, people = chain_facts(client, asked)
    judged = tuple(one for one in judge(facts) if one.outcome != "unknown")
    return Inspection(facts, judged, people=people)


def chain_facts(client: CampaignClient, asked: Asked) -> tuple[FactsDict, People | None]:
    """The facts from terms, state and accounts."""
    terms, state = client.terms, asked.state
    facts: FactsDict = {
        **asset_facts(client.asset),
        **cost_facts(client.connection.chain_id, asked.cost),
        **term_facts(terms),
        **money_facts(terms, state, unreleased_of(terms, state)),
        "genuine": True,
        "factory": client.verify_code().factory,
    }
    holders = [terms.researcher, *terms.attestors, *([] if terms.arbiter is None else [terms.arbiter])]
    pledges = dict(zip(holders, client.pledges_of(holders, state.block), strict=True))
    facts["researcher_pledge"] = str(pledges[terms.researcher])
    facts["attestors_backing"] = [account for account in terms.attestors if pledges[account]]
    if asked.arbiter is not None:
        facts |= arbiter_facts(asked.arbiter) | {"arbiter_pledge": str(pledges[asked.arbiter.address])}
    named = (terms.researcher, *terms.attestors, *(payee.account for payee in terms.payees), terms.arbiter or "")
    facts |= {"known_keys": [*names_of(named)], "test_chain": client.connection.chain_id in TEST_CHAINS}
    try:
        people = look_at_people(client.connection, terms, asked.at.number)
    except RpcError:
        return facts, None
    return facts | people.facts(terms), people


def proposal_facts(terms: Terms, proposal: ProposalManifest) -> FactsDict:
    """The facts from a proposal, beside what it promises of the metric."""
    differences = [found.detail for found in proposal_against_terms(proposal, terms) if found.status == "fail"]
    return {
        "proposal_problem": "",
        "proposal_matches": not differences,
        "differences": [*differences],
        "target_score": str(proposal.outcome.score(proposal.outcome.target)),
    }


def training_facts(proposal: ProposalManifest | None, recipe: CheckResult | None) -> FactsDict:
    """The facts about who can repeat the training, from what was found of the proposal's recipe."""
    if proposal is None or recipe is None:
        return {"recipe_problem": "the proposal, which names the recipe, could not be read"}
    replayable = recipe.data.get("replayable")
    return {
        "recipe_named": proposal.recipe is not None,
        "recipe_replayable": replayable if isinstance(replayable, bool) else None,
        "recipe_problem": "" if isinstance(replayable, bool) else recipe.detail.rstrip("."),
    }


def promise_facts(terms: Terms, outcome: ExpectedOutcome | None, source: Source) -> FactsDict:
    """The facts about the promised score, against what counting reaches.

    Args:
        terms: The terms.
        outcome: What the proposal promises; `None` if it could not be read.
        source: Where the dataset may be.
    """
    floor = terms.milestones[-1].min_score
    facts: FactsDict = {"english_counting": str(ENGLISH), "baselines_problem": ""}
    if outcome is None:
        return facts | {"baselines_problem": "the proposal, which names the metric, could not be read"}
    if floor != NO_MINIMUM:
        facts["floor"] = str(outcome.score(floor))
    if not knows(outcome):
        return facts | {"baselines_problem": _UNLIKE_ANY}
    facts["uniform_score"] = str(-UNIFORM)
    if terms.dataset == NO_HASH:
        return facts | {"baselines_problem": "the terms fix no dataset to count in"}
    try:
        counting = counting_on(source, terms.dataset)
    except UnknownBaselineError as unknown:
        return facts | {"baselines_problem": unknown.what}
    return facts | {"counting": str(counting), "counting_score": str(-counting)}


def promise_risks(terms: Terms, outcome: ExpectedOutcome, source: Source) -> Iterator[CheckResult]:
    """What the rules say of the promised score, against what a model without training reaches.

    Args:
        terms: The terms.
        outcome: What the proposal promises.
        source: Where the dataset may be.
    """
    facts = {**term_facts(terms), **promise_facts(terms, outcome, source)}
    yield from (one.result for one in judge(facts, ("score-is-required", "promise-beats-counting")))


def token_facts(trial: Trial) -> FactsDict:
    """The facts from a token's trial."""

    def units(amount: int | None) -> str | None:
        return None if amount is None else str(amount)

    return {
        "token_problem": trial.problem or "the node did not tell enough",
        "token_sent": units(trial.sent),
        "token_pays_in": None if trial.arrived is None else trial.arrived > 0,
        "token_arrived": units(trial.arrived),
        "token_debited": units(trial.debited),
        "token_pays_out": None if trial.received is None else trial.received > 0,
        "token_paid": units(trial.paid),
        "token_received": units(trial.received),
        "token_taken": units(trial.taken),
        "token_answers_differ": trial.answers_differ,
        "token_balance_computed": trial.balance_computed,
        "token_switch": trial.switch,
        "token_blocks": trial.blocks,
        "token_fee_switch": trial.fee_switch,
        "token_upgradable": None if trial.upgraded_by is None else bool(trial.upgraded_by),
        "token_upgraded_by": trial.upgraded_by,
    }


def token_risks(trial: Trial, asset: Asset) -> Iterator[CheckResult]:
    """What the rules about tokens say of a trial.

    Args:
        trial: What the token did.
        asset: The token.
    """
    facts = {"native": False, **asset_facts(asset), **token_facts(trial)}
    yield from (one.result for one in judge(facts, _TOKEN_RULES))


def _proposal(source: Source, terms: Terms) -> tuple[ProposalManifest | None, str]:
    try:
        return fetch_manifest(source, terms.proposal, ProposalManifest), ""
    except LlamafundError as error:
        return None, error.what
