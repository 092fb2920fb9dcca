"""Where commands get manifests: a file, or stores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.manifests import Read, beside, read_saved
from llamafund_chain.store import open_store
from llamafund_chain.store.fetching import read_manifest
from llamafund_chain.strict_yaml import load_json
from llamafund_chain.text import printable

_HASH = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def read_source(source: str, locations: Sequence[str]) -> tuple[bytes, Read]:
    """A manifest's bytes and a reader for its listings, which are beside its file or in the stores.

    Raises:
        UsageError: It is neither a file nor a hash, or as `read_file`.
        LlamafundError: It cannot be read, or no store has it.
    """

    def read(sha256: str) -> bytes:
        return read_manifest([open_store(location) for location in locations], sha256)

    if _HASH.fullmatch(source):
        # Even if a file has that name: whoever made the directory may have put another manifest there.
        return read(source.lower().removeprefix("0x")), read
    path = Path(source)
    if not path.exists():
        raise UsageError(
            f"There is no file {source!r}",
            "It is not a hash either, which has 64 hexadecimal digits, as sha256sum prints them",
            "Check the path, or name the hash that is on chain",
        )
    return read_file(path), beside(path, read)


def read_file(path: Path) -> bytes:
    """The bytes of a manifest whose file somebody has named.

    Raises:
        UsageError: It does not exist, is too long for a manifest, or is no JSON: another file, not a forgery.
        LlamafundError: It cannot be read.
    """
    try:
        data = read_saved(path)
        load_json(data)
    except VerificationError as error:
        raise UsageError(error.what, error.why, error.remedy) from error
    except ValueError as error:
        raise UsageError(
            f"{str(path)!r} cannot be read as JSON",
            printable(str(error), 300),
            "Give the manifest, not a file that it names",
        ) from error
    return data
