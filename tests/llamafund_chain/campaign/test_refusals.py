"""Refusals in words, whatever bytes a contract or node gives as its reason."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.campaign.refusals import WHEN, explain, say_when
from llamafund_chain.chain.reverted import ContractRefusedError, Reading, smallest_units
from llamafund_chain.deployment import artifacts

READING = Reading(now=1_800_000_000, money=lambda amount: f"{amount} coins", chain_id=137)
ERRORS = [
    (item["name"], [parameter["type"] for parameter in item["inputs"]])
    for contract in ("Campaign", "CampaignFactory", "CourtArbiter", "DevToken")
    for item in artifacts.load(contract).abi
    if item["type"] == "error"
]


def selector(name: str, types: list[str]) -> bytes:
    from eth_utils import keccak

    return bytes(keccak(text=f"{name}({','.join(types)})")[:4])


def zero(kind: str) -> object:
    if kind == "string":
        return ""
    if kind == "bool":
        return False
    if kind == "address":
        return "0x" + "00" * 20
    return bytes(int(kind.removeprefix("bytes"))) if kind.startswith("bytes") else 0


@pytest.mark.parametrize(("name", "types"), ERRORS)
def test_every_custom_error_becomes_a_sentence_with_its_name(name: str, types: list[str]) -> None:
    refusal = explain(selector(name, types) + encode(types, [zero(kind) for kind in types]), READING)
    assert refusal.name == name
    assert name in str(refusal)
    assert "{" not in str(refusal)
    assert not re.search(r"bps|basis point|\bwei\b|smallest unit", str(refusal).replace(name, ""), re.IGNORECASE)


@pytest.mark.parametrize(
    ("name", "types", "values", "said"),
    [
        (
            "CampaignFactory_PayeeBpsNotWhole",
            ["uint256"],
            [9_000],
            (
                "The payees' shares add up to 90 % (CampaignFactory_PayeeBpsNotWhole). They must add up to 100 %. "
                "Correct them."
            ),
        ),
        (
            "CampaignFactory_MilestoneBpsNotWhole",
            ["uint256"],
            [10_001],
            (
                "The milestones' shares add up to 100.01 % (CampaignFactory_MilestoneBpsNotWhole). "
                "They must add up to 100 %. Correct them."
            ),
        ),
        (
            "CampaignFactory_ZeroPayeeBps",
            ["uint256"],
            [1],
            (
                "The second payee has no share (CampaignFactory_ZeroPayeeBps). A payee without a share is a mistake. "
                "Leave it out."
            ),
        ),
        (
            "CampaignFactory_BadStopBps",
            ["uint256", "uint256", "uint256"],
            [1_250, 3_300, 8_000],
            (
                "A stop would take 12.5 % of the pledges (CampaignFactory_BadStopBps). "
                "It must be between 33 % and 80 %. Choose another share."
            ),
        ),
        (
            "Campaign_QuorumNotMet",
            ["uint256", "uint256"],
            [2, 1],
            (
                "The attestation carries 1 signature (Campaign_QuorumNotMet). The terms require 2. "
                "Collect more attestors' signatures."
            ),
        ),
        (
            "Campaign_QuorumNotMet",
            ["uint256", "uint256"],
            [2, 0],
            (
                "The attestation carries 0 signatures (Campaign_QuorumNotMet). The terms require 2. "
                "Collect more attestors' signatures."
            ),
        ),
        (
            "Campaign_PledgeTooSmall",
            ["uint256", "uint256"],
            [5, 6],
            ("The pledge is 5 coins (Campaign_PledgeTooSmall). You asked for 6 coins. Take back at most the pledge."),
        ),
        (
            "Campaign_VoteUnchanged",
            ["bool"],
            [True],
            (
                "You have already voted to stop (Campaign_VoteUnchanged). "
                "A vote counts once, with the whole pledge. Nothing needs to be done."
            ),
        ),
        (
            "Campaign_VoteUnchanged",
            ["bool"],
            [False],
            (
                "You have no vote to retract (Campaign_VoteUnchanged). "
                "A vote counts once, with the whole pledge. Nothing needs to be done."
            ),
        ),
        (
            "Campaign_AlreadyChallenged",
            ["uint256"],
            [3],
            (
                "Chunk 3 was challenged before (Campaign_AlreadyChallenged). "
                "Each chunk of a milestone can be challenged once. Name another chunk."
            ),
        ),
    ],
)
def test_a_refusal_speaks_in_units_of_people(name: str, types: list[str], values: list[int | bool], said: str) -> None:
    assert (name, types) in ERRORS
    assert str(explain(selector(name, types) + encode(types, values), READING)) == said


def test_values_are_written_with_their_units() -> None:
    cap = explain(selector("Campaign_CapExceeded", ["uint256"] * 2) + encode(["uint256"] * 2, [5, 7]), READING)
    assert "7 coins" in str(cap)
    assert cap.values == {"cap": 5, "wouldBe": 7}
    ends = selector("Campaign_WindowOpen", ["uint256"]) + encode(["uint256"], [READING.now + 90_000])
    assert "2027-01-16 09:00:00 UTC (in 1 day 1 hour)" in str(explain(ends, READING))


def test_bonds_are_in_the_chains_own_coin_whatever_the_campaigns_asset_is() -> None:
    data = selector("Campaign_BondTooSmall", ["uint256"] * 2) + encode(["uint256"] * 2, [10**17, 3 * 10**17])
    assert "0.3 POL" in str(explain(data, READING))
    assert "0.3 of the chain's coin" in str(explain(data, replace(READING, chain_id=424242)))


def test_reasons_of_other_contracts_are_passed_on_safely() -> None:
    words = bytes.fromhex("08c379a0") + encode(["string"], ["no\x1b[31m\n" + "x" * 5_000])
    shown = str(explain(words, READING))
    assert "no" in shown
    assert "\x1b" not in shown
    assert len(shown) < 700
    assert "0x11" in str(explain(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]), READING))
    assert "deadbeef" in str(explain(bytes.fromhex("deadbeef"), READING))
    assert "out of gas" in str(explain(b"", READING, message="out of gas"))
    assert "no reason" in str(explain(b"", READING))


@given(st.sampled_from([selector(*error) for error in ERRORS] + [b""]), st.binary(max_size=300))
@settings(max_examples=150)
def test_no_bytes_whatever_break_the_explanation(head: bytes, tail: bytes) -> None:
    refusal = explain(head + tail, Reading(now=0, money=smallest_units, chain_id=1))
    assert isinstance(refusal, ContractRefusedError)
    assert str(refusal)


def test_what_is_said_about_the_phase_is_for_calls_that_there_are() -> None:
    functions = {item["name"] for item in artifacts.load("Campaign").abi if item["type"] == "function"}
    assert set(WHEN) <= functions
    refusal = explain(selector("Campaign_WrongStatus", ["uint8"]) + encode(["uint8"], [1]), READING)
    say_when(refusal, "collectRefund")
    assert "The campaign is Active (Campaign_WrongStatus). Refunds are open once it has failed." in str(refusal)
    other = explain(
        selector("Campaign_NothingToRefund", ["address"]) + encode(["address"], ["0x" + "11" * 20]), READING
    )
    before = str(other)
    say_when(other, "collectRefund")
    assert str(other) == before
