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
        llamafund(*command, *where, wallet=wallet).unasked(*scene.shown)
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


# What only signs or answers on its own does not ask: a guard must not wait for somebody who sleeps. `mine` only looks.
UNASKED = {"watch", "train", "export", "mine"}


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


AT = "0x00000000000000000000000000000000000000bb"
PROPOSAL = ("--milestone", "0", "--evidence", "DATASET", "--out", "OUT")
NO_PLEDGE = "Only backers can do this. Use the wallet that pledged."
REFUSALS = (
    # Who has no pledge is no backer, whatever it tries.
    (NO_PLEDGE, "stranger", opened, ("unpledge", "CAMPAIGN", "all")),
    ("no pledge", "stranger", opened, ("unpledge", "CAMPAIGN", "1")),
    (NO_PLEDGE, "stranger", active_for_a_day, ("vote-stop", "CAMPAIGN")),
    ("no pledge", "stranger", active_for_a_day, ("vote-stop", "CAMPAIGN", "--retract")),
    (NO_PLEDGE, "stranger", attested_dataset, ("challenge", "CAMPAIGN", "--chunk", "0", "--bond", "0.1")),
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
    ("vote while it is active", "backer0", opened, ("vote-stop", "CAMPAIGN")),
    ("open once it has failed", "backer0", opened, ("refund", "CAMPAIGN")),
    ("open once it has failed", "backer0", opened, ("refund", "CAMPAIGN", "--to", AT)),
    ("during funding", "backer0", active_for_a_day, ("unpledge", "CAMPAIGN", "1")),
    ("while it is active", "researcher", opened, ("campaign", "extend", "CAMPAIGN", "1d")),
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


# ------------------------------------------------------- bad input is told first

BAD_STORE = ("--store", "ftp://x")
BAD_INPUT = (
    ("pledge", AT, "-1"),
    ("pledge", AT, "0"),
    ("pledge", AT, "0.0e5"),
    ("pledge", AT, "1,5"),
    ("unpledge", AT, "-1"),
    ("unpledge", AT, "none"),
    ("campaign", "create", "missing.yaml"),
    ("campaign", "create", "misspelt.yaml"),
    ("campaign", "create", "FILE", *BAD_STORE),
    ("campaign", "extend", AT, "-3d"),
    ("campaign", "update", AT, "missing.md"),
    ("campaign", "update", AT, "update.md", *BAD_STORE),
    ("campaign", "show", AT, *BAD_STORE),
    ("challenge", AT),
    ("challenge", AT, "--chunk", "0", "--bond", "-1"),
    ("challenge", AT, "--file", "x", *BAD_STORE),
    ("answer", AT, *BAD_STORE),
    ("answer", AT, "--max-loss", "-1"),
    ("watch", AT, *BAD_STORE),
    ("watch", AT, "--signer", "print"),
    ("audit", AT, *BAD_STORE),
    ("submit", AT, "missing.json"),
    ("attest", AT, "--out", "x.json"),
    ("attest", AT, "--out", "x.json", "--attestation", "missing.json"),
    ("attest", AT, *PROPOSAL, "--skip-check", "none"),
    ("attest", AT, *PROPOSAL, *BAD_STORE),
    ("attest", AT, *PROPOSAL, "--signer", "print"),
)
SIGNED = (
    ("pledge", AT, "1"),
    ("unpledge", AT, "all"),
    ("campaign", "activate", AT),
    ("campaign", "create", "FILE"),
    ("campaign", "extend", AT, "3d"),
    ("campaign", "update", AT, "update.md"),
    ("challenge", AT, "--chunk", "0"),
    ("answer", AT),
    ("vote-stop", AT),
    ("refund", AT),
    ("return-bond", AT),
    ("claim", AT),
    ("attest", AT, *PROPOSAL),
)


@pytest.fixture
def beside_no_node(llamafund, campaign_file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a command in a directory with files for it; no node answers, which would end with 4."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLAMAFUND_RPC", "http://127.0.0.1:9")
    file = campaign_file()
    Path("misspelt.yaml").write_text(file.read_text().replace("quorum:", "qorum:"))
    Path("update.md").write_text("# News\n\nNone.\n")
    names = {"FILE": str(file), "OUT": "out.json", "DATASET": "ab" * 32}

    def run(words: tuple[str, ...], **options):
        return llamafund(*(names.get(word, word) for word in words), **options)

    return run


@pytest.mark.parametrize("words", BAD_INPUT, ids=" ".join)
def test_bad_input_is_told_before_a_node_is_asked(beside_no_node, words: tuple[str, ...]) -> None:
    wallet = None if "--signer" in words or words[0] in ("audit", "watch") or "show" in words else "backer0"
    beside_no_node(words, wallet=wallet).refused(2)


@pytest.mark.parametrize("words", SIGNED, ids=" ".join)
def test_a_signer_that_cannot_sign_is_told_before_a_node_is_asked(
    beside_no_node, tmp_path: Path, words: tuple[str, ...]
) -> None:
    beside_no_node(words).refused(2, "No wallet was named")
    beside_no_node(words, wallet="nobody").refused(2, "nobody")
    beside_no_node(words, wallet="backer0", passphrase_file=tmp_path / "none").refused(2, "passphrase file", "none")
    beside_no_node(words, wallet="backer0", passphrase_file=tmp_path).refused(2, "is a directory", "Name a file")
    beside_no_node(words, wallet="backer0").refused(4)


def test_an_amount_is_read_before_the_campaign_is_final(llamafund, stage) -> None:
    stage.open()
    ran = llamafund("pledge", stage.client.address, "1e-19", "--rpc", stage.devnet.rpc_url, wallet="backer0")
    ran.refused(2, "finer than the asset's smallest unit")
