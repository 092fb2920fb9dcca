"""`llamafund manifest`: show, check and convert manifests."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.options import HASH, FilePath, json_option, stores_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.sources import Source, read_source
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.contradictions import contradictions
from llamafund_chain.evidence.exports import FORMATS
from llamafund_chain.evidence.exports import export as write
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import (
    EvidenceManifest,
    FileEntry,
    Listing,
    Manifest,
    UpdateManifest,
    complete,
    look_alikes,
    parse,
    parse_head,
    shown_path,
)
from llamafund_chain.evidence.manifests import all_files as files_of
from llamafund_chain.evidence.manifests.schemas import schema_names, schema_text
from llamafund_chain.files import write_file
from llamafund_chain.store import MissingContentError
from llamafund_chain.store.publishing import profile_of
from llamafund_chain.text import counted

_WRAPPER = textwrap.TextWrapper(
    100, expand_tabs=False, replace_whitespace=False, drop_whitespace=False, break_on_hyphens=False
)
"""Breaks a stranger's long lines and loses none of their characters."""

_FILES_SHOWN = 20
_FORMATS = ("croissant", "cyclonedx", "in-toto", "sha256sums")


@click.command()
@click.argument("source", metavar="FILE|HASH")
@click.option("--files", "all_files", is_flag=True, help=f"Show all files, not just the first {_FILES_SHOWN}.")
@stores_option
@json_option
def show(source: str, all_files: bool, stores: tuple[str, ...], as_json: bool) -> None:
    """Print a manifest, with every character made visible.

    FILE|HASH is a file, or the SHA-256 of a manifest in a store. Names are shown with \\u{…} in place of control
    characters, invisible characters and letters that pass for others.

    With --json: sha256, cid, bytes, manifest_schema, complete (false if listings are missing), file_count, document
    (the manifest itself), files (null without --files), and look_alikes: groups of paths that differ only in normal
    form, letter case or look.

    \b
    Example:
      llamafund manifest show dataset.json --files
    """
    given = read_source(source, stores)
    data = given.data
    found: Manifest = parse_head(data, sha256=given.sha256, file=given.file)
    if isinstance(found, EvidenceManifest) and not found.is_complete:
        try:
            found = complete(found, given.read, file=given.file)
        except MissingContentError as error:
            note(f"note: only the manifest itself can be shown, without its listings. {error}")
    emit("manifest show", _facts(found, data, all_files), _lines(found, data, all_files), as_json=as_json)


@click.command()
@click.argument("source", metavar="FILE|HASH")
@click.option("--hash", "sha256", type=HASH, default=None, help="The hash that it must have, as on chain.")
@stores_option
@json_option
def check(source: str, sha256: str | None, stores: tuple[str, ...], as_json: bool) -> None:
    """Check that a manifest is valid: canonical, of a known schema, with all its listings, without contradictions.

    Contradictions are an address that cannot belong to its SHA-256 or size, or two entries of which only one can be
    true. The exit code is 3 if there are any or it is not valid, and 2 if the file is not even JSON. This does not read
    the files that it names; `llamafund verify` does.

    With --json: sha256, cid, bytes, manifest_schema, complete, file_count, document, files (null), look_alikes, valid,
    contradictions (as text).

    \b
    Example:
      llamafund manifest check dataset.json --hash 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
    """
    given = read_source(source, stores)
    found = parse(given.data, sha256=sha256 or given.sha256, file=given.file, read=given.read)
    files = _files_of(found, given)
    content = found.content if isinstance(found, EvidenceManifest) else None
    wrong = list(contradictions(files, content, profile_of(found)))
    facts = {
        **_facts(found, given.data, all_files=False),
        "valid": not wrong,
        "contradictions": list[JsonValue](wrong),
    }
    judged = "contradicts itself" if wrong else f"is a valid {found.schema_}"
    shown = [f"  {line}" for line in wrong[:_FILES_SHOWN]]
    emit("manifest check", facts, [f"{found.sha256} {judged}", *shown, *_look_alike_lines(found)], as_json=as_json)
    if wrong:
        raise VerificationError(
            f"{given.name} contradicts itself in {counted(len(wrong), 'place')}",
            wrong[0],
            "Do not sign or pay for it; ask whoever made it",
        )


