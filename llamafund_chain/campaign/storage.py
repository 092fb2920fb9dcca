"""Where a campaign's contract keeps what it has written down (`contracts/Campaign.sol`, `PackedLedger.sol`).

A test compares the slots with those that the compiler gives, and with what contracts store on a real chain.
"""

from __future__ import annotations

from dataclasses import dataclass

LEDGER = 0
LATEST_EVIDENCE = 1
LATEST_CONTENT = 2
BACKERS = 3
TRAINING_SEED = 4
VOTES = 5
CLAIMED = 6
QUEUE = 7
CHALLENGES = 8
BONDS = 9

FIXED = (LEDGER, LATEST_EVIDENCE, LATEST_CONTENT, TRAINING_SEED, VOTES, QUEUE)
"""The slots that are one word each. The others are the beginnings of mappings."""


def backer_slot(backer: str) -> int:
    """Where a backer's pledge and vote are.

    Args:
        backer: Address.
    """
    return _entry(bytes.fromhex(backer[2:]), BACKERS)


def claimed_slot(payee: int) -> int:
    """Where it is what a payee has claimed."""
    return _entry(_word(payee), CLAIMED)


def challenge_slot(number: int) -> int:
    """Where a challenge is, by its number among all that were ever made, from 0."""
    return _entry(_word(number), CHALLENGES)


def bond_slot(attested: int, chunk: int) -> int:
    """Where the bond of a challenge is.

    Args:
        attested: Number of milestones that were attested when it was made.
        chunk: Number of the chunk.
    """
    return _entry(_word(chunk), _entry(_word(attested), BONDS))


def _entry(key: bytes, slot: int) -> int:
    """Where a mapping keeps the value of a key (Solidity's layout of state variables)."""
    from eth_utils import keccak

    return int.from_bytes(keccak(key.rjust(32, b"\0") + _word(slot)), "big")


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@dataclass(frozen=True)
class StoredLedger:
    """The word of `PackedLedger`; the attributes are those of `CampaignProgress`."""

    pledged: int
    attested_at: int
    challenged_at: int
    slack_used: int
    attested: int
    active: bool
    stopped: bool
    withheld: bool
    contested: bool


def ledger_in(word: int) -> StoredLedger:
    """What the word at `LEDGER` says."""
    return StoredLedger(
        pledged=_part(word, 0, 128),
        attested_at=_part(word, 128, 40),
        challenged_at=_part(word, 168, 40),
        slack_used=_part(word, 208, 32),
        attested=_part(word, 240, 8),
        active=bool(_part(word, 248, 1)),
        stopped=bool(_part(word, 249, 1)),
        withheld=bool(_part(word, 250, 1)),
        contested=bool(_part(word, 251, 1)),
    )


def backer_in(word: int) -> tuple[int, bool]:
    """The pledge in the word at a `backer_slot`, units, and whether the backer votes to stop."""
    return _part(word, 0, 128), bool(word >> 128)


def votes_in(word: int) -> tuple[int, int]:
    """The pledges that vote to stop, units, and from when on votes are taken, unix seconds, in the word at `VOTES`."""
    return _part(word, 0, 128), _part(word, 128, 40)


def queue_in(word: int) -> tuple[int, int]:
    """The number of the oldest challenge without an answer, and that of the next one, in the word at `QUEUE`."""
    return _part(word, 0, 128), _part(word, 128, 128)


def challenge_in(word: int) -> tuple[int, int]:
    """The chunk of a challenge, and when it was made, unix seconds, in the word at its `challenge_slot`."""
    return _part(word, 0, 64), _part(word, 64, 40)


def bond_in(word: int) -> tuple[str, int]:
    """The challenger's address in lower case, and the bond, wei, in the word at a `bond_slot`."""
    return f"0x{_part(word, 0, 160):040x}", _part(word, 160, 96)


def _part(word: int, first: int, bits: int) -> int:
    return word >> first & (1 << bits) - 1
