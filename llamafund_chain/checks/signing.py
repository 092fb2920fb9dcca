"""Signing as an attestor: proposing an attestation or co-signing one, after all checks."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from llamafund_chain.campaign.attestation import EVIDENCE, Attestation, AttestationFile, merge, propose
from llamafund_chain.campaign.events import MilestoneAttested
from llamafund_chain.campaign.safe import read_safe
from llamafund_chain.campaign.terms import DAY, Status
from llamafund_chain.chain.connection import Finality, require_final
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.signatures import prefixed, readings, usual_form
from llamafund_chain.checks.check import Check, CheckContext, CheckResult, check_name
from llamafund_chain.checks.run import discover, run_checks
from llamafund_chain.errors import UncheckedError, UsageError, VerificationError, WrongAnswerError
from llamafund_chain.evidence.manifests import EvidenceManifest, Manifest, ProposalManifest
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.times import when

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.campaign.state import CampaignState
    from llamafund_chain.store import Store

M = TypeVar("M", bound=Manifest)

MOST_DAYS = 30
"""Default of the most days for which a co-signature is given.

A signature with a long life may outlast the state of the campaign that it was given for.
"""


@dataclass(frozen=True)
class Propose:
    """Sign an attestation that nobody has signed yet.

    Attributes:
        milestone: Index in the terms.
        evidence: SHA-256 of the evidence manifest, 64 hexadecimal digits.
        days: How long the signatures are valid, from the chain's current time; `None` for
            `attestation.DEFAULT_VALIDITY`.
    """

    milestone: int
    evidence: str
    days: int | None = None


@dataclass(frozen=True)
class CoSign:
    """Add a signature to somebody else's attestation; made by `co_sign`.

    Attributes:
        file: Their attestation file.
        most_days: How long it may be valid, from the chain's current time.
    """

    file: AttestationFile
    most_days: int = MOST_DAYS


@dataclass(frozen=True)
class Request:
    """A request for an attestor to check and sign.

    Attributes:
        client: The campaign.
        state: Its state, from `settled_state`.
        store: Where the evidence is.
        attestor: Address of the attestor who will sign.
        what: Whether the attestation is new, or somebody else's.
        withhold_content: Whether it states that the content is not published.
        replay_segments: How many training segments to replay; 0 for none.
        jobs: How many processes share them.
        skip: Names of checks to skip.
        own_checks: The attestor's own checks, beside those that are installed.
        progress: Called with a short sentence before anything slow.
    """

    client: CampaignClient
    state: CampaignState
    store: Store
    attestor: str
    what: Propose | CoSign
    withhold_content: bool = False
    replay_segments: int = 1
    jobs: int = 1
    skip: Sequence[str] = ()
    own_checks: Sequence[Check] = ()
    progress: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Examination:
    """An attestor's examination of a statement to sign.

    Attributes:
        request: The request.
        statement: The statement that a signature would make.
        results: The results of the checks.
    """

    request: Request
    statement: Attestation
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that failed."""
        return [result for result in self.results if result.status == "fail"]

    @property
    def unchecked(self) -> list[CheckResult]:
        """The checks that came to no result, without those that the attestor left out."""
        left_out = self.request.skip
        return [result for result in self.results if result.status == "unchecked" and result.name not in left_out]

    def require_passed(self) -> None:
        """Refuse a statement if a check failed, or came to no result without being left out on purpose.

        Raises:
            VerificationError: A check failed; the message names it.
            UncheckedError: A check came to no result.
        """
        if self.failed:
            raise VerificationError(
                f"Not signed: {len(self.failed)} of {len(self.results)} checks failed",
                "; ".join(f"{result.name}: {result.detail.rstrip('.')}" for result in self.failed),
                "Tell the researcher, and the backers if it looks like fraud",
            )
        if self.unchecked:
            names = list(dict.fromkeys(result.name for result in self.unchecked))
            raise UncheckedError(
                f"Not signed: {', '.join(names)} came to no result, which says nothing about the evidence",
                "; ".join(f"{result.name}: {result.detail.rstrip('.')}" for result in self.unchecked),
                "Run it again. If you answer for it yourself, pass "
                + " ".join(f"--skip-check {name}" for name in names),
            )


def require_checks(names: Sequence[str]) -> None:
    """Refuse names of checks that are not installed.

    Raises:
        UsageError: There is no check of that name.
    """
    if not names:
        return
    known = [check_name(check) for check in discover()]
    for name in names:
        if name not in known:
            raise UsageError(f"There is no check called {name!r}", f"The checks are {', '.join(known)}")


def settled_state(client: CampaignClient, finality: Finality) -> CampaignState:
    """The state that a signature relies on. Where it differs from the latest state, that could still be undone.

    Args:
        client: The campaign.
        finality: Which blocks count as settled.

    Raises:
        NotFinalError: The latest state is not settled.
        ContractRefusedError: The campaign accepts no attestation now.
    """
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


