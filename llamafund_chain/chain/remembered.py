"""What was found out about nodes and contracts, kept in the user's cache from run to run. It only saves time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from llamafund_chain.errors import LlamafundError
from llamafund_chain.files import write_file
from llamafund_chain.http.answers import parse_json

T = TypeVar("T")


class Remembered(Generic[T]):
    """A small file of facts by name. One that is missing or makes no sense says nothing.

    Args:
        name: Of the file in the user's cache.
        largest: Bytes that are read of it.
        parse: Makes a fact of its JSON; may raise whatever it likes.
        path: The file, in place of the one in the user's cache.
    """

    def __init__(self, name: str, largest: int, parse: Callable[[Any], T], path: Path | None = None) -> None:
        self._name = name
        self._largest = largest
        self._parse = parse
        self._path = path

    def read(self) -> dict[str, T]:
        """All facts, in the order of the file."""
        try:
            with self.path.open("rb") as file:
                document = parse_json(file.read(self._largest))
            return {str(name): self._parse(fact) for name, fact in document.items()}
        except (OSError, ValueError, OverflowError, TypeError, KeyError, AttributeError):
            return {}

    def write(self, facts: Mapping[str, Mapping[str, object]]) -> None:
        """Replace all facts. It is no error if they cannot be kept."""
        with suppress(LlamafundError):
            write_file(self.path, json.dumps(facts, indent=1).encode())

    @property
    def path(self) -> Path:
        """The file."""
        if self._path is None:
            from platformdirs import user_cache_path

            self._path = user_cache_path("llamafund", appauthor=False) / self._name
        return self._path
