"""The files of a base model, fetched by its manifest and verified.

Nothing here imports torch. Only plain data is fetched: configuration, tokenizer and safetensors. Programs and pickles
that the manifest names are not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests import FileEntry, Listing, WeightsManifest, all_files, parse
from llamafund_chain.files import machine_trouble
from llamafund_chain.store.content import fetch_files, reading
from llamafund_chain.strict_yaml import load_json
from llamafund_trainer.tensors.compare import TensorEntry, read_entries
from llamafund_trainer.tensors.shards import WEIGHTS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from llamafund_chain.store import Store

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

TOKENIZER_FILES = (
    TOKENIZER,
    TOKENIZER_CONFIG,
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "vocab.json",
)
"""Files that `AutoTokenizer` reads; all but the first are optional."""

GENERATION_CONFIG = "generation_config.json"

MAX_TEXT_BYTES = 64 * 1024 * 1024
"""Largest size of a file without weights, in bytes."""

MAX_CONFIG_BYTES = 1024 * 1024
"""Largest size of a configuration, in bytes."""

MAX_TENSORS = 200_000
"""Most tensors that a base model may have."""


@dataclass(frozen=True)
class Base:
    """A base model's verified files.

    Attributes:
        directory: Where they are; it holds nothing else.
        name: What messages call the model.
    """

    directory: Path
    name: str = "The base model"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return _read_object(self.directory / CONFIG, MAX_CONFIG_BYTES)

    @cached_property
    def tensors(self) -> dict[str, TensorEntry]:
        """Where each tensor is stored.

        Raises:
            VerificationError: A file is not safetensors, two files have the same tensor, or there are too many.
        """
        found = read_entries([self.directory / name for name in _weight_files(self.directory)])
        if len(found) > MAX_TENSORS:
            raise VerificationError(f"The base model has {len(found)} tensors", f"At most {MAX_TENSORS} are read")
        return found

    def tokenizer(self) -> tuple[Tokenizer, int]:
        """The tokenizer, and the token that each document begins with: begin-of-text, or else end-of-text.

        Raises:
            VerificationError: It cannot be read, or has neither of the two tokens.
        """
        from tokenizers import Tokenizer

        path = self.directory / TOKENIZER
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:
            raise machine_trouble(error, f"Reading {path.name}") or VerificationError(
                f"The base model's {TOKENIZER} cannot be read",
                f"The library tokenizers says: {str(error)[:300]}",
                "Choose another base model",
            ) from error
        # Nothing but the trainer cuts documents into samples.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        known, embedded = tokenizer.get_vocab_size(), self.config.get("vocab_size")
        if isinstance(embedded, int) and known > embedded:
            raise VerificationError(
                f"The base model's tokenizer knows {known} tokens",
                f"The model itself has {embedded}",
                "Publish the model with its own tokenizer",
            )
        place = self.directory / TOKENIZER_CONFIG
        settings = _read_object(place, MAX_TEXT_BYTES) if place.exists() else {}
        for name in ("bos_token", "eos_token"):
            token = settings.get(name)
            text = token.get("content") if isinstance(token, dict) else token
            number = tokenizer.token_to_id(text) if isinstance(text, str) else None
            if number is not None:
                return tokenizer, int(number)
        raise VerificationError(
            "The base model's tokenizer has no token to begin a document with",
            f"{TOKENIZER_CONFIG} names neither a bos_token nor an eos_token that the tokenizer knows",
            "Choose another base model",
        )

    def copy_tokenizer(self, directory: Path) -> None:
        """Copy the tokenizer's files to a directory, byte for byte."""
        self._copy(TOKENIZER_FILES, directory)

    def copy_generation_config(self, directory: Path) -> None:
        """Copy `generation_config.json` to a directory, if there is one."""
        self._copy((GENERATION_CONFIG,), directory)

    def _copy(self, names: Iterable[str], directory: Path) -> None:
        for name in names:
            if (self.directory / name).exists():
                shutil.copyfile(self.directory / name, directory / name)


def fetch_published(store: Store, sha256: str, directory: Path) -> None:
    """Fetch all files of a published folder.

    Args:
        store: Where it was published.
        sha256: SHA-256 of its manifest: of open weights, or the listing that `llamafund publish DIRECTORY` makes.
        directory: Where to write; created when missing.

    Raises:
        LlamafundError: The store lacks something.
        VerificationError: A file does not match its hash.
    """
    fetch_files(store, _listed(store, sha256), directory)


