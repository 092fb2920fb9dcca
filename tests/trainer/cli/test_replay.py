"""`llamafund replay`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llamafund_chain.errors import ExitCode

HASH = "ab" * 32


def test_a_segment_that_the_run_does_not_have_is_refused(lab: object, llamafund: Callable[..., object]) -> None:
    ran = llamafund("replay", lab.run[-1].sha256, "--segment", 9, "--store", lab.store.location)
    ran.refused(ExitCode.USAGE, "segment 9", "has 4")


def test_initial_weights_have_nothing_to_repeat(lab: object, llamafund: Callable[..., object]) -> None:
    ran = llamafund("replay", lab.run[0].sha256, "--store", lab.store.location)
    ran.refused(ExitCode.USAGE, "initial weights")


def test_a_checkpoint_that_nobody_published_is_one_error(llamafund: Callable[..., object], tmp_path: Path) -> None:
    llamafund("replay", HASH, "--store", tmp_path / "store").refused(ExitCode.ERROR, HASH)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((HASH, "--entropy", "xyz"), "hexadecimal"),
        ((HASH, "--entropy", ""), "empty"),
        ((HASH, "--segments", "0"), "--segments"),
        (("1234",), "is not a hash"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    llamafund: Callable[..., object], arguments: tuple[str, ...], words: str
) -> None:
    llamafund("replay", *arguments).refused(ExitCode.USAGE, words)
