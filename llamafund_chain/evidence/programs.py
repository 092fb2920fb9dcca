"""Programs of a researcher's own as recipes: everything that makes another machine train the same, in one file.

The file is JSON and holds the program's text, so its hash fixes all of it, and whoever wants to know what backers paid
for can read it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES
from llamafund_chain.evidence.manifests.paths import check_relative_path, check_sorted_unique
from llamafund_chain.strict_yaml import load_json

PROGRAM_SCHEMA: Literal["llamafund/program/1"] = "llamafund/program/1"

MAX_PROGRAM_BYTES = MAX_MANIFEST_BYTES
"""So small that no weights fit into it beside the text."""

_MOST_ARGUMENTS = 16_000
"""Bytes of all arguments; a system takes no more than some of them."""

_Text = Annotated[str, Field(max_length=4_000, pattern=r"^[^\x00]*$")]
_Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]{0,99}$")]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Setting = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")]
_Value = Annotated[str, Field(min_length=1, max_length=300)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$")]


class Program(BaseModel):
    """A program that trains.

    Arguments may name places and values that differ from run to run: `{run}` is an empty folder that the program may
    write to, `{data}` the folder with the dataset, `{store}` an empty store, `{seed}` the training seed,
    `{dataset}` the hash of the dataset's manifest, and a hash of `inputs` in braces the folder with those files.

    Attributes:
        entry: The script, one of the files. It starts in the folder of the files.
        arguments: Its arguments.
        data: Where it reads the dataset: `{data}`, `{run}/…` or a path in the folder of the files; empty if it names
            none.
        inputs: What else it reads, such as a base model: where, as in `data`, by the SHA-256 of the manifest of a
            published folder.
        python: Version of Python, without the last part.
        lock: Versions of the distributions that its imports need, by normalised name.
        environment: Where it trains, as far as that decides the bits: settings that checkpoints record, with values as
            in the trainer's recipes. Whoever computes elsewhere gets other bits, which shows nothing.
        files: Text by path, sorted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_: Annotated[Literal["llamafund/program/1"], Field(alias="schema")] = PROGRAM_SCHEMA
    entry: str
    arguments: Annotated[tuple[_Text, ...], Field(max_length=100, strict=False)] = ()
    data: _Text = ""
    inputs: Annotated[dict[_Hash, _Text], Field(max_length=100)] = Field(default_factory=dict)
    python: Annotated[str, Field(pattern=r"^3\.[0-9]{1,3}$")]
    lock: Annotated[dict[_Name, _Version], Field(max_length=1_000)]
    environment: Annotated[dict[_Setting, _Value], Field(max_length=100)] = Field(default_factory=dict)
    files: Annotated[dict[str, str], Field(min_length=1, max_length=1_000)]

    @model_validator(mode="after")
    def _paths_are_safe(self) -> Self:
        for path in self.files:
            check_relative_path(path)
        check_sorted_unique(sorted(self.files, key=lambda path: path.encode()))
        # Half of a character that JSON can spell is no text.
        if sum(len(argument.encode()) for argument in self.arguments) > _MOST_ARGUMENTS:
            raise ValueError(f"the arguments have more than {_MOST_ARGUMENTS} bytes")
        for text in self.files.values():
            text.encode()
        if self.entry not in self.files:
            raise ValueError(f"entry {self.entry[:200]!r} is not one of the files")
        for name, place in {"data": self.data, **self.inputs}.items():
            if place not in ("", f"{{{name}}}"):
                check_relative_path(place.removeprefix("{run}/"))
        return self

    @property
    def encoded(self) -> bytes:
        """The recipe's bytes: JSON with sorted keys that people can read."""
        values = self.model_dump(by_alias=True)
        return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True)
class ProgramFile:
    """A program with the bytes that it was read from.

    Attributes:
        sha256: Of the bytes, as the proposal names it.
    """

    program: Program
    data: bytes
    sha256: str


def parse_program(data: bytes) -> ProgramFile:
    """Read a program.

    Args:
        data: The recipe's bytes, which may be anybody's.

    Raises:
        VerificationError: It is too long, ambiguous, or not a program.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    if len(data) > MAX_PROGRAM_BYTES:
        raise VerificationError(
            f"The program {sha256} has {len(data)} bytes", f"A program has at most {MAX_PROGRAM_BYTES}"
        )
    try:
        program = Program.model_validate(load_json(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        raise VerificationError(f"The program {sha256} is not valid", f"{where or 'In it'}: {first['msg']}") from error
    except ValueError as error:
        raise VerificationError(f"The program {sha256} is not valid", str(error)[:200]) from error
    return ProgramFile(program, data, sha256)
