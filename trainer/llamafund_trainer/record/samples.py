"""The hash of all samples of a dataset."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import decimal
import fractions
import hashlib
import random
import uuid
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, Literal

from llamafund_chain.errors import UsageError
from llamafund_trainer.record.kept_hashes import kept_hash

if TYPE_CHECKING:
    import numpy as np

_PLAIN = (
    bool,
    int,
    float,
    complex,
    str,
    type(None),
    range,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
)
"""Types whose values all have one text, in every process."""

_ROWS = 8192
"""Rows of a table that are hashed together, however the table is cut."""


def samples_hash(dataset: Any) -> str:
    """SHA-256 of all samples of a dataset in order; empty if they have no numbers.

    Samples may be tensors of any type, arrays, images, numbers, texts, and lists, sets and mappings of those. Tables of
    `datasets` are hashed by column, and their hash is kept beside their files. Random generators keep their state.

    Raises:
        UsageError: A sample holds an object whose bytes cannot be read.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        return ""
    if _is_table(dataset):
        return kept_hash(_arrow_tables(dataset), lambda: _table_hash(dataset))
    hasher = hashlib.sha256()
    with _random_numbers_kept():
        for index in range(len(dataset)):
            try:
                _feed(hasher, dataset[index])
            except _UnreadableError as error:
                raise UsageError(
                    f"Sample {index} holds an object of type {error.args[0]}, whose bytes cannot be read",
                    "A hash of its description would bind nothing, and may differ in the next process",
                    "Return tensors, arrays, images, numbers or texts, or leave out the hash with bind_samples=False",
                ) from error
    return hasher.hexdigest()


