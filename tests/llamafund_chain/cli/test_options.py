"""Options that are no number, or one out of bounds, are refused in words."""

from __future__ import annotations

from typing import Any

import click
import pytest

from llamafund_chain.cli.options import Number, WholeNumber


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (WholeNumber(0), "x", "'x' is not a whole number"),
        (WholeNumber(0), "", "'' is not a whole number"),
        (WholeNumber(0), "1.5", "'1.5' is not a whole number"),
        (WholeNumber(0), "0x1", "'0x1' is not a whole number"),
        (WholeNumber(0), "٣", "'٣' is not a whole number"),
        (WholeNumber(0), "9" * 5_000, f"'{'9' * 5_000}' is not a whole number"),
        (WholeNumber(0), "-1", "-1 is out of range: it must be at least 0"),
        (WholeNumber(max=9), "10", "10 is out of range: it must be at most 9"),
        (WholeNumber(0, 255), "256", "256 is out of range: it must be from 0 to 255"),
        (Number(0), "x", "'x' is not a number"),
        (Number(0), "nan", "'nan' is not a number"),
        (Number(0), "inf", "'inf' is not a number"),
        (Number(0.05, 3_600), "0.01", "0.01 is out of range: it must be from 0.05 to 3600"),
    ],
)
def test_what_is_no_number_within_its_bounds_is_refused_in_words(kind: Any, text: str, said: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(text, None, None)
    assert refused.value.message == said


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [(WholeNumber(0, 255), "255", 255), (WholeNumber(), " -7 ", -7), (Number(0), "1e-2", 0.01), (WholeNumber(), 5, 5)],
)
def test_a_number_within_its_bounds_is_read(kind: Any, text: Any, number: float) -> None:
    assert kind.convert(text, None, None) == number