def fetch_base(store: Store, sha256: str, directory: Path, *, weights: bool = True) -> Base:
    """Fetch a base model.

    Args:
        store: Where it was published.
        sha256: SHA-256 of its manifest: of open weights, or the listing that `llamafund publish DIRECTORY` makes.
        directory: Where to write; created when missing.
        weights: Whether to fetch weights and tokenizer, too; the configuration alone says the model's size.

    Raises:
        LlamafundError: The store lacks something.
        VerificationError: A file does not match its hash, is too large, or this is not a model in safetensors.
    """
    entries = _entries(store, sha256)
    for name in (CONFIG, TOKENIZER) if weights else (CONFIG,):
        if name not in entries:
            raise VerificationError(
                f"The base model {sha256} has no {name}",
                f"Its manifest names {len(entries)} files at the top level",
                "Publish a directory that transformers' save_pretrained wrote, with model and tokenizer",
            )
    # Like transformers, prefer one file with all weights to an index of several.
    parts = {INDEX} if WEIGHTS not in entries else set()
    small = {CONFIG, GENERATION_CONFIG, *parts, *TOKENIZER_FILES} & set(entries) if weights else {CONFIG}
    for name in small:
        limit = MAX_CONFIG_BYTES if name == CONFIG else MAX_TEXT_BYTES
        if entries[name].size > limit:
            raise VerificationError(f"The base model's {name} is longer than {limit} bytes")
    fetch_files(store, [entries[name] for name in sorted(small)], directory)
    _refuse_programs(directory)
    if weights:
        _fetch_weights(store, sha256, entries, directory)
    return Base(directory.absolute())


def _fetch_weights(store: Store, sha256: str, entries: Mapping[str, FileEntry], directory: Path) -> None:
    if WEIGHTS not in entries and INDEX not in entries:
        raise VerificationError(
            f"The base model {sha256} has neither {WEIGHTS} nor {INDEX}",
            "Other formats can run code when they are loaded",
            "Save it with transformers' save_pretrained, and publish that directory",
        )
    names = _weight_files(directory)
    lacking = [name for name in names if name not in entries]
    if lacking:
        raise VerificationError(f"The base model {sha256} has no {lacking[0]!r}", f"{INDEX} names it")
    fetch_files(store, [entries[name] for name in names], directory)


def _entries(store: Store, sha256: str) -> dict[str, FileEntry]:
    """The files at the top level of a manifest by name; files in folders do not belong to a model."""
    return {entry.path: entry for entry in _listed(store, sha256) if "/" not in entry.path}


def _listed(store: Store, sha256: str) -> list[FileEntry]:
    """The files that a manifest of open weights or of a published folder names."""
    read = reading(store)
    manifest = parse(read(sha256), sha256=sha256, read=read)
    if not isinstance(manifest, WeightsManifest | Listing):
        raise VerificationError(
            f"The manifest {sha256} is a {manifest.schema_}",
            f"A base model needs a {WeightsManifest.SCHEMA} or a {Listing.SCHEMA}",
            "Publish the model's directory with llamafund publish, and name the hash that it prints",
        )
    return list(all_files(manifest, read))


def _weight_files(directory: Path) -> list[str]:
    index = directory / INDEX
    if not index.exists():
        return [WEIGHTS]
    places = _read_object(index, MAX_TEXT_BYTES).get("weight_map")
    names = list(places.values()) if isinstance(places, dict) and places else [None]
    for name in names:
        if not isinstance(name, str) or "/" in name or not name.endswith(".safetensors"):
            raise VerificationError(
                f"The base model's {INDEX} names {str(name)[:80]!r} as a file of weights",
                "Weights are in .safetensors files beside it",
            )
    return sorted({name for name in names if isinstance(name, str)})


def _refuse_programs(directory: Path) -> None:
    for name in (CONFIG, TOKENIZER_CONFIG):
        path = directory / name
        if path.exists() and _read_object(path, MAX_TEXT_BYTES).get("auto_map"):
            raise VerificationError(
                f"The base model's {name} asks for a program of its own (auto_map)",
                "Only architectures and tokenizers that come with transformers are used",
                "Choose another base model",
            )


def _read_object(path: Path, limit: int) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    try:
        if len(data) > limit:
            raise ValueError(f"it is longer than {limit} bytes")
        value = load_json(data)
        if not isinstance(value, dict):
            raise TypeError("it is not an object")
    except (ValueError, TypeError) as error:
        reason = str(error)[:200]
        raise VerificationError(
            f"The base model's {path.name} cannot be read", f"{reason[0].upper()}{reason[1:]}", "Do not use it"
        ) from error
    return value
