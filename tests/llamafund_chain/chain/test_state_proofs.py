"""Proofs from a real chain hold; whatever is changed about them does not. Tries that are built have real roots."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import rlp
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.header_book import read_headers
from llamafund_chain.chain.receipts import read_receipts
from llamafund_chain.chain.state_proofs import (
    EMPTY_CODE,
    EMPTY_ROOT,
    NO_ACCOUNT,
    Nodes,
    ProofError,
    find,
    prove_account,
    prove_word,
    root_of,
    take_in,
)

ADDRESS = "0x" + "c0de" * 10
SLOTS = [0, 1, 2, 3, 7, 2**255, 2**256 - 1]


@pytest.fixture(scope="module")
def proven() -> tuple[bytes, dict[str, Any], dict[int, int]]:
    """A state root, a proof of a contract with many words, and what they are."""
    with Devnet(deploy=False) as chain:
        connection = chain.connection
        connection.request("anvil_setCode", ADDRESS, "0x6000")
        connection.request("anvil_setBalance", ADDRESS, hex(10**18 + 7))
        words = {slot: slot * 7 + 1 for slot in (0, 1, 3)} | {number: number for number in range(100, 160)}
        for slot, value in words.items():
            connection.request("anvil_setStorageAt", ADDRESS, f"0x{slot:064x}", f"0x{value:064x}")
        chain.advance(1)
        (header,) = read_headers(connection, [connection.block().number])
        answer = connection.request("eth_getProof", ADDRESS, [f"0x{slot:064x}" for slot in SLOTS], hex(header.number))
        assert header.state_root is not None
        return header.state_root, answer, words


def prove(root: bytes, answer: Any) -> tuple[Any, list[int]]:
    nodes = Nodes()
    said = take_in(answer, ADDRESS, SLOTS, nodes, nodes)
    account = prove_account(root, ADDRESS, nodes)
    words = [prove_word(account.storage_root, slot, nodes) for slot in SLOTS]
    if words != list(said.values()):
        raise ProofError("other values")
    return account, words


def test_a_real_proof_proves_what_is_there_and_what_is_not(proven) -> None:
    root, answer, words = proven

    account, found = prove(root, answer)

    assert (account.balance, account.nonce) == (10**18 + 7, 0)
    assert account.code_hash == keccak(b"\x60\x00")
    assert found == [words.get(slot, 0) for slot in SLOTS]


def test_an_account_that_is_not_there_is_proven_to_be_empty(devnet) -> None:
    connection = devnet.connection
    nobody = "0x" + "0d" * 20
    (header,) = read_headers(connection, [connection.block().number])
    answer = connection.request("eth_getProof", nobody, [], hex(header.number))
    nodes = Nodes()
    take_in(answer, nobody, [], nodes, nodes)

    assert header.state_root is not None
    assert prove_account(header.state_root, nobody, nodes) == NO_ACCOUNT
    with pytest.raises(ProofError, match="lacks the node"):
        prove_account(header.state_root, nobody, Nodes())
    assert prove_account(EMPTY_ROOT, ADDRESS, Nodes()) == NO_ACCOUNT
    assert (NO_ACCOUNT.storage_root, NO_ACCOUNT.code_hash) == (EMPTY_ROOT, EMPTY_CODE)
    assert prove_word(EMPTY_ROOT, 5, Nodes()) == 0


@given(data=st.data())
@settings(max_examples=300)
def test_no_changed_proof_proves_anything_else(proven, data) -> None:
    root, honest, _ = proven
    answer = copy.deepcopy(honest)
    lists = [answer["accountProof"], *(one["proof"] for one in answer["storageProof"])]
    proof = data.draw(st.sampled_from([one for one in lists if one]))
    place = data.draw(st.integers(0, len(proof) - 1))
    how = data.draw(st.sampled_from(["byte", "cut", "drop", "value", "swap", "twice"]))
    if how == "byte":
        node = bytearray.fromhex(proof[place][2:])
        node[data.draw(st.integers(0, len(node) - 1))] ^= data.draw(st.integers(1, 255))
        proof[place] = f"0x{node.hex()}"
    elif how == "cut":
        proof[place] = proof[place][: 2 * data.draw(st.integers(1, len(proof[place]) // 2 - 1))]
    elif how == "drop":
        del proof[place]
    elif how == "value":
        one = data.draw(st.sampled_from(answer["storageProof"]))
        one["value"] = hex(int(one["value"], 16) ^ data.draw(st.integers(1, 2**256 - 1)))
    elif how == "swap":
        proof.reverse()
    else:
        proof.append(proof[place])

    try:
        changed = prove(root, answer)
    except ProofError:
        return
    # Another order, or nodes that another proof has too, change nothing.
    assert changed == prove(root, honest)
    assert how != "value"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: answer.pop("accountProof"),
        lambda answer: answer.update(accountProof="0x"),
        lambda answer: answer.update(accountProof=[1]),
        lambda answer: answer.update(accountProof=["0xzz"]),
        lambda answer: answer.update(accountProof=["0x00"] * 66),
        lambda answer: answer.update(accountProof=["0x" + "00" * 2000]),
        lambda answer: answer.update(address="0x" + "11" * 20),
        lambda answer: answer.update(storageProof=None),
        lambda answer: answer["storageProof"].pop(),
        lambda answer: answer["storageProof"].reverse(),
        lambda answer: answer["storageProof"][0].update(key="0x9"),
        lambda answer: answer["storageProof"][0].update(value="much"),
        lambda answer: answer["storageProof"].__setitem__(0, "0x"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(proven, spoil) -> None:
    root, honest, _ = proven
    answer = copy.deepcopy(honest)
    spoil(answer)

    with pytest.raises(ProofError):
        prove(root, answer)


def trie_of(node: Any) -> tuple[bytes, Nodes]:
    """A trie whose root is this node, which may be anything: whoever makes up a header chooses its root."""
    data = node if isinstance(node, bytes) else rlp.encode(node)
    nodes = Nodes()
    nodes.add([f"0x{data.hex()}"])
    return keccak(data), nodes


@pytest.mark.parametrize(
    "node",
    [
        b"\xff",
        [b"", b"", b""],
        [b"\x40", b"value"],
        [b"", b"value"],
        [b"\x00", b"short"],
        [b"\x20" + b"\x11" * 32, [b"a list"]],
        [b"\x00"] * 17,
    ],
)
def test_nodes_that_make_no_sense_are_refused_or_end_the_path(node: Any) -> None:
    root, nodes = trie_of(node)

    with pytest.raises(ProofError):
        find(root, b"\x11" * 32, nodes)


def test_lists_in_lists_without_end_are_refused() -> None:
    data = b"\xc0"
    while len(data) < 1000:
        size = len(data)
        head = (
            bytes([0xC0 + size])
            if size < 56
            else (b"\xf8" if size < 256 else b"\xf9") + size.to_bytes(1 if size < 256 else 2, "big")
        )
        data = head + data
    root, nodes = trie_of(data)

    with pytest.raises(ProofError):
        find(root, b"\x11" * 32, nodes)


def test_a_path_that_goes_in_circles_ends() -> None:
    # No node can name itself, but embedded ones can be many.
    here: Any = [b"\x20", b"v"]
    for _ in range(30):
        here = [b"\x11", here]
    root, nodes = trie_of(here)

    assert find(root, b"\x22" * 32, nodes) is None


@given(values=st.lists(st.binary(min_size=1, max_size=80), max_size=300))
@settings(max_examples=30)
def test_each_entry_of_a_trie_that_was_built_is_found_from_its_root(values: list[bytes]) -> None:
    root = root_of(values)
    if not values:
        assert root == EMPTY_ROOT
        return
    nodes = Nodes()
    for node in built_nodes(values):
        nodes.add([f"0x{node.hex()}"])

    for index in {0, len(values) // 2, len(values) - 1}:
        assert find(root, rlp.encode(index), nodes) == values[index]
    assert find(root, rlp.encode(len(values)), nodes) is None


def built_nodes(values: list[bytes]) -> list[bytes]:
    """The nodes of the trie, which are encoded on the way to its root."""
    seen: list[bytes] = []
    encode = rlp.encode

    def spy(item: Any, *args: Any, **more: Any) -> bytes:
        data: bytes = encode(item, *args, **more)
        if isinstance(item, list) and len(data) <= 1024:
            seen.append(data)
        return data

    rlp.encode = spy
    try:
        root_of(values)
    finally:
        rlp.encode = encode
    return seen


def test_the_receipts_of_real_blocks_have_the_roots_of_their_headers() -> None:
    with Devnet(hardfork="prague") as chain:
        connection = chain.connection
        connection.request("evm_setAutomine", False)
        accounts = connection.request("eth_accounts")
        # Of three types, with one nonce after the other, so that all fit into one block.
        fees = ({"gasPrice": hex(10**11)}, {"maxFeePerGas": hex(10**11), "maxPriorityFeePerGas": hex(10**11)})
        for number in range(140):
            more = {**fees[number % 2], **({"accessList": [], "gasPrice": hex(10**11)} if number % 4 == 0 else {})}
            transaction = {"from": accounts[0], "to": accounts[1], "value": "0x1", "gas": "0x7530", **more}
            connection.request("eth_sendTransaction", transaction)
        connection.request("evm_mine")
        numbers = range(1, connection.block().number + 1)
        found = list(read_receipts(connection, read_headers(connection, numbers), ()))

    assert {one.check for one in found} == {"recomputed"}
    assert max(len(one.encoded) for one in found) > 127
