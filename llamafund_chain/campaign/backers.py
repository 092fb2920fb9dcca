"""What a campaign says that its backers have: of all of them, in few requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.chain import abi
from llamafund_chain.chain.connection import Block, Read
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.errors import NodeError

_EACH = 300
"""Backers of one call. It returns 64 bytes for each, and a node takes what it returns for code: of 24 576 bytes."""

_WORD = 32

_VIEWS = ("pledgeOf", "refundable")


class Position(NamedTuple):
    """What a backer has in a campaign, in the asset's smallest unit.

    Attributes:
        pledge: What it has pledged; 0 after its refund.
        refundable: What it can get back now.
    """

    pledge: int
    refundable: int


def positions_of(client: CampaignClient, backers: Sequence[str], at: Block) -> dict[str, Position]:
    """What the campaign says that backers have.

    The node runs a small program that asks the campaign about many backers. One that does not is asked about each.

    Args:
        client: The campaign.
        backers: Addresses.
        at: The state after which block.

    Raises:
        NodeError: The node does not answer.
        VerificationError: The campaign answers with something else than amounts.
    """
    groups = [backers[start : start + _EACH] for start in range(0, len(backers), _EACH)]
    reads: list[Read] = [("eth_call", ({"data": f"0x{_program(client.address, group).hex()}"},)) for group in groups]
    answers = client.connection.read(reads, at) if reads else []
    found: dict[str, Position] = {}
    for group, answer in zip(groups, answers, strict=True):
        try:
            words = client.connection.returned(answer)
        except (NodeError, ContractRefusedError):
            words = b""
        if len(words) != len(group) * 2 * _WORD:
            found |= _one_by_one(client, group, at)
            continue
        numbers = [int.from_bytes(words[start : start + _WORD], "big") for start in range(0, len(words), _WORD)]
        found |= dict(zip(group, map(Position, numbers[::2], numbers[1::2]), strict=True))
    return found


def _one_by_one(client: CampaignClient, backers: Sequence[str], at: Block) -> dict[str, Position]:
    reads = [client.view(name, backer) for backer in backers for name in _VIEWS]
    answers = iter(client.connection.read(reads, at))
    return {backer: Position(*(int(client.shown(name, next(answers))) for name in _VIEWS)) for backer in backers}


def _program(campaign: str, backers: Sequence[str]) -> bytes:
    """Code of a contract that is never created: it asks a campaign about each address behind its own code.

    It runs as the constructor in an `eth_call` without a receiver, and returns the answers in place of a contract's
    code. It reverts when the campaign does, or answers with something else than one word.
    """
    loop, returning, failing = _code(campaign, 0, 0, 0)
    end, fail = len(loop), len(loop) + len(returning)
    code = b"".join(_code(campaign, fail + len(failing), end, fail))
    return code + b"".join(bytes.fromhex(backer[2:]) for backer in backers)


def _code(campaign: str, length: int, end: int, fail: int) -> tuple[bytes, bytes, bytes]:
    """The loop over the addresses, the return after it, and the way out if something is wrong.

    Args:
        campaign: Address.
        length: Of all this code, bytes.
        end: Place of the return.
        fail: Place of the way out.
    """
    interface, to = abi.contract("Campaign"), bytes.fromhex(campaign[2:])
    selectors = [interface.encode(name, f"0x{bytes(20).hex()}")[:4] for name in _VIEWS]

    def unless(place: int) -> bytes:
        return b"\x61" + place.to_bytes(2, "big") + b"\x57"  # PUSH2 place, JUMPI

    # The stack is [place in the code, place in memory]. Call data stand in memory at 28: selector, then address at 44.
    start = b"\x61" + length.to_bytes(2, "big") + b"\x60\x40"  # PUSH2 length, PUSH1 64
    loop = b"\x5b\x38\x82\x10\x15" + unless(end)  # JUMPDEST; CODESIZE, DUP3, LT, ISZERO
    loop += b"\x60\x14\x82\x60\x2c\x39"  # PUSH1 20, DUP3, PUSH1 44, CODECOPY
    for selector, place in zip(selectors, (b"", b"\x60\x20\x01"), strict=True):  # the second answer: PUSH1 32, ADD
        loop += b"\x63" + selector + b"\x60\x00\x52"  # PUSH4 selector, PUSH1 0, MSTORE
        loop += b"\x60\x20\x81" + place + b"\x60\x24\x60\x1c"  # PUSH1 32, DUP2; PUSH1 36, PUSH1 28
        loop += b"\x73" + to + b"\x5a\xfa\x15" + unless(fail)  # PUSH20 campaign, GAS, STATICCALL, ISZERO
        loop += b"\x60\x20\x3d\x03" + unless(fail)  # PUSH1 32, RETURNDATASIZE, SUB
    loop += b"\x60\x40\x01\x90\x60\x14\x01\x90"  # PUSH1 64, ADD, SWAP1, PUSH1 20, ADD, SWAP1
    loop += b"\x61" + len(start).to_bytes(2, "big") + b"\x56"  # PUSH2 loop, JUMP
    returning = b"\x5b\x60\x40\x90\x03\x60\x40\xf3"  # JUMPDEST, PUSH1 64, SWAP1, SUB, PUSH1 64, RETURN
    return start + loop, returning, b"\x5b\x60\x00\x60\x00\xfd"  # JUMPDEST, PUSH1 0, PUSH1 0, REVERT
