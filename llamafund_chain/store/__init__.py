"""Stores: the layer between manifests and bytes. Nothing is used before it is verified."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.http.patience import Patience
from llamafund_chain.store.base import MissingContentError, Store
from llamafund_chain.store.http.client import Credential, credential_for, place_of, without_secrets
from llamafund_chain.store.kinds.gateway import GatewayStore
from llamafund_chain.store.kinds.kubo import KuboStore
from llamafund_chain.store.kinds.local import LocalStore
from llamafund_chain.store.kinds.pinning import PinningStore

__all__ = ["LOCATIONS", "LocalStore", "MissingContentError", "Store", "open_store"]

LOCATIONS = """\
DIRECTORY                              a directory
kubo:http://127.0.0.1:5001             the RPC interface of a Kubo node
gateway:https://HOST[,https://HOST…]   IPFS gateways, asked in turn; read-only
pin:https://HOST/PATH                  an IPFS pinning service; it only pins"""
"""The kinds of locations that `open_store` knows, as text."""

_NETWORK = re.compile(r"(kubo|gateway|pin)(\+insecure)?:(.*)", re.DOTALL)
_NEEDS_MORE = re.compile(r"(car|hf|mirror(?:\+insecure)?):")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]*)://")
_KNOWN = "Name a directory such as ./store, or kubo:http://127.0.0.1:5001, gateway:https://… or pin:https://…"


def open_store(
    location: str | Path,
    *,
    link: bool = False,
    report: Callable[[str], None] | None = None,
    patience: Patience | None = None,
) -> Store:
    """Open the store at a location. This sends nothing yet.

    Tokens and passwords come from the file that the environment variable `LLAMAFUND_CREDENTIALS` names; see
    `http.client.credential_for`.

    Args:
        location: One of `LOCATIONS`. A directory is created when something is first put into it. If its name looks
            like another kind, write it as `./NAME`. `+insecure` before the colon allows plain HTTP to other machines.
        link: For a directory; see `LocalStore`.
        report: Called with a message for each gateway that is dropped or set aside, and before each wait.
        patience: For waiting between attempts at gateways, shared with other stores; `None` for one of its own.

    Raises:
        UsageError: It is empty, a file, malformed, or of an unknown kind.
    """
    if isinstance(location, str):
        network = _NETWORK.fullmatch(location)
        if network is not None:
            wait = Patience(report=report) if patience is None else patience
            return _open_network(network[1], network[3], insecure=network[2] is not None, report=report, patience=wait)
        more = _NEEDS_MORE.match(location)
        if more is not None:
            raise UsageError(
                f"{without_secrets(location)!r} is not a store",
                "CAR files are written by `llamafund publish` and read by `llamafund store import`; mirrors are read "
                "by `llamafund fetch`",
                _KNOWN,
            )
        scheme = _SCHEME.match(location)
        if scheme is not None:
            raise UsageError(
                f"{without_secrets(location)!r} does not say what kind of store it is",
                f"{scheme[1]}:// alone can be many",
                _KNOWN,
            )
        if not location.strip():
            raise UsageError("The store's location is empty", remedy=_KNOWN)
        location = Path(location)
    if location.exists() and not location.is_dir():
        raise UsageError(f"{str(location)!r} is a file", "A local store is a directory", _KNOWN)
    return LocalStore(location, link=link)


def _open_network(
    kind: str, rest: str, *, insecure: bool, report: Callable[[str], None] | None, patience: Patience
) -> Store:
    if not rest.strip():
        raise UsageError(f"'{kind}:' names no server", remedy=_KNOWN)
    places = [place_of(url.strip(), insecure=insecure) for url in (rest.split(",") if kind == "gateway" else [rest])]
    credentials: dict[str, Credential] = {}
    for place in places:
        credential = credential_for(place, kind)
        if credential is not None:
            credentials[place.url] = credential
    if kind == "gateway":
        return GatewayStore(places, credentials, report=report, patience=patience)
    place = places[0]
    if kind == "kubo":
        return KuboStore(place, credentials.get(place.url))
    return PinningStore(place, credentials.get(place.url))
