"""Names that somebody may have meant, numbers of things, and parts of a whole."""

from __future__ import annotations

import sys

import pytest

from llamafund_chain.text import bar, closest, counted, printable

COMMANDS = ("campaign", "challenge", "claim", "verify", "verify-deployment", "vote-stop")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("clam", COMMANDS, "claim"),
        ("Claim", COMMANDS, "claim"),
        ("camp", COMMANDS, "campaign"),
        ("vote", COMMANDS, "vote-stop"),
        ("verif", COMMANDS, "verify"),
        ("xyzzy", COMMANDS, None),
        ("c", COMMANDS, None),
        ("", COMMANDS, None),
        ("claim", (), None),
        ("--walet", ("--wallet", "--json"), "--wallet"),  # codespell:ignore
        ("--to", ("--wallet", "--json"), None),
        ("dataset", ("DATASET", "WEIGHTS"), "DATASET"),
    ],
)
def test_the_closest_name_is_found_if_one_is_close(word: str, known: tuple[str, ...], meant: str | None) -> None:
    assert closest(word, known) == meant


def test_every_character_there_is_can_be_printed_in_one_line() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert printable(everything, len(everything)).isprintable()
    assert printable("10\u00a0000\u3000ETH\u202e") == "10 000 ETH\\u{202e}"


def test_one_thing_has_no_plural() -> None:
    assert [counted(number, "chunk") for number in (0, 1, 2)] == ["0 chunks", "1 chunk", "2 chunks"]


@pytest.mark.parametrize(
    ("part", "drawn"),
    [(0, "[----------]"), (1, "[----------]"), (50, "[#####-----]"), (99, "[#########-]"), (100, "[##########]")],
)
def test_a_bar_is_full_only_if_nothing_is_missing(part: int, drawn: str) -> None:
    assert bar(part, 100, 10) == drawn