def co_sign(client: CampaignClient, file: AttestationFile, most_days: int | None = None) -> CoSign:
    """A request to co-sign an attestation.

    Args:
        client: The campaign.
        file: Somebody else's attestation file.
        most_days: How long it may be valid; `None` for `MOST_DAYS`.

    Raises:
        VerificationError: It is for another campaign or chain.
    """
    if (file.chain, file.campaign.lower()) != (client.connection.caip2, client.address.lower()):
        raise VerificationError(
            f"The attestation is for campaign {file.campaign} on {file.chain}",
            f"This is campaign {client.address} on {client.connection.caip2}",
            "Do not sign it here",
        )
    return CoSign(file, MOST_DAYS if most_days is None else most_days)


def examine(request: Request) -> Examination:
    """Make the statement to sign, and check everything that a signature would vouch for.

    Raises:
        ContractRefusedError: The campaign would not accept that attestation, or not from that attestor.
        VerificationError: The evidence is not the requested one, or the attestation must not be co-signed.
        UncheckedError: The store returned other bytes than it was asked for.
        LlamafundError: The store lacks something.
    """
    attestors = request.client.terms.attestors
    if request.attestor not in attestors:
        raise ContractRefusedError(
            f"{request.attestor} is not an attestor of this campaign",
            f"Its attestors are {', '.join(attestors)}",
            "Use an attestor's wallet",
        )
    what = request.what
    statement, manifest = _proposed(request, what) if isinstance(what, Propose) else _co_signed(request, what)
    return Examination(request, statement, _check(request, statement, manifest))


def unsigned(examination: Examination) -> AttestationFile:
    """The examined statement, to be signed elsewhere.

    Args:
        examination: The attestor's examination.

    Returns:
        The attestation without this signature; if it is co-signed, with its earlier signatures.

    Raises:
        VerificationError: A check failed, or an earlier signature is not valid.
        UncheckedError: A check came to no result.
    """
    examination.require_passed()
    client, what = examination.request.client, examination.request.what
    signatures = _collected(client, what.file) if isinstance(what, CoSign) else {}
    return AttestationFile.create(examination.statement, client.connection.chain_id, client.address, signatures)


def add_signatures(
    client: CampaignClient, file: AttestationFile, given: Sequence[bytes], attestor: str | None = None
) -> tuple[AttestationFile, tuple[str, ...]]:
    """Add signatures that were made elsewhere, each in the form that the contract takes.

    Args:
        client: The campaign.
        file: Its attestation, from `unsigned` or from another attestor.
        given: Signatures of attestors in any form that wallets give them; or, of an attestor that is a Safe, those of
            its owners, one by one or packed.
        attestor: Whose they are; `None` to find out.

    Returns:
        The attestation with all signatures, and the attestors who were added.

    Raises:
        VerificationError: A signature is nobody's, or an earlier one is not valid.
    """
    attestors = client.terms.attestors if attestor is None else (attestor,)
    digest = file.statement.digest(file.chain_id, file.campaign)
    added: dict[str, bytes] = {}
    rest: list[bytes] = []
    for signature in given:
        forms = ((who, usual_form(digest, signature, who)) for who in attestors)
        who, form = next(((who, form) for who, form in forms if form is not None), ("", None))
        if form is None:
            rest.append(signature)
        else:
            added[who] = form
    if rest:
        added |= _by_contract(client, attestors, digest, rest)
    signatures = _collected(client, file) | {who: f"0x{form.hex()}" for who, form in added.items()}
    return AttestationFile.create(file.statement, file.chain_id, client.address, signatures), tuple(added)


def _by_contract(
    client: CampaignClient, attestors: Sequence[str], digest: bytes, rest: Sequence[bytes]
) -> dict[str, bytes]:
    """The attestors whose contracts accept signatures that no attestor's key made, with the forms that they take."""
    contracts = [who for who in attestors if client.connection.code(who)]
    added: dict[str, bytes] = {}
    left: list[bytes] = []
    for one in rest:
        taker = next((who for who in contracts if client.accepts_signature(who, digest, one)), None)
        if taker is None:
            left.append(one)
        else:
            added[taker] = one
    if not left:
        return added
    reasons: list[str] = []
    for who in contracts:
        safe = read_safe(client.connection, who)
        packed = None if safe is None else safe.pack(digest, left)
        if packed is not None and client.accepts_signature(who, digest, packed):
            return {**added, who: packed}
        if packed is not None:
            reasons.append(f"The Safe {who} takes more of its owners' signatures than were given")
        elif safe is not None and any(usual_form(digest, one, owner) for one in left for owner in safe.owners):
            reasons.append(f"An owner of the Safe {who} signed the attestation itself instead of the Safe's message")
    if any(usual_form(prefixed(digest), one, who) for one in left for who in attestors):
        reasons.append("The wallet signed with eth_sign or personal_sign, which the contract does not take")
    makers = [next(readings(digest, one), ("no key",))[0] for one in left]
    raise VerificationError(
        f"{'A signature was' if len(left) == 1 else f'{len(left)} signatures were'} not made by "
        f"{'an attestor' if len(attestors) > 1 else attestors[0]} for this attestation",
        ". ".join(reasons) or f"As it stands it is by {', '.join(makers)}; the attestors are {', '.join(attestors)}",
        "Sign the typed data of `llamafund attest --print-typed-data` with eth_signTypedData_v4, unchanged",
    )


