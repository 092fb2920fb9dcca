"""Fetching published content from stores, nodes, gateways, and mirrors, which only know paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import EvidenceManifest, FileEntry, Listing, Manifest, all_files
from llamafund_chain.http.patience import Patience
from llamafund_chain.store import Store, open_store
from llamafund_chain.store.content import Fetched, Progress, check_content, fetch_files, reading
from llamafund_chain.store.http.client import without_secrets
from llamafund_chain.store.kinds.mirror import MirrorStore, check_mirror, mirrors_of
from llamafund_chain.store.sources import Report, Sources

_MIRROR = re.compile(r"(hf|mirror(\+insecure)?):")


def split_mirrors(locations: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split locations into those that know content by its hash, and mirrors, which only know a manifest's paths.

    Raises:
        UsageError: One is a malformed mirror, or plain HTTP to another machine.
    """
    others: list[str] = []
    mirrors: list[str] = []
    for location in locations:
        (mirrors if _MIRROR.match(location) else others).append(location)
    for location in mirrors:
        name, insecure = _mirror_name(location)
        check_mirror(name, insecure=insecure)
    return others, mirrors


def open_sources(locations: Iterable[str], *, link: bool = False, report: Report | None = None) -> Sources:
    """Open the stores at locations, to be tried in turn.

    Args:
        locations: As `open_store` takes them.
        link: For directories; see `LocalStore`.
        report: Called about each location or gateway that failed where another one delivered.

    Raises:
        UsageError: There is none, or one is malformed or serves no content.
    """
    patience = Patience(report=report)
    places = [_open_source(location, link, report, patience) for location in locations]
    if not places:
        raise UsageError(
            "No location can deliver the manifest",
            "Mirrors only have files",
            "Add a directory, a Kubo node (kubo:…) or gateways (gateway:…)",
        )
    return Sources(places, report, patience)


def fetch_all(
    sources: Sources,
    manifest: Manifest,
    destination: Path,
    *,
    mirrors: Sequence[str] = (),
    hints: bool = True,
    total: Progress | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch all files that a manifest names, also from its mirrors, and compare its content root with them.

    Otherwise like `fetch_files`.

    Args:
        sources: Tried in turn for each file.
        manifest: The manifest that names the files; its listings are fetched too.
        destination: As in `fetch_files`.
        mirrors: Mirrors to try after the sources, from `split_mirrors`.
        hints: Finally try the mirrors that the manifest names.
        total: Called once with the bytes that `progress` will get in all: each byte of a manifest with a content root
            counts twice.
        progress: As in `fetch_files`.

    Raises:
        UsageError: The manifest names no files, or as `fetch_files`.
        VerificationError: The files are right, but the content root is not theirs; or as `fetch_files`.
        LlamafundError: As `fetch_files`.
    """
    if not isinstance(manifest, EvidenceManifest | Listing):
        raise UsageError(
            f"The manifest {manifest.sha256} is a {manifest.schema_}, which names no files",
            remedy="Fetch it by its address (CID) to get the manifest itself",
        )
    files = tuple(all_files(manifest, reading(sources)))
    if total is not None:
        total(sum(entry.size for entry in files) * (2 if isinstance(manifest, EvidenceManifest) else 1))
    named = mirrors_of(manifest) if hints else ()
    hinted = (MirrorStore(name, files, hint=True, patience=sources.patience) for name in named)
    places = [*sources.places, *_open_mirrors(mirrors, files, sources.patience), *hinted]
    done = fetch_files(replace(sources, places=places), files, destination, progress=progress)
    if isinstance(manifest, EvidenceManifest):
        check_content(destination, manifest, progress=progress)
    return done


def _open_source(location: str, link: bool, report: Report | None, patience: Patience) -> Store:
    if location.startswith(("pin:", "pin+")):
        raise UsageError(
            f"{without_secrets(location)!r} serves no content",
            "A pinning service only pins",
            "Name gateways instead: --from gateway:…",
        )
    return open_store(location, link=link, report=report, patience=patience)


def _open_mirrors(locations: Iterable[str], files: Sequence[FileEntry], patience: Patience) -> Iterator[MirrorStore]:
    for location in locations:
        name, insecure = _mirror_name(location)
        yield MirrorStore(name, files, insecure=insecure, patience=patience)


def _mirror_name(location: str) -> tuple[str, bool]:
    return location.replace("mirror+insecure:", "mirror:", 1), location.startswith("mirror+insecure:")
