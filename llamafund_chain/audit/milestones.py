"""The milestones: who signed each attestation, and whether its evidence holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.audit.findings import Findings
from llamafund_chain.audit.model import Attested, MilestoneReport, MilestoneState, Person, Signer, moment
from llamafund_chain.audit.timeline import AttestedMilestone, Story
from llamafund_chain.campaign.attestation import EVIDENCE
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import NO_HASH, Terms
from llamafund_chain.chain import abi
from llamafund_chain.chain.signatures import recover_digest
from llamafund_chain.chain.transactions import Transaction
from llamafund_chain.checks.check import Check, CheckContext, CheckResult, Finding, contradicts
from llamafund_chain.checks.run import run_checks
from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests import (
    EvidenceManifest,
    ProposalManifest,
)
from llamafund_chain.store.content import fetch_manifest

if TYPE_CHECKING:
    from llamafund_chain.store import Store


@dataclass(frozen=True)
class Workshop:
    """Everything that the examination of evidence needs.

    Attributes:
        head: Number of the block at which the audit reads.
        checks: The checks of the evidence.
        replay_segments: How many training segments of each training milestone to replay.
        jobs: How many processes share them.
        workdir: Existing directory for fetched files.
        progress: Called with a short sentence before anything slow.
    """

    client: CampaignClient
    store: Store
    head: int
    checks: Sequence[Check]
    replay_segments: int
    jobs: int
    workdir: Path
    progress: Callable[[str], None]


def group_of(milestone: int) -> str:
    """The name of a milestone's group of results."""
    return f"milestone {milestone}"


def look_at_evidence(
    shop: Workshop, story: Story, state: CampaignState, proposal: ProposalManifest | None, findings: Findings
) -> tuple[EvidenceManifest, ...]:
    """Fetch and check every attested milestone's evidence.

    Returns:
        The readable manifests, in order.
    """
    terms = shop.client.terms
    evidence: list[EvidenceManifest] = []
    for index, attested in enumerate(story.attested[: len(terms.milestones)]):
        group = group_of(index)
        shop.progress(f"Milestone {index}: fetching the evidence")
        kind = EVIDENCE[terms.milestones[index].kind]
        manifest = findings.attempt(
            group,
            "evidence-published",
            partial(fetch_manifest, shop.store, attested.attestation.evidence, kind),
            "The evidence's manifest was fetched, and its hash is the attested one",
            from_store=True,
        )
        if manifest is None or len(evidence) < index or proposal is None:
            missing = "this" if manifest is None else "the proposal" if proposal is None else "an earlier"
            detail = f"Cannot be checked while {missing} manifest cannot be read"
            findings.add(group, [CheckResult("evidence-checked", "unchecked", detail)])
            if manifest is not None:
                findings.check(group, content_root_attested, attested, manifest)
            continue
        findings.check(group, content_root_attested, attested, manifest)
        context = CheckContext(
            store=shop.store,
            proposal=proposal,
            terms=terms,
            chain_id=shop.client.connection.chain_id,
            campaign=shop.client.address,
            training_seed=state.training_seed,
            milestone=index,
            evidence=manifest,
            ancestry=tuple(evidence),
            score=attested.attestation.score,
            entropy=_entropy(shop, attested, index),
            replay_segments=shop.replay_segments,
            workdir=shop.workdir / f"milestone-{index}",
            progress=partial(_prefixed, shop.progress, index),
            content_withheld=attested.attestation.content_size == 0,
            jobs=shop.jobs,
        )
        findings.add(group, run_checks(context, shop.checks))
        evidence.append(manifest)
    return tuple(evidence)


def attestation_signed(
    client: CampaignClient, attested: AttestedMilestone, sent: Transaction | None, names: Sequence[str]
) -> tuple[tuple[Signer, ...], Finding]:
    """Who signed an attestation, recovered from the transaction's bytes.

    A genuine contract takes no other signatures. So ones that are not the attestors' accuse nobody.

    Args:
        client: The campaign.
        attested: The event.
        sent: The transaction that brought it; `None` if the node does not show it.
        names: The attestors' names, in the terms' order.

    Returns:
        The signers, and whether their signatures are valid.

    Raises:
        NodeError: The node does not answer.
    """
    attestors = client.terms.attestors
    places = [place for place in range(len(attestors)) if attested.signers >> place & 1]
    signatures = None if sent is None else _signatures(client, attested, sent)
    if signatures is None:
        signers = tuple(_signer(place, attestors, names, recovered=False) for place in places)
        why = (
            "The node does not show the transaction"
            if sent is None
            else "The transaction reached the campaign through another contract, so the signatures are not in its bytes"
        )
        return signers, Finding("warn", f"{why}; the campaign's verified code accepted them")
    if len(signatures) != len(places):
        detail = f"The event names {len(places)} signers, the transaction carries {len(signatures)} signatures"
        return (), contradicts(detail)
    digest = attested.attestation.digest(client.connection.chain_id, client.address)
    found: list[Signer] = []
    for place, signature in zip(places, signatures, strict=True):
        recovered = recover_digest(digest, signature)
        own = recovered is not None and recovered.lower() == attestors[place].lower()
        if not own and not client.connection.code(attestors[place]):
            detail = (
                f"Attestor {place} ({attestors[place]}) is named, but {recovered or 'no key'} signed. The contract "
                "took it, so the account had code then that accepted it, or the node shows another transaction"
            )
            return (), Finding("warn", detail)
        found.append(_signer(place, attestors, names, recovered=own, signature=signature))
    by_contract = [signer.index for signer in found if signer.proof == "contract"]
    detail = f"{len(found)} signatures of {len(attestors)} attestors over exactly this attestation"
    if by_contract:
        detail += f"; the wallet contract of attestor {', '.join(map(str, by_contract))} accepted it at the time"
    return tuple(found), Finding("pass", detail)