def sign(examination: Examination, account: BaseAccount) -> AttestationFile:
    """Sign the examined statement.

    Args:
        examination: The attestor's examination.
        account: The attestor's account.

    Returns:
        The attestation with this signature and, if it was co-signed, with its earlier signatures.

    Raises:
        VerificationError: A check failed, or an earlier signature is not valid.
        UncheckedError: A check came to no result.
    """
    file = unsigned(examination)
    signatures = {entry.signer: entry.signature for entry in file.signatures}
    signatures[str(account.address)] = file.statement.sign(account, file.chain_id, file.campaign)
    return AttestationFile.create(file.statement, file.chain_id, file.campaign, signatures)


def _proposed(request: Request, what: Propose) -> tuple[Attestation, EvidenceManifest]:
    expiry = None if what.days is None else request.state.timestamp + what.days * DAY
    manifest = _evidence(request, what.milestone, what.evidence)
    statement = propose(request.client, what.milestone, manifest, expiry, withhold_content=request.withhold_content)
    return statement, manifest


def _co_signed(request: Request, what: CoSign) -> tuple[Attestation, EvidenceManifest]:
    statement = what.file.statement
    _check_expiry(statement, request.state, what.most_days)
    manifest = _evidence(request, statement.milestone, statement.evidence)
    own = propose(
        request.client,
        statement.milestone,
        manifest,
        statement.expiry,
        withhold_content=request.withhold_content,
    )
    _compare(statement, own)
    return statement, manifest


def _evidence(request: Request, milestone: int, sha256: str) -> EvidenceManifest:
    """The evidence of the next milestone."""
    if milestone != request.state.attested:
        raise ContractRefusedError(
            f"Milestone {milestone} cannot be attested now",
            f"Milestones are attested in order, and the next one is milestone {request.state.attested}",
        )
    request.progress("Fetching the evidence")
    return _fetched(request.store, sha256, EVIDENCE[request.client.terms.milestones[milestone].kind])


def _fetched(store: Store, sha256: str, kind: type[M]) -> M:
    """A manifest, as `fetch_manifest` gets it; other bytes than asked for say nothing about who published it."""
    try:
        return fetch_manifest(store, sha256, kind)
    except WrongAnswerError as error:
        raise UncheckedError(error.what, error.why, error.remedy) from error


def _check_expiry(statement: Attestation, state: CampaignState, most_days: int) -> None:
    """Refuse to co-sign an attestation that has expired, or is valid for longer than the attestor accepts."""
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
    if statement.withholds_content and not own.withholds_content:
        raise VerificationError(
            "The attestation says that the content is withheld",
            "It names no root and no size, so nobody could ever prove which bytes you vouched for",
            "Do not sign it. If the campaign was meant that way, pass --withhold-content",
        )
    if own.withholds_content and not statement.withholds_content:
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


def _check(request: Request, statement: Attestation, manifest: EvidenceManifest) -> tuple[CheckResult, ...]:
    client, store = request.client, request.store
    request.progress("Fetching the evidence before it")
    proposal = _fetched(store, client.terms.proposal, ProposalManifest)
    # Anyone may fill the campaign's log with votes and updates, but each milestone has at most one of these events.
    earlier = client.each_event(last=request.state.block, only=[MilestoneAttested])
    ancestry = tuple(
        _fetched(store, event.evidence, EvidenceManifest) for event in earlier if isinstance(event, MilestoneAttested)
    )
    with ScratchFolder("attest") as workdir:
        context = CheckContext(
            store=store,
            proposal=proposal,
            terms=client.terms,
            chain_id=client.connection.chain_id,
            campaign=client.address,
            training_seed=request.state.training_seed,
            milestone=statement.milestone,
            evidence=manifest,
            ancestry=ancestry,
            score=statement.score,
            # Only this attestor may know in advance which segments are replayed.
            entropy=secrets.token_bytes(32),
            replay_segments=request.replay_segments,
            workdir=workdir,
            progress=request.progress,
            content_withheld=statement.content_size == 0,
            jobs=request.jobs,
        )
        return run_checks(context, (*discover(), *request.own_checks), skip=request.skip)


def _collected(client: CampaignClient, file: AttestationFile) -> dict[str, str]:
    """The signatures of an attestation, each proven to be its attestor's."""
    attestors = client.terms.attestors
    contracts = {attestor for attestor in attestors if client.connection.code(attestor)}
    _, signers, collected = merge([file], attestors, contracts=contracts, judge=client.accepts_signature)
    names = [attestor for place, attestor in enumerate(attestors) if signers >> place & 1]
    return {name: f"0x{signature.hex()}" for name, signature in zip(names, collected, strict=True)}
