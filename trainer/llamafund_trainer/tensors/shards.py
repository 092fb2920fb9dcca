"""Checkpoints in shards: where `torch.distributed.checkpoint` puts them, and how they become whole files again.

Every process writes its rows of every tensor into a safetensors file of its own, below `model/` and `optimizer/`. What
joins them is the JSON in those files' headers. Joining needs no torch and believes no header: pieces that leave a gap,
overlap or do not fit are refused. Torch's own format, with a pickle called `.metadata`, is for `dcp`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.strict_yaml import load_json
from llamafund_trainer.tensors.compare import TensorEntry, read_entries, read_metadata
from llamafund_trainer.tensors.dcp import distributed_files, join_weights, read_weights
from llamafund_trainer.tensors.dcp_index import INDEX
from llamafund_trainer.tensors.write import TensorHeader, encode_header, write_tensors

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import EvidenceManifest
    from llamafund_chain.store import Store

WEIGHTS = "model.safetensors"
"""File with the weights of a checkpoint without shards, and of every export."""

MODEL = "model"
OPTIMIZER = "optimizer"
SETTINGS = "optimizer.json"
"""File with the optimizer's settings: its groups of parameters without the parameters."""

SHARDING_KEY = "DCP_SHARDING_INFO"
"""Metadata in which torch.distributed.checkpoint says where the first element of each tensor is in the whole."""

_SUFFIX = ".safetensors"
_SHARD = re.compile(rf"(?:{MODEL}|{OPTIMIZER})/shard-\d{{5}}-model-\d{{5}}-of-\d{{5}}\.safetensors")
_SPAN = 1 << 22


@dataclass(frozen=True)
class _Piece:
    """Some rows of a tensor.

    Attributes:
        row: The first one in the whole tensor.
    """

    entry: TensorEntry
    row: int

    @property
    def rows(self) -> int:
        return self.entry.shape[0] if self.entry.shape else 0


def shard_files(part: str, processes: int) -> tuple[str, ...]:
    """The files of one part of a checkpoint (`MODEL` or `OPTIMIZER`), as torch.distributed.checkpoint names them."""
    return tuple(f"{part}/shard-{index:05}-model-00001-of-00001.safetensors" for index in range(1, processes + 1))


def holds_weights(path: str) -> bool:
    """Whether a file of a checkpoint holds weights."""
    return path == WEIGHTS or (path.startswith(f"{MODEL}/") and _SHARD.fullmatch(path) is not None)


def weight_files(paths: Sequence[str]) -> tuple[str, ...]:
    """Which files of a checkpoint hold the weights: the shards if there are any, otherwise `WEIGHTS`.

    Without any safetensors, those in torch's own format for distributed checkpoints, with whatever else is in them.

    Raises:
        VerificationError: There are both, and it is not clear which ones count.
    """
    shards = tuple(sorted(path for path in paths if holds_weights(path) and path != WEIGHTS))
    if shards and WEIGHTS in paths:
        raise VerificationError(
            f"A checkpoint has both {WEIGHTS} and shards in {MODEL}/", "It is not clear which of them are the weights"
        )
    if not any(path.endswith(_SUFFIX) for path in paths):
        return distributed_files(paths) or (WEIGHTS,)
    return shards or (WEIGHTS,)


def fetch_joined(store: Store, manifest: EvidenceManifest, directory: Path) -> Path:
    """Fetch the weights that a manifest names as one file.

    Args:
        store: Where they were published.
        manifest: Names the files and their hashes.
        directory: For `WEIGHTS` and any shards that it is joined from. Created when missing.

    Raises:
        VerificationError: The manifest names no weights, or they do not match it or do not fit together.
        LlamafundError: The store does not have them, or they cannot be written.
    """
    paths = weight_files([entry.path for entry in manifest.files])
    fetch_tree(store, manifest, directory, paths)
    if paths != (WEIGHTS,):
        join_files(directory, paths, directory / WEIGHTS)
    return directory / WEIGHTS


def whole_weights(checkpoint: Path, directory: Path) -> Path:
    """The weights of a checkpoint on disk as one file.

    Args:
        checkpoint: Directory of the checkpoint.
        directory: Existing directory for `WEIGHTS`, if shards have to be joined.

    Raises:
        UsageError: There are no weights.
        VerificationError: The shards do not fit together, or are not what they should be.
        LlamafundError: The file cannot be written.
    """
    found = _present(checkpoint)
    if not found:
        raise UsageError(f"The directory {str(checkpoint)!r} has no weights", f"There is no {WEIGHTS} in it")
    if weight_files(found) == (WEIGHTS,):
        return checkpoint / WEIGHTS
    join_files(checkpoint, found, directory / WEIGHTS)
    return directory / WEIGHTS


def in_shards(checkpoint: Path) -> bool:
    """Whether the weights in a checkpoint's directory are in shards."""
    return any(path != WEIGHTS for path in _present(checkpoint))


def _present(checkpoint: Path) -> list[str]:
    files = (path for path in (checkpoint / WEIGHTS, *(checkpoint / MODEL).glob("*")) if path.is_file())
    found = sorted(filter(holds_weights, (path.relative_to(checkpoint).as_posix() for path in files)))
    if found or not any(checkpoint.rglob(INDEX)):
        return found
    names = [path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()]
    return [path for path in weight_files(names) if path != WEIGHTS]


