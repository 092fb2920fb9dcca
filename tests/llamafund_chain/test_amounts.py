"""Amounts are exact or refused, never rounded."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamafund_chain.amounts import MAX_DECIMALS, MAX_UINT256, check_amount, format_amount, format_share, parse_amount
from llamafund_chain.errors import ExitCode, UsageError

amounts = st.integers(min_value=0, max_value=MAX_UINT256)
decimals = st.integers(min_value=0, max_value=MAX_DECIMALS)


@pytest.mark.parametrize(
    ("text", "places", "expected"),
    [
        ("0", 18, 0),
        ("0.1", 18, 10**17),
        ("1e-18", 18, 1),
        ("1E-18", 18, 1),
        ("1e18", 18, 10**36),
        ("1e+2", 0, 100),
        ("25", 6, 25_000_000),
        ("0.100000", 1, 1),
        ("1.50e1", 0, 15),
        (".5", 1, 5),
        ("5.", 1, 50),
        ("  7 \n", 0, 7),
        ("000012", 0, 12),
        ("0e9999", 18, 0),
        ("0.0000000000000000000000", 18, 0),
        ("100e-2", 0, 1),
        (str(MAX_UINT256), 0, MAX_UINT256),
    ],
)
def test_an_exact_amount_is_read_exactly(text: str, places: int, expected: int) -> None:
    assert parse_amount(text, places) == expected


@pytest.mark.parametrize("text", ["1e-19", "0.1000000000000000001", "1.5e-18", "1e-9999", "0." + "0" * 18 + "1"])
def test_an_amount_finer_than_the_smallest_unit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="finer than the asset's smallest unit"):
        parse_amount(text, 18)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "e5", "-1", "+1", "-0", "1,000", "1_000", "1 000", "1'000", "0x10", "1.2.3", "1e", "1e1.5"),
        *("NaN", "inf", "-Infinity", "1 ether", "ten", "١٢", "１", "1e99999", "1\x00", "½", "1e--1", "1" * 201),
    ],
)
def test_what_is_not_a_plain_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an amount") as caught:
        parse_amount(text, 18)
    assert caught.value.exit_code is ExitCode.USAGE
    assert len(str(caught.value)) < 400


def test_the_largest_amount_is_told_in_whole_coins() -> None:
    with pytest.raises(
        UsageError, match=r"An amount must be below 115792089237316195423570985008687907853269984665640564039457\."
    ):
        parse_amount("1e99", 18)


def test_an_amount_is_checked_before_its_asset_is_known() -> None:
    check_amount("1e-30")
    with pytest.raises(UsageError, match="'1,5' is not an amount"):
        check_amount("1,5")


@pytest.mark.parametrize(
    ("bps", "text"), [(0, "0 %"), (1, "0.01 %"), (1_250, "12.5 %"), (10_000, "100 %"), (-1, "-0.01 %")]
)
def test_a_share_is_written_in_percent(bps: int, text: str) -> None:
    assert format_share(bps) == text


@pytest.mark.parametrize("text", [str(MAX_UINT256 + 1), "1e78", "1e9999", "9" * 200])
def test_an_amount_beyond_a_uint256_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="larger than any amount"):
        parse_amount(text, 0)


@pytest.mark.parametrize("places", [-1, MAX_DECIMALS + 1])
def test_impossible_decimals_are_a_programming_error(places: int) -> None:
    with pytest.raises(ValueError, match="decimals must be"):
        parse_amount("1", places)
    with pytest.raises(ValueError, match="decimals must be"):
        format_amount(1, places)


@pytest.mark.parametrize(
    ("amount", "places", "expected"),
    [
        (0, 18, "0"),
        (1, 18, "0.000000000000000001"),
        (10**17, 18, "0.1"),
        (25 * 10**18, 18, "25"),
        (100, 0, "100"),
        (1050, 2, "10.5"),
        (-15, 1, "-1.5"),
    ],
)
def test_an_amount_is_written_in_full_without_exponent(amount: int, places: int, expected: str) -> None:
    assert format_amount(amount, places) == expected


@given(amounts, decimals)
def test_reading_what_was_written_gives_the_same_amount(amount: int, places: int) -> None:
    assert parse_amount(format_amount(amount, places), places) == amount


@given(amounts, decimals)
def test_the_text_is_the_exact_decimal_number(amount: int, places: int) -> None:
    with localcontext() as context:
        context.prec = 200
        assert Decimal(format_amount(amount, places)) == Decimal(amount).scaleb(-places)


@given(st.text(alphabet="0123456789.eE+-_, xN", max_size=24), st.integers(min_value=0, max_value=30))
def test_whatever_is_read_is_what_decimal_arithmetic_reads(text: str, places: int) -> None:
    try:
        amount = parse_amount(text, places)
    except UsageError:
        return
    with localcontext() as context:
        context.prec = 12_000
        assert Decimal(text.strip()).scaleb(places) == amount
