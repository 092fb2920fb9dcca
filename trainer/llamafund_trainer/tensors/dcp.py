"""What `torch.distributed.checkpoint` saves in its own format: the weights in it, joined without torch or a pickle.

A folder has an index, `.metadata`, and for each process a `.distcp` file, in which every part of a tensor is a file of
`torch.save`. Neither is believed: parts that overlap, leave a gap or are not what the index says are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import VerificationError
from llamafund_trainer.tensors.compare import TensorEntry
from llamafund_trainer.tensors.dcp_index import INDEX, SplitTensor, Stored, read_index
from llamafund_trainer.tensors.torch_save import saved_tensor
from llamafund_trainer.tensors.write import TensorHeader, write_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "model"
"""Name of the mapping with the weights, if more than the weights is saved."""

_ORDER = ("I64", "F64", "F32", "I32", "BF16", "F16", "I16", "I8", "U8", "BOOL")
"""In which tensors of these types follow one another in a file of safetensors."""

_FILE = re.compile(r"[A-Za-z0-9_.-]+\.distcp")
_HEADER = "__metadata__"
_SPAN = 1 << 22


@dataclass(frozen=True)
class Part:
    """A part of a weight.

    Attributes:
        offsets: Of its first element in the whole weight.
        entry: Where its bytes are.
    """

    offsets: tuple[int, ...]
    entry: TensorEntry


@dataclass(frozen=True)
class Weight:
    """A weight in parts.

    Attributes:
        name: Its name in the model.
        dtype: Type by its name in safetensors.
        shape: Its dimensions.
        parts: Together they are the whole.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    parts: tuple[Part, ...]


def distributed_files(paths: Sequence[str]) -> tuple[str, ...]:
    """Which files of a checkpoint are in folders that `torch.distributed.checkpoint` wrote."""
    folders = {path.removesuffix(INDEX) for path in paths if path.rpartition("/")[2] == INDEX}
    return tuple(
        sorted(
            path
            for path in paths
            for folder, _, name in [path.rpartition("/")]
            if (f"{folder}/" if folder else "") in folders and (name == INDEX or _FILE.fullmatch(name))
        )
    )


def read_weights(indexes: Sequence[Path]) -> tuple[Weight, ...]:
    """The weights of a checkpoint, each as its parts.

    They are what is below `model`, or all that is not nested if there is no `model`.

    Args:
        indexes: The index of each of its folders.

    Raises:
        VerificationError: There are none, or more than one set of them; or the files are not what an index says.
    """
    sets = [(index, chosen) for index in indexes if (chosen := _chosen(index, read_index(index)))]
    if len(sets) != 1:
        raise VerificationError(
            f"The distributed checkpoint holds {len(sets) or 'no'} sets of weights",
            f"The weights are what is saved below {MODEL!r}, or everything if nothing is nested",
            f'Save one mapping such as {{"{MODEL}": model.state_dict(), "optimizer": ...}}',
        )
    index, chosen = sets[0]
    found = tuple(_weight(index, name, tensor) for name, tensor in sorted(chosen.items()))
    _refuse_shared([part.entry for weight in found for part in weight.parts])
    return found


def join_weights(indexes: Sequence[Path], target: Path) -> None:
    """Join the weights of a checkpoint in one file, with the bytes that transformers would write.

    Args:
        indexes: The index of each of its folders.
        target: The file. An existing one is replaced, but only by a complete one.

    Raises:
        VerificationError: As in `read_weights`, or a file became shorter.
        LlamafundError: The file cannot be written.
    """
    weights = sorted(read_weights(indexes), key=lambda weight: (_ORDER.index(weight.dtype), weight.name))
    headers = (
        TensorHeader(weight.name, weight.dtype, weight.shape, sum(part.entry.size for part in weight.parts))
        for weight in weights
    )
    write_tensors(target, headers, (block for weight in weights for block in _blocks(weight)))


def _chosen(index: Path, tensors: Sequence[SplitTensor]) -> dict[str, SplitTensor]:
    """The weights among the tensors of an index, by their names in the model."""
    below = {tensor.path[: tensor.path.index(MODEL) + 1] for tensor in tensors if MODEL in tensor.path[:-1]}
    if len(below) > 1:
        raise _refused(index, f"it has {MODEL!r} in {len(below)} places, so it is not clear which are the weights")
    prefix = next(iter(below), ())
    found: dict[str, SplitTensor] = {}
    for tensor in tensors:
        if tensor.path[: len(prefix)] != prefix or (not prefix and len(tensor.path) > 1):
            continue
        name = ".".join(tensor.path[len(prefix) :])
        if name in found or name == _HEADER or not name.isprintable() or not tensor.dtype:
            raise _refused(
                index, f"it has {name[:80]!r} twice, or with a name or a type that safetensors does not have"
            )
        found[name] = tensor
    return found


