"""`llamafund attest`: check a milestone's evidence and sign it, or refuse and say why."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from llamafund_chain.campaign.terms import DAY
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.cli.options import (
    ADDRESS,
    HASH,
    ask,
    finality_option,
    json_option,
    rpc_option,
    store_option,
    unlock,
    wallet_options,
    yes_option,
)
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamafund_chain.campaign.attestation import Attestation, AttestationFile
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.campaign.state import CampaignState
    from llamafund_chain.chain.connection import Finality
    from llamafund_chain.checks.check import CheckResult
    from llamafund_chain.evidence.manifests import EvidenceManifest
    from llamafund_chain.store import Store

_MOST_DAYS = 30
"""A signature with a long life may outlast the state of the campaign that it was given for."""

_SIGNS = {"pass": "ok  ", "fail": "FAIL", "warn": "note", "skip": "skip"}


@click.command(short_help="Check a milestone's evidence and sign it.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--milestone", type=click.IntRange(0, 255), help="Propose: the milestone's number, from 0.")
@click.option("--evidence", type=HASH, metavar="SHA256", help="Propose: the hash of the evidence manifest.")
@click.option(
    "--attestation",
    "attestation_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Co-sign: an attestation file by somebody else.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where to write the attestation file.",
)
@click.option(
    "--replay-segments",
    type=click.IntRange(0, 1000),
    default=1,
    show_default=True,
    help="Number of random training segments to replay bit for bit.",
)
@click.option(
    "--withhold-content",
    is_flag=True,
    help="State that the content is not published. Without this flag, no such attestation is signed.",
)
@click.option(
    "--expiry-days",
    type=click.IntRange(1, 3650),
    metavar="DAYS",
    help=f"Propose: how long the signatures are valid [7]. Co-sign: the most you accept [{_MOST_DAYS}].",
)
@click.option("--skip-check", "skipped", multiple=True, metavar="NAME", help="Skip a check; repeatable.")
@rpc_option
@finality_option
@store_option
@wallet_options
@yes_option
@json_option
def attest(
    address: str,
    milestone: int | None,
    evidence: str | None,
    attestation_file: Path | None,
    out: Path,
    replay_segments: int,
    withhold_content: bool,
    expiry_days: int | None,
    skipped: tuple[str, ...],
    rpc: str,
    finality: Finality,
    store: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Check a milestone's evidence for the campaign at ADDRESS and sign it.

    Fetches and hashes everything from the store, runs all installed checks, and signs only if none fails. The
    signature needs no gas. With --milestone and --evidence it proposes an attestation. With --attestation it co-signs
    somebody else's, unless that one withholds the content or is valid for longer than you accept. Your signature says
    that you checked: you answer for anything a skipped check would have caught.

    \b
    Example:
      llamafund attest 0x5FbDB2315678afecb367f032d93F642f64180aa3 --milestone 0 \\
        --evidence 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --out vera.json --wallet vera
    """
    from llamafund_chain.campaign.attestation import AttestationFile, merge
    from llamafund_chain.cli.shared import open_campaign
    from llamafund_chain.store import open_store
    from llamafund_chain.text import from_millionths
    from llamafund_chain.times import duration, when

    if (attestation_file is None) == (milestone is None and evidence is None) or (milestone is None) != (
        evidence is None
    ):
        raise UsageError(
            "It is not clear what to sign",
            "To propose takes --milestone and --evidence, to co-sign takes --attestation, and never both",
        )
    _check_names(skipped)
    given = None if attestation_file is None else AttestationFile.load(attestation_file)
    client = open_campaign(rpc, address)
    if given is not None:
        _check_place(given, client)
    state = _settled_state(client, finality)
    account = unlock(wallet, keystore, passphrase_file)
    attestors = client.terms.attestors
    if account.address not in attestors:
        raise ContractRefusedError(
            f"{account.address} is not an attestor of this campaign",
            f"Its attestors are {', '.join(attestors)}",
            "Use an attestor's wallet",
        )
    source = open_store(store)
    if given is not None:
        _check_expiry(given.statement, state, _MOST_DAYS if expiry_days is None else expiry_days)
    expiry = None if expiry_days is None else state.timestamp + expiry_days * DAY
    statement, manifest = _statement(client, state, source, given, milestone, evidence, expiry, withhold_content)
    results = _check(client, state, source, statement, manifest, replay_segments, skipped)
    failed = [result for result in results if result.status == "fail"]
    facts: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": address,
        "milestone": statement.milestone,
        "kind": statement.kind.name,
        "evidence": statement.evidence,
        "content_root": statement.content_root,
        "content_size": statement.content_size,
        "content_withheld": _withheld(statement),
        "score": statement.score,
        "expiry": statement.expiry,
        "attestor": account.address,
        "checks": [{"name": r.name, "status": r.status, "detail": r.detail, "data": dict(r.data)} for r in results],
    }
    listed = [f"{_SIGNS[result.status]}  {result.name}: {result.detail}" for result in results]
    if failed:
        emit("attest", {**facts, "signed": False, "file": None}, listed, as_json=as_json)
        raise VerificationError(
            f"Not signed: {len(failed)} of {len(results)} checks failed",
            "; ".join(f"{result.name}: {result.detail.rstrip('.')}" for result in failed),
            "Tell the researcher, and the backers if it looks like fraud",
        )
    content = (
        "withheld: the attestation names no bytes that anybody could check"
        if _withheld(statement)
        else f"{statement.content_size} bytes with the root {statement.content_root}"
    )
    expires = f"{when(statement.expiry)}, in {duration(statement.expiry - state.timestamp)}"
    said = (
        ("milestone", f"{statement.milestone} ({statement.kind.name})"),
        ("evidence", statement.evidence),
        ("content", content),
        ("score", from_millionths(statement.score)),
        ("expires", expires),
    )
    if not as_json:
        note("\n".join(listed))
    ask(
        f"{_summary(results)} The evidence is {statement.evidence}, the score {from_millionths(statement.score)}, "
        f"the content {content}; the signature expires {expires}. "
        f"Sign milestone {statement.milestone} as {account.address}?",
        yes=yes,
    )
    chain_id = client.connection.chain_id
    signatures: dict[str, str] = {}
    if given is not None:
        contracts = {attestor for attestor in attestors if client.connection.code(attestor)}
        _, signers, collected = merge([given], attestors, contracts=contracts, judge=client.accepts_signature)
        names = [attestor for place, attestor in enumerate(attestors) if signers >> place & 1]
        signatures = {name: f"0x{signature.hex()}" for name, signature in zip(names, collected, strict=True)}
    signatures[account.address] = statement.sign(account, chain_id, address)
    AttestationFile.create(statement, chain_id, address, signatures).save(out)
    lines = rows(
        (
            ("attestation", str(out)),
            *said,
            ("signatures", f"{len(signatures)}; {client.terms.quorum} are needed"),
        )
    )
    emit("attest", {**facts, "signed": True, "file": str(out)}, lines, as_json=as_json)


