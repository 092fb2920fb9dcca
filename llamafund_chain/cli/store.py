"""`llamafund store`: manage a store."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.hashing import HashingProgress
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import FilePath, Number, json_option, store_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.sources import as_hash
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import (
    MAX_MANIFEST_BYTES,
    EvidenceManifest,
    Listing,
    all_files,
    parse_head,
    shown_path,
)
from llamafund_chain.store import LocalStore, open_store
from llamafund_chain.store.archive import Imported, Root, export_car, import_car
from llamafund_chain.store.base import OtherFormError, called, check_cid
from llamafund_chain.store.content import reading
from llamafund_chain.store.kinds.local import WAIT_SECONDS
from llamafund_chain.text import counted

_ROOTS_SHOWN = 10
_SHOWN = 5


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
    """Unpin contents, so that they may be removed.

    Contents are pinned by each published manifest that needs them, and by hand with `llamafund store pin`. In a local
    store a HASH undoes all pins of that manifest, and a CID a pin by hand. What another manifest needs stays pinned. In
    other stores, a HASH unpins only the manifest.

    With --json: store, unpinned (addresses), still_pinned (by address, the manifests that pin it all the same).

    \b
    Example:
      llamafund store unpin bafkreiexnk5yj67l4zhoycij2fniixnhwphpahih7oqhyiqkcgn36tkemi
    """
    opened = open_store(store)
    cids = [_address(name) for name in names]
    with called(dict(zip(cids, names, strict=True))):
        for name, cid in zip(names, cids, strict=True):
            sha256 = as_hash(name)
            if sha256 is not None and isinstance(opened, LocalStore):
                opened.release(sha256)
            opened.unpin(cid)
    owners = opened.owners() if isinstance(opened, LocalStore) else {}
    still = {cid: [owner for owner, pinned in sorted(owners.items()) if cid in pinned] for cid in cids}
    listed: list[JsonValue] = list(cids)
    facts: dict[str, JsonValue] = {
        "store": opened.location,
        "unpinned": listed,
        "still_pinned": {cid: list[JsonValue](found) for cid, found in still.items() if found},
    }
    emit("store unpin", facts, [_unpinned(cid, still[cid]) for cid in cids], as_json=as_json)


@click.command()
@click.option(
    "--grace",
    type=Number(min=0),
    metavar="SECONDS",
    default=3600.0,
    show_default=True,
    help="Keep contents that are newer than this, because they may be about to be pinned.",
)
@click.option(
    "--wait",
    type=Number(min=0),
    metavar="SECONDS",
    default=WAIT_SECONDS,
    show_default=True,
    help="Wait so long for programs that are writing to the store.",
)
@store_option
@json_option
def gc(grace: float, wait: float, store: str, as_json: bool) -> None:
    """Remove unpinned contents, and unfinished files of killed programs, from a local store.

    Pinned contents are never removed. Programs that write to the store wait until this is done.

    With --json: store, removed (addresses), bytes_freed, unfinished (files of killed programs), spared, strays (what
    does not belong into the store's folders; it is left alone).

    \b
    Example:
      llamafund store gc --store ./store
    """
    for name, seconds in (("--grace", grace), ("--wait", wait)):
        if not math.isfinite(seconds):
            raise UsageError(f"{name} {seconds} is not a number of seconds", remedy="Write one, for example 3600")
    opened = _local(store)
    if_interrupted("what was removed stays removed; pinned contents are all there")
    done = opened.gc(grace=grace, wait=wait)
    removed: list[JsonValue] = list(done.removed)
    facts: dict[str, JsonValue] = {
        "store": opened.location,
        "removed": removed,
        "bytes_freed": done.freed,
        "unfinished": done.unfinished,
        "spared": done.spared,
        "strays": list(done.strays),
    }
    lines = rows(
        (
            ("removed", f"{len(done.removed)} unpinned contents, {done.unfinished} unfinished files"),
            ("freed", f"{done.freed} bytes"),
            ("kept", f"{done.spared} unpinned contents that are newer than {grace:g} seconds"),
        )
    )
    _tell_strays(done.strays)
    emit("store gc", facts, lines, as_json=as_json)


@click.command(name="list")
@store_option
@json_option
def list_(store: str, as_json: bool) -> None:
    """List the manifests that are published in a local store, and what takes up its space.

    Contents that several manifests need count for each of them. `llamafund store unpin HASH` gives a manifest up, and
    `llamafund store gc` removes what nobody pins.

    With --json: store, manifests (sha256, manifest_schema or null if it is not there, contents, bytes), by_hand and
    unpinned (contents, bytes).

    \b
    Example:
      llamafund store list --store ./store
    """
    opened = _local(store)
    sizes, owners, by_hand = opened.sizes(), opened.owners(), opened.pinned_by_hand()
    unpinned = sizes.keys() - by_hand.union(*owners.values())
    manifests: list[JsonValue] = [
        {"sha256": owner, "manifest_schema": _schema_of(opened, owner), **_amount(pinned, sizes)}
        for owner, pinned in sorted(owners.items())
    ]
    facts: dict[str, JsonValue] = {
        "store": opened.location,
        "manifests": manifests,
        "by_hand": _amount(by_hand, sizes),
        "unpinned": _amount(unpinned, sizes),
    }
    table = [(owner, _amount_text(pinned, sizes)) for owner, pinned in sorted(owners.items())]
    table += [("pinned by hand", _amount_text(by_hand, sizes)), ("unpinned", _amount_text(unpinned, sizes))]
    emit("store list", facts, rows(table), as_json=as_json)


@click.command()
@store_option
@json_option
def check(store: str, as_json: bool) -> None:
    """Read everything in a local store and compare it with its address.

    The exit code is 3 if something is damaged, or pinned but not there. Nothing is changed.

    With --json: store, sound, contents, bytes, damaged and missing (addresses), unfinished (files of programs that are
    writing or were killed), strays (what does not belong into the store's folders).

    \b
    Example:
      llamafund store check --store ./store
    """
    opened = _local(store)
    if_interrupted("not everything was read")
    with HashingProgress(f"Checking {opened.location}") as shown:
        found = opened.check(total=shown.total, progress=shown.advance)
    facts: dict[str, JsonValue] = {
        "store": opened.location,
        "sound": found.sound,
        "contents": found.contents,
        "bytes": found.size,
        "damaged": list(found.damaged),
        "missing": list(found.missing),
        "unfinished": found.unfinished,
        "strays": list(found.strays),
    }
    lines = rows(
        (
            ("read", f"{counted(found.contents, 'content')}, {found.size} bytes"),
            ("damaged", str(len(found.damaged))),
            ("missing", f"{len(found.missing)} that are pinned"),
            ("unfinished", counted(found.unfinished, "file")),
        )
    )
    _tell_strays(found.strays)
    worst = [f"damaged   {cid}" for cid in found.damaged] + [f"missing   {cid}" for cid in found.missing]
    emit("store check", facts, [*lines, *worst], as_json=as_json)
    if not found.sound:
        raise VerificationError(
            f"The store {opened.location} has {counted(len(found.damaged), 'damaged content')} and lacks "
            f"{len(found.missing)} that are pinned",
            "The disk has changed them, or somebody removed them",
            "Publish or fetch them again; the right bytes replace the damaged ones",
        )


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
    """Import the files in a CAR file (version 1 or 2) into a local store. Every block is verified first.

    The file may come from any IPFS tool, with any chunks and folders. Files with chunks of 256 KiB or 1 MiB keep their
    address, all others get the one that evidence has for their bytes; names in folders are not kept.

    The exit code is 0 only if everything that the CAR file's roots stand for is in the store and, without --no-pin,
    pinned. It is 3 if blocks are missing or wrong, and 1 if a root is something that no store keeps. Whole files are
    imported all the same.

    With --json: store, files and incomplete (addresses), other (nodes that are not files, such as directories), and
    roots, each with cid, kind, files (the addresses in the store), and problem (null if nothing is missing).

    \b
    Example:
      llamafund store import weights.car --store ./store
    """
    opened = _local(store)
    if_interrupted("files already in the store stay there. Run the same command again to continue")
    done = import_car(file, opened)
    kept = list(dict.fromkeys([*done.files, *(cid for root in done.roots for cid in root.files)]))
    if not no_pin:
        for cid in kept:
            opened.pin(cid)
    facts: dict[str, JsonValue] = {
        "store": opened.location,
        "files": list[JsonValue](done.files),
        "incomplete": list[JsonValue](done.incomplete),
        "other": done.other,
        "roots": [
            {"cid": root.cid, "kind": root.kind, "files": list[JsonValue](root.files), "problem": root.problem or None}
            for root in done.roots
        ],
    }
    lines = rows(
        (
            ("put", f"{len(done.files)} files" + ("" if no_pin or not kept else ", all pinned")),
            ("incomplete", str(len(done.incomplete))),
            ("no files", f"{done.other} nodes"),
            *(("root", f"{root.kind} {_fate(root)}") for root in done.roots[:_ROOTS_SHOWN]),
        )
    )
    if len(done.roots) > _ROOTS_SHOWN:
        lines = [*lines, f"and {len(done.roots) - _ROOTS_SHOWN} more roots: --json lists them all"]
    emit("store import", facts, lines, as_json=as_json)
    _require_all(file, done)


def _fate(root: Root) -> str:
    if root.problem:
        return f"{root.cid}: NOT complete, {root.problem}"
    if root.files == (root.cid,):
        return root.cid
    if root.kind == "file":
        return f"{root.cid}, kept as {root.files[0]}"
    return f"{root.cid}: {counted(len(root.files), 'file')}, all kept"


def _require_all(file: Path, done: Imported) -> None:
    lacking = done.lacking
    if done.incomplete or any(root.absent for root in lacking):
        what = f"of {len(lacking)} of its {counted(len(done.roots), 'root')}"
        first = next((f"{root.cid}: {root.problem}" for root in lacking if root.absent), "")
        if not first:
            what, first = f"of {counted(len(done.incomplete), 'file')}", f"The first is {done.incomplete[0]}"
        raise VerificationError(
            f"{str(file)!r} lacks blocks {what}",
            first,
            "It was cut short, or exported only in part. Export everything again",
        )
    if lacking:
        raise OtherFormError(
            f"{len(lacking)} of the {counted(len(done.roots), 'root')} of {str(file)!r} cannot be kept",
            f"{lacking[0].cid}: {lacking[0].problem}",
            "The archive may be sound, but evidence is made of files only. Export the files themselves",
        )
    if not done.roots and not done.files:
        raise OtherFormError(
            f"{str(file)!r} names no roots and has no files", "Nothing was put into the store", "Export the files again"
        )


def _unpinned(cid: str, owners: Sequence[str]) -> str:
    if not owners:
        return f"Unpinned {cid}"
    return (
        f"Unpinned {cid}; still pinned by {counted(len(owners), 'published manifest')}: {', '.join(owners[:_SHOWN])}"
        + (" and others" if len(owners) > _SHOWN else "")
    )


def _tell_strays(strays: Sequence[str]) -> None:
    if strays:
        names = ", ".join(map(shown_path, strays[:_SHOWN]))
        note(f"note: {counted(len(strays), 'thing')} in the store that it did not put there, left alone: {names}")


def _amount(cids: Iterable[str], sizes: Mapping[str, int]) -> dict[str, JsonValue]:
    there = [sizes[cid] for cid in cids if cid in sizes]
    return {"contents": len(there), "bytes": sum(there)}


def _amount_text(cids: Iterable[str], sizes: Mapping[str, int]) -> str:
    amount = _amount(cids, sizes)
    return f"{amount['contents']} contents, {amount['bytes']} bytes"


def _schema_of(opened: LocalStore, sha256: str) -> str | None:
    try:
        return parse_head(opened.read(raw_cid(sha256), limit=MAX_MANIFEST_BYTES), sha256=sha256).schema_
    except LlamafundError:
        return None


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
