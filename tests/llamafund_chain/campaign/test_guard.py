"""The guard against a griefer, a dear chain and a node that lies, on a real chain with real content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils import keccak
from faulty_node import FaultyNode
from hexbytes import HexBytes

from llamafund_chain.campaign import challenges
from llamafund_chain.campaign.answering import STUCK_BLOCKS
from llamafund_chain.campaign.challenges import Prover, challenges_on
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.guard import Answer, Guard, Opened, Unanswered
from llamafund_chain.campaign.terms import Status
from llamafund_chain.chain import transactions
from llamafund_chain.chain.connection import connect
from llamafund_chain.chain.node import Node, Question
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, NotFinalError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ETHER = 10**18
GWEI = 10**9


@pytest.fixture
def keeper(devnet) -> LocalAccount:
    """Whose wallet the guard uses."""
    account: LocalAccount = Account.from_key((31).to_bytes(32, "big"))
    devnet.fund(account.address, 100 * ETHER)
    return account


@pytest.fixture
def by_hand(devnet) -> Iterator[None]:
    """Blocks come only when a test asks for them."""
    devnet.connection.request("evm_setAutomine", False)
    yield
    devnet.connection.request("evm_setAutomine", True)


def challenge(stage, *chunks: int, bond: int = ETHER) -> None:
    attestation = stage.client.latest_attestation()
    for chunk in chunks:
        stage.client.challenge(stage.backers[0], attestation, chunk, bond)


def guard_of(stage, account: LocalAccount | None, **more: object) -> Guard:
    return Guard(stage.client, account, [stage.run.store], **more)


def mine(stage) -> None:
    stage.devnet.connection.request("evm_mine")


def answered(outcomes) -> list[int]:
    return [outcome.challenge.chunk for outcome in outcomes if isinstance(outcome, Answer)]


def problems(outcomes) -> list[str]:
    return [str(outcome.problem) for outcome in outcomes if isinstance(outcome, Unanswered)]


class Mempool:
    """A pool as most nodes keep it: what is not included waits, and counts in the pending nonce. Nothing is mined."""

    def __init__(self) -> None:
        self.raw: list[str] = []
        self.base_fee: int | None = None

    def __call__(self, method: str, params: tuple[str, ...], forward):
        if method == "eth_sendRawTransaction":
            self.raw.append(params[0])
            return f"0x{keccak(hexstr=params[0]).hex()}"
        if method == "eth_getTransactionCount" and params[1] == "pending":
            return hex(max([int(forward(), 16), *(sent["nonce"] + 1 for sent in self.sent)]))
        answer = forward()
        if method == "eth_getBlockByNumber" and self.base_fee is not None:
            # Only told: the chain that all tests share would keep a real one.
            return {**answer, "baseFeePerGas": hex(self.base_fee)}
        return answer

    @property
    def sent(self) -> list[dict]:
        return [decoded(raw) for raw in self.raw]


def decoded(raw: str) -> dict:
    return TypedTransaction.from_bytes(HexBytes(raw)).as_dict()


# ------------------------------------------------------------------ a griefer


def test_a_griefer_who_answers_one_of_its_own_challenges_per_pass_starves_nobody(large, keeper, monkeypatch) -> None:
    chunks = list(range(25))
    challenge(large, *chunks)
    attestation = large.client.latest_attestation()
    proofs = Prover([large.run.store]).prove(attestation, chunks)
    passes: list[int] = []
    prove_content = challenges.prove_content

    def slowly(*arguments: object, **more: object):
        found = prove_content(*arguments, **more)
        passes.append(1)
        large.devnet.advance(3_600)
        (oldest, *_) = large.client.open_challenges()
        large.client.answer(large.backers[0], attestation, proofs[oldest.chunk])
        return found

    monkeypatch.setattr(challenges, "prove_content", slowly)
    outcomes = list(guard_of(large, keeper).settle())
    assert answered(outcomes) == chunks[1:]
    assert len(passes) == 1
    assert (large.client.open_challenges(), large.client.state().status) == ((), Status.ACTIVE)


def test_a_beaten_answer_does_not_keep_the_next_ones_from_being_sent(large, keeper, node) -> None:
    challenge(large, *range(5))
    attestation = large.client.latest_attestation()
    proofs = Prover([large.run.store]).prove(attestation, range(5))
    beaten: list[bool] = []

    def faster(method: str, params: tuple[object, ...], forward):
        if method == "eth_sendRawTransaction" and not beaten:
            beaten.append(True)
            large.client.answer(large.backers[0], attestation, proofs[0])
        return forward()

    node(faster)
    outcomes = list(guard_of(large, keeper).settle())
    assert answered(outcomes) == [1, 2, 3, 4]
    assert "Chunk 1 must be answered first" in " ".join(problems(outcomes))
    assert large.client.open_challenges() == ()


def test_an_answer_that_came_too_late_gives_its_place_to_an_empty_transaction(large, keeper, node) -> None:
    challenge(large, 0)
    pool = Mempool()
    node(pool)
    guard = guard_of(large, keeper)
    list(guard.step())
    node(lambda method, params, forward: forward())
    attestation = large.client.latest_attestation()
    large.client.answer(large.backers[0], attestation, Prover([large.run.store]).prove(attestation, [0])[0])
    outcomes = list(guard.settle())
    assert (answered(outcomes), problems(outcomes)) == ([], [])
    assert guard.under_way == []
    connection = large.devnet.connection
    assert connection.nonce(keeper.address) == 1
    assert 100 * ETHER - connection.balance(keeper.address) < ETHER // 1000


# ---------------------------------------------------------------- many at once


def test_many_answers_go_into_one_block_in_the_order_of_the_challenges(large, keeper, by_hand, devnet) -> None:
    chunks = [7, 3, 0, 64, 5, 1, 2, 9]
    devnet.connection.request("evm_setAutomine", True)
    challenge(large, *chunks)
    devnet.connection.request("evm_setAutomine", False)
    guard = guard_of(large, keeper)
    assert [type(outcome) for outcome in guard.step()] == [Opened] * 8
    assert len(guard.under_way) == 8
    mine(large)
    outcomes = list(guard.step())
    assert answered(outcomes) == chunks
    assert len({outcome.receipt.block for outcome in outcomes}) == 1
    assert guard.under_way == []


def test_no_more_answers_are_under_way_than_nodes_keep_for_one_account(large, keeper, monkeypatch) -> None:
    monkeypatch.setattr("llamafund_chain.campaign.answering.IN_FLIGHT", 3)
    challenge(large, *range(8))
    guard = guard_of(large, keeper)
    large.devnet.connection.request("evm_setAutomine", False)
    try:
        list(guard.step())
        assert len(guard.under_way) == 3
    finally:
        large.devnet.connection.request("evm_setAutomine", True)
    mine(large)
    assert answered(guard.settle()) == list(range(8))


def test_what_an_account_cannot_pay_for_waits_for_the_bonds_of_what_it_can(large, keeper, devnet) -> None:
    challenge(large, *range(6))
    list(guard_of(large, None).step())
    fees = devnet.connection.fees()
    devnet.fund(keeper.address, 900_000 * fees.highest)
    assert answered(guard_of(large, keeper, max_loss=ETHER).settle()) == list(range(6))


def test_an_account_without_money_is_an_error_and_nothing_is_sent(large, keeper, devnet) -> None:
    challenge(large, 0)
    devnet.fund(keeper.address, 5)
    with pytest.raises(LlamafundError, match="Nothing was sent"):
        list(guard_of(large, keeper).settle())


def test_gas_limits_fit_answers_of_any_weight_behind_a_light_one(stage, keeper, node) -> None:
    """The oldest challenge is the only one that can be simulated; here it is the shortest chunk, or one of zeros."""
    stage.honest_until(1)
    stage.run.filling = 1 << 18
    tree = stage.run._tree

    def with_zeros(name: str, text: str):
        (stage.run.folder / "trees" / name).mkdir(parents=True, exist_ok=True)
        (stage.run.folder / "trees" / name / "a-zeros.bin").write_bytes(bytes(1 << 16))
        return tree(name, text)

    stage.run._tree = with_zeros
    attestation = stage.attest(1, stage.run.train(stage.seed, steps=(0,)))
    last = (attestation.content_size - 1) // 16_384
    sent: list[dict] = []

    def listen(method: str, params: tuple[str, ...], forward):
        if method == "eth_sendRawTransaction":
            sent.append(decoded(params[0]))
        return forward()

    for order in ([last, 10, 0], [1, 11, 12]):
        challenge(stage, *order)
        sent.clear()
        node(listen)
        assert answered(guard_of(stage, keeper).settle()) == order
        assert len(sent) == 3
        assert max(one["gas"] for one in sent) <= 1_000_000


# ------------------------------------------------------------ stuck and replaced


def test_a_stuck_answer_is_replaced_under_its_nonce_for_more(large, keeper, node) -> None:
    challenge(large, 0, 1)
    pool = Mempool()
    node(pool)
    guard = guard_of(large, keeper, max_loss=10 * ETHER)
    list(guard.step())
    pool.base_fee = 100 * GWEI
    list(guard.step())
    mine(large)
    list(guard.step())
    list(guard.step())
    first, second = pool.sent[:2], pool.sent[2:]
    assert [one["nonce"] for one in first] == [one["nonce"] for one in second] == [0, 1]
    for old, new in zip(first, second, strict=True):
        assert new["maxFeePerGas"] > 100 * GWEI > old["maxFeePerGas"]
        assert 8 * new["maxPriorityFeePerGas"] >= 9 * old["maxPriorityFeePerGas"]
    node(lambda method, params, forward: forward())
    for raw in pool.raw[2:]:
        large.devnet.connection.request("eth_sendRawTransaction", raw)
    assert answered(guard.settle()) == [0, 1]


def test_an_answer_that_blocks_pass_over_is_offered_for_an_eighth_more(large, keeper, node) -> None:
    challenge(large, 0)
    pool = Mempool()
    node(pool)
    guard = guard_of(large, keeper, max_loss=10 * ETHER)
    for _ in range(2 * STUCK_BLOCKS):
        list(guard.step())
        mine(large)
    old, new = pool.sent
    assert old["nonce"] == new["nonce"]
    assert 8 * new["maxFeePerGas"] >= 9 * old["maxFeePerGas"]


def test_an_answer_that_waits_is_never_paid_for_twice_by_a_guard_that_began_anew(large, keeper, node, devnet) -> None:
    challenge(large, 0)
    pool = Mempool()
    node(pool)
    for _ in range(5):
        list(guard_of(large, keeper, replace=True).step())
    node(lambda method, params, forward: forward())
    assert {one["nonce"] for one in pool.sent} == {0}
    devnet.connection.request("eth_sendRawTransaction", pool.raw[0])
    mine(large)
    assert devnet.connection.nonce(keeper.address) == 1
    assert large.client.open_challenges() == ()


def test_a_refused_replacement_leaves_what_waits_and_bids_more_later(large, keeper, node) -> None:
    challenge(large, 0)
    tips: list[int] = []

    def full(method: str, params: tuple[str, ...], forward):
        if method == "eth_sendRawTransaction":
            tips.append(decoded(params[0])["maxPriorityFeePerGas"])
            if len(tips) < 3:
                raise RpcError(method, -32000, "replacement transaction underpriced", None)
        return forward()

    node(full)
    guard = guard_of(large, keeper, replace=True)
    for _ in range(3 * STUCK_BLOCKS):
        list(guard.step())
        mine(large)
    assert large.client.open_challenges() == ()
    assert tips == sorted(set(tips))


def test_a_persons_wallet_with_transactions_that_wait_answers_nothing(large, keeper, node, untouched) -> None:
    challenge(large, 0)
    node(
        lambda method, params, forward: (
            "0x1" if method == "eth_getTransactionCount" and params[1] == "pending" else forward()
        )
    )
    list(Guard(large.client, None, ()).step())
    with untouched(), pytest.raises(LlamafundError, match="pending transactions"):
        list(guard_of(large, keeper).settle())


def test_a_node_that_vanishes_while_sending_leaves_no_answer_to_be_sent_beside_itself(large, keeper, node) -> None:
    challenge(large, 0, 1)
    gone: list[str] = []
    nonces: list[int] = []

    def vanish(method: str, params: tuple[str, ...], forward):
        result = forward()
        if method == "eth_sendRawTransaction":
            nonces.append(decoded(params[0])["nonce"])
            if nonces == [0, 1]:
                gone.append(result)
                raise NodeUnreachableError("gone")
        return result

    node(vanish)
    guard = guard_of(large, keeper)
    with pytest.raises(NodeUnreachableError):
        list(guard.step())
    assert answered(guard.settle()) == [0, 1]
    assert nonces == [0, 1]


def refusing(node, times: int) -> list[str]:
    """A node that shows the state of another block to so many estimates."""
    refused: list[str] = []

    def mix(method: str, params: tuple[object, ...], forward):
        if method == "eth_estimateGas" and len(refused) < times:
            refused.append(method)
            raise RpcError(method, 3, "execution reverted", "0x")
        return forward()

    node(mix)
    return refused


def test_a_node_that_mixes_the_states_of_two_blocks_is_asked_again(large, keeper, node) -> None:
    challenge(large, 0, 1)
    refused = refusing(node, 2)
    outcomes = list(guard_of(large, keeper).settle())
    assert (answered(outcomes), problems(outcomes), len(refused)) == ([0, 1], [], 2)


def test_a_campaign_that_goes_on_refusing_an_answer_is_told_of(large, keeper, node, untouched) -> None:
    challenge(large, 0)
    refused = refusing(node, 1_000)
    guard = guard_of(large, keeper)
    with untouched(), pytest.raises(LlamafundError, match="reverted"):
        list(guard.settle())
    # Five times it may be the node.
    assert len(refused) == 6


def test_answers_that_never_arrived_are_sent_again_some_blocks_later(large, keeper, node) -> None:
    challenge(large, 0, 1)
    lost: list[str] = []

    def lose(method: str, params: tuple[str, ...], forward):
        if method == "eth_sendRawTransaction" and not lost:
            lost.append(params[0])
            raise NodeUnreachableError("gone")
        return forward()

    node(lose)
    guard = guard_of(large, keeper)
    with pytest.raises(NodeUnreachableError):
        list(guard.step())
    for _ in range(STUCK_BLOCKS):
        mine(large)
    assert answered(guard.settle()) == [0, 1]


def test_waiting_for_answers_ends_with_their_hashes(large, keeper, node, monkeypatch) -> None:
    challenge(large, 0)
    node(Mempool())
    monkeypatch.setattr(transactions, "RECEIPT_TIMEOUT", 0.0)
    guard = guard_of(large, keeper)
    with pytest.raises(NotFinalError, match="not included yet") as failure:
        list(guard.settle())
    assert guard.under_way[0] in str(failure.value)


# --------------------------------------------------------------- what it counts


def counted(guard: Guard) -> int:
    return sum(guard._gains.values())


def test_refused_answers_are_counted_as_spent(large, keeper, node, devnet) -> None:
    """Somebody copies an answer and pays more for it."""
    challenge(large, 0)
    attestation = large.client.latest_attestation()
    proofs = Prover([large.run.store]).prove(attestation, [0])
    before, beaten = devnet.connection.balance(keeper.address), []

    def faster(method: str, params: tuple[object, ...], forward):
        if method == "eth_sendRawTransaction" and not beaten:
            beaten.append(True)
            large.client.answer(large.backers[0], attestation, proofs[0])
        return forward()

    node(faster)
    guard = guard_of(large, keeper)
    assert answered(guard.settle()) == []
    assert counted(guard) == devnet.connection.balance(keeper.address) - before < 0
    # Too low an estimate may be the reason, so it is not used again.
    assert guard._measured == (0, b"")


def test_empty_transactions_are_counted_as_spent(large, keeper, node, devnet) -> None:
    challenge(large, 0)
    before = devnet.connection.balance(keeper.address)
    node(Mempool())
    guard = guard_of(large, keeper)
    list(guard.step())
    node(lambda method, params, forward: forward())
    attestation = large.client.latest_attestation()
    large.client.answer(large.backers[0], attestation, Prover([large.run.store]).prove(attestation, [0])[0])
    list(guard.settle())
    assert counted(guard) == devnet.connection.balance(keeper.address) - before < 0


def test_a_receipt_that_comes_late_is_counted_however_often_it_was_asked_for(large, keeper, node, devnet) -> None:
    challenge(large, 0)
    before, asked = devnet.connection.balance(keeper.address), []

    def late(method: str, params: tuple[object, ...], forward):
        if method == "eth_getTransactionReceipt":
            asked.append(method)
            return forward() if len(asked) > 3 * STUCK_BLOCKS else None
        return forward()

    node(late)
    guard = guard_of(large, keeper)
    assert answered(guard.settle()) == [0]
    assert counted(guard) == devnet.connection.balance(keeper.address) - before


def test_an_answer_without_a_receipt_counts_for_all_that_it_could_cost(large, keeper, node, devnet) -> None:
    challenge(large, 0)
    node(lambda method, params, forward: None if method == "eth_getTransactionReceipt" else forward())
    guard = guard_of(large, keeper)
    list(guard.step())
    (sent,) = guard._under_way.values()
    for _ in range(STUCK_BLOCKS + 2):
        list(guard.step())
        mine(large)
    assert (counted(guard), guard.under_way) == (-sent.waiting.cost, [])


def test_a_bond_that_a_reorganisation_takes_back_is_counted_once(large, keeper, devnet) -> None:
    challenge(large, 0)
    before, held = devnet.snapshot(), devnet.connection.balance(keeper.address)
    guard = guard_of(large, keeper)
    for _ in range(2):
        devnet.revert(before)
        before = devnet.snapshot()
        assert answered(guard.settle()) == [0]
    assert counted(guard) == devnet.connection.balance(keeper.address) - held


def test_a_node_that_drops_answers_does_not_starve_a_guard_that_knows_another_one(large, keeper, devnet) -> None:
    challenge(large, 0)
    dropped: list[str] = []

    def drops(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] != "eth_sendRawTransaction":
            return forward(request)
        dropped.append(request["params"][0])
        return {"jsonrpc": "2.0", "id": request["id"], "result": f"0x{keccak(hexstr=dropped[-1]).hex()}"}

    with FaultyNode(devnet.rpc_url, drops) as first:
        client = CampaignClient(connect(f"{first.url} {devnet.rpc_url}"), large.client.address)
        guard = Guard(client, keeper, [large.run.store])
        for _ in range(STUCK_BLOCKS + 2):
            list(guard.step())
            mine(large)
    assert dropped
    assert large.client.open_challenges() == ()


# ------------------------------------------------------------------------ fees


def test_a_node_that_names_a_tip_beyond_reason_gets_no_more_than_the_bond(large, keeper, node, devnet) -> None:
    challenge(large, 0, 1, bond=ETHER // 10)
    node(lambda method, params, forward: hex(200_000 * GWEI) if method == "eth_maxPriorityFeePerGas" else forward())
    before = devnet.connection.balance(keeper.address)
    assert answered(guard_of(large, keeper).settle()) == [0, 1]
    assert devnet.connection.balance(keeper.address) >= before


def test_gas_that_costs_more_than_the_bonds_bring_is_not_offered(large, keeper, node, untouched) -> None:
    challenge(large, 0, bond=ETHER // 100)

    def heavy(method: str, params: tuple[object, ...], forward):
        if method == "eth_getBlockByNumber":
            return {**forward(), "baseFeePerGas": hex(GWEI)}
        return hex(29_000_000) if method == "eth_estimateGas" else forward()

    node(heavy)
    with untouched():
        outcomes = list(guard_of(large, keeper).settle())
    assert "--max-loss" in problems(outcomes)[0]


def test_an_answer_gets_as_much_gas_as_the_node_estimates(large, keeper, node) -> None:
    """On Arbitrum the data takes several million units of gas."""
    challenge(large, 0)
    pool = Mempool()
    node(
        lambda method, params, forward: hex(5_000_000) if method == "eth_estimateGas" else pool(method, params, forward)
    )
    list(guard_of(large, keeper).step())
    assert 5_500_000 <= pool.sent[0]["gas"] <= 5_600_000


def test_an_answer_that_costs_more_than_it_brings_is_sent_only_when_somebody_says_so(large, keeper, node) -> None:
    attestation = large.client.latest_attestation()
    large.client.challenge(large.backers[0], attestation, 0, large.client.required_bond())
    dear = 1_000 * GWEI
    node(
        lambda method, params, forward: (
            {**forward(), "baseFeePerGas": hex(dear)} if method == "eth_getBlockByNumber" else forward()
        )
    )
    outcomes = list(guard_of(large, keeper).settle())
    assert answered(outcomes) == []
    assert "--max-loss" in problems(outcomes)[0]
    outcomes = list(guard_of(large, keeper, max_loss=5 * ETHER).settle())
    assert answered(outcomes) == [0]


def test_a_rich_bond_pays_for_the_underpaid_answers_that_keep_it_locked(large, keeper, node, devnet) -> None:
    least = large.client.required_bond()
    challenge(large, 0, 1, 2, bond=2 * least)
    before = devnet.connection.balance(keeper.address)

    def dear(method: str, params: tuple[object, ...], forward):
        if method == "eth_getBlockByNumber":
            return {**forward(), "baseFeePerGas": hex(10 * least // 1_250_000)}
        return hex(1) if method == "eth_maxPriorityFeePerGas" else forward()

    node(dear)
    outcomes = list(guard_of(large, keeper).settle())
    assert (answered(outcomes), len(problems(outcomes))) == ([], 1)
    challenge(large, 3, bond=20 * least)
    assert answered(guard_of(large, keeper).settle()) == [0, 1, 2, 3]
    assert devnet.connection.balance(keeper.address) > before


def test_what_earlier_bonds_brought_pays_for_later_answers(large, keeper, node) -> None:
    challenge(large, 0, bond=ETHER)
    guard = guard_of(large, keeper)
    assert answered(guard.settle()) == [0]
    challenge(large, 1, bond=large.client.required_bond())
    node(
        lambda method, params, forward: (
            {**forward(), "baseFeePerGas": hex(100 * GWEI)} if method == "eth_getBlockByNumber" else forward()
        )
    )
    assert answered(guard_of(large, keeper).settle()) == []
    assert answered(guard.settle()) == [1]


def test_a_data_fee_above_the_bond_is_paid_only_when_somebody_says_so(large, keeper, rollup) -> None:
    """On a rollup the data may cost more than all the gas for which the bond pays."""
    challenge(large, 0, bond=large.client.required_bond())
    rollup.fjord(ETHER // 100 // 17_000)
    outcomes = list(guard_of(large, keeper).settle())
    assert answered(outcomes) == []
    assert "may cost 0.01" in problems(outcomes)[0]
    assert answered(guard_of(large, keeper, max_loss=ETHER // 50).settle()) == [0]


def test_an_account_that_cannot_pay_the_data_fee_sends_nothing(large, keeper, rollup, devnet, untouched) -> None:
    challenge(large, 0)
    rollup.fjord(ETHER // 10 // 17_000)
    devnet.fund(keeper.address, ETHER // 20)
    with untouched(), pytest.raises(LlamafundError, match="Nothing was sent"):
        list(guard_of(large, keeper).settle())


def test_on_arbitrum_each_answer_gets_the_gas_of_its_own_data(large, keeper, rollup, node) -> None:
    rollup.arbitrum(l1_price=15 * 10**7, l2_price=10**7)
    last = (large.client.latest_attestation().content_size - 1) // 16_384
    challenge(large, last, 0)
    pool = Mempool()

    def estimate(method: str, params, forward):
        """As Arbitrum's nodes do, with the gas for the data."""
        if method == "eth_estimateGas":
            return hex(int(forward(), 16) + len(bytes.fromhex(params[0]["data"][2:])) * 16 * 15)
        return pool(method, params, forward)

    node(estimate)
    list(guard_of(large, keeper).step())
    short, whole = pool.sent
    assert whole["gas"] > 4_000_000
    for one in (short, whole):
        assert len(one["data"]) * 16 * 15 < one["gas"] < len(one["data"]) * 16 * 15 * 5 // 4 + 700_000


