"""Commands that move money or end something show what they will do and ask; and they refuse the same things alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from llamafund_chain.campaign.attestation import AttestationFile, propose
from llamafund_chain.cli import main
from llamafund_chain.evidence.manifests import save_manifest

ETHER = 10**18
DAY = 86_400

Scene = Callable[..., tuple[tuple[object, ...], str, tuple[str, ...]]]
"""Sets the stage; gives a command, who runs it, and words of the question that it asks."""


def pledging(stage, folder: Path):
    stage.open()
    return ("pledge", stage.client.address, "2"), "backer0", ("Pledge 2 ETH from", stage.backers[0].address)


def unpledging(stage, folder: Path):
    stage.open().pledge(stage.backers[0], 3 * ETHER)
    return (
        ("unpledge", stage.client.address, "1"),
        "backer0",
        ("Take back 1 ETH of the 3 ETH", stage.backers[0].address),
    )


def unpledging_all(stage, folder: Path):
    stage.open().pledge(stage.backers[0], 3 * ETHER)
    elsewhere = ("--to", stage.compute.address)
    return (
        ("unpledge", stage.client.address, "all", *elsewhere),
        "backer0",
        ("Take back 3 ETH of the 3 ETH", f"sent to {stage.compute.address}"),
    )


def activating(stage, folder: Path):
    stage.open().pledge(stage.backers[0], 11 * ETHER)
    words = ("Close funding with 11 ETH", "no pledge can be taken back")
    return ("campaign", "activate", stage.client.address), "researcher", words


def voting(stage, folder: Path):
    stage.open()
    stage.fund()
    stage.devnet.advance(DAY)
    return ("vote-stop", stage.client.address), "backer1", ("Vote with the 3 ETH of", "are needed")


def retracting(stage, folder: Path):
    command, wallet, _ = voting(stage, folder)
    stage.client.vote_stop(stage.backers[1])
    return (*command, "--retract"), wallet, ("Take back the vote of", "3 ETH")


def refunding(stage, folder: Path):
    stage.open().pledge(stage.backers[0], 3 * ETHER)
    stage.devnet.advance(11 * DAY)
    return ("refund", stage.client.address), "backer0", ("refund of 3 ETH", f"sent to {stage.backers[0].address}")


def claiming(stage, folder: Path):
    stage.honest_until(1)
    return ("claim", stage.client.address), "compute", ("for payee 1", "Claim 0.44435556 ETH", stage.compute.address)


def submitting(stage, folder: Path):
    stage.open()
    stage.fund()
    statement, chain_id = propose(stage.client, 0, stage.run.dataset), stage.devnet.connection.chain_id
    signers = stage.attestors[:2]
    signatures = {one.address: statement.sign(one, chain_id, stage.client.address) for one in signers}
    AttestationFile.create(statement, chain_id, stage.client.address, signatures).save(folder / "signed.json")
    words = ("Submit milestone 0 (DATASET) with 2 signatures", stage.run.dataset.sha256, "after 2 days")
    return ("submit", stage.client.address, folder / "signed.json"), "backer0", words


def challenging(stage, folder: Path):
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    words = ("Challenge chunk 0 of milestone 0 for a bond of 0.1 ETH", "1 day")
    return ("challenge", stage.client.address, "--chunk", "0", "--bond", "0.1"), "backer0", words


def answering_challenges(stage, folder: Path):
    challenging(stage, folder)
    client = stage.client
    attestation = client.latest_attestation()
    assert attestation is not None
    client.challenge(stage.backers[0], attestation, 0, ETHER // 10)
    words = ("Answer 1 challenges as", "bonds of 0.1 ETH", "cost up to its bond")
    return ("answer", client.address, "--store", stage.run.store.location), "backer1", words


def returning_a_bond(stage, folder: Path):
    answering_challenges(stage, folder)
    stage.devnet.advance(2 * DAY)
    return ("return-bond", stage.client.address), "backer0", ("bonds of 0.1 ETH", "chunks 0", stage.backers[0].address)


SCENES: tuple[Scene, ...] = (
    pledging,
    unpledging,
    unpledging_all,
    activating,
    voting,
    retracting,
    refunding,
    claiming,
    submitting,
    challenging,
    answering_challenges,
    returning_a_bond,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_what_will_be_done_is_shown_and_nothing_is_done_without_a_yes(
    llamafund, answering, stage, untouched, tmp_path: Path, scene: Scene
) -> None:
    command, wallet, words = scene(stage, tmp_path)
    where = ("--rpc", stage.devnet.rpc_url)
    with untouched():
        unasked = llamafund(*command, *where, wallet=wallet)
        unasked.refused(2, "Nobody answered", "not a terminal", "--yes", *words)
        refused = answering("n", *command, wallet=wallet)
        refused.refused(1, "Nothing was sent", "You answered no")
        gone = answering("", *command, wallet=wallet)
        assert gone.code in (1, 130)
    for word in words:
        assert word in refused.stderr
    before = stage.devnet.connection.block().number
    agreed = answering("y", *command, wallet=wallet)
    assert agreed.code == 0, agreed.stderr
    assert stage.devnet.connection.block().number > before


def commands_with(option: str) -> set[str]:
    found = set()

    def walk(command: click.Command, path: str) -> None:
        if any(option in parameter.opts for parameter in command.params):
            found.add(path)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                walk(child, f"{path} {name}".strip())

    walk(main.cli, "")
    return found


# What only signs or answers on its own does not ask: a guard must not wait for somebody who sleeps.
UNASKED = {"watch", "train", "export"}


def test_every_command_that_signs_asks_or_has_a_reason_not_to() -> None:
    signing, asking = commands_with("--wallet"), commands_with("--yes")
    assert len(signing) > 12
    assert asking | UNASKED == signing
    assert not asking & UNASKED


# --------------------------------------------------------------- exit codes


def active_for_a_day(stage) -> None:
    stage.open()
    stage.fund()
    stage.devnet.advance(DAY)


def attested_dataset(stage) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)


def with_done_chunk(stage) -> None:
    attested_dataset(stage)
    attestation = stage.client.latest_attestation()
    stage.client.challenge(stage.backers[1], attestation, 0, ETHER // 10)


def opened(stage) -> None:
    stage.open()


PROPOSAL = ("--milestone", "0", "--evidence", "DATASET", "--out", "OUT")
REFUSALS = (
    # Who has no pledge is no backer, whatever it tries.
    ("no pledge", "stranger", opened, ("unpledge", "CAMPAIGN", "all")),
    ("no pledge", "stranger", opened, ("unpledge", "CAMPAIGN", "1")),
    ("no pledge", "stranger", active_for_a_day, ("vote-stop", "CAMPAIGN")),
    ("no pledge", "stranger", active_for_a_day, ("vote-stop", "CAMPAIGN", "--retract")),
    ("no pledge", "stranger", attested_dataset, ("challenge", "CAMPAIGN", "--chunk", "0", "--bond", "0.1")),
    # A chunk that is not there or was challenged before, however it is named.
    ("no chunk 99", "backer0", attested_dataset, ("challenge", "CAMPAIGN", "--chunk", "99")),
    ("no byte 9999999", "backer0", attested_dataset, ("challenge", "CAMPAIGN", "--offset", "9999999")),
    ("no file 'x'", "backer0", attested_dataset, ("challenge", "CAMPAIGN", "--file", "x", "--store", "STORE")),
    ("challenged before", "backer0", with_done_chunk, ("challenge", "CAMPAIGN", "--chunk", "0")),
    # A bond that is too small, or not there.
    ("too small", "backer0", attested_dataset, ("challenge", "CAMPAIGN", "--chunk", "0", "--bond", "1e-18")),
    # The wrong payee.
    ("not a payee", "stranger", opened, ("claim", "CAMPAIGN")),
    ("not payee number 0", "stranger", opened, ("claim", "CAMPAIGN", "--payee", "0")),
    ("no payee 9", "compute", opened, ("claim", "CAMPAIGN", "--payee", "9")),
    # Who is no attestor, and milestones out of order.
    ("not an attestor", "stranger", active_for_a_day, ("attest", "CAMPAIGN", *PROPOSAL)),
    ("next one is milestone 0", "attestor0", active_for_a_day, ("attest", "CAMPAIGN", *PROPOSAL, "--milestone", "1")),
    # The wrong phase.
    ("Funding", "attestor0", opened, ("attest", "CAMPAIGN", *PROPOSAL)),
    ("Funding", "backer0", opened, ("vote-stop", "CAMPAIGN")),
    ("Funding", "backer0", opened, ("refund", "CAMPAIGN")),
    ("Funding", "backer0", opened, ("return-bond", "CAMPAIGN")),
    ("Active", "backer0", active_for_a_day, ("campaign", "activate", "CAMPAIGN")),
    ("Nothing has been attested", "backer0", active_for_a_day, ("challenge", "CAMPAIGN", "--chunk", "0")),
)


@pytest.mark.parametrize(
    ("words", "wallet", "scene", "command"), REFUSALS, ids=[f"{' '.join(row[3])} {row[0]}" for row in REFUSALS]
)
def test_what_the_campaign_refuses_ends_with_5_whoever_notices(
    llamafund, stage, untouched, tmp_path: Path, words: str, wallet: str, scene, command: tuple[str, ...]
) -> None:
    scene(stage)
    stage.devnet.finalize()
    stage.devnet.fund(stranger(), ETHER)
    names = {
        "CAMPAIGN": stage.client.address,
        "OUT": str(tmp_path / "out.json"),
        "STORE": stage.run.store.location,
        "DATASET": stage.run.dataset.sha256,
    }
    with untouched():
        ran = llamafund(*(names.get(word, word) for word in command), "--rpc", stage.devnet.rpc_url, wallet=wallet)
    ran.refused(5, words)


def stranger() -> str:
    from eth_account import Account

    return str(Account.from_key((31).to_bytes(32, "big")).address)


MALFORMED = {
    "text": b"not a document of any kind: [",
    "binary": b"\xff\xfe\x00",
    "empty": b"",
    "deep": b"[" * 100_000,
    "twice": b'{"schema": 1, "schema": 1}',
    "long": b" " * 2_000_000,
}
"""Bytes that are neither JSON nor YAML of the one plain kind that is read."""


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_file_that_cannot_be_read_is_a_usage_error_in_every_format(
    llamafund, stage, tmp_path: Path, data: bytes
) -> None:
    stage.open()
    stage.fund()
    bad = tmp_path / "bad.file"
    bad.write_bytes(data)
    where, campaign, out = ("--rpc", stage.devnet.rpc_url), stage.client.address, tmp_path / "out.json"
    commands = (
        ("campaign", "create", bad, *where),
        ("submit", campaign, bad, *where),
        ("attest", campaign, "--attestation", bad, "--out", out, *where),
        ("manifest", "show", bad),
        ("manifest", "check", bad),
        ("manifest", "export", bad, "--as", "sha256sums"),
        ("verify", tmp_path, "--manifest", bad),
        ("publish", tmp_path, "--manifest", bad, "--to", tmp_path / "store"),
        ("pledge", campaign, "1", *where),
        ("train", bad, "--dry-run"),
    )
    for command in commands:
        wallet = {"submit": "attestor0", "attest": "attestor0", "campaign": "researcher", "pledge": str(bad)}
        llamafund(*command, wallet=wallet.get(command[0])).refused(2, "bad.file")


def test_a_manifest_that_can_be_read_but_is_not_what_it_must_be_fails_the_verification(
    llamafund, stage, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.json"
    save_manifest(path, stage.run.dataset)
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, "title": "Another"}, indent=2))
    for command in (("manifest", "check", path), ("verify", tmp_path, "--manifest", path)):
        llamafund(*command).refused(3)