@click.command()
@click.argument("source", metavar="FILE|HASH")
@click.option("--as", "format_name", type=click.Choice(_FORMATS), required=True, help="The format to write.")
@click.option("--name", default=None, help="Name of the model or dataset; by default made from its kind and hash.")
@click.option(
    "--out",
    type=FilePath(),
    metavar="FILE",
    help="Write to this file instead of standard output.",
)
@stores_option
@json_option
def export(
    source: str, format_name: str, name: str | None, out: Path | None, stores: tuple[str, ...], as_json: bool
) -> None:
    """Convert a manifest, or the listing that `llamafund publish` made, to a format that other tools read.

    \b
    croissant   Croissant 1.0 (JSON-LD), for datasets and listings
    cyclonedx   CycloneDX 1.6 ML-BOM, for weights and listings
    in-toto     in-toto Statement v1 with OpenSSF Model Signing's predicate, unsigned
    sha256sums  what sha256sum --check reads

    The same manifest always gives the same bytes. With --json: format, media_type, manifest, and text (the export),
    or file with --out.

    \b
    Example:
      llamafund manifest export weights.json --as cyclonedx --name my-model --out my-model.cdx.json
    """
    given = read_source(source, stores)
    found = parse(given.data, sha256=given.sha256, file=given.file, read=given.read)
    exported = write(found, format_name, _files_of(found, given), name=name)
    text = exported.decode("utf-8")
    if out is not None:
        write_file(out, exported)
    elif not as_json:
        # Unchanged: programs read it, and `printable` would alter it.
        if _is_terminal() and not text.replace("\n", "").isprintable():
            raise UsageError(
                "Its file names contain characters that control a terminal",
                "The terminal could show something other than what it says",
                "Write it to a file with --out, or pipe it into a program",
            )
        click.echo(text, nl=False)
        return
    facts: dict[str, JsonValue] = {
        "format": format_name,
        "media_type": FORMATS[format_name].media_type,
        "manifest": found.sha256,
        "file": None if out is None else str(out),
        "text": text if out is None else None,
    }
    emit("manifest export", facts, [f"Wrote {len(exported)} bytes to {out}"], as_json=as_json)


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@json_option
def schema(name: str | None, as_json: bool) -> None:
    """Print the JSON Schema (draft 2020-12) of one kind of manifest, or the names of all kinds.

    NAME is the value of a manifest's field "schema", or just the kind.

    With --json: names, or name and json_schema.

    \b
    Example:
      llamafund manifest schema dataset
    """
    if name is None:
        emit("manifest schema", {"names": list[JsonValue](schema_names())}, schema_names(), as_json=as_json)
        return
    text = schema_text(name)
    if as_json:
        document = json.loads(text)
        emit("manifest schema", {"name": document["$id"], "json_schema": document}, (), as_json=True)
        return
    click.echo(text, nl=False)


def _files_of(found: Manifest, given: Source) -> Sequence[FileEntry]:
    """The files that a manifest or listing names; none for other kinds."""
    if isinstance(found, EvidenceManifest | Listing):
        return tuple(files_of(found, given.read, file=given.file))
    return ()


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _facts(found: Manifest, data: bytes, all_files: bool) -> dict[str, JsonValue]:

    is_evidence = isinstance(found, EvidenceManifest)
    entries = found.files if isinstance(found, EvidenceManifest) else ()
    files: list[JsonValue] = [entry.model_dump(mode="json") for entry in entries] if all_files else []
    groups: list[JsonValue] = [list[JsonValue](group) for group in look_alikes(entry.path for entry in entries)]
    return {
        "sha256": found.sha256,
        "cid": raw_cid(found.sha256),
        "bytes": len(data),
        "manifest_schema": found.schema_,
        "complete": found.is_complete if isinstance(found, EvidenceManifest) else True,
        "file_count": found.file_count if isinstance(found, EvidenceManifest) else None,
        "document": found.document(),
        "files": files if all_files and is_evidence else None,
        "look_alikes": groups,
    }


def _lines(found: Manifest, data: bytes, all_files: bool) -> Iterator[str]:
    pairs = [
        ("manifest", found.sha256),
        ("address", raw_cid(found.sha256)),
        ("schema", found.schema_),
        ("bytes", str(len(data))),
    ]
    apart = {"schema", "files", "listings"} | ({"text"} if isinstance(found, UpdateManifest) else set())
    document = {name: value for name, value in found.document().items() if name not in apart}
    pairs += _flat(document, "")
    if isinstance(found, EvidenceManifest):
        beside = f", listed in {len(found.listings)} further manifests" if found.listings else ""
        pairs.append(("files", f"{found.file_count}{beside}"))
    yield from rows(pairs)
    if isinstance(found, UpdateManifest):
        yield ""
        for line in found.text.split("\n"):
            yield from _WRAPPER.wrap(line) or [""]
    if not isinstance(found, EvidenceManifest):
        return
    shown = found.files if all_files else found.files[:_FILES_SHOWN]
    width = max((len(str(entry.size)) for entry in shown), default=0)
    for entry in shown:
        yield f"  {entry.sha256}  {entry.size:>{width}}  {shown_path(entry.path)}"
    if len(shown) < len(found.files):
        yield f"  and {len(found.files) - len(shown)} more: --files shows them all"
    yield from _look_alike_lines(found)


def _look_alike_lines(found: Manifest) -> Iterator[str]:

    if isinstance(found, EvidenceManifest):
        for group in look_alikes(entry.path for entry in found.files):
            names = ", ".join(map(shown_path, group[:_FILES_SHOWN]))
            yield f"note: {len(group)} paths can be taken for one another, and some systems cannot hold both: {names}"


def _flat(value: JsonValue, name: str) -> list[tuple[str, str]]:
    """A document as names and values, with nested names joined by dots."""
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = [(str(place), item) for place, item in enumerate(value)]
    else:
        return [(name, value if isinstance(value, str) else "none" if value is None else str(value).lower())]
    if not inner:
        return [(name, "none")]
    return [pair for key, item in inner for pair in _flat(item, f"{name}.{shown_path(key)}".lstrip("."))]
