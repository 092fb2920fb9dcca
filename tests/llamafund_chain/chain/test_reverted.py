"""A contract's refusal is understood whatever client is between."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils import keccak

from llamafund_chain.campaign.refusals import explain
from llamafund_chain.chain.reverted import Reading, revert_data, smallest_units

CAP = keccak(text="Campaign_CapExceeded(uint256,uint256)")[:4] + encode(["uint256", "uint256"], [5, 6])
SAID = bytes.fromhex("08c379a0") + encode(["string"], ["too late"])
HEX, TEXT = f"0x{CAP.hex()}", f"0x{SAID.hex()}"

FORMS: tuple[tuple[str, int, str, Any, bytes], ...] = (
    ("geth", 3, "execution reverted", HEX, CAP),
    ("geth, with a reason", 3, "execution reverted: too late", TEXT, SAID),
    ("geth, without data", -32000, "execution reverted", None, b""),
    ("Erigon", 3, "execution reverted: too late", TEXT, SAID),
    ("Nethermind", -32015, "VM execution error.", f"Reverted {HEX}", CAP),
    ("Nethermind, newer", -32015, "execution reverted", HEX, CAP),
    ("Nethermind, in its message only", -32015, f"VM execution error: Reverted {HEX}", None, CAP),
    ("Nethermind, with nothing", -32015, "VM execution error.", "Reverted 0x", b""),
    ("Besu", -32000, "Execution reverted", HEX, CAP),
    ("Besu, newer", 3, "Execution reverted (too late)", TEXT, SAID),
    (
        "Hardhat",
        -32603,
        "Error: VM Exception while processing transaction: reverted with an unrecognized custom error",
        {"message": "…", "txHash": f"0x{'ab' * 32}", "data": HEX},
        CAP,
    ),
    (
        "Hardhat, in its message only",
        -32603,
        f"VM Exception while processing transaction: reverted with an unrecognized custom error (return data: {HEX})",
        None,
        CAP,
    ),
    ("Hardhat, nested", -32603, "VM Exception: reverted", {"message": "…", "data": {"data": HEX}}, CAP),
    ("anvil", 3, f"execution reverted: custom error {HEX}", HEX, CAP),
    ("anvil, in its message only", 3, f"execution reverted: custom error {HEX}", None, CAP),
    ("ganache 7", -32000, "VM Exception while processing transaction: revert", HEX, CAP),
    (
        "ganache 6",
        -32000,
        "VM Exception while processing transaction: revert",
        {f"0x{'ab' * 32}": {"error": "revert", "program_counter": 7, "return": HEX}, "stack": "…", "name": "o"},
        CAP,
    ),
    ("Arbitrum", -32000, "execution reverted: too late", TEXT, SAID),
    ("Arbitrum, Nitro", 3, "execution reverted", HEX, CAP),
    ("a wallet between", -32603, "execution reverted", {"originalError": {"code": 3, "data": HEX}}, CAP),
    ("without 0x", -32015, "VM execution error.", f"Reverted {CAP.hex()}", CAP),
)


@pytest.mark.parametrize(
    ("code", "message", "data", "found"), [one[1:] for one in FORMS], ids=[one[0] for one in FORMS]
)
def test_the_forms_of_clients_are_read(code: int, message: str, data: Any, found: bytes) -> None:
    assert revert_data(code, message, data) == found


@pytest.mark.parametrize(
    ("code", "message", "data"),
    [
        (-32000, "insufficient funds for gas * price + value", None),
        (-32000, "out of gas", None),
        (-32602, "invalid argument 0", "0x12"),
        (-32005, "limit exceeded", {"see": "https://infura.io/dashboard"}),
        (-32000, "header not found", {"a": {"b": {"c": {"d": {"data": HEX}}}}}),
    ],
)
def test_other_errors_are_no_refusals(code: int, message: str, data: Any) -> None:
    assert revert_data(code, message, data) is None


@pytest.mark.parametrize(
    "data", ["0x1", "0xzz", "Reverted", 5, [HEX], {"data": {"data": {"data": {"data": HEX}}}}, {"data": None}, "0x"]
)
def test_what_makes_no_sense_is_a_refusal_without_words(data: Any) -> None:
    assert revert_data(3, "execution reverted", data) == b""


def test_each_is_explained_with_its_values() -> None:
    reading = Reading(0, smallest_units, 1)
    for _, code, message, data, found in FORMS:
        refusal = explain(revert_data(code, message, data) or b"", reading, message=message)
        assert (refusal.name == "Campaign_CapExceeded") == (found == CAP)
        assert ("too late" in str(refusal)) == (found == SAID)
