"""The audit itself: read everything at one block, check it, keep the ledger twice, and reach a verdict.

Nothing is trusted. Whatever a manifest, a token or a missing file causes becomes a failed check. Only a node that does
not answer, or a campaign that is not settled yet, ends the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.audit.comparisons import cost_of_blocking, cost_of_forcing, proposal_against_terms
from llamafund_chain.audit.findings import Findings
from llamafund_chain.audit.milestones import (
    Workshop,
    attestation_signed,
    content_open,
    describe,
    group_of,
    look_at_evidence,
    names_of,
)
from llamafund_chain.audit.model import (
    ArbiterFacts,
    Asset,
    AuditReport,
    CampaignFacts,
    Curve,
    Flow,
    MilestoneReport,
    Money,
    Reference,
    Signer,
    Verdict,
    moment,
)
from llamafund_chain.audit.money import Statement, bonds_are_held, columns, compare, money_report
from llamafund_chain.audit.next_steps import Situation, next_steps
from llamafund_chain.audit.pictures import money_flows, reference_levels, training_curves
from llamafund_chain.audit.timeline import (
    TOLD,
    Story,
    attested_by_the_rules,
    contested_by_the_rules,
    events_match_state,
    seed_from_block,
    status_name,
    tell,
)
from llamafund_chain.audit.verdict import conclude
from llamafund_chain.campaign.answer_cost import told_cost
from llamafund_chain.campaign.arbiter import Arbiter, arbiter_of
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import NO_HASH, Status
from llamafund_chain.chain.connection import Block, Connection, Finality
from llamafund_chain.checks.check import Check, CheckResult, check_name
from llamafund_chain.checks.risks import arbiter_risks, term_risks, unreleased_of
from llamafund_chain.checks.run import discover
from llamafund_chain.errors import LlamafundError, NotFinalError
from llamafund_chain.evidence.manifests import CheckpointManifest, EvidenceManifest, ProposalManifest, WeightsManifest
from llamafund_chain.store.content import fetch_manifest

if TYPE_CHECKING:
    from llamafund_chain.store import Store

LIMITS = (
    "Whether the data was any good, or worth its price.",
    "Whether the held-out text leaked into the training data in other ways than as equal documents.",
    "What the payees spent the money on.",
    "Who the people behind the addresses are; the names are the proposal's.",
    "Whether the store will still have the files tomorrow.",
)


def audit(
    client: CampaignClient,
    store: Store,
    *,
    finality: Finality = "finalized",
    replay_segments: int = 1,
    workdir: Path,
    progress: Callable[[str], None],
    checks: Sequence[Check] | None = None,
) -> AuditReport:
    """Verify a campaign from its chain and a store.

    Args:
        client: The campaign, by its address alone.
        store: Where its evidence should be.
        finality: The finality of the block at which everything is read.
        replay_segments: How many training segments of each training milestone to replay; 0 for none.
        workdir: Existing directory for fetched files.
        progress: Called with a short sentence before anything slow.
        checks: The checks of the evidence; `None` for all that are installed.

    Raises:
        NodeUnreachableError: The node does not answer, or its answers make no sense.
        NotFinalError: There is no block of that finality, or the campaign is newer than it.
    """
    connection = client.connection
    block = connection.block(finality)
    if connection.code(client.address) and not client.exists_at(block.number):
        raise NotFinalError(
            f"The campaign {client.address} is on chain, but not {finality} yet",
            "A reorganisation could still undo it",
            "Wait a few blocks. Or pass --finality latest, if you accept that",
        )
    shop = Workshop(
        client=client,
        store=store,
        head=block.number,
        checks=discover() if checks is None else checks,
        replay_segments=replay_segments,
        workdir=workdir,
        progress=progress,
    )
    return _Draft(shop, block, finality, Findings()).fill()


@dataclass(frozen=True)
class _Known:
    """What could be read about a genuine campaign.

    Attributes:
        proposal: `None` if it cannot be read.
        evidence: The readable manifests, in the order of their milestones.
        arbiter: `None` if the terms name none.
        amount: Writes units as whole coins.
    """

    story: Story
    state: CampaignState
    proposal: ProposalManifest | None
    evidence: Sequence[EvidenceManifest]
    arbiter: Arbiter | None
    asset: Asset
    amount: Callable[[int], str]

    @property
    def metric(self) -> str:
        return self.proposal.outcome.metric if self.proposal else ""

    @property
    def weights(self) -> WeightsManifest | None:
        return _weights_in(self.evidence)


@dataclass(frozen=True)
class _Parts:
    """The parts of a report beside its checks; empty for a campaign that cannot be read."""

    facts: CampaignFacts | None = None
    milestones: tuple[MilestoneReport, ...] = ()
    money: Money | None = None
    flows: tuple[Flow, ...] = ()
    curves: tuple[Curve, ...] = ()
    references: tuple[Reference, ...] = ()
    limits: tuple[str, ...] = ()


class _Draft:
    """A report in the making."""

    def __init__(self, shop: Workshop, block: Block, finality: Finality, findings: Findings) -> None:
        self._shop = shop
        self._client = shop.client
        self._block = block
        self._finality = finality
        self._findings = findings

    def fill(self) -> AuditReport:
        """Run each part that the parts before it make possible."""
        findings, client, at = self._findings, self._client, self._block.number
        self._shop.progress("Verifying the contract's code")
        genuine = findings.attempt(
            "contract",
            "campaign-is-genuine",
            client.verify_code,
            "Its code is a clone of the known implementation, at the address that follows from its terms and factory",
        )
        if genuine is None:
            return self._report(conclude(findings.checks, None, (), campaign=client.address, genuine=False))
        asset = findings.attempt("contract", "asset-readable", lambda: client.asset)
        state = findings.attempt("contract", "state-readable", lambda: client.state(at))
        story = findings.attempt("contract", "events-readable", self._story)
        arbiter = findings.attempt("contract", "arbiter-readable", lambda: arbiter_of(client, at))
        proposal = findings.attempt(
            "proposal",
            "proposal-published",
            lambda: fetch_manifest(self._shop.store, client.terms.proposal, ProposalManifest),
            "The proposal was fetched, and its hash is the one in the terms",
        )
        if proposal is not None:
            findings.add("proposal", proposal_against_terms(proposal, client.terms))
        if asset is None or state is None or story is None:
            return self._report(conclude(findings.checks, None, (), campaign=client.address, genuine=True))
        self._timeline(story, state)
        evidence = look_at_evidence(self._shop, story, state, proposal, findings)
        shown = Asset(address=None if asset.is_native else asset.address, symbol=asset.symbol, decimals=asset.decimals)
        return self._complete(_Known(story, state, proposal, evidence, arbiter, shown, asset.plain))

    def _complete(self, known: _Known) -> AuditReport:
        milestones = self._milestones(known)
        money, flows = self._money(known)
        self._risks(known)
        facts = self._facts(known)
        parts = _Parts(
            facts=facts,
            milestones=milestones,
            money=money,
            flows=flows,
            curves=training_curves(self._run(known.evidence), known.metric),
            references=reference_levels(known.proposal, known.weights) if known.proposal else (),
            limits=LIMITS,
        )
        return self._report(self._verdict(known, facts, milestones), parts)

    # -------------------------------------------------------------- sections

    def _milestones(self, known: _Known) -> tuple[MilestoneReport, ...]:
        """Each milestone, and who signed its attestation."""
        terms, proposal = self._client.terms, known.proposal
        names = [person.name for person in names_of(proposal, terms.attestors)]
        signers: list[tuple[Signer, ...]] = []
        for index, attested in enumerate(known.story.attested):
            found, finding = attestation_signed(self._client, attested, names)
            self._findings.add(group_of(index), [CheckResult.of(check_name(attestation_signed), finding)])
            signers.append(found)
        titles = [promise.title for promise in proposal.milestones] if proposal is not None else []
        return tuple(describe(known.story, terms, known.state.timestamp, titles, signers, known.amount))

    def _money(self, known: _Known) -> tuple[Money, tuple[Flow, ...]]:
        """The ledger and its picture."""
        client, findings, amount = self._client, self._findings, known.amount
        ledger, rules = known.story.ledger, known.story.rules
        self._shop.progress("Adding up the money")
        statement = self._statement(known.story, known.state)
        findings.add("money", compare(ledger, rules, statement, amount))
        coins = client.connection.balance(client.address, self._block.number)
        findings.check("money", bonds_are_held, ledger, coins, client.connection.chain_id)
        by_events, by_state = columns(ledger, rules, statement)
        payees = names_of(known.proposal, [payee.account for payee in client.terms.payees])
        flows = money_flows(
            ledger,
            by_events,
            known.state.claimable,
            payees=[person.name or f"Payee {index}" for index, person in enumerate(payees)],
            backer_names={},
            amount=amount,
        )
        return money_report(ledger, by_events, by_state, known.state, payees, client.terms, amount), flows

    def _risks(self, known: _Known) -> None:
        """The risks that no rule forbids."""
        client, terms, state, asset = self._client, self._client.terms, known.state, known.asset

        def money(units: int) -> str:
            return f"{known.amount(units)} {asset.unit}"

        self._findings.add(
            "risks",
            term_risks(
                terms,
                client.connection.chain_id,
                cost=told_cost(client.connection),
                unreleased=unreleased_of(terms, state),
                money=money,
            ),
        )
        if known.arbiter is not None:
            pledge = client.pledge_of(known.arbiter.address, self._block.number)
            self._findings.add("risks", arbiter_risks(terms, known.arbiter, pledge=pledge, money=money))
        self._findings.check(
            "risks",
            cost_of_blocking,
            terms,
            decimals=asset.decimals,
            symbol=asset.unit,
            pledged=state.pledged,
            researcher_pledge=client.pledge_of(terms.researcher, self._block.number),
        )
        self._findings.check(
            "risks",
            cost_of_forcing,
            terms,
            decimals=asset.decimals,
            symbol=asset.unit,
            pledged=state.pledged,
            open_for_pledges=state.status is Status.FUNDING and state.timestamp < terms.funding_deadline,
        )
        self._findings.check("risks", content_open, known.story.attested)

    def _verdict(self, known: _Known, facts: CampaignFacts, milestones: Sequence[MilestoneReport]) -> Verdict:
        state, amount = known.state, known.amount
        ledger, rules = known.story.ledger, known.story.rules
        situation = Situation(
            campaign=self._client.address,
            terms=self._client.terms,
            state=state,
            arbiter=known.arbiter,
            refundable=ledger.accounts(rules, state.timestamp).refundable,
            bonds=ledger.bonds,
            amount=lambda units: f"{amount(units)} {known.asset.unit}",
        )
        return conclude(
            self._findings.checks,
            facts,
            milestones,
            steps=tuple(next_steps(situation)),
            campaign=self._client.address,
            stop_missing=amount(max(0, self._client.terms.stop_threshold(state.pledged) - state.stop_support)),
            unreleased=amount(state.pledged - state.released),
            votes_from=state.votes_from if state.timestamp < state.votes_from else 0,
        )

    # ----------------------------------------------------------------- parts

    def _story(self) -> Story:
        connection = self._client.connection
        self._shop.progress("Reading the campaign's events")
        events = self._client.each_event(None, self._block.number, only=TOLD)
        return tell(self._client.terms, events, connection.timestamp)

    def _timeline(self, story: Story, state: CampaignState) -> None:
        findings, client = self._findings, self._client
        findings.check("timeline", events_match_state, client.terms, story, state)
        findings.check("timeline", attested_by_the_rules, client.terms, story.attested)
        findings.check("timeline", contested_by_the_rules, client.terms, story, state.timestamp)
        activated = story.activated
        if activated is None:
            return
        name = check_name(seed_from_block)
        finding = findings.attempt(
            "timeline",
            name,
            lambda: seed_from_block(
                activated.training_seed,
                parent_hash=client.connection.block(activated.block - 1).hash,
                randomness=_randomness(client.connection, activated.block),
                chain_id=client.connection.chain_id,
                campaign=client.address,
                block=activated.block,
            ),
        )
        if finding is not None:
            findings.add("timeline", [CheckResult.of(name, finding)])

    def _statement(self, story: Story, state: CampaignState) -> Statement:
        client, at = self._client, self._block.number
        # Bonds are held beside the pledges, in the chain's coin. They are not part of the pool.
        bonds = story.ledger.bonds if client.terms.is_native else 0
        return Statement(
            state=replace(state, balance=state.balance - bonds),
            pledges={backer: client.pledge_of(backer, at) for backer in story.ledger.backers},
            refundable={backer: client.refundable(backer, at) for backer in story.ledger.backers},
        )

    def _facts(self, known: _Known) -> CampaignFacts:
        state, proposal, asset, amount = known.state, known.proposal, known.asset, known.amount
        terms = self._client.terms
        (researcher,) = names_of(proposal, [terms.researcher])
        arbiter = known.arbiter
        return CampaignFacts.model_validate(
            {
                "title": proposal.title if proposal else "A campaign whose proposal cannot be read",
                "summary": proposal.summary if proposal else "",
                "status": status_name(state.status),
                "researcher": researcher,
                "attestors": tuple(names_of(proposal, terms.attestors)),
                "quorum": terms.quorum,
                "arbiter": None
                if arbiter is None
                else ArbiterFacts(
                    person=names_of(proposal, [arbiter.address])[0],
                    has_code=arbiter.has_code,
                    court=arbiter.court,
                    dispute=arbiter.dispute,
                    ruling_window=terms.ruling_window,
                ),
                "asset": asset,
                "goal": amount(terms.goal),
                "cap": amount(terms.cap),
                "funding_deadline": moment(terms.funding_deadline),
                "stop_bps": terms.stop_bps,
                "stop_support": amount(state.stop_support),
                "challenge_window": terms.challenge_window,
                "proposal": terms.proposal,
                "dataset": None if terms.dataset == NO_HASH else terms.dataset,
                "training_seed": state.training_seed or None,
                "license": proposal.license if proposal else "",
                "metric": known.metric,
                "target": proposal.outcome.target if proposal else None,
            }
        )

    def _run(self, evidence: Sequence[EvidenceManifest]) -> list[CheckpointManifest]:
        """Every checkpoint that the store has, for the curves. A check has reported missing ones."""
        heads = [one for one in evidence if isinstance(one, CheckpointManifest)]
        weights = _weights_in(evidence)
        hashes = [sha256 for head in heads for sha256 in (*head.chain, head.sha256)]
        if weights is not None and weights.parent not in hashes:
            hashes.append(weights.parent)
        run: list[CheckpointManifest] = []
        for sha256 in dict.fromkeys(hashes):
            try:
                run.append(fetch_manifest(self._shop.store, sha256, CheckpointManifest))
            except LlamafundError:
                continue
        return run

    def _report(self, verdict: Verdict, parts: _Parts | None = None) -> AuditReport:
        parts = parts or _Parts()
        return AuditReport(
            chain=self._client.connection.caip2,
            campaign=self._client.address,
            block=self._block.number,
            block_hash=self._block.hash,
            time=moment(self._block.timestamp),
            finality=self._finality,
            verdict=verdict,
            checks=self._findings.checks,
            facts=parts.facts,
            milestones=parts.milestones,
            money=parts.money,
            flows=parts.flows,
            curves=parts.curves,
            references=parts.references,
            limits=parts.limits,
        )


def _weights_in(evidence: Sequence[EvidenceManifest]) -> WeightsManifest | None:
    return next((one for one in evidence if isinstance(one, WeightsManifest)), None)


def _randomness(connection: Connection, block: int) -> str:
    """A block's `mixHash`, the chain's randomness, 64 hexadecimal digits."""
    raw = connection.request("eth_getBlockByNumber", hex(block), False)
    value = str(raw.get("mixHash", "")) if isinstance(raw, Mapping) else ""
    digits = value.removeprefix("0x")
    if len(digits) != 64:
        raise LlamafundError(f"The node does not return the randomness of block {block}", f"It says {value[:80]!r}")
    return digits
