"""`llamafund publish`: send a directory to any number of locations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.hashing import (
    HashingProgress,
    allow_secrets_option,
    cache_option,
    include_hidden_option,
    jobs_option,
    no_cache_option,
    store_cache,
    tell_cached,
    tell_left_out,
    tell_look_alikes,
)
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import FilePath, json_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import HashCache, TreeListing, hash_listing, list_tree, raw_cid, refuse_suspects
from llamafund_chain.evidence.manifests import (
    EvidenceManifest,
    FileEntry,
    Listing,
    all_files,
    beside,
    complete,
    parse_head,
    read_saved,
    save_manifest,
)
from llamafund_chain.evidence.profiles import USUAL, Profile, profile_named
from llamafund_chain.store import open_store, publishing
from llamafund_chain.store.content import reading
from llamafund_chain.store.publishing import (
    Outcome,
    Published,
    list_directory,
    listings_of,
    profile_of,
    readdressed,
)
from llamafund_chain.store.sources import Sources


@click.command(short_help="Send a directory to stores, nodes and pinning services.")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIRECTORY")
@click.option(
    "--to",
    "locations",
    metavar="LOCATION",
    multiple=True,
    required=True,
    help="Where to send it; repeatable. See the kinds of locations below.",
)
@click.option(
    "--manifest",
    "manifest_file",
    type=FilePath(exists=True),
    metavar="FILE",
    help="A manifest that names the files. Without it, a listing of all files in the directory is made. The manifest's "
    "listings are looked up in the folder listings/ beside it, then at the locations.",
)
@click.option(
    "--out",
    type=FilePath(),
    metavar="FILE",
    help="Also write the manifest to this file; its sha256sum is the hash. If it has no room for all files, the rest "
    "are in the folder listings/ beside it.",
)
@click.option(
    "--link",
    is_flag=True,
    help="Put hard links instead of copies into local stores, if the file system allows it. The files become "
    "read-only.",
)
@include_hidden_option
@allow_secrets_option
@click.option(
    "--profile",
    type=click.Choice(["unixfs-v1-2025"]),
    default=None,
    metavar="NAME",
    help="Cut files for IPFS as the profile unixfs-v1-2025 says (1 MiB chunks), and say so in the listing. By default "
    "as ipfs add --cid-version=1 does.",
)
@jobs_option
@cache_option
@no_cache_option
@json_option
def publish(
    directory: Path,
    locations: tuple[str, ...],
    manifest_file: Path | None,
    out: Path | None,
    link: bool,
    include_hidden: bool,
    allow_secrets: bool,
    profile: str | None,
    jobs: int | None,
    cache: Path | None,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Send the files in DIRECTORY and the manifest that names them to each LOCATION, and pin them there.

    Prints the manifest's hash, which `llamafund fetch` takes, and what each location got. If a location fails, the
    others go on, and the exit code is that of the first failure. Run the command again to continue: nothing is sent
    twice.

    What other programs keep in the folder for themselves stays behind (see --include-hidden), and so does what the
    file .llamafundignore in it names, in the syntax of .gitignore. Files that look like secrets stop the command.

    \b
    Kinds of locations:
      DIRECTORY                     a local store; write ./NAME if the name looks like another kind
      kubo:http://127.0.0.1:5001    the RPC interface of a Kubo node
      pin:https://HOST/PATH         an IPFS pinning service; it fetches from a node that others can reach
      car:FILE                      a CAR file (version 1) for `ipfs dag import`

    Plain HTTP to other machines is refused, unless you write +insecure before the colon: kubo+insecure:http://….
    Tokens are never part of a location. They go into the file that LLAMAFUND_CREDENTIALS names, one line per server:
    https://HOST bearer TOKEN, or https://HOST basic USER:PASSWORD. LLAMAFUND_KUBO_TOKEN and LLAMAFUND_PIN_TOKEN are
    for servers without a line.

    With --json: manifest, cid, manifest_schema, files, bytes, left_out (number of files by what they are left out
    as), and places, each with location, bytes_sent,
    bytes_present, pinned, seconds, and error (null if everything is there).

    \b
    Example:
      llamafund publish ./weights --to ./store --to kubo:http://127.0.0.1:5001 --to car:weights.car
    """
    if cache is not None and no_cache:
        raise UsageError("--cache and --no-cache contradict each other", remedy="Drop one of them")
    if_interrupted("nothing was published yet")
    if manifest_file is None:
        listing = list_tree(directory, hidden=include_hidden)
        tell_left_out(listing.left_out)
        tell_look_alikes(listing)
        refuse_suspects(listing, allow_secrets=allow_secrets)
        known = None if no_cache else cache or _cache_beside(locations)
        manifest, files = _hash(listing, directory, profile_named(profile), known, jobs)
    else:
        if profile is not None:
            raise UsageError("--manifest and --profile contradict each other", "A manifest has its profile already")
        manifest, files = _read(manifest_file, locations)
        listing = list_tree(directory, [entry.path for entry in files])
        refuse_suspects(listing, allow_secrets=allow_secrets)
    size = sum(entry.size for entry in files)
    if_interrupted("what locations have received stays there. Run the same command again to continue")
    with HashingProgress(f"Publishing {directory.name}") as shown:
        shown.total(size)
        published = publishing.publish(
            directory, manifest, files, locations, link=link, progress=shown.advance, report=_say
        )
    if out is not None:
        save_manifest(out, manifest, listings_of(manifest, files))
    places: list[JsonValue] = [_facts(outcome) for outcome in published.outcomes]
    facts: dict[str, JsonValue] = {
        "manifest": published.sha256,
        "cid": raw_cid(published.sha256),
        "manifest_schema": manifest.schema_,
        "files": published.files,
        "bytes": published.size,
        "left_out": dict(listing.left_out),
        "places": places,
    }
    emit("publish", facts, _lines(published), as_json=as_json)
    failed = [outcome.problem for outcome in published.outcomes if outcome.problem is not None]
    if failed:
        raise _summary(failed, len(published.outcomes))