def _summary(results: Sequence[CheckResult]) -> str:
    """How the checks went, naming the skipped ones: a signature vouches for them too."""
    skipped = [result.name for result in results if result.status == "skip"]
    if not skipped:
        return f"All {len(results)} checks ran and none failed."
    return f"No check failed, but {len(skipped)} of {len(results)} did not run: {', '.join(skipped)}."


def _check_names(skipped: Sequence[str]) -> None:
    if not skipped:
        return
    from llamafund_chain.checks.check import check_name
    from llamafund_chain.checks.run import discover

    known = [check_name(check) for check in discover()]
    for name in skipped:
        if name not in known:
            raise UsageError(f"There is no check called {name!r}", f"The checks are {', '.join(known)}")


def _check_place(file: AttestationFile, client: CampaignClient) -> None:
    if (file.chain, file.campaign.lower()) != (client.connection.caip2, client.address.lower()):
        raise VerificationError(
            f"The attestation is for campaign {file.campaign} on {file.chain}",
            f"This is campaign {client.address} on {client.connection.caip2}",
            "Do not sign it here",
        )


def _settled_state(client: CampaignClient, finality: Finality) -> CampaignState:
    """The state that a signature relies on. Where it differs from the latest state, that could still be undone."""
    from llamafund_chain.campaign.terms import Status
    from llamafund_chain.chain.connection import require_final

    settled = client.state(client.settled_block(finality))
    latest = client.state()
    require_final(settled.active, latest.active, "The campaign's activation", finality)
    require_final(settled.attested, latest.attested, "The latest attestation", finality)
    if latest.status is not Status.ACTIVE:
        raise ContractRefusedError(
            f"The campaign is {latest.status.label}",
            "Milestones can only be attested while it is active",
            "See with `llamafund campaign show` what it waits for",
        )
    return latest


