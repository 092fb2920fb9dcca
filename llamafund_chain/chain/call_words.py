"""A call in words: which function, with which arguments, as far as we know the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llamafund_chain.chain import abi
from llamafund_chain.chain.outside import CONTRACTS
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import VerificationError
from llamafund_chain.text import counted, printable

_LONGEST = 80


@dataclass(frozen=True)
class Described:
    """A call in words.

    Attributes:
        function: Its name; empty for a plain transfer of coins.
        arguments: By name, as text.
    """

    function: str
    arguments: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """All of it on one line."""
        if not self.function:
            return "a transfer without a call"
        return f"{self.function}({', '.join(f'{name} {value}' for name, value in self.arguments.items())})"


def described(call: Call) -> Described:
    """A call in words; with its data where the function is unknown."""
    if not call.data:
        return Described("", {})
    for name in CONTRACTS:
        try:
            found = abi.contract(name).named_input(call.data)
        except VerificationError:
            continue
        if found is not None:
            function, arguments = found
            return Described(function, {key or str(at): _text(value) for at, (key, value) in enumerate(arguments)})
    return Described(f"0x{call.data[:4].hex()}", {"data": counted(len(call.data), "byte")})


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()}" if len(value) <= 32 else counted(len(value), "byte")
    if isinstance(value, str):
        return abi.checksum(value) if value.startswith("0x") and len(value) == 42 else printable(value, _LONGEST)
    if isinstance(value, tuple | list):
        text = f"({', '.join(_text(part) for part in value)})"
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…)"
    return str(value)