def _hash(
    listing: TreeListing, directory: Path, profile: Profile, cache: Path | None, jobs: int | None
) -> tuple[EvidenceManifest | Listing, Sequence[FileEntry]]:
    known: HashCache | None = None if cache is None else HashCache(cache)
    with HashingProgress(f"Hashing {directory.name}") as shown:
        tree = hash_listing(listing, progress=shown.advance, total=shown.total, jobs=jobs, cache=known)
    tell_cached(known, tree.cached, tree.content.size)
    if profile == USUAL:
        return list_directory(tree.files), tree.files
    with HashingProgress(f"Cutting {directory.name}") as shown:
        shown.total(tree.content.size)
        files = readdressed(directory, tree.files, profile, progress=shown.advance)
    return list_directory(files, profile), files


def _read(path: Path, locations: Sequence[str]) -> tuple[EvidenceManifest | Listing, Sequence[FileEntry]]:
    stores = [open_store(location) for location in locations if not location.startswith(("car:", "pin:", "pin+"))]
    read = beside(path, reading(Sources(stores)) if stores else None)
    manifest = parse_head(read_saved(path), file=path)
    if isinstance(manifest, EvidenceManifest):
        manifest = complete(manifest, read, file=path)
        return manifest, manifest.files
    if not isinstance(manifest, Listing):
        raise UsageError(
            f"{str(path)!r} is a {manifest.schema_}",
            "It names no files to publish",
            "Drop --manifest to publish everything in the directory",
        )
    files = tuple(all_files(manifest, read, file=path))
    if list_directory(files, profile_of(manifest)) != manifest:
        raise VerificationError(
            f"{str(path)!r} splits its files into listings in another way than llamafund does",
            "The published files would get another hash",
            "Drop --manifest to publish everything in the directory",
        )
    return manifest, files


def _cache_beside(locations: Sequence[str]) -> Path | None:
    for location in locations:
        if not location.startswith("car:"):
            place = store_cache(location)
            if place is not None:
                return place
    return None


def _say(text: str) -> None:
    note(f"note: {text}")


def _facts(outcome: Outcome) -> JsonValue:
    return {
        "location": outcome.location,
        "bytes_sent": outcome.sent,
        "bytes_present": outcome.present,
        "pinned": outcome.pinned,
        "seconds": f"{outcome.seconds:.3f}",
        "error": None if outcome.problem is None else str(outcome.problem),
    }


def _lines(published: Published) -> Iterator[str]:
    yield from rows(
        (
            ("manifest", published.sha256),
            ("address", raw_cid(published.sha256)),
            ("files", f"{published.files}, {published.size} bytes"),
        )
    )
    yield ""
    table = [("location", "sent", "there already", "pinned", "seconds", "")]
    table += [
        (
            outcome.location,
            str(outcome.sent),
            str(outcome.present),
            str(outcome.pinned),
            f"{outcome.seconds:.1f}",
            "complete" if outcome.problem is None else "FAILED",
        )
        for outcome in published.outcomes
    ]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    for first, *rest, last in table:
        cells = [f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))]
        yield "  ".join([*cells, last]).rstrip()


def _summary(failed: Sequence[LlamafundError], places: int) -> LlamafundError:
    first = failed[0]
    summary = LlamafundError(
        f"{len(failed)} of {places} locations do not have everything; the first one said: {first.what}",
        first.why,
        first.remedy or "Run the command again to continue",
    )
    summary.exit_code = first.exit_code
    return summary