def _statement(
    client: CampaignClient,
    state: CampaignState,
    store: Store,
    given: AttestationFile | None,
    milestone: int | None,
    evidence: str | None,
    expiry: int | None,
    withhold_content: bool,
) -> tuple[Attestation, EvidenceManifest]:
    """The statement to sign, and the evidence that it names."""
    from llamafund_chain.campaign.attestation import propose
    from llamafund_chain.campaign.terms import MilestoneKind
    from llamafund_chain.evidence.manifests import CheckpointManifest, DatasetManifest, WeightsManifest
    from llamafund_chain.store.content import fetch_manifest

    kinds: dict[MilestoneKind, type[DatasetManifest | CheckpointManifest | WeightsManifest]] = {
        MilestoneKind.DATASET: DatasetManifest,
        MilestoneKind.CHECKPOINT: CheckpointManifest,
        MilestoneKind.WEIGHTS: WeightsManifest,
    }
    number = given.attestation.milestone if given is not None else milestone
    sha256 = given.attestation.evidence if given is not None else evidence
    if number is None or sha256 is None:
        raise UsageError("It is not clear what to sign")
    if number != state.attested:
        raise ContractRefusedError(
            f"Milestone {number} cannot be attested now",
            f"Milestones are attested in order, and the next one is milestone {state.attested}",
        )
    progress("Fetching the evidence")
    manifest: EvidenceManifest = fetch_manifest(store, sha256, kinds[client.terms.milestones[number].kind])
    if given is None:
        return propose(client, number, manifest, expiry, withhold_content=withhold_content), manifest
    statement = given.statement
    _compare(statement, propose(client, number, manifest, statement.expiry, withhold_content=withhold_content))
    return statement, manifest


def _withheld(statement: Attestation) -> bool:
    return statement.content_size == 0 and int(statement.content_root, 16) == 0


def _check_expiry(statement: Attestation, state: CampaignState, most_days: int) -> None:
    """Refuse to co-sign an attestation that has expired, or is valid for longer than the attestor accepts."""
    from llamafund_chain.times import when

    if statement.expiry <= state.timestamp:
        raise VerificationError(
            f"The attestation expired at {when(statement.expiry)}", remedy="Propose it again with --milestone"
        )
    if statement.expiry > state.timestamp + most_days * DAY:
        raise VerificationError(
            f"The attestation is valid until {when(statement.expiry)}",
            f"That is more than {most_days} days from the chain's current time",
            "Ask for one that expires sooner, or accept more days with --expiry-days",
        )


def _compare(statement: Attestation, own: Attestation) -> None:
    """Refuse to co-sign a statement that this attestor would not have proposed."""
    if _withheld(statement) and not _withheld(own):
        raise VerificationError(
            "The attestation says that the content is withheld",
            "It names no root and no size, so nobody could ever prove which bytes you vouched for",
            "Do not sign it. If the campaign was meant that way, pass --withhold-content",
        )
    if _withheld(own) and not _withheld(statement):
        raise VerificationError(
            "The attestation names the content by its root and size",
            "With --withhold-content you would have proposed one without them",
            "Drop --withhold-content to sign it as it is",
        )
    for name in ("kind", "evidence", "parent", "content_root", "content_size", "score"):
        theirs, ours = getattr(statement, name), getattr(own, name)
        if theirs != ours:
            raise VerificationError(
                f"The attestation says {name} {theirs}", f"Chain and evidence say {ours}", "Do not sign it"
            )


def _check(
    client: CampaignClient,
    state: CampaignState,
    store: Store,
    statement: Attestation,
    manifest: EvidenceManifest,
    replay_segments: int,
    skipped: Sequence[str],
) -> tuple[CheckResult, ...]:
    from llamafund_chain.campaign.events import MilestoneAttested
    from llamafund_chain.checks.check import CheckContext
    from llamafund_chain.checks.run import run_checks
    from llamafund_chain.evidence.manifests import EvidenceManifest, ProposalManifest
    from llamafund_chain.store.content import fetch_manifest

    progress("Fetching the evidence before it")
    proposal = fetch_manifest(store, client.terms.proposal, ProposalManifest)
    # Anyone may fill the campaign's log with votes and updates, but each milestone has at most one of these events.
    earlier = client.each_event(last=state.block, only=[MilestoneAttested])
    ancestry = tuple(
        fetch_manifest(store, event.evidence, EvidenceManifest)
        for event in earlier
        if isinstance(event, MilestoneAttested)
    )
    with tempfile.TemporaryDirectory(prefix="llamafund-attest-") as workdir:
        context = CheckContext(
            store=store,
            proposal=proposal,
            terms=client.terms,
            chain_id=client.connection.chain_id,
            campaign=client.address,
            training_seed=state.training_seed,
            milestone=statement.milestone,
            evidence=manifest,
            ancestry=ancestry,
            score=statement.score,
            # Only this attestor may know in advance which segments are replayed.
            entropy=secrets.token_bytes(32),
            replay_segments=replay_segments,
            workdir=Path(workdir),
            progress=progress,
            content_withheld=statement.content_size == 0,
        )
        return run_checks(context, skip=skipped)
