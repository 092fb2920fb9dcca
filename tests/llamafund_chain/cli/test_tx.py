"""`llamafund tx`, and the options of commands that send."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_scenes import SCENES, Place, Scene

from llamafund_chain.chain import sending
from llamafund_chain.chain.journal import Journal

ETHER = 10**18
DAY = 86_400


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAMAFUND_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def waiting(stage):
    """Blocks are made only when somebody asks for them."""
    stage.open()
    connection = stage.devnet.connection
    connection.request("evm_setAutomine", False)
    yield connection
    connection.request("anvil_dropAllTransactions")
    connection.request("evm_setAutomine", True)


@pytest.fixture
def tx(llamafund, stage) -> Callable[..., Any]:
    def run(*words: object, wallet: str | None = None) -> Any:
        return llamafund("tx", *words, "--rpc", stage.devnet.rpc_url, "--json", wallet=wallet)

    return run


@pytest.fixture
def pledge(llamafund, stage) -> Callable[..., Any]:
    def run(*more: object) -> Any:
        words = ("pledge", stage.client.address, "2", "--rpc", stage.devnet.rpc_url, "--yes", "--json")
        return llamafund(*words, *more, wallet="backer0")

    return run


def test_a_transaction_is_listed_shown_waited_for_and_then_told(pledge, tx, stage, waiting) -> None:
    sent = pledge("--wait", "none")
    tx_hash = sent.json["transaction"]
    assert sent.json["block"] is None
    (listed,) = tx("list").json["transactions"]
    assert (listed["transaction"], listed["fate"], listed["sent_by"]) == (tx_hash, "pending", "pledge")
    assert listed["step"] == f"pledgeCoin(backer {stage.backers[0].address})"
    assert tx("show", tx_hash).json["fate"] == "pending"
    waiting.request("anvil_mine", "0x1")
    assert tx("wait", f"0x{tx_hash}").json["block"] == waiting.block().number
    assert tx("list").json["transactions"] == []
    (told,) = tx("list", "--all").json["transactions"]
    assert (told["fate"], told["block"]) == ("included", waiting.block().number)
    assert tx("show", tx_hash).json["settled"] == "latest"
    stage.devnet.finalize()
    assert tx("show", tx_hash).json["settled"] == "finalized"


def test_in_words_each_says_what_became_of_it(pledge, llamafund, stage, waiting) -> None:
    tx_hash = pledge("--wait", "none").json["transaction"]
    where = ("--rpc", stage.devnet.rpc_url)
    assert "waits in the node's pool (pledge)" in llamafund("tx", "list", *where).stdout
    shown = llamafund("tx", "show", tx_hash, *where).stdout
    for words in (f"0x{tx_hash}", "Devnet", "`llamafund pledge`", "number 0", "2 ETH", "waits in the node's pool"):
        assert words in shown
    waiting.request("anvil_mine", "0x1")
    assert "is in block" in llamafund("tx", "show", tx_hash, *where).stdout
    assert "On Devnet (chain 31337) nothing waits, and every outcome was told" in llamafund("tx", "list", *where).stdout


def test_a_transaction_that_waits_is_made_faster(pledge, tx, llamafund, stage, waiting) -> None:
    slow = pledge("--wait", "none").json["transaction"]
    fast = tx("speed-up", slow, "--yes", "--wait", "none", wallet="backer0").json["transaction"]
    assert fast != slow
    shown = llamafund("tx", "list", "--rpc", stage.devnet.rpc_url).stdout
    assert f"gave way to 0x{fast} (pledge)" in shown
    waiting.request("anvil_mine", "0x1")
    assert pledge().json["transaction"] == fast
    assert stage.client.pledge_of(stage.backers[0].address) == 2 * ETHER


def test_a_transaction_that_waits_is_cancelled(pledge, tx, stage, waiting, monkeypatch) -> None:
    sent = pledge("--wait", "none").json["transaction"]
    monkeypatch.setattr(sending, "sleep", lambda _: waiting.request("anvil_mine", "0x1"))
    assert tx("cancel", sent, "--yes", wallet="backer0").json["transaction"] != sent
    assert stage.client.pledge_of(stage.backers[0].address) == 0
    shown = tx("show", sent).json
    assert shown["fate"] == "replaced"
    assert shown["replaced_by"]
    assert tx("list").json["transactions"] == []


def test_only_its_sender_replaces_what_waits_and_nobody_what_is_included(pledge, tx, waiting) -> None:
    sent = pledge("--wait", "none").json["transaction"]
    tx("cancel", sent, "--yes", wallet="backer1").refused(2, "only that account can replace it")
    waiting.request("anvil_mine", "0x1")
    tx("cancel", sent, "--yes", wallet="backer0").refused(1, "can no longer be replaced", "is in block")


def test_a_vote_after_a_retraction_is_another_vote(llamafund, stage) -> None:
    stage.open()
    stage.fund()
    stage.devnet.advance(2 * DAY)

    def vote(*more: object) -> int:
        words = ("vote-stop", stage.client.address, "--rpc", stage.devnet.rpc_url, "--yes", *more)
        assert llamafund(*words, wallet="backer1").code == 0
        return int(stage.client.state().stop_support)

    mine = stage.client.pledge_of(stage.backers[1].address)
    assert [vote("--wait", "none"), vote("--retract"), vote()] == [mine, 0, mine]


def test_what_is_taken_back_after_another_pledge_is_taken_back_again(pledge, llamafund, stage) -> None:
    stage.open()
    words = ("unpledge", stage.client.address, "1", "--rpc", stage.devnet.rpc_url, "--yes")
    pledge()
    assert llamafund(*words, "--wait", "none", wallet="backer0").code == 0
    pledge()
    assert llamafund(*words, wallet="backer0").code == 0
    assert stage.client.pledge_of(stage.backers[0].address) == 2 * ETHER


def test_what_another_wallet_made_faster_is_told_and_not_paid_again(pledge, tx, stage, waiting) -> None:
    sent = pledge("--wait", "none").json["transaction"]
    found = waiting.request("eth_getTransactionByHash", f"0x{sent}")
    fields = {
        "type": 2,
        "chainId": waiting.chain_id,
        "to": stage.client.address,
        "data": found["input"],
        **{name: int(found[name], 16) for name in ("nonce", "gas", "value")},
        **{name: 2 * int(found[name], 16) for name in ("maxFeePerGas", "maxPriorityFeePerGas")},
    }
    signed = stage.backers[0].sign_transaction(fields)
    waiting.request("eth_sendRawTransaction", f"0x{bytes(signed.raw_transaction).hex()}")
    waiting.request("anvil_mine", "0x1")
    faster = bytes(signed.hash).hex()
    assert tx("show", sent).json["replaced_by"] == faster
    tx("speed-up", sent, "--yes", wallet="backer0").refused(1, "can no longer be replaced", f"0x{faster}")
    assert pledge().json["transaction"] == faster
    assert stage.client.pledge_of(stage.backers[0].address) == 2 * ETHER


@pytest.mark.parametrize("command", ["show", "wait", "speed-up", "cancel"])
def test_an_unknown_hash_is_refused(tx, stage, command: str) -> None:
    wallet = "backer0" if command in ("speed-up", "cancel") else None
    tx(command, "ab" * 32, wallet=wallet).refused(1, f"has no transaction 0x{'ab' * 32} on Devnet")
    tx(command, "0x12", wallet=wallet).refused(2, "is not a hash")


def test_a_dry_run_needs_no_passphrase_and_sends_nothing(llamafund, stage, untouched, state: Path, tmp_path) -> None:
    stage.open()
    words = ("pledge", stage.client.address, "2", "--rpc", stage.devnet.rpc_url, "--dry-run", "--json")
    with untouched():
        ran = llamafund(*words, wallet="backer0", passphrase_file=tmp_path / "none")
    dry = ran.json["dry_run"]
    assert (dry["function"], dry["to"], dry["value_wei"]) == ("pledgeCoin", stage.client.address, str(2 * ETHER))
    assert dry["arguments"] == {"backer": stage.backers[0].address}
    assert 0 < int(dry["highest_fee_wei"]) < ETHER
    assert not list(state.rglob("*.jsonl"))


def test_a_dry_run_of_what_would_revert_says_so(llamafund, stage, untouched) -> None:
    stage.open()
    words = ("refund", stage.client.address, "--rpc", stage.devnet.rpc_url, "--dry-run")
    with untouched():
        llamafund(*words, wallet="backer0").refused(5, "Refunds are open once it has failed")


def test_what_is_sent_is_shown_in_words_with_its_cost(pledge, stage) -> None:
    stage.open()
    shown = pledge().stderr
    for words in (
        "Transaction on Devnet (chain 31337) from",
        f"to     {stage.client.address}",
        f"calls  pledgeCoin(backer {stage.backers[0].address})",
        "value  2 ETH",
        "fee    at most 0.",
        "number 0 of",
    ):
        assert words in shown


def test_the_pledge_after_one_that_was_told_is_another_one(pledge, stage) -> None:
    stage.open()
    assert pledge().json["pledge"] == "2"
    assert pledge().json["pledge"] == "4"


def test_a_pledge_that_nobody_was_told_of_is_reported_and_not_repeated(pledge, stage, monkeypatch) -> None:
    stage.open()
    with monkeypatch.context() as patch:
        patch.setattr("llamafund_chain.cli.pledge.report", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert pledge().code == 130
    again = pledge()
    assert again.json["pledge"] == "2"
    assert "is in block" in again.stderr
    assert pledge("--again").json["pledge"] == "4"


def test_the_journal_has_no_secret(pledge, stage, state: Path, keystore: Path) -> None:
    stage.open()
    url = stage.devnet.rpc_url.replace("http://", "http://user:secret@") + "/key-in-path"
    pledge("--rpc", url)
    text = "".join(path.read_text() for path in state.rglob("*") if path.is_file())
    assert json.loads(text.splitlines()[0])["command"] == "pledge"
    passphrase = (keystore / "passphrase").read_text().strip()
    for secret in (passphrase, f"{21:064x}", "secret", "key-in-path", "127.0.0.1"):
        assert secret not in text


def test_a_command_that_fails_tells_of_what_was_sent_before(llamafund, stage, state: Path) -> None:
    """An unpledge that was killed has happened: the second one finds nothing to take back, and says why."""
    stage.open().pledge(stage.backers[0], 2 * ETHER)
    words = ("unpledge", stage.client.address, "all", "--rpc", stage.devnet.rpc_url, "--yes")
    assert llamafund(*words, wallet="backer0").code == 0
    journal = Journal(state / "transactions", 31337)
    (entry,) = journal.entries()
    journal.change(entry, state="included")
    ran = llamafund(*words, wallet="backer0")
    ran.refused(5, "has no pledge")
    assert f"an earlier transaction, 0x{entry.tx_hash} of `unpledge`, is in block" in ran.stderr


@pytest.mark.parametrize("words", [("--wait", "x"), ("--wait", "99999"), ("--max-fee", "-1"), ("--fee", "free")])
def test_an_option_that_makes_no_sense_sends_nothing(pledge, stage, untouched, words: tuple[str, ...]) -> None:
    stage.open()
    with untouched():
        pledge(*words).refused(2)


def test_a_fee_above_its_limit_sends_nothing(pledge, stage, untouched) -> None:
    stage.open()
    with untouched():
        pledge("--max-fee", "1e-18").refused(1, "the limit of --max-fee", "Nothing was sent")


def test_a_wait_for_more_than_a_block_is_done(pledge, stage, monkeypatch) -> None:
    stage.open()
    monkeypatch.setattr(sending, "sleep", lambda _: stage.devnet.connection.request("evm_mine"))
    ran = pledge("--wait", "2")
    assert stage.devnet.connection.block().number >= ran.json["block"] + 2


def test_answers_to_challenges_are_in_the_journal_without_their_bytes(llamafund, large, tx, state: Path) -> None:
    client = large.client
    client.challenge(large.backers[0], client.latest_attestation(), 1, ETHER)
    where = ("--rpc", large.devnet.rpc_url, "--store", large.run.store.location)
    ran = llamafund("answer", client.address, *where, "--yes", "--json", wallet="backer1")
    (answered,) = ran.json["answered"]
    assert f"0x{answered['transaction']}, number " in ran.stderr
    (entry,) = Journal(state / "transactions", 31337).entries()
    assert (entry.tx_hash, entry.state, entry.raw) == (answered["transaction"], "told", "")
    assert entry.step.startswith("answer(")
    assert tx("list").json["transactions"] == []


def test_a_dry_run_of_an_answer_sends_nothing(llamafund, large, untouched, state: Path, monkeypatch) -> None:
    """Whoever has the key could send: an answer's way is another one than that of all other transactions."""
    client = large.client
    client.challenge(large.backers[0], client.latest_attestation(), 1, ETHER)
    where = ("--rpc", large.devnet.rpc_url, "--store", large.run.store.location)
    monkeypatch.setenv("KEY", f"{22:064x}")
    with untouched():
        ran = llamafund("answer", client.address, *where, "--yes", "--json", "--dry-run", "--signer", "env:KEY")
    assert ran.json["dry_run"]["function"] == "answer"
    assert not list(state.rglob("*.jsonl"))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_dry_run_of_every_command_sends_and_publishes_nothing(
    llamafund, stage, campaign_file, tmp_path: Path, monkeypatch, scene: Callable[[Place], Scene]
) -> None:
    made = scene(Place(stage, tmp_path, campaign_file))
    keys = {"researcher": 1, "compute": 2, "backer0": 21, "backer1": 22, "judge": 41}
    monkeypatch.setenv("KEY", f"{keys[made.wallet]:064x}")
    connection = stage.devnet.connection
    before, kept = connection.block().number, sorted(Path(stage.run.store.location).rglob("*"))
    where = ("--rpc", stage.devnet.rpc_url, "--yes", "--json", "--dry-run", "--signer", "env:KEY")
    ran = llamafund(*made.command, *where)
    assert ran.code == 0, ran.stderr
    assert int(ran.json["dry_run"]["highest_fee_wei"]) > 0
    assert connection.block().number == before
    assert sorted(Path(stage.run.store.location).rglob("*")) == kept