def draws_anew(dataset: Any) -> bool:
    """Whether the first sample changes when it is read again, as with augmentation."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__") or not len(dataset):
        return False
    found = []
    with _random_numbers_kept(), contextlib.suppress(_UnreadableError):
        for _ in range(2):
            hasher = hashlib.sha256()
            _feed(hasher, dataset[0])
            found.append(hasher.digest())
    return len(set(found)) == 2


class _UnreadableError(Exception):
    """An object of a type whose bytes cannot be read."""


@contextlib.contextmanager
def _random_numbers_kept() -> Iterator[None]:
    import numpy as np
    import torch

    python, array = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)


def _feed(hasher: Any, value: Any) -> None:
    """Add a value with its type and length, so that different samples give different bytes."""
    import numpy as np
    import torch

    if isinstance(value, Mapping):
        hasher.update(b"m%d;" % len(value))
        for name in sorted(value, key=str):
            _feed(hasher, str(name))
            _feed(hasher, value[name])
    elif isinstance(value, (list, tuple)):
        hasher.update(b"l%d;" % len(value))
        for item in value:
            _feed(hasher, item)
    elif isinstance(value, torch.Tensor):
        _feed_tensor(hasher, value)
    elif isinstance(value, (np.ndarray, np.generic)):
        _feed_array(hasher, np.asarray(value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        hasher.update(b"b%d;" % memoryview(value).nbytes)
        hasher.update(value)
    elif isinstance(value, _PLAIN):
        data = repr(value).encode()
        hasher.update(b"v%d;" % len(data))
        hasher.update(data)
    else:
        _feed_object(hasher, value)


def _feed_object(hasher: Any, value: Any) -> None:
    if isinstance(value, Set):
        digests = []
        for item in value:
            own = hashlib.sha256()
            _feed(own, item)
            digests.append(own.digest())
        hasher.update(b"s%d;" % len(digests))
        hasher.update(b"".join(sorted(digests)))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _feed(hasher, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    elif hasattr(value, "mode") and hasattr(value, "size") and hasattr(value, "tobytes"):
        # An image of Pillow.
        pixels = value.tobytes()
        hasher.update(f"i{value.mode}{tuple(value.size)};{len(pixels)};".encode())
        hasher.update(pixels)
        if value.mode in ("P", "PA"):
            _feed(hasher, list(value.getpalette() or ()))
    else:
        raise _UnreadableError(f"{type(value).__module__}.{type(value).__qualname__}")


def _feed_array(hasher: Any, array: np.ndarray[Any, Any]) -> None:
    import numpy as np

    if array.dtype.hasobject:
        if array.dtype != object:
            raise _UnreadableError(f"numpy array of {array.dtype}")
        hasher.update(f"o{array.shape};".encode())
        _feed(hasher, array.ravel().tolist())
        return
    hasher.update(f"a{array.dtype.str}{array.dtype.descr if array.dtype.names else ''}{array.shape};".encode())
    hasher.update(array.tobytes())
    if isinstance(array, np.ma.MaskedArray):
        hasher.update(np.ma.getmaskarray(array).tobytes())


def _feed_tensor(hasher: Any, tensor: Any) -> None:
    """Add a tensor: its type, and its parts down to plain bytes."""
    import torch

    value = tensor.detach()
    if value.is_nested:
        _feed(hasher, value.unbind())
        return
    kind = f"{value.dtype}{tuple(value.shape)}"
    if value.layout == torch.sparse_coo:
        value = value.coalesce()
        parts = [value.indices(), value.values()]
    elif value.layout in (torch.sparse_csr, torch.sparse_bsr):
        parts = [value.crow_indices(), value.col_indices(), value.values()]
    elif value.layout in (torch.sparse_csc, torch.sparse_bsc):
        parts = [value.ccol_indices(), value.row_indices(), value.values()]
    elif value.is_quantized:
        scale = (
            [value.q_per_channel_scales(), value.q_per_channel_zero_points(), torch.tensor(value.q_per_channel_axis())]
            if value.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams)
            else [torch.tensor(value.q_scale(), dtype=torch.float64), torch.tensor(value.q_zero_point())]
        )
        parts = [value.int_repr(), *scale]
    elif value.layout == torch.strided:
        data = value.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy()
        hasher.update(f"t{kind};{data.nbytes};".encode())
        hasher.update(data)
        return
    else:
        raise _UnreadableError(f"torch.Tensor in the layout {value.layout}")
    hasher.update(f"p{value.layout}{kind};".encode())
    _feed(hasher, parts)


def _is_table(dataset: Any) -> bool:
    """Whether it is a table of `datasets` whose samples are its values, in whatever form they are handed out."""
    if not hasattr(dataset, "with_format") or not hasattr(dataset, "features") or not hasattr(dataset, "data"):
        return False
    from datasets import ClassLabel, Dataset, LargeList, List, Value  # type: ignore[import-untyped]

    def plain(feature: Any) -> bool:
        if isinstance(feature, dict):
            return all(plain(each) for each in feature.values())
        if isinstance(feature, (List, LargeList)):
            return plain(feature.feature)
        return isinstance(feature, (Value, ClassLabel))

    is_custom = getattr(dataset, "format", {}).get("type") == "custom"
    return isinstance(dataset, Dataset) and not is_custom and plain(dict(dataset.features))


def _shown(dataset: Any) -> list[str]:
    return sorted(dataset.format["columns"])


def _arrow_tables(dataset: Any) -> list[Any]:
    """All that decides the samples: the columns, and which of their rows in which order."""
    rows = dataset._indices
    return [dataset.data.table.select(_shown(dataset)), *([] if rows is None else [rows.table])]


def _table_hash(dataset: Any) -> str:
    hasher = hashlib.sha256(b"table%d;" % len(dataset))
    shown = _shown(dataset)
    for rows in dataset.with_format("arrow").iter(batch_size=_ROWS):
        for name in shown:
            _feed(hasher, name)
            _feed_column(hasher, rows.column(name).combine_chunks())
    return hasher.hexdigest()


def _feed_column(hasher: Any, column: Any) -> None:
    """Add the values of an Arrow array, which do not depend on how it is stored."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = column.type
    hasher.update(f"c{kind};{len(column)};{column.null_count};".encode())
    if column.null_count:
        _feed_bytes(hasher, pc.is_valid(column).cast(pa.uint8()))
        column = column.drop_null()
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            _feed_column(hasher, column.flatten()[index])
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        _feed_bytes(hasher, pc.list_value_length(column).cast(pa.int64()))
        _feed_column(hasher, column.flatten())
    elif pa.types.is_boolean(kind):
        _feed_bytes(hasher, column.cast(pa.uint8()))
    elif kind in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary()):
        _feed_texts(hasher, column)
    elif pa.types.is_primitive(kind):
        _feed_bytes(hasher, column)
    else:
        _feed(hasher, column.to_pylist())


def _feed_bytes(hasher: Any, column: Any) -> None:
    """Add the values of an array of numbers without nulls, from where they lie in memory."""
    width, values = column.type.bit_width // 8, column.buffers()[1]
    if values is not None:
        begin = column.offset * width
        hasher.update(memoryview(values)[begin : begin + len(column) * width])


def _feed_texts(hasher: Any, column: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    _feed_bytes(hasher, pc.binary_length(column).cast(pa.int64()))
    if not len(column):
        return
    code: Literal["q", "i"] = "q" if column.type in (pa.large_string(), pa.large_binary()) else "i"
    offsets = memoryview(column.buffers()[1]).cast("B").cast(code)
    ends = offsets[column.offset], offsets[column.offset + len(column)]
    if column.buffers()[2] is not None:
        hasher.update(memoryview(column.buffers()[2])[ends[0] : ends[1]])
