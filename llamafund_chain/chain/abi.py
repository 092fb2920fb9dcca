"""Encoding and decoding of contract data by its ABI.

All data to decode comes from an untrusted node. Data that does not fit its type is a `VerificationError`, never another
exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from llamafund_chain.deployment import artifacts
from llamafund_chain.errors import VerificationError


@dataclass(frozen=True)
class Decoded:
    """A decoded event or error.

    Attributes:
        name: As in Solidity.
        values: By parameter name, in order; structs are tuples.
    """

    name: str
    values: Mapping[str, Any]


class Interface:
    """One contract's functions, events and errors.

    Args:
        abi: The compiler's ABI.
    """

    def __init__(self, abi: Sequence[Mapping[str, Any]]) -> None:
        from eth_utils import keccak

        self._functions: dict[str, tuple[bytes, list[str], list[str]]] = {}
        self._parameters: dict[str, list[str]] = {}
        self._events: dict[bytes, tuple[str, list[Mapping[str, Any]]]] = {}
        self._errors: dict[bytes, tuple[str, list[str], list[str]]] = {}
        for item in abi:
            kind, name = item.get("type"), item.get("name", "")
            types = [_type(parameter) for parameter in item.get("inputs", ())]
            topic = keccak(text=f"{name}({','.join(types)})")
            if kind == "function":
                outputs = [_type(parameter) for parameter in item.get("outputs", ())]
                self._functions[name] = (topic[:4], types, outputs)
                self._parameters[name] = [parameter.get("name", "") for parameter in item.get("inputs", ())]
            elif kind == "event":
                self._events[topic] = (name, list(item["inputs"]))
            elif kind == "error":
                names = [parameter.get("name") or str(i) for i, parameter in enumerate(item["inputs"])]
                self._errors[topic[:4]] = (name, names, types)

    @property
    def errors(self) -> tuple[str, ...]:
        """Names of the custom errors."""
        return tuple(name for name, _, _ in self._errors.values())

    def topic(self, event: str) -> str:
        """First topic of an event's logs, with 0x."""
        for topic, (name, _) in self._events.items():
            if name == event:
                return f"0x{topic.hex()}"
        raise KeyError(event)

    def encode(self, function: str, *arguments: Any) -> bytes:
        """Call data.

        Raises:
            ValueError: An argument does not fit its type; the library validates arguments before.
        """
        from eth_abi.abi import encode

        selector, types, _ = self._functions[function]
        return selector + encode(types, arguments)

    def decode_input(self, data: bytes) -> Decoded | None:
        """The function and arguments of call data; `None` if it calls no function of this contract."""
        for name, (selector, types, _) in self._functions.items():
            if data[:4] == selector:
                values = _decode(types, data[4:], f"call of {name}")
                return Decoded(name, {str(i): value for i, value in enumerate(values)})
        return None

    def describe_input(self, data: bytes) -> tuple[str, list[tuple[str, Any]]] | None:
        """The function of call data with its arguments, each with its type; `None` if it is not of this contract."""
        for name, (selector, types, _) in self._functions.items():
            if data[:4] == selector:
                return name, list(zip(types, _decode(types, data[4:], f"call of {name}"), strict=True))
        return None

    def named_input(self, data: bytes) -> tuple[str, list[tuple[str, Any]]] | None:
        """The function of call data with its arguments, each with its name; `None` if it is not of this contract.

        Raises:
            VerificationError: The arguments do not fit the function.
        """
        found = self.describe_input(data)
        if found is None:
            return None
        name, arguments = found
        values = (value for _, value in arguments)
        return name, list(zip(self._parameters[name], values, strict=True))

    def decode_output(self, function: str, data: bytes) -> tuple[Any, ...]:
        """The values that a call returned.

        Raises:
            VerificationError: The bytes do not fit the function's types.
        """
        _, _, types = self._functions[function]
        return _decode(types, data, f"answer of {function}")

    def decode_error(self, data: bytes) -> Decoded | None:
        """The custom error in revert data; `None` if it is not one of this contract."""
        known = self._errors.get(data[:4])
        if known is None:
            return None
        name, names, types = known
        try:
            values = _decode(types, data[4:], f"error {name}")
        except VerificationError:
            return None
        return Decoded(name, dict(zip(names, values, strict=True)))

    def decode_log(self, topics: Sequence[bytes], data: bytes) -> Decoded | None:
        """The event in a log; `None` if it is not one of this contract.

        Raises:
            VerificationError: It claims to be one of its events, but the bytes do not fit.
        """
        known = self._events.get(topics[0]) if topics else None
        if known is None:
            return None
        name, inputs = known
        indexed = [_type(item) for item in inputs if item.get("indexed")]
        if len(topics) != len(indexed) + 1:
            raise VerificationError(f"A log of {name} has {len(topics)} topics", f"It must have {len(indexed) + 1}")
        in_topics = iter(
            [_decode([kind], topic, f"log of {name}")[0] for kind, topic in zip(indexed, topics[1:], strict=True)]
        )
        in_data = iter(_decode([_type(item) for item in inputs if not item.get("indexed")], data, f"log of {name}"))
        values = {str(item["name"]): next(in_topics if item.get("indexed") else in_data) for item in inputs}
        return Decoded(name, values)


@cache
def contract(name: str) -> Interface:
    """The interface of one of the contracts that ship with this package."""
    return Interface(artifacts.load(name).abi)


def _type(parameter: Mapping[str, Any]) -> str:
    kind = str(parameter["type"])
    if kind.startswith("tuple"):
        return f"({','.join(_type(part) for part in parameter['components'])}){kind.removeprefix('tuple')}"
    return kind


def _decode(types: Sequence[str], data: bytes, what: str) -> tuple[Any, ...]:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        return tuple(decode(types, data))
    except (DecodingError, OverflowError, ValueError) as error:
        raise VerificationError(
            f"The {what} cannot be decoded",
            f"{len(data)} bytes do not fit ({','.join(types)})",
            "Check the address, and that the node can be trusted",
        ) from error


def checksum(address: str) -> str:
    """An address with the EIP-55 checksum in its letter case."""
    from eth_utils import to_checksum_address

    return str(to_checksum_address(address))