def _weight(index: Path, name: str, tensor: SplitTensor) -> Weight:
    if 0 not in tensor.shape:
        _require_grid(index, name, tensor.parts, tensor.shape)
    parts = tuple(Part(stored.offsets, _entry(index, name, tensor, stored)) for stored in tensor.parts)
    return Weight(name, tensor.dtype, tensor.shape, parts)


def _entry(index: Path, name: str, tensor: SplitTensor, stored: Stored) -> TensorEntry:
    path = index.parent / stored.file
    if not _FILE.fullmatch(stored.file) or not path.is_file():
        raise _refused(index, f"it says that {name!r} is in {stored.file[:80]!r}, which is no .distcp file beside it")
    entry = saved_tensor(path, stored.begin, stored.length, name)
    if (entry.dtype, entry.shape) != (tensor.dtype, stored.sizes):
        said = TensorEntry(name, tensor.dtype, stored.sizes, path, 0, 0).describe()
        raise _refused(index, f"it says that a part of {name!r} is {said}, but {stored.file} has {entry.describe()}")
    return entry


def _require_grid(index: Path, name: str, parts: Sequence[Stored], shape: Sequence[int], dimension: int = 0) -> None:
    """Refuse parts that overlap, leave a gap or reach past a tensor.

    Torch splits a tensor by rows, each of these parts by columns, and so on. Other patterns are refused, too.
    """
    if dimension == len(shape):
        if len(parts) != 1:
            raise _refused(index, f"{len(parts)} parts of {name!r} are in the same place")
        return
    groups: dict[tuple[int, int], list[Stored]] = {}
    for part in sorted(parts, key=lambda part: (part.offsets[dimension], part.sizes[dimension])):
        groups.setdefault((part.offsets[dimension], part.sizes[dimension]), []).append(part)
    end = 0
    for begin, size in [*groups, (shape[dimension], 0)]:
        if begin != end:
            where = f"in dimension {dimension}, one ends at {end}, but the next one or the whole is at {begin}"
            raise _refused(index, f"the parts of {name!r} do not fit together: {where}")
        end += size
    for group in groups.values():
        _require_grid(index, name, group, shape, dimension + 1)


def _refuse_shared(entries: Sequence[TensorEntry]) -> None:
    """Refuse weights that share bytes: a small file could become one of any size."""
    ends: dict[Path, int] = {}
    for entry in sorted(entries, key=lambda entry: (str(entry.path), entry.offset)):
        if entry.offset < ends.get(entry.path, 0):
            raise VerificationError(f"{entry.path.name} has two tensors in the same bytes, one of them {entry.name!r}")
        ends[entry.path] = entry.offset + entry.size


def _item_size(weight: Weight) -> int:
    return weight.parts[0].entry.size // math.prod(weight.parts[0].entry.shape) if weight.parts else 1


def _blocks(weight: Weight) -> Iterator[bytes]:
    """The bytes of a weight, some rows at a time."""
    import numpy as np

    rows: dict[int, list[Part]] = {}
    for part in weight.parts:
        rows.setdefault(part.offsets[0] if part.offsets else 0, []).append(part)
    item = np.dtype((np.void, _item_size(weight)))
    width = weight.shape[1:]
    for first in sorted(rows):
        beside = rows[first]
        count = beside[0].entry.shape[0] if beside[0].entry.shape else 1
        step = max(1, _SPAN // max(1, item.itemsize * math.prod(width)))
        for begin in range(0, count, step):
            block = np.empty((min(step, count - begin), *width), dtype=item)
            for part in beside:
                block[_place(part)] = _rows(part, begin, len(block), item)
            yield block.tobytes()


def _place(part: Part) -> tuple[slice, ...]:
    ends = zip(part.offsets[1:], part.entry.shape[1:], strict=True)
    return (slice(None), *(slice(begin, begin + size) for begin, size in ends))


def _rows(part: Part, begin: int, count: int, item: np.dtype[np.void]) -> NDArray[np.void]:
    """Some rows of a part."""
    import numpy as np

    shape = part.entry.shape[1:]
    size = item.itemsize * math.prod(shape)
    with part.entry.path.open("rb") as file:
        file.seek(part.entry.offset + begin * size)
        data = file.read(count * size)
    if len(data) != count * size:
        raise VerificationError(f"{part.entry.path.name} ends in the middle of the tensor {part.entry.name}")
    return np.frombuffer(data, dtype=item).reshape(count, *shape)


def _refused(index: Path, reason: str) -> VerificationError:
    return VerificationError(
        f"The weights in {index.parent.name}/{index.name} cannot be joined",
        f"{reason[0].upper()}{reason[1:]}",
        "Do not use it",
    )
