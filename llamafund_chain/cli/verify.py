"""`llamafund verify`: compare a directory with a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.hashing import (
    HashingProgress,
    cache_option,
    include_hidden_option,
    jobs_option,
    tell_cached,
    tell_left_out,
)
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import json_option, stores_option
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.sources import read_source
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import HashCache, TreeComparison, compare_tree
from llamafund_chain.evidence.manifests import EvidenceManifest, Listing, all_files, parse_head, shown_path
from llamafund_chain.store.publishing import address_by, profile_of
from llamafund_chain.text import counted


@click.command(short_help="Compare a directory's files with a manifest.")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIRECTORY")
@click.option(
    "--manifest",
    "source",
    required=True,
    metavar="FILE|HASH",
    help="The manifest's file, or its SHA-256 if it is in a store.",
)
@jobs_option
@cache_option
@include_hidden_option
@stores_option
@json_option
def verify(
    directory: Path,
    source: str,
    jobs: int | None,
    cache: Path | None,
    include_hidden: bool,
    stores: tuple[str, ...],
    as_json: bool,
) -> None:
    """Read every file in DIRECTORY and compare it with a manifest: size, SHA-256, address, and the content root.

    Names each file that is missing, extra, changed, or renamed (a missing file's bytes under another path). The exit
    code is 3 if anything differs, or if the manifest contradicts itself.

    What `llamafund publish` leaves out is no extra file, unless you add --include-hidden. What the manifest names is
    compared in any case.

    Everything is read, unless --cache names a cache of digests. A cache trusts the file system's times. It sees neither
    bytes that went bad on the disk, nor memory-mapped files that changed without their times.

    With --json: manifest, manifest_schema, verified, files and bytes (the ones that match), cached (bytes that were not
    read), missing and extra (paths), changed (path, expected_size, actual_size, expected_sha256, actual_sha256 or
    null, line_ends: CRLF or LF if only these differ), renamed (expected_path, actual_path), contradictions (as text),
    and left_out (number of files by what they are left out as).

    \b
    Example:
      llamafund verify weights --manifest 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
    """
    given = read_source(source, stores)
    manifest = parse_head(given.data, sha256=given.sha256, file=given.file)
    if not isinstance(manifest, EvidenceManifest | Listing):
        raise UsageError(
            f"{given.name} is a {manifest.schema_}",
            "It names no files",
            "Name the manifest of a dataset, a checkpoint, weights or a directory",
        )
    files = tuple(all_files(manifest, given.read, file=given.file))
    content = manifest.content if isinstance(manifest, EvidenceManifest) else None
    known = None if cache is None else HashCache(cache)
    if_interrupted("not every file was compared")
    with HashingProgress(f"Verifying {directory.name}") as shown:
        found = compare_tree(
            directory,
            files,
            content,
            progress=shown.advance,
            total=shown.total,
            jobs=jobs,
            cache=known,
            hidden=include_hidden,
            address=address_by(profile_of(manifest)),
        )
    tell_cached(known, found.cached, sum(entry.size for entry in files))
    tell_left_out(found.left_out)
    facts: dict[str, JsonValue] = {
        "manifest": manifest.sha256,
        "manifest_schema": manifest.schema_,
        **_facts(found),
    }
    lines = rows(
        (
            ("manifest", f"{manifest.sha256} ({manifest.schema_})"),
            ("verified", f"{found.files} of {len(files)} files, {found.size} bytes"),
        )
    )
    emit("verify", facts, [*lines, *_differences(found)], as_json=as_json)
    if not found.matches:
        called = f"manifest {given.sha256}" if given.file is None else given.name
        differences = counted(found.differences, "difference")
        raise VerificationError(
            f"{str(directory)!r} does not match {called}: {differences}",
            "" if as_json else "They are listed above",
            "Fetch the files again, or ask whoever published the manifest",
        )


def _facts(found: TreeComparison) -> dict[str, JsonValue]:
    return {
        "verified": found.matches,
        "files": found.files,
        "bytes": found.size,
        "cached": found.cached,
        "missing": list(found.missing),
        "extra": list(found.extra),
        "changed": [
            {
                "path": file.path,
                "expected_size": file.expected_size,
                "actual_size": file.actual_size,
                "expected_sha256": file.expected_sha256,
                "actual_sha256": file.actual_sha256,
                "line_ends": file.line_ends,
            }
            for file in found.changed
        ],
        "renamed": [{"expected_path": old, "actual_path": new} for old, new in found.renamed],
        "contradictions": list(found.contradictions),
        "left_out": dict(found.left_out),
    }


def _differences(found: TreeComparison) -> Iterator[str]:
    for path in found.missing:
        yield f"missing   {shown_path(path)}"
    for path in found.extra:
        yield f"extra     {shown_path(path)}"
    for file in found.changed:
        if file.line_ends is not None:
            yield (
                f"changed   {shown_path(file.path)}: only the line ends, which are {file.line_ends} here. Git converts "
                "them with core.autocrlf"
            )
        elif file.actual_sha256 is None:
            yield f"changed   {shown_path(file.path)}: {file.actual_size} bytes, not {file.expected_size}"
        else:
            yield f"changed   {shown_path(file.path)}: SHA-256 {file.actual_sha256}, not {file.expected_sha256}"
    for old, new in found.renamed:
        yield f"renamed   {shown_path(old)} is now {shown_path(new)}"
    for text in found.contradictions:
        yield f"manifest  contradicts itself: {text}"
