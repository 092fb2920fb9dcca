"""The compiled contracts, exported by `scripts/export_artifacts.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Artifact:
    """One compiled contract.

    Attributes:
        name: As in Solidity.
        source_name: Path of its source in `standard_json_input()`.
        compiler: Exact version of the compiler, with its commit.
        abi: The compiler's ABI.
        bytecode: Creation code, without constructor arguments.
        deployed_bytecode: Runtime code, with zeros where immutables go.
        immutable_references: Byte ranges (start, length) of each immutable in the runtime code, by name.
        metadata: The compiler's metadata: the exact text whose hash is at the end of the code.
    """

    name: str
    source_name: str
    compiler: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    deployed_bytecode: bytes
    immutable_references: Mapping[str, tuple[tuple[int, int], ...]]
    metadata: str

    def runtime(self, immutables: Mapping[str, bytes]) -> bytes:
        """Return the code on chain after the constructor has run.

        Args:
            immutables: Value of each immutable, at most 32 bytes, by name.

        Raises:
            ValueError: The names are not exactly the contract's immutables.
        """
        if immutables.keys() != self.immutable_references.keys():
            raise ValueError(
                f"{self.name} has the immutables {sorted(self.immutable_references)}, not {sorted(immutables)}."
            )
        code = bytearray(self.deployed_bytecode)
        for name, ranges in self.immutable_references.items():
            for start, length in ranges:
                code[start : start + length] = immutables[name].rjust(length, b"\0")
        return bytes(code)


@cache
def load(name: str) -> Artifact:
    """Return the artifact of a contract: one of those that `scripts/export_artifacts.py` lists.

    Raises:
        FileNotFoundError: No contract of that name was exported.
    """
    data = json.loads(files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return Artifact(
        name=data["contractName"],
        source_name=data["sourceName"],
        compiler=data["compiler"],
        abi=tuple(data["abi"]),
        bytecode=bytes.fromhex(data["bytecode"][2:]),
        deployed_bytecode=bytes.fromhex(data["deployedBytecode"][2:]),
        immutable_references={
            immutable: tuple((item["start"], item["length"]) for item in ranges)
            for immutable, ranges in data["immutableReferences"].items()
        },
        metadata=data["metadata"],
    )


def standard_json_input() -> dict[str, Any]:
    """Return the compiler's self-contained input, which block explorers need to verify the contracts."""
    parsed: dict[str, Any] = json.loads(files(__name__).joinpath("standard-input.json").read_text(encoding="utf-8"))
    return parsed