def weight_pieces(directory: Path, paths: Sequence[str]) -> Iterator[TensorEntry]:
    """Every tensor of a checkpoint's weights, or each of its pieces, whatever files they are in.

    Args:
        directory: The checkpoint.
        paths: Its files with weights: all safetensors, or what `weight_files` returns.

    Raises:
        VerificationError: A file is not what it should be.
    """
    indexes = _indexes(directory, paths)
    if indexes:
        yield from (part.entry for weight in read_weights(indexes) for part in weight.parts)
        return
    for path in paths:
        yield from read_entries([directory / path]).values()


def join_files(directory: Path, paths: Sequence[str], target: Path) -> None:
    """Join what `weight_files` returns in one file.

    Args:
        directory: The checkpoint.
        paths: Its files with weights.
        target: The file. An existing one is replaced, but only by a complete one.

    Raises:
        VerificationError: The files do not fit together, or are not what they should be.
        LlamafundError: The file cannot be written.
    """
    indexes = _indexes(directory, paths)
    if indexes:
        join_weights(indexes, target)
    else:
        join_shards([directory / path for path in paths], target)


def _indexes(directory: Path, paths: Sequence[str]) -> list[Path]:
    return [directory / path for path in paths if path.rpartition("/")[2] == INDEX]


def join_shards(paths: Sequence[Path], target: Path) -> None:
    """Join the tensors of several shards in one file, with the bytes that transformers would write.

    Args:
        paths: The shards.
        target: The file. An existing one is replaced, but only by a complete one.

    Raises:
        VerificationError: One of them is not a shard, or together they are not whole tensors.
        LlamafundError: The file cannot be written.
    """
    tensors = read_shards(paths)
    # In the order of safetensors, so that a joined model has the same bytes as one that was saved whole.
    names = sorted(tensors, key=lambda name: (-_item_size(tensors[name]), name))
    headers = (
        TensorHeader(name, pieces[0].entry.dtype, _whole_shape(pieces), sum(piece.entry.size for piece in pieces))
        for name, pieces in ((name, tensors[name]) for name in names)
    )
    write_tensors(target, headers, (span for name in names for piece in tensors[name] for span in _spans(piece.entry)))


def read_shards(paths: Sequence[Path]) -> dict[str, tuple[_Piece, ...]]:
    """The tensors of several shards by name, each as its pieces from the first row to the last.

    Raises:
        VerificationError: One of them is not a shard, or together they are not whole tensors.
    """
    found: dict[str, list[_Piece]] = {}
    for path in paths:
        for name, piece in _pieces(path):
            found.setdefault(name, []).append(piece)
    return {name: _in_order(name, pieces) for name, pieces in found.items()}


def sort_header(path: Path) -> None:
    """Sort the entries that torch.distributed.checkpoint adds to a shard's header, in place.

    safetensors writes them in an order that changes from run to run, so equal shards would differ in their bytes.

    Raises:
        OSError: The file cannot be read or written.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        file.seek(8)
        file.write(encode_header(header).ljust(length))


def _pieces(path: Path) -> Iterator[tuple[str, _Piece]]:
    note = read_metadata(path).get(SHARDING_KEY)
    try:
        places = load_json((note or "").encode())
    except ValueError as error:
        reason = f"Its header has no {SHARDING_KEY}" if note is None else f"In its {SHARDING_KEY}, {error}"
        raise VerificationError(
            f"{path.name} does not say which parts of the tensors it holds",
            reason,
            "Use shards that torch.distributed.checkpoint wrote with save_distributed",
        ) from error
    for name, entry in read_entries([path]).items():
        described = places.get(name) if isinstance(places, dict) else None
        offsets = described.get("saved_offsets") if isinstance(described, dict) else None
        yield name, _Piece(entry, _first_row(offsets, entry))


def _first_row(offsets: object, entry: TensorEntry) -> int:
    if isinstance(offsets, list) and len(offsets) == len(entry.shape) and not any(offsets[1:]):
        row = offsets[0] if offsets else 0
        if type(row) is int and row >= 0:
            return row
    raise VerificationError(
        f"{entry.path.name} does not say which rows of {entry.name} it holds",
        "Only tensors split by rows can be joined",
    )


def _in_order(name: str, pieces: Sequence[_Piece]) -> tuple[_Piece, ...]:
    ordered = tuple(sorted(pieces, key=lambda piece: (piece.row, piece.rows)))
    kinds = {(piece.entry.dtype, piece.entry.shape[1:], len(piece.entry.shape)) for piece in ordered}
    if len(kinds) != 1:
        raise VerificationError(f"The shards of {name} have different types or shapes")
    if not ordered[0].entry.shape and len(ordered) > 1:
        raise VerificationError(f"The number {name} is in {len(ordered)} shards", "A single number cannot be split")
    row = 0
    for piece in ordered:
        if piece.row != row:
            raise VerificationError(
                f"The shards of {name} do not fit together", f"One begins at row {piece.row}, but the next is {row}"
            )
        row += piece.rows
    return ordered


def _whole_shape(pieces: Sequence[_Piece]) -> list[int]:
    shape = list(pieces[0].entry.shape)
    return [sum(piece.rows for piece in pieces), *shape[1:]] if shape else []


def _item_size(pieces: Sequence[_Piece]) -> int:
    entry = next((piece.entry for piece in pieces if piece.entry.size), pieces[0].entry)
    return entry.size // max(1, math.prod(entry.shape))


def _spans(entry: TensorEntry) -> Iterator[bytes]:
    with entry.path.open("rb") as file:
        file.seek(entry.offset)
        left = entry.size
        while left:
            data = file.read(min(left, _SPAN))
            if not data:
                raise VerificationError(f"{entry.path.name} ends in the middle of the tensor {entry.name}")
            left -= len(data)
            yield data