def test_a_data_fee_that_cannot_be_read_is_an_error_that_a_guard_survives(large, keeper, rollup, untouched) -> None:
    challenge(large, 0)
    rollup.unreadable()
    guard = guard_of(large, keeper)
    with untouched(), pytest.raises(LlamafundError, match="could not be told"):
        list(guard.settle())
    rollup.fjord(GWEI)
    assert answered(guard.settle()) == [0]


# -------------------------------------------------------------------- memory


def test_later_proofs_read_only_the_files_that_their_chunks_touch(large, monkeypatch) -> None:
    monkeypatch.setattr("llamafund_chain.evidence.merkle.BLOCK_CHUNKS", 4)
    monkeypatch.setattr("llamafund_chain.evidence.merkle.BLOCK_SIZE", 4 * 16_384)
    monkeypatch.setattr("llamafund_chain.store.content.BLOCK_SIZE", 4 * 16_384)
    attestation = large.client.latest_attestation()
    read: list[int] = []
    prover = Prover([large.run.store], progress=read.append)
    prover.prove(attestation, [0])
    assert sum(read) == attestation.content_size
    read.clear()
    again = prover.prove(attestation, [0, 30, 31])
    assert sum(read) == 1 << 20 < attestation.content_size
    read.clear()
    assert prover.prove(attestation, [31, 30]).keys() == {30, 31}
    assert read == []
    for proof in again.values():
        assert proof.proves(bytes.fromhex(attestation.content_root), attestation.content_size)


