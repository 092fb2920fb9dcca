"""`llamafund attest`: check a milestone's evidence and sign it, or refuse and say why."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.attestation import AttestationFile
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.chain.connection import Finality
from llamafund_chain.chain.signers import portable
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.signing import (
    MOST_DAYS,
    CoSign,
    Examination,
    Propose,
    Request,
    add_signatures,
    co_sign,
    examine,
    require_checks,
    settled_state,
    sign,
    unsigned,
)
from llamafund_chain.cli.groups import CommandWithMore
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    ADDRESS,
    HASH,
    SIGNATURE,
    FilePath,
    WholeNumber,
    ask,
    finality_option,
    json_option,
    replay_jobs_option,
    rpc_option,
    stores_option,
    yes_option,
)
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.cli.shared import open_campaign
from llamafund_chain.cli.signer import Signer, optional_signer_options
from llamafund_chain.cli.system import UNBOUNDED, warn
from llamafund_chain.cli.table import BELOW_ATTEST
from llamafund_chain.errors import UsageError
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import from_millionths
from llamafund_chain.times import duration, when

_SIGNS = {"pass": "ok  ", "fail": "FAIL", "warn": "note", "unchecked": "????"}


@click.command(cls=CommandWithMore, table=BELOW_ATTEST, short_help="Check a milestone's evidence and sign it.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--milestone", type=WholeNumber(0, 255), help="Propose: the milestone's number, from 0.")
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
    type=FilePath(),
    required=True,
    metavar="FILE",
    help="Where to write the attestation file.",
)
@click.option(
    "--segments",
    "replay_segments",
    type=WholeNumber(1, 1000),
    default=1,
    show_default=True,
    help="Number of random training segments to replay bit for bit.",
)
@replay_jobs_option
@click.option(
    "--withhold-content",
    is_flag=True,
    help="State that the content is not published. Without this flag, no such attestation is signed.",
)
@click.option(
    "--expiry-days",
    type=WholeNumber(1, 3650),
    metavar="DAYS",
    help=f"Propose: how long the signatures are valid [7]. Co-sign: the most you accept [{MOST_DAYS}].",
)
@click.option(
    "--print-typed-data",
    is_flag=True,
    help="Check, and print what to sign (EIP-712) for a wallet outside. Takes --from instead of a wallet.",
)
@click.option(
    "--signature",
    "given",
    type=SIGNATURE,
    multiple=True,
    metavar="HEX",
    help="Add what a wallet outside returned to --attestation; repeatable, for the owners of a Safe.",
)
@click.option(
    "--skip-check",
    "skipped",
    multiple=True,
    metavar="NAME",
    help="Leave a check out, and answer for it yourself; repeatable.",
)
@rpc_option
@finality_option
@stores_option
@optional_signer_options
@yes_option
@json_option
def attest(
    address: str,
    milestone: int | None,
    evidence: str | None,
    attestation_file: Path | None,
    out: Path,
    replay_segments: int,
    jobs: int,
    withhold_content: bool,
    expiry_days: int | None,
    print_typed_data: bool,
    given: tuple[bytes, ...],
    skipped: tuple[str, ...],
    rpc: str,
    finality: Finality,
    stores: tuple[str, ...],
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Check a milestone's evidence for the campaign at ADDRESS and sign it.

    Fetches and hashes everything from the store, runs all installed checks, and signs only if all of them come to a
    result and none fails. The signature needs no gas. With --milestone and --evidence it proposes an attestation. With
    --attestation it co-signs somebody else's, unless that one withholds the content or is valid for longer than you
    accept. Your signature says that you checked: you answer for anything a skipped check would have caught.

    With a hardware wallet or a Safe: --print-typed-data checks and prints what to sign, and writes the attestation
    without your signature. Sign that, and pass what the wallet returns with --attestation and --signature.

    \b
    Example:
      llamafund attest 0x5FbDB2315678afecb367f032d93F642f64180aa3 --milestone 0 \\
        --evidence 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae \\
        --out vera.json --wallet vera
    """
    wanted = _what_to_sign(milestone, evidence, attestation_file, expiry_days)
    require_checks(skipped)
    if print_typed_data:
        signer = replace(signer, kind="print")
    if not given:
        signer.check()
    store = open_stores(stores)
    client = open_campaign(rpc, address)
    what = co_sign(client, wanted, expiry_days) if isinstance(wanted, AttestationFile) else wanted
    if given:
        _add(client, what, given, signer.sender, out, as_json=as_json)
        return
    if_interrupted("nothing was signed")
    warn(UNBOUNDED)
    state = settled_state(client, finality)
    account = signer.unlock(at_once=True)
    examination = examine(
        Request(
            client=client,
            state=state,
            store=store,
            attestor=account.address,
            what=what,
            withhold_content=withhold_content,
            replay_segments=replay_segments,
            jobs=jobs,
            skip=skipped,
            progress=progress,
        )
    )
    facts = _facts(examination)
    listed = [f"{_SIGNS[result.status]}  {result.name}: {result.detail}" for result in examination.results]
    if examination.failed or examination.unchecked:
        emit("attest", {**facts, "signed": False, "file": None}, listed, as_json=as_json)
        examination.require_passed()
    said = _said(examination)
    if not as_json:
        note("\n".join(listed))
    if signer.prints:
        _print(examination, out, facts, as_json=as_json)
        return
    ask(_question(examination, said), yes=yes)
    file = sign(examination, account)
    file.save(out)
    signed = f"{len(file.signatures)} of the {client.terms.quorum} needed"
    lines = rows((("attestation", str(out)), *said.items(), ("signatures", signed)))
    emit("attest", {**facts, "signed": True, "file": str(out)}, lines, as_json=as_json)


