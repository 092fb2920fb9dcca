"""The audit itself: read everything at one block, check it, keep the ledger twice, and reach a verdict.

Nothing is trusted. Whatever a manifest, a token or a missing file causes becomes the result of a check. Only a node
that does not answer, or a campaign that is not settled yet, ends the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.audit.across import look_across
from llamafund_chain.audit.backers import backer_report
from llamafund_chain.audit.chronicle import chronicle
from llamafund_chain.audit.comparisons import cost_of_blocking, cost_of_forcing
from llamafund_chain.audit.dates import attestations_dated, written_after
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
    BackerReport,
    CampaignFacts,
    Curve,
    Flow,
    Happening,
    MilestoneReport,
    Money,
    PeopleGraph,
    RecordLine,
    Reference,
    Signer,
    Verdict,
    moment,
)
from llamafund_chain.audit.money import Statement, bonds_are_held, columns, compare, money_report
from llamafund_chain.audit.next_steps import Situation, next_steps
from llamafund_chain.audit.node.examination import Examination
from llamafund_chain.audit.node.settings import NOTHING, Demands, head_of
from llamafund_chain.audit.pack import EvidencePack, Recorder
from llamafund_chain.audit.payouts import money_moves
from llamafund_chain.audit.people.apart import look_at_people
from llamafund_chain.audit.people.movements import Movements
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
    with_times,
)
from llamafund_chain.audit.verdict import RISKS, conclude
from llamafund_chain.campaign.answer_cost import told_cost
from llamafund_chain.campaign.arbiter import Arbiter, arbiter_of
from llamafund_chain.campaign.backers import positions_of
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import NO_HASH, Status
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.connection import Block, Finality
from llamafund_chain.chain.headers import Header
from llamafund_chain.chain.token_trials import try_token
from llamafund_chain.chain.transactions import Log
from llamafund_chain.checks.agreement import proposal_against_terms
from llamafund_chain.checks.before_pledge import before_pledge
from llamafund_chain.checks.check import DEPTHS, Check, CheckResult, Depth, Finding, check_name, depth_of
from llamafund_chain.checks.inspection import promise_risks, token_risks
from llamafund_chain.checks.risks import arbiter_risks, term_risks, unreleased_of
from llamafund_chain.checks.run import discover
from llamafund_chain.deployment.clones import clone_code
from llamafund_chain.errors import LlamafundError, NotFinalError
from llamafund_chain.evidence.manifests import CheckpointManifest, EvidenceManifest, ProposalManifest, WeightsManifest
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.store.kinds.local import LocalStore
from llamafund_chain.store.sources import places_of

if TYPE_CHECKING:
    from llamafund_chain.store import Store

_UNTITLED = "A campaign whose proposal was not read"

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
    depth: Depth = "replay",
    replay_segments: int = 1,
    jobs: int = 1,
    allow_unchecked: bool = False,
    backer: str | None = None,
    demands: Demands = NOTHING,
    workdir: Path,
    progress: Callable[[str], None],
    checks: Sequence[Check] | None = None,
) -> AuditReport:
    """Verify a campaign from its chain and a store.

    Args:
        client: The campaign, by its address alone.
        store: Where its evidence should be.
        finality: The finality of the block at which everything is read.
        depth: How far to go.
        replay_segments: How many training segments of each training milestone to replay.
        jobs: How many processes share them.
        allow_unchecked: Whether checks without a result are accepted, which the verdict then says.
        backer: Checksummed address of a backer whose money the report shows; `None` for nobody's.
        demands: What the node has to prove, and which other nodes have to say the same.
        workdir: Existing directory for fetched files.
        progress: Called with a short sentence before anything slow.
        checks: The checks of the evidence; `None` for all that are installed.

    Raises:
        NodeUnreachableError: The node does not answer, or its answers make no sense.
        NotFinalError: There is no block of that finality, or the campaign is newer than it.
    """
    connection = client.connection
    block = head_of(connection, finality, demands.block_hash)
    if connection.code(client.address) and not client.exists_at(block.number):
        raise NotFinalError(
            f"The campaign {client.address} is on chain, but not {finality} yet",
            "A reorganisation could still undo it",
            "Wait a few blocks. Or pass --finality latest, if you accept that",
        )
    reached = DEPTHS[: DEPTHS.index(depth) + 1]
    shop = Workshop(
        client=client,
        store=store,
        head=block.number,
        checks=[check for check in discover() if depth_of(check) in reached] if checks is None else checks,
        replay_segments=replay_segments,
        jobs=jobs,
        workdir=workdir,
        progress=progress,
    )
    hidden = {place.location: "the local store" for place in places_of(store) if isinstance(place, LocalStore)}
    findings = Findings({**hidden, str(workdir): "the working folder"})
    examination = Examination(client, block, finality, demands, findings, progress)
    draft = _Draft(shop, block, finality, findings, depth, backer, examination, allow_unchecked=allow_unchecked)
    report = draft.fill()
    doubtful = report.verdict.outcome in ("fails", "contradicted")
    if connection.facts is not None and report.facts is not None and doubtful:
        # Nobody is accused on the word of a file, and no node either.
        connection.facts.confirm(connection, [client.address], client.verify_code().created or 0, block)
    return report


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
    backer: BackerReport | None = None
    timeline: tuple[Happening, ...] = ()
    flows: tuple[Flow, ...] = ()
    curves: tuple[Curve, ...] = ()
    references: tuple[Reference, ...] = ()
    records: tuple[RecordLine, ...] = ()
    evidence: EvidencePack | None = None
    people: PeopleGraph | None = None
    limits: tuple[str, ...] = ()


class _Draft:
    """A report in the making."""

    def __init__(
        self,
        shop: Workshop,
        block: Block,
        finality: Finality,
        findings: Findings,
        depth: Depth,
        backer: str | None,
        examination: Examination,
        *,
        allow_unchecked: bool,
    ) -> None:
        self._examination = examination
        self._shop = shop
        self._client = shop.client
        self._block = block
        self._finality = finality
        self._findings = findings
        self._depth = depth
        self._backer = backer
        self._allow_unchecked = allow_unchecked
        self._recorder = Recorder()

    def fill(self) -> AuditReport:
        """Run each part that the parts before it make possible."""
        findings, client, at = self._findings, self._client, self._block.number
        self._shop.progress("Verifying the contract's code")
        self._examination.begin()
        genuine = findings.attempt(
            "contract",
            "campaign-is-genuine",
            client.verify_code,
            "Its code is a clone of the known implementation, at the address that follows from its terms and factory",
        )
        if genuine is None:
            self._examination.doubt()
            failed = any(check.status == "fail" for check in findings.checks)
            return self._report(self._conclude(None, (), genuine=not failed))
        asset = findings.attempt("contract", "asset-readable", lambda: client.asset)
        state = findings.attempt("contract", "state-readable", lambda: client.state(at), of_node=True)
        story = findings.attempt("contract", "events-readable", self._story, of_node=True)
        arbiter = findings.attempt("contract", "arbiter-readable", lambda: arbiter_of(client, at))
        proposal = None if self._depth == "books" else self._proposal()
        if asset is None or state is None or story is None:
            return self._report(self._conclude(None, ()))
        self._timeline(story, state)
        evidence = () if self._depth == "books" else look_at_evidence(self._shop, story, state, proposal, findings)
        if proposal is not None and not story.attested:
            self._before_pledge(proposal)
        shown = Asset(address=None if asset.is_native else asset.address, symbol=asset.symbol, decimals=asset.decimals)
        return self._complete(_Known(story, state, proposal, evidence, arbiter, shown, asset.plain))

    def _complete(self, known: _Known) -> AuditReport:
        milestones = self._milestones(known)
        money, flows = self._money(known)
        self._risks(known)
        records = look_across(self._client, self._block, self._findings)
        people = self._people(known)
        facts = self._facts(known)
        verdict = self._verdict(known, facts, milestones)
        parts = _Parts(
            facts=facts,
            milestones=milestones,
            money=money,
            backer=self._backer_report(known, verdict),
            timeline=chronicle(known.story, self._client.terms, known.state),
            flows=flows,
            curves=training_curves(self._run(known.evidence), known.metric),
            references=reference_levels(known.proposal, known.weights) if known.proposal else (),
            records=records,
            evidence=self._evidence(known),
            people=people,
            limits=LIMITS,
        )
        return self._report(verdict, parts)

    # -------------------------------------------------------------- sections

    def _milestones(self, known: _Known) -> tuple[MilestoneReport, ...]:
        """Each milestone, and who signed its attestation."""
        terms, proposal = self._client.terms, known.proposal
        names = [person.name for person in names_of(proposal, terms.attestors)]
        signers: list[tuple[Signer, ...]] = []
        sent = self._client.connection.transactions([one.tx_hash for one in known.story.attested])
        for index, (attested, transaction) in enumerate(zip(known.story.attested, sent, strict=True)):
            found, finding = attestation_signed(self._client, attested, transaction, names)
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
        self._examination.compare(known.story, known.state, statement.pledges, amount)
        findings.add("money", compare(ledger, rules, statement, amount, native=client.terms.is_native))
        coins = client.connection.balance(client.address, self._block.number)
        findings.check("money", bonds_are_held, ledger, coins, client.connection.chain_id)
        self._shop.progress("Simulating every payment")
        findings.add("money", money_moves(client, self._block, known.story, known.state, client.asset.format))
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

    def _backer_report(self, known: _Known, verdict: Verdict) -> BackerReport | None:
        if self._backer is None:
            return None
        return backer_report(
            known.story.ledger,
            known.story.rules,
            self._backer,
            known.state.timestamp,
            verdict.next_steps,
            known.amount,
            partial(format_coin, chain_id=self._client.connection.chain_id),
        )

    def _evidence(self, known: _Known) -> EvidencePack:
        """What the report can be checked with."""
        identity = self._client.verify_code()
        proposal = [] if known.proposal is None else [known.proposal]
        return self._recorder.pack(
            factory=identity.factory,
            salt=identity.salt,
            code=clone_code(identity.implementation) + self._client.terms.pack(),
            manifests=[*proposal, *known.evidence],
        )

    def _risks(self, known: _Known) -> None:
        """The risks that no rule forbids."""
        client, terms, state, asset = self._client, self._client.terms, known.state, known.asset

        def money(units: int) -> str:
            return f"{known.amount(units)} {asset.unit}"

        self._findings.add(
            RISKS,
            term_risks(
                terms,
                client.connection.chain_id,
                cost=told_cost(client.connection),
                unreleased=unreleased_of(terms, state),
                money=money,
            ),
        )
        if not terms.is_native:
            trial = try_token(client.connection, terms.asset, client.address, terms.goal, self._block)
            self._findings.add(RISKS, token_risks(trial, client.asset))
        if known.arbiter is not None:
            pledge = client.pledge_of(known.arbiter.address, self._block.number)
            self._findings.add(RISKS, arbiter_risks(terms, known.arbiter, pledge=pledge, asset=client.asset))
        self._findings.check(
            RISKS,
            cost_of_blocking,
            terms,
            decimals=asset.decimals,
            symbol=asset.unit,
            pledged=state.pledged,
            researcher_pledge=client.pledge_of(terms.researcher, self._block.number),
        )
        self._findings.check(
            RISKS,
            cost_of_forcing,
            terms,
            decimals=asset.decimals,
            symbol=asset.unit,
            pledged=state.pledged,
            open_for_pledges=state.status is Status.FUNDING and state.timestamp < terms.funding_deadline,
        )
        self._findings.check(RISKS, content_open, known.story.attested)

    def _people(self, known: _Known) -> PeopleGraph | None:
        client, ledger = self._client, known.story.ledger
        self._shop.progress("Looking at the people")
        return look_at_people(
            client, ledger, self._movements, known.proposal, self._block.number, client.asset.format, self._findings
        )

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
        return self._conclude(
            facts,
            milestones,
            steps=tuple(next_steps(situation)),
            stop_missing=amount(max(0, self._client.terms.stop_threshold(state.pledged) - state.stop_support)),
            unreleased=amount(state.pledged - state.released),
            votes_from=state.votes_from if state.timestamp < state.votes_from else 0,
        )

    def _before_pledge(self, proposal: ProposalManifest) -> None:
        """What is fixed before anything is attested."""
        shop, client = self._shop, self._client
        found = before_pledge(
            proposal,
            client.terms,
            shop.store,
            chain_id=client.connection.chain_id,
            campaign=client.address,
            workdir=shop.workdir,
            progress=shop.progress,
        )
        self._findings.add("proposal", found)
        self._findings.add(RISKS, promise_risks(client.terms, proposal.outcome, shop.store))

    # ----------------------------------------------------------------- parts

    def _proposal(self) -> ProposalManifest | None:
        terms = self._client.terms
        proposal = self._findings.attempt(
            "proposal",
            "proposal-published",
            lambda: fetch_manifest(self._shop.store, terms.proposal, ProposalManifest),
            "The proposal was fetched, and its hash is the one in the terms",
            from_store=True,
        )
        if proposal is not None:
            self._findings.add("proposal", proposal_against_terms(proposal, terms))
        return proposal

    def _story(self) -> Story:
        self._shop.progress("Reading the campaign's events")
        self._movements = Movements(self._client.terms)
        examined = self._examination.expect(TOLD, self._client.verify_code().created)

        def seen(log: Log) -> None:
            examined(log)
            self._recorder.log(log)

        events = self._client.each_event(None, self._block.number, only=TOLD, seen=seen)
        headers = self._examination.headers
        told = with_times(self._movements.passing(events), headers.fetch)
        return tell(self._client.terms, told, self._recorder.timed(headers.time_of))

    def _timeline(self, story: Story, state: CampaignState) -> None:
        findings, client = self._findings, self._client
        findings.check("timeline", events_match_state, client.terms, story, state)
        findings.check("timeline", attested_by_the_rules, client.terms, story.attested)
        findings.check("timeline", contested_by_the_rules, client.terms, story, state.timestamp)
        self._attempt_check("timeline", attestations_dated, lambda: self._dated(story, state))
        activated = story.activated
        if activated is None:
            return
        at = activated.block
        self._attempt_check(
            "timeline",
            seed_from_block,
            lambda: seed_from_block(
                activated.training_seed,
                parent_hash=self._examination.headers.at(at).parent,
                randomness=_randomness(self._examination.headers.at(at)),
                chain_id=client.connection.chain_id,
                campaign=client.address,
                block=at,
            ),
        )

    def _dated(self, story: Story, state: CampaignState) -> Finding | None:
        """Read what dates the attestations, and compare."""
        headers, blocks = self._examination.headers, [one.block for one in story.attested]
        around = {near for block in blocks for near in range(max(block - 1, 0), min(block + 1, state.block) + 1)}
        headers.fetch(around)
        known = [headers.at(block) for block in blocks]
        after = [Block(one.number, one.hash, one.timestamp) for one in known]
        written = written_after(self._client, after)
        return attestations_dated(story, state, headers.at, written)

    def _attempt_check(
        self, group: str, check: Callable[..., Finding | None], look: Callable[[], Finding | None]
    ) -> None:
        """Run a check whose reads may break, under its name. A node that shows nonsense there contradicts itself."""
        name = check_name(check)
        finding = self._findings.attempt(group, name, look, of_node=True)
        if finding is not None:
            self._findings.add(group, [CheckResult.of(name, finding)])

    def _statement(self, story: Story, state: CampaignState) -> Statement:
        client = self._client
        # Bonds are held beside the pledges, in the chain's coin. They are not part of the pool.
        bonds = story.ledger.bonds if client.terms.is_native else 0
        positions = positions_of(client, story.ledger.backers, self._block)
        return Statement(
            state=replace(state, balance=state.balance - bonds),
            pledges={backer: one.pledge for backer, one in positions.items()},
            refundable={backer: one.refundable for backer, one in positions.items()},
        )

    def _facts(self, known: _Known) -> CampaignFacts:
        state, proposal, asset, amount = known.state, known.proposal, known.asset, known.amount
        terms = self._client.terms
        (researcher,) = names_of(proposal, [terms.researcher])
        arbiter = known.arbiter
        return CampaignFacts.model_validate(
            {
                "title": proposal.title if proposal else _UNTITLED,
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
            except (LlamafundError, OSError, MemoryError):
                continue
        return run

    def _conclude(self, facts: CampaignFacts | None, milestones: Sequence[MilestoneReport], **more: Any) -> Verdict:
        """The verdict, after the last look at the node."""
        self._examination.end()
        if any(check.contradiction for check in self._findings.checks):
            self._findings.withdraw_failures()
        return conclude(
            self._findings.checks,
            facts,
            milestones,
            campaign=self._client.address,
            depth=self._depth,
            caveat=self._examination.caveat(),
            allow_unchecked=self._allow_unchecked,
            **more,
        )

    def _report(self, verdict: Verdict, parts: _Parts | None = None) -> AuditReport:
        parts = parts or _Parts()
        return AuditReport(
            chain=self._client.connection.caip2,
            campaign=self._client.address,
            block=self._block.number,
            block_hash=self._block.hash,
            hash_from=self._examination.hash_from,
            time=moment(self._block.timestamp),
            finality=self._finality,
            depth=self._depth,
            verdict=verdict,
            checks=self._findings.checks,
            facts=parts.facts,
            milestones=parts.milestones,
            money=parts.money,
            backer=parts.backer,
            timeline=parts.timeline,
            flows=parts.flows,
            curves=parts.curves,
            references=parts.references,
            records=parts.records,
            proofs=self._examination.pack(),
            evidence=parts.evidence,
            people=parts.people,
            limits=parts.limits,
        )


def _weights_in(evidence: Sequence[EvidenceManifest]) -> WeightsManifest | None:
    return next((one for one in evidence if isinstance(one, WeightsManifest)), None)


def _randomness(header: Header) -> str:
    """A block's `mixHash`, the chain's randomness, 64 hexadecimal digits."""
    if not header.randomness:
        raise LlamafundError(f"The node does not return the randomness of block {header.number}")
    return header.randomness
