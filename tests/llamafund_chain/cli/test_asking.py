"""Commands that move money or end something show what they will do and ask; and they refuse the same things alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from command_scenes import DAY, ETHER, SCENES, Place, Scene

from llamafund_chain.cli import main
from llamafund_chain.evidence.manifests import save_manifest


@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__)
def test_what_will_be_done_is_shown_and_nothing_is_done_without_a_yes(
    llamafund, answering, stage, campaign_file, untouched, tmp_path: Path, make: Callable[[Place], Scene]
) -> None:
    scene = make(Place(stage, tmp_path, campaign_file))
    stage.devnet.finalize()
    command, wallet, where = scene.command, scene.wallet, ("--rpc", stage.devnet.rpc_url)
    with untouched():
        unasked = llamafund(*command, *where, wallet=wallet)
        unasked.refused(2, "Nobody answered", "not a terminal", "--yes", *scene.shown)
        refused = answering("n", *command, wallet=wallet)
        refused.refused(1, "Nothing was sent", "You answered no")
        gone = answering("", *command, wallet=wallet)
        gone.refused(1, "Nothing was sent")
    for words in scene.shown:
        assert words in refused.stderr
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
    ("not payee 0", "stranger", opened, ("claim", "CAMPAIGN", "--payee", "0")),
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
