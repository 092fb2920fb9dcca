"""`llamafund dataset`: describing and publishing data."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.options import json_option, store_option
from llamafund_chain.cli.output import emit, progress, rows


@click.group()
def dataset() -> None:
    """Describe training data in a manifest and publish it."""


@dataset.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIRECTORY")
@click.option("--title", required=True, help="Name of the dataset.")
@click.option("--licence", required=True, help="Licence of its documents, an SPDX identifier where there is one.")
@click.option("--source", required=True, help="Where its documents come from.")
@click.option(
    "--preparation",
    default="None: the files are as they came.",
    show_default=True,
    help="What was done to them.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the manifest to this file; sha256sum of it prints what goes on chain.",
)
@store_option
@json_option
def build(
    directory: Path,
    title: str,
    licence: str,
    source: str,
    preparation: str,
    out: Path | None,
    store: str,
    as_json: bool,
) -> None:
    """Hash the documents in DIRECTORY, publish them, and print the hash that a campaign names.

    DIRECTORY holds train/ and heldout/ with .txt files of one document each, or .jsonl files with one object
    {"text": …} on each line. A held-out document that is also a training document is refused.

    \b
    Example:
      llamafund dataset build corpus --title "Field notes" --licence CC0-1.0 --source "my own notebooks"
    """
    from llamafund_chain.dataset import build_dataset
    from llamafund_chain.files import write_file
    from llamafund_chain.hashing import raw_cid
    from llamafund_chain.store import open_store

    progress(f"Hashing {directory}")
    manifest = build_dataset(
        directory,
        title=title,
        source=source,
        licence=licence,
        preparation=preparation,
        store=open_store(store),
    )
    if out is not None:
        write_file(out, manifest.to_bytes())
    samples = {part.name: part.samples for part in manifest.parts}
    sha256 = manifest.sha256
    parts: dict[str, JsonValue] = {
        part.name: {"files": len(part.paths), "documents": part.samples} for part in manifest.parts
    }
    facts: dict[str, JsonValue] = {
        "dataset": sha256,
        "cid": raw_cid(sha256),
        "content_root": manifest.content.root,
        "content_size": manifest.content.size,
        "parts": parts,
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
