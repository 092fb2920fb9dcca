"""Titles of many campaigns, from the proposals that are at hand."""

from __future__ import annotations

from collections.abc import Sequence

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.store import LocalStore, MissingContentError, Store, open_store
from llamafund_chain.store.content import fetch_manifest


class Titles:
    """Finds titles. Directories are looked into; other stores are asked only if somebody wants that.

    Args:
        locations: As `open_store` takes them.
        fetch: Whether to ask stores that are not directories.

    Attributes:
        problems: Stores that failed, and will not be asked again.
    """

    def __init__(self, locations: Sequence[str], *, fetch: bool) -> None:
        stores = [open_store(location) for location in dict.fromkeys(locations)]
        self._stores: list[Store] = [store for store in stores if fetch or isinstance(store, LocalStore)]
        self.problems: list[str] = []

    def of(self, proposal: str) -> str | None:
        """The title of a proposal; `None` if it is not found.

        Args:
            proposal: SHA-256 of the manifest, 64 hexadecimal digits.
        """
        for store in list(self._stores):
            try:
                return fetch_manifest(store, proposal, ProposalManifest).title
            except (MissingContentError, VerificationError):
                # What is published under one hash says nothing about the others.
                continue
            except LlamafundError as error:
                if not isinstance(store, LocalStore):
                    # One timeout is enough; 200 of them would take hours.
                    self._stores.remove(store)
                    self.problems.append(str(error))
        return None
