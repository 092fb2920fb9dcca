"""What happens at every milestone: signatures, submission, the window, the payout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.campaign.attestation import AttestationFile, propose
from llamafund_chain.chain.wallet import KeyStore
from llamafund_chain.demo import cast

if TYPE_CHECKING:
    from llamafund_chain.campaign.attestation import Attestation
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.demo.stage import Stage
    from llamafund_chain.evidence.manifests import EvidenceManifest


def attest(
    stage: Stage,
    campaign: str,
    milestone: int,
    evidence: str,
    attestors: Sequence[str],
    name: str,
    *,
    show: bool = True,
) -> list[Path]:
    """Let attestors check a dataset and sign. The first proposes, the others co-sign.

    Returns:
        The attestation files.
    """
    files: list[Path] = []
    for attestor in attestors:
        out = stage.folder.signatures / f"{name}-{attestor}.json"
        what = ["--attestation", files[0]] if files else ["--milestone", str(milestone), "--evidence", evidence]
        signed = stage.run("attest", campaign, *what, "--out", out, wallet=attestor, show=show)
        expect_checks_passed(stage, attestor, signed.result, silent=not show)
        files.append(out)
    return files


def expect_checks_passed(stage: Stage, attestor: str, result: dict[str, object], *, silent: bool = False) -> None:
    """Expect an attestor's checks to have run without a failure, and name them."""
    checks = result.get("checks")
    listed = checks if isinstance(checks, list) else []
    passed = [check["name"] for check in listed if check["status"] == "pass"]
    failed = [check["name"] for check in listed if check["status"] == "fail"]
    stage.expect(
        f"{attestor.title()} checked and signed",
        bool(passed) and not failed,
        ", ".join(failed or passed),
        silent=silent,
    )


def submit(stage: Stage, campaign: str, files: Sequence[Path], *, show: bool = True) -> None:
    """Submit a milestone's signatures to the chain; anybody may."""
    client = stage.client(campaign)
    before = client.state().attested
    stage.run("submit", campaign, *files, wallet=cast.PASSER_BY, show=show)
    stage.settle()
    stage.expect_equal("Milestones attested on chain", client.state().attested, before + 1, silent=True)


def pass_window(stage: Stage, client: CampaignClient) -> None:
    """Let the window of the latest attestation pass."""
    state = client.state()
    stage.advance(max(state.window_end(client.terms) - state.timestamp, 0) + 1)


def claim_share(
    stage: Stage, campaign: str, payee: int, name: str, recipient: str | None, *, show: bool = True
) -> None:
    """Let a payee collect, and expect the recipient to get exactly what was claimable.

    Args:
        stage: The story so far.
        campaign: Address.
        payee: The payee's index in the terms.
        name: The payee's wallet.
        recipient: Wallet that gets the money; `None` for the payee's own. Then only a token's balance is exact,
            because the fee is paid in coins.
        show: Show the command.
    """
    client = stage.client(campaign)
    ready = client.state().claimable[payee]
    to = stage.addresses[recipient or name]
    before = _holding(stage, client, to)
    options = ["--to", to] if recipient else []
    if recipient:
        stage.names[to] = f"${recipient.upper().replace('-', '_')}"
    stage.run("claim", campaign, "--payee", str(payee), *options, wallet=name, show=show)
    received = _holding(stage, client, to) - before
    stage.expect(
        f"{name.title()} received",
        received == ready and ready > 0,
        client.asset.format(received),
    )
    stage.settle()


def collude(stage: Stage, campaign: str, milestone: int, manifest: EvidenceManifest, name: str) -> list[Path]:
    """Let the accomplices sign without looking. They run their own program: no command of ours does this.

    Args:
        stage: The story so far.
        campaign: Address.
        milestone: Index in the terms.
        manifest: The evidence.
        name: Beginning of the files' names.

    Returns:
        The attestation files.
    """
    client = stage.client(campaign)
    statement: Attestation = propose(client, milestone, manifest)
    keys = KeyStore(stage.folder.keystore)
    passphrase = stage.folder.passphrase.read_text("utf-8").strip()
    chain_id = stage.connection.chain_id
    files = []
    for accomplice in cast.ACCOMPLICES:
        account = keys.unlock(accomplice, passphrase)
        signature = statement.sign(account, chain_id, client.address)
        file = stage.folder.signatures / f"{name}-{accomplice}.json"
        AttestationFile.create(statement, chain_id, client.address, {account.address: signature}).save(file)
        files.append(file)
    return files


def refund_backers(stage: Stage, campaign: str, backers: tuple[str, ...]) -> None:
    """Push every backer's refund, and expect exactly what the contract promises to arrive."""
    client = stage.client(campaign)
    stage.narrator.say("Pia is a stranger here. She pushes the refunds to their owners; anybody may.")
    for backer in backers:
        address = stage.addresses[backer]
        stage.names[address] = f"${backer.upper()}"
        due = client.refundable(address)
        native = client.terms.is_native
        before = stage.balance(address) if native else client.token.balance_of(address)
        stage.run("refund", campaign, "--backer", address, wallet=cast.PASSER_BY)
        after = stage.balance(address) if native else client.token.balance_of(address)
        stage.expect(
            f"{backer.title()} got back", after - before == due and due > 0, client.asset.format(after - before)
        )
    stage.settle()


def _holding(stage: Stage, client: CampaignClient, address: str) -> int:
    return stage.balance(address) if client.terms.is_native else client.token.balance_of(address)
