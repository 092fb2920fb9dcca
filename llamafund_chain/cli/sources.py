"""Where commands get manifests: a file, or stores."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import Read, beside, read_saved
from llamafund_chain.store import open_store
from llamafund_chain.store.content import reading
from llamafund_chain.store.sources import Sources

_HASH = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def as_hash(text: str) -> str | None:
    """The 64 hexadecimal digits of a hash that a person typed; `None` if it is not a hash."""
    return text.lower().removeprefix("0x") if _HASH.fullmatch(text) else None


@dataclass(frozen=True)
class Source:
    """A manifest that a person named.

    Attributes:
        data: Its bytes.
        read: Returns its listings, which are beside its file or in the stores.
        file: The file, if the person named a file.
        sha256: The hash, if the person named a hash.
    """

    data: bytes
    read: Read
    file: Path | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """What the person called it."""
        return f"Manifest {self.sha256}" if self.file is None else repr(str(self.file))


def read_source(source: str, locations: Sequence[str]) -> Source:
    """The manifest that a file or a hash in some stores stands for.

    Raises:
        UsageError: It is neither a file nor a hash, or the file is too long for a manifest.
        LlamafundError: It cannot be read, or no store has it.
    """

    def read(sha256: str) -> bytes:
        return reading(Sources([open_store(location) for location in locations]))(sha256)

    sha256 = as_hash(source)
    if sha256 is not None:
        # Even if a file has that name: whoever made the directory may have put another manifest there.
        return Source(read(sha256), read, sha256=sha256)
    path = Path(source)
    if not os.path.lexists(source):
        raise UsageError(
            f"There is no file {source!r}",
            "It is not a hash either: a hash has 64 hexadecimal digits, as sha256sum prints them",
            "Check the path, or name the hash that is on chain",
        )
    return Source(read_saved(path), beside(path, read), file=path)
