"""`llamafund store`: manage a store."""

from __future__ import annotations

import math
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import FilePath, Number, json_option, store_option
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.sources import as_hash
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import EvidenceManifest, Listing, all_files, parse_head
from llamafund_chain.store import LocalStore, open_store
from llamafund_chain.store.archive import export_car, import_car
from llamafund_chain.store.base import called, check_cid
from llamafund_chain.store.content import reading


@click.command()
@store_option
@json_option
def pins(store: str, as_json: bool) -> None:
    """List the pinned addresses.

    With --json: store, pins (addresses).

    \b
    Example:
      llamafund store pins --store ./store
    """
    opened = open_store(store)
    found = sorted(opened.pins())
    listed: list[JsonValue] = list(found)
    emit("store pins", {"store": opened.location, "pins": listed}, found or ["Nothing is pinned"], as_json=as_json)


@click.command()
@click.argument("names", metavar="HASH|CID", nargs=-1, required=True)
@store_option
@json_option
def pin(names: tuple[str, ...], store: str, as_json: bool) -> None:
    """Pin contents, so that they are kept. A HASH pins only the manifest, not the files that it names.

    With --json: store, pinned (addresses).

    \b
    Example:
      llamafund store pin bafkreiexnk5yj67l4zhoycij2fniixnhwphpahih7oqhyiqkcgn36tkemi
    """
    opened = open_store(store)
    cids = [_address(name) for name in names]
    with called(dict(zip(cids, names, strict=True))):
        for cid in cids:
            opened.pin(cid)
    listed: list[JsonValue] = list(cids)
    emit("store pin", {"store": opened.location, "pinned": listed}, [f"Pinned {cid}" for cid in cids], as_json=as_json)


@click.command()
@click.argument("names", metavar="HASH|CID", nargs=-1, required=True)
@store_option
@json_option
def unpin(names: tuple[str, ...], store: str, as_json: bool) -> None:
    """Unpin contents, so that they may be removed. A HASH unpins only the manifest.

    With --json: store, unpinned (addresses).

    \b
    Example:
      llamafund store unpin bafkreiexnk5yj67l4zhoycij2fniixnhwphpahih7oqhyiqkcgn36tkemi
    """
    opened = open_store(store)
    cids = [_address(name) for name in names]
    with called(dict(zip(cids, names, strict=True))):
        for cid in cids:
            opened.unpin(cid)
    listed: list[JsonValue] = list(cids)
    emit(
        "store unpin",
        {"store": opened.location, "unpinned": listed},
        [f"Unpinned {cid}" for cid in cids],
        as_json=as_json,
    )


@click.command()
@click.option(
    "--grace",
    type=Number(min=0),
    metavar="SECONDS",
    default=3600.0,
    show_default=True,
    help="Keep contents that are newer than this, because they may be about to be pinned.",
)
@store_option
@json_option
def gc(grace: float, store: str, as_json: bool) -> None:
    """Remove unpinned contents, and unfinished files of killed programs, from a local store.

    Pinned contents are never removed. The command refuses to run while another program writes to the store.

    With --json: store, removed (addresses), bytes_freed, unfinished (files of killed programs), spared.

    \b
    Example:
      llamafund store gc --store ./store
    """
    if not math.isfinite(grace):
        raise UsageError(f"--grace {grace} is not a number of seconds", remedy="Write one, for example 3600")
    opened = _local(store)
    if_interrupted("what was removed stays removed; pinned contents are all there")
    done = opened.gc(grace=grace)
    removed: list[JsonValue] = list(done.removed)
    facts: dict[str, JsonValue] = {
        "store": opened.location,
        "removed": removed,
        "bytes_freed": done.freed,
        "unfinished": done.unfinished,
        "spared": done.spared,
    }
    lines = rows(
        (
            ("removed", f"{len(done.removed)} unpinned contents, {done.unfinished} unfinished files"),
            ("freed", f"{done.freed} bytes"),
            ("kept", f"{done.spared} unpinned contents that are newer than {grace:g} seconds"),
        )
    )
    emit("store gc", facts, lines, as_json=as_json)


