"""`llamafund web`: the page on which people pledge, served on this machine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from urllib.parse import urlsplit

import click
from pydantic import JsonValue

from llamafund_chain.chain.connection import connect
from llamafund_chain.chain.networks import chain_title
from llamafund_chain.cli.options import (
    ADDRESS,
    DEFAULT_RPC,
    WholeNumber,
    expected_chain,
    json_option,
    rpc_option,
    stores_option,
)
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.errors import NodeUnreachableError
from llamafund_chain.store.fetching import open_sources
from llamafund_chain.web.server import place, serving


@click.command(short_help="Show the page on which people pledge with their browser's wallet.")
@click.option("--campaign", type=ADDRESS, metavar="ADDRESS", help="Open this campaign; otherwise the chain's list.")
@click.option("--port", type=WholeNumber(0, 65535), default=0, show_default="a free one", help="Port on this machine.")
@click.option("--no-open", is_flag=True, help="Only print the address; open no browser.")
@stores_option
@rpc_option
@json_option
def web(campaign: str | None, port: int, no_open: bool, stores: tuple[str, ...], rpc: str, as_json: bool) -> None:
    """Serve the page on this machine until Ctrl-C, and open it in the browser.

    On it, everybody can look at campaigns, pledge, vote, challenge and take refunds with a wallet in the browser, and
    check it all. It is the folder that can also be pinned to IPFS; here it comes with stricter headers, and with the
    manifests in --store. Nobody else can reach it. It has no keys and signs nothing.

    The page asks the node that --rpc names. If none answers, it begins at its first screen, where one can be chosen.

    With --json: url, and chain and campaign (null if they are not given). The document is printed once the page is up.

    \b
    Example:
      llamafund web
      llamafund web --campaign 0x5FbDB2315678afecb367f032d93F642f64180aa3 --network sepolia
    """
    node = rpc.split()[0] if rpc.split() else rpc
    chain_id, asked = _chain(rpc, must=campaign is not None)
    if asked and not _may_be_asked(node):
        note("The page may only ask nodes at https:// addresses, or on this machine: choose one there.")
        asked = False
    first = place(chain_id, campaign, node if asked else None)
    with _until_stopped() as stopped, serving(port, open_sources(stores), first) as url:
        shown = url + place(chain_id, campaign, node if asked and _is_bare(node) else None)
        facts: dict[str, JsonValue] = {
            "url": shown,
            "chain": None if chain_id is None else f"eip155:{chain_id}",
            "campaign": campaign,
        }
        pairs = [("page", shown), *([] if chain_id is None else [("chain", chain_title(chain_id))])]
        emit("web", facts, rows(pairs), as_json=as_json)
        note("Running. Ctrl-C stops it.")
        if not no_open:
            _open(f"{url}open")
        stopped.wait()
    note("The page is no longer served.")


def _chain(rpc: str, *, must: bool) -> tuple[int | None, bool]:
    """The chain's number, and whether the node of that chain answers.

    Args:
        rpc: As `rpc_option` gives it.
        must: Whether there is no page without a chain.
    """
    expected = expected_chain()
    try:
        return connect(rpc, expected=expected_chain()).chain_id, True
    except NodeUnreachableError as error:
        if expected is not None:
            note(f"Note: {error}")
            return expected[0], False
        if must or rpc != DEFAULT_RPC:
            raise
        return None, False


def _may_be_asked(node: str) -> bool:
    """Whether the page's rules let it ask a node."""
    parts = urlsplit(node)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")


def _is_bare(node: str) -> bool:
    """Whether nothing in a node's address can be secret."""
    parts = urlsplit(node)
    return parts.path in ("", "/") and not (parts.query or parts.username or parts.password)


def _open(url: str) -> None:
    """Open the browser. The node's address may be secret, so the server says it, not the browser's command line."""
    # Imported here: it looks for browsers when it is loaded.
    import webbrowser

    opened = False
    with suppress(webbrowser.Error):
        opened = webbrowser.open(url)
    if not opened:
        note("No browser could be opened: open the address above.")


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """Gives what is set once somebody stops the command."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