def test_no_more_proofs_are_kept_than_memory_is_meant_for(large, monkeypatch) -> None:
    monkeypatch.setattr(challenges, "MAX_PROOFS", 2)
    attestation = large.client.latest_attestation()
    assert Prover([large.run.store]).prove(attestation, [5, 4, 3]).keys() == {5, 4}


def test_a_guard_with_more_challenges_than_it_keeps_proofs_answers_them_all(large, keeper, monkeypatch) -> None:
    monkeypatch.setattr(challenges, "MAX_PROOFS", 2)
    challenge(large, *range(5))
    assert answered(guard_of(large, keeper).settle()) == list(range(5))


def test_what_was_proven_is_answered_though_the_content_has_gone_since(large, keeper, by_hand, devnet) -> None:
    devnet.connection.request("evm_setAutomine", True)
    challenge(large, 0, 1)
    guard = guard_of(large, keeper)
    guard._prover.prove(large.client.latest_attestation(), [0, 1])
    for entry in large.run.checkpoints[-1].files:
        large.run.remove_from_store(entry.cid)
    challenge(large, 2)
    outcomes = list(guard.settle())
    assert answered(outcomes) == [0, 1]
    assert len(problems(outcomes)) == 1


def test_a_long_queue_is_not_read_again_and_again(large, keeper, node) -> None:
    challenge(large, *range(40))
    known = challenges_on(large.client)
    attestation = known.attestation
    proofs = Prover([large.run.store]).prove(attestation, [0, 1])
    for chunk in (0, 1):
        large.client.answer(keeper, attestation, proofs[chunk])
    challenge(large, 50, 51)
    asked: list[str] = []

    def count(method: str, params: tuple[object, ...], forward):
        asked.append(method)
        return forward()

    node(count)
    found = challenges_on(large.client, known=known)
    assert [one.chunk for one in found.queue] == [*range(2, 40), 50, 51]
    assert len(asked) < 30
    assert "eth_getLogs" not in asked
    assert found == challenges_on(large.client)