def _print(examination: Examination, out: Path, facts: Mapping[str, JsonValue], *, as_json: bool) -> None:
    """Write the attestation without a signature, and print what to sign."""
    file = unsigned(examination)
    file.save(out)
    document = portable(file.statement.typed_data(file.chain_id, file.campaign))
    address = examination.request.client.address
    file_name = shlex.quote(str(out))
    note(
        "Nothing is signed yet. Sign this with your wallet (eth_signTypedData_v4), then run:\n"
        f"  llamafund attest {address} --attestation {file_name} --out {file_name} --signature 0x…"
    )
    emit(
        "attest",
        {**facts, "signed": False, "file": str(out), "typed_data": document},
        json.dumps(document, indent=2).splitlines(),
        as_json=as_json,
    )


def _add(
    client: CampaignClient,
    what: Propose | CoSign,
    given: Sequence[bytes],
    attestor: str | None,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Add signatures that were made elsewhere."""
    if not isinstance(what, CoSign):
        raise UsageError(
            "--signature needs --attestation",
            "A signature belongs to the file that --print-typed-data wrote",
            "Name that file with --attestation",
        )
    file, added = add_signatures(client, what.file, given, attestor)
    file.save(out)
    facts: dict[str, JsonValue] = {
        "chain": file.chain,
        "campaign": client.address,
        "milestone": file.statement.milestone,
        "evidence": file.statement.evidence,
        "signed": True,
        "added": [*added],
        "file": str(out),
    }
    signed = f"{len(file.signatures)} of the {client.terms.quorum} needed"
    lines = rows((("attestation", str(out)), ("added", ", ".join(added)), ("signatures", signed)))
    emit("attest", facts, lines, as_json=as_json)


def _what_to_sign(
    milestone: int | None, evidence: str | None, attestation_file: Path | None, expiry_days: int | None
) -> Propose | AttestationFile:
    """A new attestation, or somebody else's."""
    if attestation_file is not None and milestone is None and evidence is None:
        return AttestationFile.load(attestation_file)
    if attestation_file is None and milestone is not None and evidence is not None:
        return Propose(milestone, evidence, expiry_days)
    raise UsageError(
        "It is not clear what to sign",
        "To propose takes --milestone and --evidence, to co-sign takes --attestation, and never both",
    )


def _facts(examination: Examination) -> dict[str, JsonValue]:
    client, statement = examination.request.client, examination.statement
    return {
        "chain": client.connection.caip2,
        "campaign": client.address,
        "milestone": statement.milestone,
        "kind": statement.kind.name,
        "evidence": statement.evidence,
        "content_root": statement.content_root,
        "content_size": statement.content_size,
        "content_withheld": statement.withholds_content,
        "score": statement.score,
        "expiry": statement.expiry,
        "attestor": examination.request.attestor,
        "checks": [
            {"name": result.name, "status": result.status, "detail": result.detail, "data": dict(result.data)}
            for result in examination.results
        ],
    }


def _said(examination: Examination) -> dict[str, str]:
    """What a signature would say, as text."""
    statement = examination.statement
    content = f"{statement.content_size} bytes with the root {statement.content_root}"
    if statement.withholds_content:
        content = "withheld: the attestation names no bytes that anybody could check"
    return {
        "milestone": f"{statement.milestone} ({statement.kind.name})",
        "evidence": statement.evidence,
        "content": content,
        "score": from_millionths(statement.score),
        "expires": f"{when(statement.expiry)}, in {duration(statement.expiry - examination.request.state.timestamp)}",
    }


def _question(examination: Examination, said: Mapping[str, str]) -> str:
    return (
        f"{_summary(examination.results)} The evidence is {said['evidence']}, the score {said['score']}, "
        f"the content {said['content']}; the signature expires {said['expires']}. "
        f"Sign milestone {examination.statement.milestone} as {examination.request.attestor}?"
    )


def _summary(results: Sequence[CheckResult]) -> str:
    """How the checks went, naming those that were left out: a signature vouches for them too."""
    skipped = [result.name for result in results if result.status == "unchecked"]
    if not skipped:
        return f"All {len(results)} checks ran and none failed."
    return f"No check failed, but {len(skipped)} of {len(results)} did not run: {', '.join(skipped)}."