@click.command(name="export")
@click.argument("names", metavar="HASH|CID", nargs=-1, required=True)
@click.option("--out", type=FilePath(), metavar="FILE", required=True, help="The CAR file.")
@store_option
@json_option
def export_(names: tuple[str, ...], out: Path, store: str, as_json: bool) -> None:
    """Export contents of a local store to a CAR file (version 1), for `ipfs dag import` or to send on a disk.

    A HASH stands for a manifest, its listings and all files that it names; a CID for that content alone.

    With --json: store, roots (addresses), out.

    \b
    Example:
      llamafund store export 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9 --out weights.car
    """
    opened = _local(store)
    contents: dict[str, str] = {}
    for name in names:
        sha256 = as_hash(name)
        contents |= {_address(name): name} if sha256 is None else _all_of(opened, sha256)
    cids = list(contents)
    if_interrupted(f"{out} was not written")
    with called(contents):
        export_car(opened, cids, out)
    listed: list[JsonValue] = list(cids)
    emit(
        "store export",
        {"store": opened.location, "roots": listed, "out": str(out)},
        rows((("file", str(out)), ("contents", str(len(cids))))),
        as_json=as_json,
    )


@click.command(name="import")
@click.argument("file", type=FilePath(exists=True), metavar="FILE")
@click.option("--no-pin", is_flag=True, help="Do not pin the imported files.")
@store_option
@json_option
def import_(file: Path, no_pin: bool, store: str, as_json: bool) -> None:
    """Import the files in a CAR file (version 1) into a local store. Every block is verified first.

    The exit code is 3 if blocks of a file are missing; complete files are imported all the same.

    With --json: store, files and incomplete (addresses), other (nodes that are not files, such as directories).

    \b
    Example:
      llamafund store import weights.car --store ./store
    """
    opened = _local(store)
    if_interrupted("files already in the store stay there. Run the same command again to continue")
    done = import_car(file, opened)
    if not no_pin:
        for cid in done.files:
            opened.pin(cid)
    files: list[JsonValue] = list(done.files)
    incomplete: list[JsonValue] = list(done.incomplete)
    facts: dict[str, JsonValue] = {
        "store": opened.location,
        "files": files,
        "incomplete": incomplete,
        "other": done.other,
    }
    lines = rows(
        (
            ("put", f"{len(done.files)} files" + ("" if no_pin else ", all pinned")),
            ("incomplete", str(len(done.incomplete))),
            ("no files", f"{done.other} nodes"),
        )
    )
    emit("store import", facts, lines, as_json=as_json)
    if done.incomplete:
        raise VerificationError(
            f"{str(file)!r} lacks blocks of {done.incomplete[0]} and of {len(done.incomplete) - 1} other files",
            "It was cut short, or exported only in part",
            "Export everything again",
        )


def _local(location: str) -> LocalStore:

    opened = open_store(location)
    if not isinstance(opened, LocalStore):
        raise UsageError(
            f"{location!r} is not a directory",
            "This works on local stores; nodes and services collect their garbage themselves",
            "Name a directory with --store",
        )
    return opened


def _address(name: str) -> str:
    sha256 = as_hash(name)
    if sha256 is not None:
        return raw_cid(sha256)
    check_cid(name)
    return name


def _all_of(opened: LocalStore, sha256: str) -> dict[str, str]:
    """The addresses of a manifest, its listings and its files, each with what a person calls it."""
    found: dict[str, str] = {}
    fetch = reading(opened)

    def read(sha256: str) -> bytes:
        found[raw_cid(sha256)] = sha256
        return fetch(sha256)

    manifest = parse_head(read(sha256), sha256=sha256)
    if isinstance(manifest, (EvidenceManifest, Listing)):
        for entry in all_files(manifest, read):
            found.setdefault(entry.cid, repr(entry.path))
    return found
