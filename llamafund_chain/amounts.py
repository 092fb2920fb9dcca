"""Amounts of money: whole coins as decimal text outside, integers of the smallest unit inside."""

from __future__ import annotations

import re

from llamafund_chain.errors import UsageError

MAX_UINT256 = 2**256 - 1
"""The largest amount in a contract, in the smallest unit."""

MAX_DECIMALS = 77
"""Largest number of decimals at which one whole coin still fits into a `uint256`."""

_MAX_TEXT = 200
_PLAIN_NUMBER = re.compile(r"([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")


def parse_amount(text: str, decimals: int) -> int:
    """Read an amount in whole coins exactly. Nothing is ever rounded.

    Args:
        text: Digits with at most one decimal point and an optional exponent: `25`, `0.1`, `1e-18`.
        decimals: Decimal places of the asset, 18 for ether.

    Returns:
        The amount in the asset's smallest unit.

    Raises:
        UsageError: The text is not such a number, has more places than the asset, or is beyond 2^256 - 1.
        ValueError: `decimals` is negative or above `MAX_DECIMALS`.
    """
    _check_decimals(decimals)
    whole, fraction, exponent = _parts(text)
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    shift = exponent - len(fraction) + decimals
    if shift < 0:
        if digits[shift:].strip("0"):
            raise UsageError(
                f"{_shown(text)!r} is finer than the asset's smallest unit",
                f"The asset has {decimals} decimals, so its smallest amount is {format_amount(1, decimals)}",
                "Write an amount with fewer decimal places",
            )
        digits = digits[:shift]
        shift = 0
    # The number of digits is compared first, so that a huge exponent costs nothing.
    amount = int(digits + "0" * shift) if len(digits) + shift <= len(str(MAX_UINT256)) else MAX_UINT256 + 1
    if amount > MAX_UINT256:
        raise UsageError(
            f"{_shown(text)!r} is larger than any amount on chain",
            f"An amount must be below {format_amount(MAX_UINT256 + 1, decimals).partition('.')[0]}",
            "Check the number and its exponent",
        )
    return amount


def check_amount(text: str) -> None:
    """Refuse text that is not an amount, whatever the asset is.

    Raises:
        UsageError: The text is not a number as `parse_amount` reads it.
    """
    _parts(text)


def format_amount(amount: int, decimals: int) -> str:
    """Write an amount in whole coins with full precision, without exponent and without trailing zeros.

    Args:
        amount: Smallest units; may be negative for a difference.
        decimals: Decimal places of the asset, 18 for ether.

    Returns:
        For example `0.1`, `25` or `0.000000000000000001`; `parse_amount` gives the same integer back.

    Raises:
        ValueError: `decimals` is negative or above `MAX_DECIMALS`.
    """
    _check_decimals(decimals)
    sign = "-" if amount < 0 else ""
    digits = str(abs(amount)).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def format_share(bps: int) -> str:
    """A share in percent, as text: `12.5 %`.

    Args:
        bps: Basis points.
    """
    return f"{format_amount(bps, 2)} %"


def _check_decimals(decimals: int) -> None:
    if not 0 <= decimals <= MAX_DECIMALS:
        raise ValueError(f"decimals must be between 0 and {MAX_DECIMALS}, not {decimals}")


def _parts(text: str) -> tuple[str, str, int]:
    """The digits before and after the point, and the exponent."""
    cleaned = text.strip(" \t\r\n")
    match = _PLAIN_NUMBER.fullmatch(cleaned) if len(cleaned) <= _MAX_TEXT else None
    if match is None or not (match[1] or match[2]):
        raise UsageError(
            f"{_shown(text)!r} is not an amount",
            "An amount is a plain decimal number of whole coins, without sign, unit or separators",
            "Write it like 25, 0.1 or 1e-18",
        )
    return match[1], match[2] or "", int(match[3] or "0")


def _shown(text: str) -> str:
    cleaned = text.strip(" \t\r\n")
    return cleaned if len(cleaned) <= 60 else f"{cleaned[:60]}…"
