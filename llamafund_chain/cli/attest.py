"""`llamafund attest`: check a milestone's evidence and sign it, or refuse and say why."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

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
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamafund_chain.attestation import Attestation, AttestationFile
    from llamafund_chain.campaign import CampaignClient, CampaignState
    from llamafund_chain.chain import Finality
    from llamafund_chain.checks import CheckResult
    from llamafund_chain.manifests import EvidenceManifest
    from llamafund_chain.store import Store

_SIGNS = {"pass": "ok  ", "fail": "FAIL", "warn": "note", "skip": "skip"}


@click.command(short_help="Check a milestone's evidence and sign it.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--milestone", type=click.IntRange(0, 255), help="Propose: number of the milestone, from 0.")
@click.option("--evidence", type=HASH, metavar="SHA256", help="Propose: hash of the evidence manifest.")
@click.option(
    "--attestation",
    "attestation_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Co-sign: somebody else's attestation file.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE", help="Where to write."
)
@click.option(
    "--replay-segments",
    type=click.IntRange(0, 1000),
    default=1,
    show_default=True,
    help="Random training segments to repeat bit for bit.",
)
@click.option("--skip-check", "skipped", multiple=True, metavar="NAME", help="Leave a check out; repeatable.")
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

    Fetches and hashes everything from the store, runs every check that is installed, and signs only when none
    fails; the signature needs no gas. With --milestone and --evidence it proposes the attestation, with
    --attestation it adds a signature to somebody else's. A signature says that you checked: what a check left out
    would have found is on your name.

    \b
    Example:
      llamafund attest 0x5FbDB2315678afecb367f032d93F642f64180aa3 --milestone 0 \\
        --evidence 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --out vera.json --wallet vera
    """
    from llamafund_chain.attestation import AttestationFile, merge
    from llamafund_chain.cli.shared import open_campaign
    from llamafund_chain.store import open_store
    from llamafund_chain.text import from_millionths

    if (attestation_file is None) == (milestone is None and evidence is None) or (milestone is None) != (
        evidence is None
    ):
        raise UsageError(
            "It is not clear what to sign",
            "Proposing takes --milestone and --evidence, co-signing takes --attestation, and never both",
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
        raise UsageError(
            f"{account.address} is not an attestor of this campaign",
            f"Its attestors are {', '.join(attestors)}",
            "Use an attestor's wallet",
        )
    source = open_store(store)
    statement, manifest = _statement(client, state, source, given, milestone, evidence)
    results = _check(client, state, source, statement, manifest, replay_segments, skipped)
    failed = [result for result in results if result.status == "fail"]
    facts: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": address,
        "milestone": statement.milestone,
        "kind": statement.kind.name,
        "evidence": statement.evidence,
        "score": statement.score,
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
    if not as_json:
        note("\n".join(listed))
    ask(f"All checks done. Sign milestone {statement.milestone} as {account.address}?", yes=yes)
    chain_id = client.connection.chain_id
    signatures: dict[str, str] = {}
    if given is not None:
        contracts = {attestor for attestor in attestors if client.connection.code(attestor)}
        merge([given], attestors, contracts=contracts)
        signatures = {entry.signer: entry.signature for entry in given.signatures}
    signatures[account.address] = statement.sign(account, chain_id, address)
    AttestationFile.create(statement, chain_id, address, signatures).save(out)
    lines = rows(
        (
            ("attestation", str(out)),
            ("milestone", f"{statement.milestone} ({statement.kind.name})"),
            ("evidence", statement.evidence),
            ("score", from_millionths(statement.score)),
            ("signatures", f"{len(signatures)}; {client.terms.quorum} are needed"),
        )
    )
    emit("attest", {**facts, "signed": True, "file": str(out)}, lines, as_json=as_json)


def _check_names(skipped: Sequence[str]) -> None:
    if not skipped:
        return
    from llamafund_chain.checks import check_name, discover

    known = [check_name(check) for check in discover()]
    for name in skipped:
        if name not in known:
            raise UsageError(f"There is no check called {name!r}", f"There are {', '.join(known)}")


def _check_place(file: AttestationFile, client: CampaignClient) -> None:
    if (file.chain, file.campaign.lower()) != (client.connection.caip2, client.address.lower()):
        raise VerificationError(
            f"The attestation is for campaign {file.campaign} on {file.chain}",
            f"This is campaign {client.address} on {client.connection.caip2}",
            "Do not sign it here",
        )


def _settled_state(client: CampaignClient, finality: Finality) -> CampaignState:
    """The state that a signature relies on; what differs from the latest could still be undone."""
    from llamafund_chain.chain import require_final
    from llamafund_chain.cli.shared import require_settled
    from llamafund_chain.terms import Status

    settled = client.state(require_settled(client, finality))
    latest = client.state()
    require_final(settled.active, latest.active, "The campaign's activation", finality)
    require_final(settled.attested, latest.attested, "The latest attestation", finality)
    if latest.status is not Status.ACTIVE:
        raise LlamafundError(
            f"The campaign is {latest.status.name.lower()}",
            "Milestones are attested while it is active",
            "`llamafund campaign show` tells what it waits for",
        )
    return latest


def _statement(
    client: CampaignClient,
    state: CampaignState,
    store: Store,
    given: AttestationFile | None,
    milestone: int | None,
    evidence: str | None,
) -> tuple[Attestation, EvidenceManifest]:
    """What would be signed, and the evidence that it names."""
    from llamafund_chain.attestation import propose
    from llamafund_chain.evidence import fetch_manifest
    from llamafund_chain.manifests import CheckpointManifest, DatasetManifest, WeightsManifest
    from llamafund_chain.terms import MilestoneKind

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
        raise UsageError(
            f"Milestone {number} cannot be attested now",
            f"The next one is milestone {state.attested}: they are attested in order",
        )
    progress("Fetching the evidence")
    manifest: EvidenceManifest = fetch_manifest(store, sha256, kinds[client.terms.milestones[number].kind])
    if given is None:
        return propose(client, number, manifest), manifest
    statement = given.statement
    _compare(statement, propose(client, number, manifest, statement.expiry), state)
    return statement, manifest


def _compare(statement: Attestation, own: Attestation, state: CampaignState) -> None:
    """Refuse to co-sign what one would not have proposed oneself."""
    from llamafund_chain.times import when

    if statement.expiry <= state.timestamp:
        raise VerificationError(
            f"The attestation expired at {when(statement.expiry)}", remedy="Propose it again with --milestone"
        )
    withheld = statement.content_size == 0 and int(statement.content_root, 16) == 0
    for name in ("kind", "evidence", "parent", "content_root", "content_size", "score"):
        theirs, ours = getattr(statement, name), getattr(own, name)
        if theirs != ours and not (withheld and name.startswith("content_")):
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
    from llamafund_chain.campaign import MilestoneAttested
    from llamafund_chain.checks import CheckContext, run_checks
    from llamafund_chain.evidence import fetch_manifest
    from llamafund_chain.manifests import EvidenceManifest, ProposalManifest

    progress("Fetching what came before")
    proposal = fetch_manifest(store, client.terms.proposal, ProposalManifest)
    earlier = [event for event in client.events(last=state.block) if isinstance(event, MilestoneAttested)]
    ancestry = tuple(fetch_manifest(store, event.evidence, EvidenceManifest) for event in earlier)
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
            # Nobody but this attestor may know beforehand which segments are repeated.
            entropy=secrets.token_bytes(32),
            replay_segments=replay_segments,
            workdir=Path(workdir),
            progress=progress,
            content_withheld=statement.content_size == 0,
        )
        return run_checks(context, skip=skipped)