def test_a_queue_is_read_in_few_round_trips_however_long_it_is(large, monkeypatch) -> None:
    challenge(large, *range(40))
    trips: list[int] = []
    post = Node._post

    def count(node: Node, questions: Sequence[Question], document: Any) -> Any:
        trips.append(len(questions))
        return post(node, questions, document)

    monkeypatch.setattr(Node, "_post", count)
    assert len(challenges_on(large.client).queue) == 40
    first = len(trips)
    known = challenges_on(large.client)
    trips.clear()
    assert challenges_on(large.client, known=known) == known
    assert (first < 10, len(trips) <= 6) == (True, True)


def test_a_queue_that_a_reorganisation_changed_is_read_anew(large) -> None:
    before = large.devnet.snapshot()
    challenge(large, *range(20))
    known = challenges_on(large.client)
    large.devnet.revert(before)
    challenge(large, *range(18), 30)
    found = challenges_on(large.client, known=known)
    assert [one.chunk for one in found.queue] == [*range(18), 30]


def test_a_challenge_of_a_chunk_that_does_not_exist_is_an_error_that_a_guard_survives(large, keeper) -> None:
    attestation = large.client.latest_attestation()
    with pytest.raises(LlamafundError, match="no chunk 999"):
        Prover([large.run.store]).prove(attestation, [999])


def test_a_manifest_whose_files_are_not_at_hand_is_an_error_that_a_guard_survives(large, keeper, monkeypatch) -> None:
    challenge(large, 0)
    monkeypatch.setattr("llamafund_chain.store.content._content", lambda *_: iter(()))
    outcomes = list(guard_of(large, keeper).settle())
    assert "is not whole" in problems(outcomes)[0]