def describe(
    story: Story,
    terms: Terms,
    now: int,
    titles: Sequence[str],
    signers: Sequence[tuple[Signer, ...]],
    amount: Callable[[int], str],
) -> Iterator[MilestoneReport]:
    """The milestones for the report.

    Args:
        story: The campaign's events, added up.
        terms: The campaign's terms.
        now: Unix seconds of the block at which the audit reads.
        titles: From the proposal; empty if it could not be read.
        signers: The signers of each attested milestone.
        amount: Writes units as whole coins.
    """
    released = story.ledger.released_milestones(story.rules, now)
    failed = story.ledger.status(story.rules, now) == "Failed"
    for index, milestone in enumerate(terms.milestones):
        attested = None
        if index < len(story.attested):
            one = story.attested[index]
            attested = Attested(
                evidence=one.attestation.evidence,
                at=moment(one.at),
                window_ends=moment(
                    story.ledger.window_end(story.rules)
                    if one is story.attested[-1]
                    else one.at + terms.challenge_window
                ),
                contested=story.ledger.contested and one is story.attested[-1],
                score=one.attestation.score,
                content_size=one.attestation.content_size,
                signers=signers[index],
                transaction=one.tx_hash,
                block=one.block,
            )
        yield MilestoneReport.model_validate(
            {
                "index": index,
                "kind": milestone.kind.name,
                "title": titles[index] if index < len(titles) else milestone.kind.name.capitalize(),
                "bps": milestone.bps,
                "tranche": amount(story.ledger.tranche(story.rules, index)),
                "deadline": moment(story.ledger.deadline(story.rules, index)),
                "min_score": milestone.min_score,
                "state": _state(index, len(story.attested), released, failed=failed),
                "attested": attested,
            }
        )


def content_root_attested(attested: AttestedMilestone, manifest: EvidenceManifest) -> Finding:
    """Whether the attestation and the manifest name the same content."""
    said = attested.attestation
    if said.content_size == 0 and said.content_root == NO_HASH:
        return Finding("warn", "The attestation names no content, which may be withheld from everybody")
    if (said.content_root, said.content_size) == (manifest.content.root, manifest.content.size):
        detail = f"Attestation and manifest name the same {said.content_size} bytes by the same Merkle root"
        return Finding("pass", detail)
    detail = (
        f"The attestation names {said.content_size} bytes with the root {said.content_root}, the manifest "
        f"{manifest.content.size} bytes with the root {manifest.content.root}"
    )
    return Finding("fail", detail)


def content_open(attested: Sequence[AttestedMilestone]) -> Finding:
    """Whether some attested content is not published, so that only the attestors vouch for it."""
    hidden = [index for index, one in enumerate(attested) if one.attestation.content_size == 0]
    if hidden:
        which = ", ".join(map(str, hidden))
        detail = f"The content of milestone {which} is withheld: nobody but the attestors can check it"
        return Finding("warn", detail)
    return Finding("pass", "All attested content is meant to be public")


def names_of(proposal: ProposalManifest | None, addresses: Sequence[str]) -> list[Person]:
    """Addresses with their names in the proposal."""
    named: dict[str, str] = {}
    if proposal is not None:
        for party in (*proposal.attestors, proposal.researcher):
            named[party.address.lower()] = party.name
    return [Person(address=address, name=named.get(address.lower(), "")) for address in addresses]


def _prefixed(progress: Callable[[str], None], milestone: int, text: str) -> None:
    progress(f"Milestone {milestone}: {text}")


def _state(index: int, attested: int, released: int, *, failed: bool) -> MilestoneState:
    if index < released:
        return "released"
    if index < attested:
        return "withheld" if failed else "window-open"
    return "missed" if failed else "pending"


def _signer(
    place: int, attestors: Sequence[str], names: Sequence[str], *, recovered: bool, signature: bytes = b""
) -> Signer:
    person = Person(address=attestors[place], name=names[place] if place < len(names) else "")
    shown = f"0x{signature.hex()}" if signature else ""
    return Signer(index=place, person=person, proof="signature" if recovered else "contract", signature=shown)


def _signatures(client: CampaignClient, attested: AttestedMilestone, sent: Transaction) -> tuple[bytes, ...] | None:
    """The signatures in the transaction's call data; `None` if it did not call the campaign directly."""
    if sent.recipient != client.address.lower():
        return None
    try:
        decoded = abi.contract("Campaign").decode_input(sent.data)
    except VerificationError:
        return None
    if decoded is None or decoded.name != "attest":
        return None
    statement, signers, signatures = decoded.values["0"], decoded.values["1"], decoded.values["2"]
    if tuple(statement) != attested.attestation.to_abi() or signers != attested.signers:
        return None
    return tuple(bytes(signature) for signature in signatures)


def _entropy(shop: Workshop, attested: AttestedMilestone, milestone: int) -> bytes:
    """Randomness that is fixed only after the attestation and is the same for every auditor."""
    after = min(attested.block + 1, shop.head)
    block = shop.client.connection.block(after)
    return hashlib.sha256(f"{block.hash}/{shop.client.address.lower()}/{milestone}".encode()).digest()
