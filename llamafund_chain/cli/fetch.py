"""`llamafund fetch`: verified bytes from any of several locations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.hashing import HashingProgress
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import json_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.sources import as_hash
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import Manifest
from llamafund_chain.store.base import is_cid
from llamafund_chain.store.content import fetch_manifest, remove_unfinished
from llamafund_chain.store.fetching import fetch_all, open_sources, split_mirrors
from llamafund_chain.store.http.resume import kept_paths
from llamafund_chain.store.sources import Sources


@click.command(short_help="Fetch published files by hash or address.")
@click.argument("name", metavar="HASH|CID")
@click.option(
    "--from",
    "locations",
    metavar="LOCATION",
    multiple=True,
    required=True,
    help="Where to fetch from; repeatable, tried in turn. See the kinds of locations below.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    required=True,
    help="Directory for a manifest's files, or file for a CID.",
)
@click.option("--link", is_flag=True, help="Make hard links to a local store's files where possible.")
@click.option("--no-mirrors", is_flag=True, help="Do not try the mirrors that the manifest names.")
@json_option
def fetch(name: str, locations: tuple[str, ...], out: Path, link: bool, no_mirrors: bool, as_json: bool) -> None:
    """Fetch the files that a HASH from chain stands for, through its manifest; or one file by its address CID.

    Whatever a server says, no file gets its name before its hash is right. In the end the manifest's content root is
    compared with the files. Files that exist already are not fetched
    again, and partial files are resumed, so run the command again after an interruption.

    \b
    Kinds of locations:
      DIRECTORY                               a local store; write ./NAME if the name looks like another kind
      kubo:http://127.0.0.1:5001              the RPC interface of a Kubo node
      gateway:https://HOST[,https://HOST…]    IPFS gateways, used side by side; each block is verified
      mirror:https://HOST/FOLDER              a web server that has the files under their paths
      hf:OWNER/NAME@REVISION                  a Hugging Face repository (hf:datasets/OWNER/NAME for data)

    Mirrors only have files, so the manifest must come from another location. Plain HTTP to other machines is refused,
    unless you write +insecure before the colon: gateway+insecure:http://…. Tokens, also for gated Hugging Face
    repositories, go into the file that LLAMAFUND_CREDENTIALS names; see `llamafund publish --help`.

    With --json: for a hash, manifest, manifest_schema, files_fetched, files_present, out; for an address, cid, source
    (the location it came from), out.

    \b
    Example:
      llamafund fetch 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9 \\
          --from ./store --from gateway:https://ipfs.example --out ./weights
    """
    others, mirrors = split_mirrors(locations)
    sources = open_sources(others, link=link, report=_say)
    if is_cid(name):
        if mirrors:
            raise UsageError(
                "A mirror cannot be asked for an address",
                "It knows files by their paths, and only a manifest says which",
                "Fetch the manifest's hash instead",
            )
        _fetch_file(sources, name, out, as_json=as_json)
    elif (sha256 := as_hash(name)) is not None:
        _fetch_tree(sources, sha256, out, mirrors=mirrors, hints=not no_mirrors, as_json=as_json)
    else:
        raise UsageError(
            f"{name[:100]!r} is neither a hash nor an address",
            "A hash is 64 hexadecimal digits, an address a CIDv1 in base32",
            "Copy it from the chain or from the manifest",
        )


def _fetch_file(sources: Sources, cid: str, out: Path, *, as_json: bool) -> None:
    if out.is_dir():
        raise UsageError(f"{str(out)!r} is a directory", "A CID is one file", "Name the file with --out")
    remove_unfinished([out.parent], kept_paths(out.parent, cid))
    source = sources.fetch_from(cid, out)
    facts: dict[str, JsonValue] = {"cid": cid, "source": source, "out": str(out)}
    emit("fetch", facts, rows((("file", str(out)), ("address", cid), ("from", source))), as_json=as_json)


def _fetch_tree(
    sources: Sources, sha256: str, out: Path, *, mirrors: Sequence[str], hints: bool, as_json: bool
) -> None:
    manifest = fetch_manifest(sources, sha256, Manifest)
    if_interrupted(f"complete files are in {out}. Run the same command again to continue")
    with HashingProgress(f"Fetching {out.name}") as shown:
        done = fetch_all(
            sources, manifest, out, mirrors=mirrors, hints=hints, total=shown.total, progress=shown.advance
        )
    facts: dict[str, JsonValue] = {
        "manifest": sha256,
        "manifest_schema": manifest.schema_,
        "files_fetched": done.fetched,
        "files_present": done.present,
        "out": str(out),
    }
    lines = rows(
        (
            ("manifest", f"{sha256} ({manifest.schema_})"),
            ("files", f"{done.fetched} fetched, {done.present} there already, all verified"),
            ("in", str(out)),
        )
    )
    emit("fetch", facts, lines, as_json=as_json)


def _say(text: str) -> None:
    note(f"note: {text}")
