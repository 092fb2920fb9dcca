"""Headers whose hash is recomputed: real ones of many times, changed ones, and ones with fields of other chains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.header_book import HeaderBook, read_headers
from llamafund_chain.chain.headers import HASHED, bloom_bits, broken_link, read_header
from llamafund_chain.errors import NodeUnreachableError

# The first block of Ethereum, of the time before London.
GENESIS = {
    "hash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
    "parentHash": "0x" + "00" * 32,
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x" + "00" * 20,
    "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
    "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "logsBloom": "0x" + "00" * 256,
    "difficulty": "0x400000000",
    "number": "0x0",
    "gasLimit": "0x1388",
    "gasUsed": "0x0",
    "timestamp": "0x0",
    "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
    "mixHash": "0x" + "00" * 32,
    "nonce": "0x0000000000000042",
    "totalDifficulty": "0x400000000",
    "size": "0x21c",
    "transactions": [],
    "uncles": [],
}


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    """A header as a node of today gives it."""
    with Devnet(hardfork="prague") as chain:
        answer: dict[str, Any] = chain.connection.request("eth_getBlockByNumber", "0x1", False)
        return answer


def test_the_first_block_of_ethereum_has_its_hash() -> None:
    header = read_header(GENESIS, "node")

    assert header.check == "recomputed"
    assert (header.number, header.timestamp) == (0, 0)


@pytest.mark.parametrize("hardfork", ["london", "paris", "shanghai", "cancun", "prague", "osaka"])
def test_blocks_of_every_upgrade_have_their_hashes_and_are_linked(hardfork: str) -> None:
    with Devnet(hardfork=hardfork, deploy=False) as chain:
        chain.advance(10)
        headers = read_headers(chain.connection, range(chain.connection.block().number + 1))

    assert len(headers) > 3
    assert {header.check for header in headers} == {"recomputed"}
    assert broken_link(headers) is None
    cut = [headers[0], replace(headers[1], hash="ab" * 32), *headers[2:]]
    assert broken_link(cut) == (cut[1], cut[2])
    assert broken_link([headers[0], headers[2]]) is None


def test_every_changed_field_is_noticed(raw) -> None:
    assert read_header(raw, "node").check == "recomputed"
    names = [name for name in HASHED if name in raw]
    assert HASHED[: len(names)] == tuple(names)
    for name in names:
        value = raw[name]
        changed = value[:-1] + ("1" if value[-1] != "1" else "2") if len(value) > 2 else "0x01"
        assert read_header({**raw, name: changed}, "node").check == "different", name


def test_a_field_that_we_do_not_know_or_that_is_missing_cannot_be_told(raw) -> None:
    changed = {**raw, "gasUsed": "0x77"}

    assert read_header({**changed, "l1BatchNumber": "0x1"}, "node").check == "unknown"
    # As the hash fits, a field of another chain is no part of it.
    assert read_header({**raw, "l1BlockNumber": "0x1"}, "node").check == "recomputed"
    assert read_header({**changed, "blockAccessListHash": "0x" + "11" * 32}, "node").check == "unknown"
    kept = read_header({**changed, "l1BatchNumber": "0x1", "odd": ["0x1"]}, "node").fields
    assert (kept["l1BatchNumber"], "odd" in kept) == ("0x1", False)
    # Whoever reads what was kept comes to the same.
    assert read_header({**kept, "hash": raw["hash"]}, "node").check == "unknown"
    without = {name: value for name, value in raw.items() if name != "mixHash"}
    assert read_header(without, "node").check == "unknown"
    assert read_header({**raw, "mixHash": None}, "node").randomness == ""


def test_the_fields_of_the_upgrade_to_come_are_hashed_after_the_others(raw) -> None:
    coming = {**raw, "blockAccessListHash": "0x" + "11" * 32, "slotNumber": "0x0"}
    numbers = (
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "baseFeePerGas",
        "blobGasUsed",
        "excessBlobGas",
    )
    values = [
        int(coming[name], 16).to_bytes((int(coming[name], 16).bit_length() + 7) // 8, "big")
        if name in (*numbers, "slotNumber")
        else bytes.fromhex(coming[name][2:])
        for name in HASHED
    ]
    coming["hash"] = f"0x{keccak(rlp.encode(values)).hex()}"

    assert read_header(coming, "node").check == "recomputed"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", "7"),
        ("number", 7),
        ("number", None),
        ("timestamp", "0x" + "f" * 65),
        ("timestamp", "0xzz"),
        ("parentHash", "0x1234"),
        ("hash", None),
        ("hash", "0x" + "gg" * 32),
        ("logsBloom", "0x00"),
        ("extraData", "0x" + "00" * 5000),
        ("miner", []),
    ],
)
def test_what_is_no_header_is_the_nodes_nonsense(raw, name: str, value: Any) -> None:
    with pytest.raises(NodeUnreachableError, match="a header"):
        read_header({**raw, name: value}, "node")


def test_an_answer_about_another_block_is_refused(devnet, node) -> None:
    def other(method: str, params: tuple[Any, ...], forward: Any) -> Any:
        answer = forward()
        return {**answer, "number": "0x7"} if method == "eth_getBlockByNumber" else answer

    connection = devnet.connection
    node(other)

    with pytest.raises(NodeUnreachableError, match="block 7 when asked for block 1"):
        read_headers(connection, [1])


def test_each_header_is_read_once(devnet, node) -> None:
    asked: list[str] = []

    def count(method: str, params: tuple[Any, ...], forward: Any) -> Any:
        asked.append(params[0])
        return forward()

    connection = devnet.connection
    node(count)
    book = HeaderBook(connection)
    book.fetch([1, 0, 1])

    assert (book.at(1).number, book.time_of(0) > 0) == (1, True)
    assert asked == ["0x0", "0x1"]
    assert [header.number for header in book.all] == [0, 1]


@given(items=st.lists(st.binary(min_size=20, max_size=32), max_size=8), other=st.binary(min_size=20, max_size=32))
def test_a_filter_never_denies_what_is_in_it(items: list[bytes], other: bytes) -> None:
    bloom = 0
    for item in items:
        bloom |= bloom_bits(item)
    header = replace(read_header(GENESIS, "node"), bloom=bloom)

    assert header.may_hold(*items)
    assert header.may_hold(other) == (bloom & bloom_bits(other) == bloom_bits(other))
    assert 1 <= bloom_bits(other).bit_count() <= 3
