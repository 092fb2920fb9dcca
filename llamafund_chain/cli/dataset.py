"""`llamafund dataset`: describe and publish data."""

from __future__ import annotations

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
    tell_left_out,
    tell_look_alikes,
    tell_problem,
)
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import FilePath, json_option, store_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import HashCache, TreeListing, raw_cid
from llamafund_chain.evidence.manifests import save_manifest
from llamafund_chain.store import open_store
from llamafund_chain.store.dataset import Layout, build_dataset


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIRECTORY")
@click.option("--title", required=True, help="Name of the dataset.")
@click.option("--license", required=True, help="License of the documents, if possible an SPDX identifier.")
@click.option("--source", required=True, help="Where the documents come from.")
@click.option(
    "--preparation",
    default="None: the files are as they came.",
    show_default=True,
    help="How the documents were prepared.",
)
@click.option(
    "--out",
    type=FilePath(),
    metavar="FILE",
    help="Also write the manifest to this file; its sha256sum is the hash that goes on chain. If it has no room for "
    "all files, the rest are in the folder listings/ beside it.",
)
@click.option(
    "--train",
    metavar="FOLDER",
    multiple=True,
    default=("train",),
    show_default=True,
    help="Folder with documents to train on, or a pattern of files such as 'data/train-*'; repeatable.",
)
@click.option(
    "--heldout",
    metavar="FOLDER",
    multiple=True,
    default=("heldout",),
    show_default=True,
    help="Folder with held-out documents, such as validation or test, or a pattern of files; repeatable.",
)
@include_hidden_option
@allow_secrets_option
@jobs_option
@cache_option
@no_cache_option
@store_option
@json_option
def build(
    directory: Path,
    title: str,
    license: str,
    source: str,
    preparation: str,
    out: Path | None,
    train: tuple[str, ...],
    heldout: tuple[str, ...],
    include_hidden: bool,
    allow_secrets: bool,
    jobs: int | None,
    cache: Path | None,
    no_cache: bool,
    store: str,
    as_json: bool,
) -> None:
    """Hash and publish the documents in DIRECTORY, and print the hash that campaigns name.

    DIRECTORY contains train/ and heldout/ with .txt files of one document each, or .jsonl files with one object
    {"text": …} per line, also packed (.jsonl.gz, .jsonl.zst). In .parquet and .arrow files, each row has a document in
    the column text; in .tar files, each .txt member is one. A held-out document that is also a training document is
    refused.

    Folders as Hugging Face lays them out work too: name the held-out ones, for example --heldout validation --heldout
    test. README.md, LICENSE, .gitattributes and dataset_infos.json beside the parts become part of the dataset, and
    the documents stay as they are.

    What other programs keep in the folder for themselves stays behind (see --include-hidden), and so does what the
    file .llamafundignore in it names, in the syntax of .gitignore. Files that look like secrets stop the command.

    Hashes are cached in hashes.sqlite beside a local store, or in --cache FILE. A file is not hashed again as long as
    its size, times and inode stay the same. The documents are read every time.

    \b
    Example:
      llamafund dataset build corpus --title "Field notes" --license CC0-1.0 --source "my own notebooks"
    """
    if cache is not None and no_cache:
        raise UsageError("--cache and --no-cache contradict each other", remedy="Drop one of them")
    place = None if no_cache else cache or store_cache(store)
    known = None if place is None else HashCache(place)
    if_interrupted("documents already in the store stay there. Run the same command again to continue")
    sending = HashingProgress(f"Publishing {directory.name}")
    listed: list[TreeListing] = []
    with HashingProgress(f"Hashing {directory.name}") as shown, sending:

        def begin(listing: TreeListing) -> None:
            tell_left_out(listing.left_out)
            tell_look_alikes(listing)
            sending.total(listing.size)
            listed.append(listing)

        manifest = build_dataset(
            directory,
            title=title,
            source=source,
            license=license,
            preparation=preparation,
            store=open_store(store),
            layout=Layout(train, heldout, hidden=include_hidden, allow_secrets=allow_secrets),
            listed=begin,
            remark=lambda text: note(f"note: {text}"),
            sending=sending.advance,
            progress=shown.advance,
            total=shown.total,
            jobs=jobs,
            cache=known,
        )
    tell_problem(known)
    if out is not None:
        save_manifest(out, manifest)
    samples = {part.name: part.samples for part in manifest.parts}
    sha256 = manifest.sha256
    parts: dict[str, JsonValue] = {
        part.name: {"files": len(manifest.part(part.name)), "documents": part.samples} for part in manifest.parts
    }
    facts: dict[str, JsonValue] = {
        "dataset": sha256,
        "cid": raw_cid(sha256),
        "content_root": manifest.content.root,
        "content_size": manifest.content.size,
        "parts": parts,
        "left_out": dict(listed[0].left_out),
        "store": store,
        "manifest_file": None if out is None else str(out),
    }
    lines = rows(
        (
            ("dataset", sha256),
            ("address", raw_cid(sha256)),
            ("documents", f"{samples['train']} to train on, {samples['heldout']} held out"),
            ("bytes", f"{manifest.content.size} in {len(manifest.files)} files"),
            ("content root", manifest.content.root),
            ("store", store),
        )
    )
    emit("dataset build", facts, lines, as_json=as_json)
