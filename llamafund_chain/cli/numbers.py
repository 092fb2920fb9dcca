"""Arguments that are numbers, even negative ones: `-1` is refused as an amount, not as an unknown option."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from llamafund_chain.amounts import check_amount, parse_amount
from llamafund_chain.chain.coins import DECIMALS
from llamafund_chain.errors import UsageError
from llamafund_chain.times import parse_duration

if TYPE_CHECKING:
    from llamafund_chain.chain.tokens import Asset

    _TextType = click.ParamType[str]
    _WeiType = click.ParamType[int]
else:
    # Generic only in the newest versions of click.
    _TextType = _WeiType = click.ParamType

_NEGATIVE = re.compile(r"-\.?[0-9]")


class NumericCommand(click.Command):
    """A command that takes an amount or a length of time as an argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(self._shielded(args)))

    def _shielded(self, args: list[str]) -> Iterator[str]:
        """The same words, with a space before negative arguments: click takes every word with a dash for an option."""
        with_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        words = iter(args)
        for word in words:
            if word == "--":
                yield word
                yield from words
            elif word in with_value:
                yield word
                yield from islice(words, 1)
            else:
                yield f" {word}" if _NEGATIVE.match(word) else word


class CoinAmountType(_WeiType):
    """An amount of the chain's coin, typed in whole coins, returned in wei."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        return value if isinstance(value, int) else _read("amount", str(value), _parse_coins)


COIN_AMOUNT = CoinAmountType()


class AmountType(_TextType):
    """An amount above zero of an asset that the node must name first, still as text; see `amount_above_zero`.

    Args:
        word: Another word that may stand there.
    """

    name = "amount"

    def __init__(self, word: str = "") -> None:
        self._word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        text = str(value)
        if text != self._word:
            _above_zero("amount", text, _sign)
        return text


def _sign(text: str) -> int:
    check_amount(text)
    return int(Decimal(text) > 0)


def _parse_coins(text: str) -> int:
    return parse_amount(text, DECIMALS)


def amount_above_zero(text: str, asset: Asset) -> int:
    """An amount above zero, in the asset's smallest unit.

    Raises:
        UsageError: It is not an amount, or not above zero.
    """
    return _above_zero("amount", text, asset.parse)


def duration_above_zero(text: str) -> int:
    """A length of time above zero, in seconds.

    Raises:
        UsageError: It is not a length of time, or not above zero.
    """
    return _above_zero("length of time", text, parse_duration)


def _above_zero(what: str, text: str, parse: Callable[[str], int]) -> int:
    value = _read(what, text, parse)
    if value == 0:
        raise _too_small(what, text)
    return value


def _read(what: str, text: str, parse: Callable[[str], int]) -> int:
    cleaned = text.strip()
    value = parse(cleaned.removeprefix("-"))
    if cleaned.startswith("-"):
        raise _too_small(what, text)
    return value


def _too_small(what: str, text: str) -> UsageError:
    return UsageError(f"The {what} is {text.strip()}", "It must be above zero")
