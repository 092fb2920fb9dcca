"""Nothing is paid twice, whatever happens between a signature and a receipt; and each outcome has its own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_node import Drop, FaultyNode, Whole, said
from node_answers import RATE_LIMITS, Said

from llamafund_chain.chain import sending
from llamafund_chain.chain.connection import connect
from llamafund_chain.chain.fates import fate_of, settled
from llamafund_chain.chain.journal import Journal
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.sending import (
    DryRunError,
    NotWaitedError,
    Policy,
    Preview,
    ReplacedError,
    Reporter,
    Sender,
)
from llamafund_chain.chain.transactions import Call, refusal_of
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, NotFinalError

ETHER = 10**18
NOBODY = "0x00000000000000000000000000000000000000bb"
PAY = Call(NOBODY, b"")


class Told(Reporter):
    """Remembers what is told, and answers as it is told."""

    def __init__(self, *, wants_another: bool = False) -> None:
        self.notes: list[str] = []
        self.hashes: list[str] = []
        self.previews: list[Preview] = []
        self.wants_another = wants_another

    def preview(self, preview: Preview) -> None:
        self.previews.append(preview)

    def signed(self, entry: Any) -> None:
        self.hashes.append(entry.tx_hash)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def another(self, question: str) -> bool:
        return self.wants_another


class Payer:
    """Somebody whose program is started again and again."""

    def __init__(self, devnet: Any, folder: Path) -> None:
        from eth_account import Account

        self.devnet = devnet
        self.account = Account.from_key((77).to_bytes(32, "big"))
        self.journal = Journal(folder, devnet.connection.chain_id)
        devnet.fund(self.account.address, ETHER)

    def start(self, url: str | None = None, *, told: Told | None = None, **policy: Any) -> Sender:
        connection = connect(url or self.devnet.rpc_url)
        return Sender(
            connection, journal=self.journal, policy=Policy(**policy), reporter=told or Told(), command="pledge"
        )

    @property
    def paid(self) -> int:
        return int(self.devnet.connection.balance(NOBODY))

    def mine(self) -> None:
        self.devnet.connection.request("anvil_mine", "0x1")


@pytest.fixture
def payer(devnet, tmp_path: Path) -> Payer:
    return Payer(devnet, tmp_path / "transactions")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "sleep", lambda _: None)
    monkeypatch.setattr("llamafund_chain.chain.nodes.sleep", lambda _: None)


@pytest.fixture
def by_hand(devnet):
    """Blocks are made only when somebody asks for them."""
    devnet.connection.request("evm_setAutomine", False)
    yield
    devnet.connection.request("anvil_dropAllTransactions")
    devnet.connection.request("evm_setAutomine", True)


Forward = Callable[[dict[str, Any]], dict[str, Any]]


def sends(do: Callable[[dict[str, Any], Forward], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """A fault of requests that send."""

    def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        return do(request, forward) if request["method"] == "eth_sendRawTransaction" else forward(request)

    return fault


def lost_on_the_way(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
    raise Drop


def lost_on_the_way_back(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
    forward(request)
    raise Drop


def refused(message: str) -> Callable[[dict[str, Any], Forward], dict[str, Any]]:
    return lambda request, _: said(request, Said("a node", 200, -32000, message))


def refused_though_it_arrived(message: str) -> Callable[[dict[str, Any], Forward], dict[str, Any]]:
    def do(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        forward(request)
        return said(request, Said("a node", 200, -32000, message))

    return do


# ----------------------------------------------------------- a first transaction


def test_the_hash_is_written_and_shown_before_the_node_answers(payer: Payer) -> None:
    told = Told()
    written: list[str] = []

    def look(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        written.extend(entry.tx_hash for entry in payer.journal.entries())
        assert told.hashes == written
        return forward(request)

    with FaultyNode(payer.devnet.rpc_url, sends(look)) as node:
        receipt = payer.start(node.url, told=told).send(payer.account, PAY, 7)
    assert written == [receipt.tx_hash]
    assert payer.paid == 7


def test_once_it_was_told_the_same_may_be_sent_again(payer: Payer) -> None:
    for _ in range(2):
        sender = payer.start()
        sender.send(payer.account, PAY, 7)
        sender.told()
    assert payer.paid == 14


def test_without_a_journal_the_same_may_be_sent_again_at_once(payer: Payer) -> None:
    for _ in range(2):
        Sender(payer.devnet.connection).send(payer.account, PAY, 7)
    assert payer.paid == 14


def test_what_would_be_sent_is_shown_before_anybody_is_asked(payer: Payer) -> None:
    told = Told()

    def agree() -> None:
        (preview,) = told.previews
        assert (preview.sender, preview.to, preview.value) == (payer.account.address, NOBODY, 7)
        assert 0 < preview.highest_fee < ETHER
        raise LlamafundError("no")

    with pytest.raises(LlamafundError, match="no"):
        payer.start(told=told).send(payer.account, PAY, 7, agree=agree)
    assert payer.journal.entries() == []


def test_a_dry_run_signs_nothing(payer: Payer) -> None:
    with pytest.raises(DryRunError) as dry:
        payer.start(dry_run=True).send(object_with(payer.account.address), PAY, 7)
    assert dry.value.preview.value == 7
    assert payer.journal.entries() == []


def object_with(address: str) -> Any:
    from llamafund_chain.chain.signers import AbsentAccount

    return AbsentAccount(address)


# --------------------------------------------------- the answer is not the truth


@pytest.mark.parametrize("said", [said for said in RATE_LIMITS if "a day" not in said.who], ids=lambda said: said.who)
@pytest.mark.parametrize("arrives", [True, False])
def test_a_rate_limit_when_sending_pays_once(payer: Payer, said: Said, arrives: bool) -> None:
    asked = 0

    def limit(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked > 1:
            return forward(request)
        if arrives:
            forward(request)
        if said.status != 200:
            raise Whole(said.status, b'{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"rate limit"}}')
        return {"jsonrpc": "2.0", "id": request["id"], "error": said.error}

    with FaultyNode(payer.devnet.rpc_url, sends(limit)) as node:
        payer.start(node.url).send(payer.account, PAY, 7)
    assert payer.paid == 7


@pytest.mark.parametrize("message", ["internal error", "nonce too low", "already known", "unknown", "txpool is full"])
def test_an_error_answer_to_what_arrived_is_no_error(payer: Payer, message: str) -> None:
    with FaultyNode(payer.devnet.rpc_url, sends(refused_though_it_arrived(message))) as node:
        payer.start(node.url).send(payer.account, PAY, 7)
    assert payer.paid == 7


def test_a_connection_that_breaks_off_after_it_arrived_is_no_error(payer: Payer) -> None:
    with FaultyNode(payer.devnet.rpc_url, sends(lost_on_the_way_back)) as node:
        payer.start(node.url).send(payer.account, PAY, 7)
    assert payer.paid == 7


@pytest.mark.parametrize("fault", [lost_on_the_way, refused("some new words"), refused("insufficient funds for gas")])
def test_what_did_not_arrive_is_named_and_sent_once_by_the_next_start(payer: Payer, fault) -> None:
    with FaultyNode(payer.devnet.rpc_url, sends(fault)) as node, pytest.raises(LlamafundError) as failure:
        payer.start(node.url).send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    assert f"0x{entry.tx_hash}" in str(failure.value)
    told = Told()
    receipt = payer.start(told=told).send(payer.account, PAY, 7)
    assert payer.paid == 7
    assert (receipt.tx_hash == entry.tx_hash) == (fault is lost_on_the_way)
    assert "is not known to the node" in told.notes[0]
    # Whatever becomes of the first one, both have the same number.
    assert {one.nonce for one in payer.journal.entries()} == {0}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("already known", None),
        ("ALREADY_EXISTS: already known", None),
        ("nonce too low: next nonce 5, tx nonce 4", "has used this one's number"),
        ("OldNonce, Current nonce: 5, nonce of rejected tx: 4", "has used this one's number"),
        ("replacement transaction underpriced", "does not pay enough to replace it"),
        ("ReplacementNotAllowed", "does not pay enough to replace it"),
        ("insufficient funds for gas * price + value", "cannot pay"),
        ("InsufficientFunds, Balance is 0 less than sending value", "cannot pay"),
        ("Upfront cost exceeds account balance", "cannot pay"),
        ("in-flight transaction limit reached for delegated accounts", "takes no more transactions"),
        ("txpool is full", "takes no more transactions"),
        ("max fee per gas less than block base fee", "too low a fee"),
        ("transaction gas price below minimum: gas tip cap 1", "too low a fee"),
        ("some new words", "The node refused eth_sendRawTransaction"),
    ],
)
def test_refusals_have_sentences(message: str, words: str | None) -> None:
    refusal = refusal_of(RpcError("eth_sendRawTransaction", -32000, message, None))
    assert (None if refusal is None else words in refusal.what) in (None, True)
    assert (refusal is None) == (words is None)
    assert refusal is None or message in str(refusal)


# ------------------------------------------------------------- a second start


def test_what_is_in_a_block_but_was_not_told_is_taken_and_not_paid_again(payer: Payer) -> None:
    first = payer.start().send(payer.account, PAY, 7)
    told = Told()
    again = payer.start(told=told)
    assert again.send(payer.account, PAY, 7) == first
    assert payer.paid == 7
    assert f"0x{first.tx_hash}" in told.notes[0]
    assert "is in block" in told.notes[0]
    again.told()
    payer.start().send(payer.account, PAY, 7)
    assert payer.paid == 14


@pytest.mark.parametrize("how", ["again", "asked"])
def test_another_one_is_sent_if_somebody_wants_it(payer: Payer, how: str) -> None:
    payer.start().send(payer.account, PAY, 7)
    payer.start(told=Told(wants_another=how == "asked"), again=how == "again").send(payer.account, PAY, 7)
    assert payer.paid == 14


def test_another_amount_or_receiver_is_another_payment(payer: Payer) -> None:
    payer.start().send(payer.account, PAY, 7)
    payer.start().send(payer.account, PAY, 8)
    assert payer.paid == 15


def test_what_waits_is_waited_for(payer: Payer, by_hand) -> None:
    with pytest.raises(NotWaitedError) as sent:
        payer.start(wait="none").send(payer.account, PAY, 7)
    told = Told()
    with pytest.raises(NotWaitedError) as found:
        payer.start(told=told, wait="none").send(payer.account, PAY, 7)
    assert found.value.tx_hash == sent.value.tx_hash
    assert "waits in the node's pool" in told.notes[0]
    payer.mine()
    assert payer.start().send(payer.account, PAY, 7).tx_hash == sent.value.tx_hash
    assert payer.paid == 7


def test_what_a_node_has_dropped_is_given_to_it_again(payer: Payer, by_hand) -> None:
    with pytest.raises(NotWaitedError) as sent:
        payer.start(wait="none").send(payer.account, PAY, 7)
    payer.devnet.connection.request("anvil_dropTransaction", f"0x{sent.value.tx_hash}")
    asked: list[str] = []
    with pytest.raises(NotWaitedError) as again:
        payer.start(wait="none").send(payer.account, PAY, 7, agree=lambda: asked.append("yes"))
    assert again.value.tx_hash == sent.value.tx_hash
    assert asked == ["yes"]
    payer.mine()
    assert payer.paid == 7


def test_what_a_node_forgets_while_it_is_waited_for_is_given_to_it_again(payer: Payer, by_hand, monkeypatch) -> None:
    monkeypatch.setattr(sending, "FORGOTTEN_SECONDS", 0.0)
    told = Told()
    looked: list[int] = []

    def pause(_: float) -> None:
        looked.append(1)
        if len(looked) == 1:
            payer.devnet.connection.request("anvil_dropTransaction", f"0x{told.hashes[0]}")
        if any("has forgotten" in note for note in told.notes):
            payer.mine()

    monkeypatch.setattr(sending, "sleep", pause)
    receipt = payer.start(told=told).send(payer.account, PAY, 7)
    assert told.hashes == [receipt.tx_hash]
    assert payer.paid == 7


def test_a_number_that_something_else_has_used_is_no_payment(payer: Payer, by_hand) -> None:
    with pytest.raises(NotWaitedError) as sent:
        payer.start(wait="none").send(payer.account, PAY, 7)
    payer.devnet.connection.request("anvil_dropTransaction", f"0x{sent.value.tx_hash}")
    with pytest.raises(NotWaitedError) as other:
        Sender(payer.devnet.connection, policy=Policy(wait="none")).send(payer.account, PAY, 1)
    payer.mine()
    payer.devnet.connection.request("evm_setAutomine", True)
    told = Told()
    payer.start(told=told).send(payer.account, PAY, 7)
    assert f"transaction 0x{other.value.tx_hash} has used its number" in told.notes[0]
    assert payer.paid == 8
    assert [entry.state for entry in payer.journal.entries()] == ["void", "included"]


def test_a_number_that_another_program_has_used_for_the_same_is_a_payment(payer: Payer, by_hand) -> None:
    with pytest.raises(NotWaitedError) as sent:
        payer.start(wait="none").send(payer.account, PAY, 7)
    payer.devnet.connection.request("anvil_dropTransaction", f"0x{sent.value.tx_hash}")
    # A wallet that has the same key makes it faster.
    with pytest.raises(NotWaitedError) as faster:
        Sender(payer.devnet.connection, policy=Policy(wait="none", speed="fast")).send(payer.account, PAY, 7)
    payer.mine()
    payer.devnet.connection.request("evm_setAutomine", True)
    assert faster.value.tx_hash != sent.value.tx_hash
    told = Told()
    sender = payer.start(told=told)
    assert sender.send(payer.account, PAY, 7).tx_hash == faster.value.tx_hash
    assert f"0x{faster.value.tx_hash}" in told.notes[0]
    assert payer.paid == 7
    sender.told()
    payer.start().send(payer.account, PAY, 7)
    assert payer.paid == 14


def test_the_wait_ends_with_what_another_program_sends_for_the_same(payer: Payer, by_hand, monkeypatch) -> None:
    told = Told()
    other: list[str] = []

    def pause(_: float) -> None:
        if not other:
            payer.devnet.connection.request("anvil_dropTransaction", f"0x{told.hashes[0]}")
            with pytest.raises(NotWaitedError) as sent:
                Sender(payer.devnet.connection, policy=Policy(wait="none", speed="fast")).send(payer.account, PAY, 7)
            other.append(sent.value.tx_hash)
            payer.mine()

    monkeypatch.setattr(sending, "sleep", pause)
    receipt = payer.start(told=told).send(payer.account, PAY, 7)
    assert [receipt.tx_hash] == other
    assert payer.paid == 7


def test_a_replacement_by_another_program_ends_the_wait(payer: Payer, by_hand, monkeypatch) -> None:
    told = Told()
    other: list[str] = []

    def pause(_: float) -> None:
        if not other:
            payer.devnet.connection.request("anvil_dropTransaction", f"0x{told.hashes[0]}")
            with pytest.raises(NotWaitedError) as sent:
                Sender(payer.devnet.connection, policy=Policy(wait="none")).send(payer.account, PAY, 1)
            other.append(sent.value.tx_hash)
            payer.mine()

    monkeypatch.setattr(sending, "sleep", pause)
    with pytest.raises(ReplacedError) as failure:
        payer.start(told=told).send(payer.account, PAY, 7)
    assert f"0x{told.hashes[0]}" in failure.value.what
    assert f"0x{other[0]}" in failure.value.why
    assert payer.paid == 1


def test_what_another_process_sends_while_somebody_is_asked_is_not_paid_again(payer: Payer) -> None:
    def agree() -> None:
        payer.start().send(payer.account, PAY, 7)

    with pytest.raises(LlamafundError, match="sent meanwhile by the same command"):
        payer.start().send(payer.account, PAY, 7, agree=agree)
    assert payer.paid == 7


def test_a_reverted_transaction_is_no_reason_not_to_try_again(payer: Payer) -> None:
    sender = payer.start()
    sender.send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    payer.journal.change(entry, state="signed", block=None, block_hash="")

    def reverted(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getTransactionReceipt" and f"0x{entry.tx_hash}" in request["params"]:
            answer["result"]["status"] = "0x0"
        return answer

    told = Told()
    with FaultyNode(payer.devnet.rpc_url, reverted) as node:
        payer.start(node.url, told=told).send(payer.account, PAY, 7)
    assert "reverted: only its fee was spent" in told.notes[0]
    assert payer.journal.entries()[0].state == "failed"


def test_nodes_without_pending_get_a_number_after_what_waits(payer: Payer, by_hand) -> None:
    def old(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if "pending" in request["params"]:
            request = {**request, "params": ["latest" if one == "pending" else one for one in request["params"]]}
        return forward(request)

    with FaultyNode(payer.devnet.rpc_url, old) as node:
        for amount in (1, 2, 3):
            with pytest.raises(NotWaitedError):
                payer.start(node.url, wait="none").send(payer.account, PAY, amount)
    payer.mine()
    assert payer.paid == 6


# ------------------------------------------------------------ receipts and blocks


@pytest.mark.parametrize("missing", ["status", "gasUsed", "blockNumber"])
def test_a_receipt_without_what_it_must_say_names_the_hash(payer: Payer, missing: str, monkeypatch) -> None:
    def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getTransactionReceipt" and answer["result"]:
            answer["result"].pop(missing)
        return answer

    with monkeypatch.context() as patch, FaultyNode(payer.devnet.rpc_url, fault) as node:
        patch.setattr(sending, "LATE_SECONDS", -1.0)
        patch.setattr("llamafund_chain.chain.transactions.RECEIPT_TIMEOUT", 0.0)
        with pytest.raises(LlamafundError) as failure:
            payer.start(node.url).send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    assert f"0x{entry.tx_hash}" in failure.value.what
    assert isinstance(failure.value, NodeUnreachableError | NotFinalError)
    assert payer.start().send(payer.account, PAY, 7).tx_hash == entry.tx_hash
    assert payer.paid == 7


def test_a_receipt_without_a_price_costs_what_its_block_says(payer: Payer) -> None:
    def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getTransactionReceipt" and answer["result"]:
            answer["result"].pop("effectiveGasPrice")
        return answer

    before = payer.devnet.connection.balance(payer.account.address)
    with FaultyNode(payer.devnet.rpc_url, fault) as node:
        receipt = payer.start(node.url).send(payer.account, PAY, 7)
    assert payer.devnet.connection.balance(payer.account.address) == before - 7 - receipt.fee


@pytest.mark.parametrize("forgotten", ["receipts", "blocks"])
def test_what_was_told_stays_told_where_a_node_knows_it_no_more(payer: Payer, forgotten: str) -> None:
    sender = payer.start()
    sender.send(payer.account, PAY, 7)
    sender.told()
    (entry,) = payer.journal.entries()

    def forgets(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer, words = forward(request), request["params"]
        of_it = f"0x{entry.tx_hash}" in words or (forgotten == "blocks" and hex(entry.block) in words)
        old_state = request["method"] == "eth_getTransactionCount" and words[1] != "latest"
        return answer | {"result": None} if of_it or old_state else answer

    told = Told()
    with FaultyNode(payer.devnet.rpc_url, forgets) as node:
        fate = payer.start(node.url, told=told).fate(entry)
    assert fate.words == "is in a block, but the node does not show its receipt"
    assert told.notes == []
    assert payer.journal.entries() == [entry]
    payer.start().send(payer.account, PAY, 7)
    assert payer.paid == 14


@pytest.mark.parametrize("wait", [2, "safe", "finalized"])
def test_as_settled_as_somebody_wants_it(payer: Payer, wait: Any, monkeypatch) -> None:
    monkeypatch.setattr(sending, "sleep", lambda _: payer.mine())
    receipt = payer.start(wait=wait).send(payer.account, PAY, 7)
    connection = payer.devnet.connection
    assert connection.block().number > receipt.block
    if isinstance(wait, str):
        assert connection.block(wait).number >= receipt.block
        (entry,) = payer.journal.entries()
        fate = settled(connection, fate_of(payer.start().outbox, entry))
        assert fate.words.startswith(f"is in block {receipt.block}, which is")


def test_what_is_not_settled_in_time_has_happened_all_the_same(payer: Payer, monkeypatch) -> None:
    monkeypatch.setattr(sending, "SETTLE_TIMEOUT", 0.0)
    with pytest.raises(NotFinalError, match=r"is in block \d+, but not 9 blocks deep yet.*It has done what it should"):
        payer.start(wait=9).send(payer.account, PAY, 7)
    assert payer.paid == 7


def test_a_node_that_is_behind_has_undone_nothing(payer: Payer) -> None:
    before = payer.devnet.snapshot()
    sender = payer.start()
    sender.send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    payer.devnet.revert(before)
    told = Told()
    assert payer.start(told=told).fate(entry).kind in ("missing", "pending")
    assert "it is behind, or undid the block" in told.notes[0]


def test_a_block_that_is_undone_is_told_and_the_payment_waited_for(payer: Payer) -> None:
    connection = payer.devnet.connection
    sender = payer.start()
    first = sender.send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    payer.mine()
    connection.request("anvil_reorg", 2, [])
    told = Told()
    fate = payer.start(told=told).fate(entry)
    assert fate.kind in ("missing", "pending")
    assert f"Block {first.block}" in told.notes[0]
    assert "was undone" in told.notes[0]
    assert payer.journal.entries()[0].state == "signed"
    again = payer.start(told=told).send(payer.account, PAY, 7)
    assert again.tx_hash == first.tx_hash
    assert payer.paid == 7


# --------------------------------------------------------------- fees and rivals


def test_slow_pays_less_than_normal_and_fast_pays_more(payer: Payer) -> None:
    fees = []
    for speed in ("slow", "normal", "fast"):
        with pytest.raises(DryRunError) as dry:
            payer.start(speed=speed, dry_run=True).send(payer.account, PAY, 7)
        fees.append(dry.value.preview.fees)
    assert fees[0].highest < fees[1].highest < fees[2].highest
    assert fees[0].tip <= fees[1].tip <= fees[2].tip


@pytest.mark.parametrize("speed", ["slow", "normal", "fast"])
def test_a_chain_without_a_fee_market_is_paid_by_gas_price(payer: Payer, speed: str) -> None:
    def old(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getBlockByNumber" and answer["result"]:
            answer["result"].pop("baseFeePerGas", None)
        return answer

    with FaultyNode(payer.devnet.rpc_url, old) as node:
        receipt = payer.start(node.url, speed=speed).send(payer.account, PAY, 7)
    sent = payer.devnet.connection.request("eth_getTransactionByHash", f"0x{receipt.tx_hash}")
    assert sent["type"] == "0x0"
    assert payer.paid == 7


def test_a_limit_on_the_fee_is_kept_or_refused(payer: Payer) -> None:
    with pytest.raises(DryRunError) as free:
        payer.start(dry_run=True).send(payer.account, PAY, 7)
    limit = free.value.preview.highest_fee * 3 // 4
    with pytest.raises(DryRunError) as dry:
        payer.start(dry_run=True, max_fee=limit).send(payer.account, PAY, 7)
    assert dry.value.preview.highest_fee <= limit
    with pytest.raises(LlamafundError, match="the limit of --max-fee"):
        payer.start(max_fee=1).send(payer.account, PAY, 7)
    assert payer.journal.entries() == []


@pytest.mark.parametrize("fault", [lost_on_the_way, refused("some new words")])
def test_a_second_start_keeps_the_limit_on_the_fee(payer: Payer, fault) -> None:
    with FaultyNode(payer.devnet.rpc_url, sends(fault)) as node, pytest.raises(LlamafundError):
        payer.start(node.url, speed="fast").send(payer.account, PAY, 7)
    (first,) = payer.journal.entries()
    limit = first.gas * first.highest * 2 // 3
    told = Told()
    payer.start(told=told, max_fee=limit).send(payer.account, PAY, 7)
    second = payer.journal.entries()[-1]
    assert (second.id != first.id, second.nonce) == (True, first.nonce)
    assert second.gas * second.highest <= limit
    assert [preview.fees.highest for preview in told.previews] == [second.highest]
    assert payer.paid == 7


def test_nobody_has_to_wait_for_what_is_in_a_block(payer: Payer) -> None:
    with pytest.raises(NotWaitedError) as sent:
        payer.start(wait="none").send(payer.account, PAY, 7)
    payer.mine()
    sender = payer.start(wait="none")
    assert sender.send(payer.account, PAY, 7).tx_hash == sent.value.tx_hash
    sender.told()
    with pytest.raises(NotWaitedError):
        payer.start(wait="none").send(payer.account, PAY, 7)
    assert payer.paid == 14


def test_what_waits_is_made_faster_and_paid_once(payer: Payer, by_hand) -> None:
    with pytest.raises(NotWaitedError):
        payer.start(wait="none").send(payer.account, PAY, 7)
    (slow,) = payer.journal.entries()
    sender = payer.start(wait="none")
    with pytest.raises(NotWaitedError) as fast:
        sender.replace(payer.account, slow, cancel=False)
    assert fast.value.tx_hash != slow.tx_hash
    payer.mine()
    # The first start's command finds the replacement, too.
    assert payer.start().send(payer.account, PAY, 7).tx_hash == fast.value.tx_hash
    assert payer.paid == 7


def test_what_is_cancelled_pays_nothing(payer: Payer, by_hand, monkeypatch) -> None:
    with pytest.raises(NotWaitedError):
        payer.start(wait="none").send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    monkeypatch.setattr(sending, "sleep", lambda _: payer.mine())
    sender = payer.start()
    sender.replace(payer.account, entry, cancel=True)
    assert sender.fate(entry).kind == "replaced"
    assert payer.paid == 0
    assert payer.journal.entries()[0].state == "void"


def test_a_cancellation_that_comes_too_late_says_so_and_accuses_nobody(payer: Payer, by_hand, monkeypatch) -> None:
    with pytest.raises(NotWaitedError):
        payer.start(wait="none").send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    sender = payer.start()
    monkeypatch.setattr(sender.outbox, "transmit", lambda _: payer.mine())
    with pytest.raises(ReplacedError) as failure:
        sender.replace(payer.account, entry, cancel=True)
    assert failure.value.what == f"Transaction 0x{entry.tx_hash} is not cancelled: a block includes it"
    assert "the same key" not in str(failure.value)
    assert payer.paid == 7


@pytest.mark.parametrize("takes_gaps", [True, False])
def test_a_number_that_others_must_come_before_blocks_nobody(
    payer: Payer, by_hand, monkeypatch, takes_gaps: bool
) -> None:
    for value in (7, 8):
        with pytest.raises(NotWaitedError):
            payer.start(wait="none").send(payer.account, PAY, value)
    payer.devnet.connection.request("anvil_dropAllTransactions")
    payer.devnet.connection.request("evm_setAutomine", True)

    def gap(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        after = payer.devnet.connection.nonce(payer.account.address, "latest") == 0
        return said(request, Said("", 200, -32000, "nonce too high")) if after and not takes_gaps else forward(request)

    told = Told()
    with monkeypatch.context() as patch, FaultyNode(payer.devnet.rpc_url, sends(gap)) as node:
        patch.setattr("llamafund_chain.chain.transactions.RECEIPT_TIMEOUT", 0.0)
        with pytest.raises(LlamafundError):
            payer.start(node.url, told=told).send(payer.account, PAY, 8)
    assert any("no transaction with number 0" in note for note in told.notes)
    assert payer.paid == 0
    payer.start(again=True).send(payer.account, PAY, 8)
    assert payer.paid == (16 if takes_gaps else 8)
    assert {entry.nonce for entry in payer.journal.entries() if entry.value == 8} == {0, 1}


def test_the_wait_for_what_is_cancelled_elsewhere_ends(payer: Payer, by_hand, monkeypatch) -> None:
    told = Told()
    cancelled: list[str] = []

    def pause(_: float) -> None:
        if not cancelled:
            (entry,) = payer.journal.entries()
            with pytest.raises(NotWaitedError) as sent:
                payer.start(wait="none").replace(payer.account, entry, cancel=True)
            cancelled.append(sent.value.tx_hash)
            payer.mine()

    monkeypatch.setattr(sending, "sleep", pause)
    with pytest.raises(ReplacedError, match="will never be included"):
        payer.start(told=told).send(payer.account, PAY, 7)
    assert payer.paid == 0


def test_a_restarted_chain_knows_nothing_of_the_one_before(payer: Payer) -> None:
    payer.start().send(payer.account, PAY, 7)
    (entry,) = payer.journal.entries()
    payer.journal.change(entry, genesis="ab" * 32)
    payer.start().send(payer.account, PAY, 7)
    assert payer.paid == 14


def test_a_revert_that_is_foreseen_leaves_no_trace(payer: Payer) -> None:
    token = payer.devnet.deploy_token()
    transfer = bytes.fromhex("a9059cbb") + bytes(12) + bytes.fromhex(NOBODY[2:]) + (5).to_bytes(32, "big")
    with pytest.raises(ContractRefusedError):
        payer.start().send(payer.account, Call(token, transfer))
    assert payer.journal.entries() == []


# ------------------------------------------------------ signers that send themselves


def signer_of(payer: Payer, send: Callable[[Any], str]) -> Any:
    """A signer that hands out no signed transaction, and sends as it is told."""
    from llamafund_chain.chain.outside import SendsOnlyError
    from llamafund_chain.chain.signers import RemoteAccount

    class Wallet(RemoteAccount):
        def __init__(self) -> None:
            self._address = payer.account.address

        def sign_transaction(self, transaction_dict: Any, blobs: Any = None) -> Any:
            raise SendsOnlyError

        def require_chain(self, chain_id: int) -> None:
            pass

        def send_transaction(self, transaction_dict: Any) -> str:
            return send(payer.account.sign_transaction(dict(transaction_dict)))

    return Wallet()


def test_a_signer_that_sends_itself_is_in_the_journal(payer: Payer) -> None:
    def send(signed: Any) -> str:
        (entry,) = payer.journal.entries()
        assert (entry.tx_hash, entry.nonce) == ("", 0)
        payer.devnet.connection.request("eth_sendRawTransaction", f"0x{bytes(signed.raw_transaction).hex()}")
        return bytes(signed.hash).hex()

    told = Told()
    receipt = payer.start(told=told).send(signer_of(payer, send), PAY, 7)
    assert told.hashes == [receipt.tx_hash] == [entry.tx_hash for entry in payer.journal.entries()]


def test_a_signer_that_sent_but_did_not_say_so_pays_once(payer: Payer) -> None:
    def send(signed: Any) -> str:
        payer.devnet.connection.request("eth_sendRawTransaction", f"0x{bytes(signed.raw_transaction).hex()}")
        raise NodeUnreachableError("gone")

    with pytest.raises(NodeUnreachableError, match="may or may not have sent it"):
        payer.start().send(signer_of(payer, send), PAY, 7)
    receipt = payer.start().send(signer_of(payer, send), PAY, 7)
    assert receipt.succeeded
    assert payer.paid == 7


def test_a_signer_that_may_have_sent_is_not_asked_again_without_a_word(payer: Payer) -> None:
    def send(signed: Any) -> str:
        raise NodeUnreachableError("gone")

    with pytest.raises(NodeUnreachableError):
        payer.start().send(signer_of(payer, send), PAY, 7)
    with pytest.raises(LlamafundError, match=r"may have paid already.*--again"):
        payer.start().send(payer.account, PAY, 7)
    assert payer.paid == 0
    payer.start(again=True).send(payer.account, PAY, 7)
    assert payer.paid == 7


def test_a_signer_that_declines_has_sent_nothing(payer: Payer) -> None:
    def send(signed: Any) -> str:
        raise LlamafundError("declined")

    with pytest.raises(LlamafundError, match="declined"):
        payer.start().send(signer_of(payer, send), PAY, 7)
    payer.start().send(payer.account, PAY, 7)
    assert payer.paid == 7
