"""Names that somebody may have meant."""

from __future__ import annotations

import pytest

from llamafund_chain.text import closest

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
