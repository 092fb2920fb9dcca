"""Stores: the layer between manifests and bytes. What cannot be verified is not used."""

from __future__ import annotations

import re
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.store.base import MissingContentError, Store
from llamafund_chain.store.local import LocalStore

__all__ = ["LocalStore", "MissingContentError", "Store", "open_store"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_store(location: str | Path) -> Store:
    """The store at a location.

    Args:
        location: A directory; it is created when something is first put into it.

    Raises:
        UsageError: It is empty, a file, or an address of a kind of store that this version does not know.
    """
    if isinstance(location, str):
        scheme = _SCHEME.match(location)
        if scheme is not None:
            raise UsageError(
                f"{location!r} is a store of the kind {scheme[1]}",
                "This version knows local directories only",
                "Give a directory, for example ./store",
            )
        if not location.strip():
            raise UsageError("The store's location is empty", remedy="Give a directory, for example ./store")
        location = Path(location)
    if location.exists() and not location.is_dir():
        raise UsageError(
            f"{str(location)!r} is a file",
            "A local store is a directory",
            "Give a directory, for example ./store",
        )
    return LocalStore(location)
