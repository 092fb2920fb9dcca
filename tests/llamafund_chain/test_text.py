"""Names that somebody may have meant, and numbers of things."""

from __future__ import annotations

import pytest

from llamafund_chain.text import closest, counted

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


def test_one_thing_has_no_plural() -> None:
    assert [counted(number, "chunk") for number in (0, 1, 2)] == ["0 chunks", "1 chunk", "2 chunks"]
