"""Reading and comparing safetensors files without torch, block by block, so memory does not grow with the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.files import machine_trouble
from llamafund_chain.mistakes import DocumentError
from llamafund_chain.strict_yaml import load_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_ELEMENTS = 1 << 20
"""Elements of a tensor that are in memory at a time, from each side."""

TYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types that are compared as numbers, by their names in safetensors. All others are only compared bit by bit."""

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_HOLDS = {
    "F64": ("F64", "F32", "F16", "BF16"),
    "F32": ("F32", "F16", "BF16"),
    "F16": ("F16",),
    "BF16": ("BF16",),
}
"""For each type, the types whose every value it can represent."""

_CHECK_DOWNLOAD = "Check that it is the right file and that it is complete"
_REASONS = (
    ("header too small", "It is too short to have a header"),
    ("header too large", "It does not begin with a header"),
    ("header length", "It ends inside its header"),
    ("header", "Its header is not what safetensors writes"),
    ("incomplete", "It ends before its last tensor, or continues after it"),
    ("invalid offset", "By its header, tensors overlap or leave a gap"),
    ("invalid shape", "By its header, a tensor has another size than its shape takes"),
)
"""What safetensors says after the colon, and what that means."""

Rounding = Literal["nearest", "truncated"]
Same = Literal["same", "cast", "different", "missing"]


@dataclass(frozen=True)
class Difference:
    """Where two sets of weights differ most.

    Attributes:
        tensors: Names of all tensors that differ or that one side lacks.
        largest: Name of the tensor with the largest difference.
        amount: Largest absolute difference. Infinite if a tensor is missing or has another type or shape; NaN if a
            value is NaN on one side only.
    """

    tensors: tuple[str, ...]
    largest: str
    amount: float


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor is stored.

    Attributes:
        name: Name of the tensor.
        dtype: Type by its name in safetensors, for example `BF16`.
        shape: Dimensions.
        path: The file.
        offset: Position of its first byte in the file.
        size: Number of bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    offset: int
    size: int

    def describe(self) -> str:
        """Type and shape in words."""
        return f"{TYPE_NAMES.get(self.dtype, self.dtype)} of shape {list(self.shape)}"


@dataclass(frozen=True)
class Cast:
    """A conversion that turns one side of a tensor into the other, bit for bit.

    Attributes:
        source: Type of the side that was converted.
        through: The narrowest type on the way, which decides the values.
        target: Type in which the result is stored.
        rounding: To the nearest value with halves to even, or truncated.
        reversed: Whether the second side was converted into the first.
    """

    source: str
    through: str
    target: str
    rounding: Rounding
    reversed: bool

    def __str__(self) -> str:
        if self.source == self.through:
            return f"{TYPE_NAMES[self.source]} stored as {TYPE_NAMES[self.target]}"
        name = f"{TYPE_NAMES[self.source]} to {TYPE_NAMES[self.through]}"
        name += ", rounded to nearest" if self.rounding == "nearest" else ", truncated"
        return name if self.through == self.target else f"{name}, stored as {TYPE_NAMES[self.target]}"


@dataclass(frozen=True)
class TensorComparison:
    """How a tensor compares.

    Attributes:
        name: Name of the tensor.
        verdict: `same`: type, shape and every bit are equal. `cast`: every bit is equal after the conversion `cast`.
            `missing`: one side lacks the tensor.
        cast: The conversion, if there is one.
        elements: How many elements differ; `None` if they cannot be counted.
        amount: Largest absolute difference of an element. `None` if there are no numbers to compare; NaN if a value
            is NaN on one side only.
        reason: What is not the same, for a person.
    """

    name: str
    verdict: Same
    cast: Cast | None = None
    elements: int | None = None
    amount: float | None = None
    reason: str = ""


def read_entries(paths: Sequence[Path]) -> dict[str, TensorEntry]:
    """The tensors of one file, or of all files of a model that is stored in several.

    Raises:
        VerificationError: One is not a safetensors file, or two of them have the same tensor.
    """
    found: dict[str, TensorEntry] = {}
    for path in paths:
        for entry in _entries(path):
            if entry.name in found:
                raise VerificationError(
                    f"The tensor {entry.name} is in {path.name} and in another file", "It is not clear which one counts"
                )
            found[entry.name] = entry
    return found


def count_elements(path: Path) -> int:
    """How many elements the tensors of a file have together."""
    return sum(math.prod(entry.shape) for entry in read_entries([path]).values())


def read_numbers(entry: TensorEntry) -> Iterator[NDArray[Any]]:
    """The values of a tensor, flat and block by block. bfloat16 and float16 become float32, which can hold them all.

    Raises:
        VerificationError: The tensor does not hold floating point numbers, or the file became shorter.
    """
    if entry.dtype not in _SIZES:
        raise VerificationError(f"The tensor {entry.name} is {entry.describe()}", "It must hold floating point numbers")
    with entry.path.open("rb") as file:
        for piece in _pieces(file, entry):
            yield _numbers(piece, entry.dtype)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata in the header of a safetensors file.

    Raises:
        VerificationError: It is not a safetensors file.
    """
    with _opened(path) as file:
        return dict(file.metadata() or {})


def compare_tensors(one: Mapping[str, TensorEntry], other: Mapping[str, TensorEntry]) -> Iterator[TensorComparison]:
    """Compare two sets of tensors by name, with bounded memory.

    Yields:
        One comparison for each name that either side has, sorted by name.

    Raises:
        VerificationError: A file became shorter.
    """
    for name in sorted({*one, *other}):
        first, second = one.get(name), other.get(name)
        if first is None or second is None:
            reason = "only the second side has it" if first is None else "only the first side has it"
            yield TensorComparison(name, "missing", reason=reason)
        elif first.shape != second.shape:
            yield TensorComparison(name, "different", reason=f"{first.describe()} and {second.describe()}")
        else:
            yield _compare(first, second)


def compare_files(one: Path, other: Path) -> Difference | None:
    """Compare two files tensor by tensor, bit by bit.

    Returns:
        `None` if every tensor has the same name, type, shape and bits.

    Raises:
        VerificationError: One is not a safetensors file.
    """
    return _difference(differences(read_entries([one]), read_entries([other])))


def differences(one: Mapping[str, TensorEntry], other: Mapping[str, TensorEntry]) -> dict[str, float]:
    """The tensors that differ in any bit, each with an amount as in `Difference`."""
    gaps: dict[str, float] = {}
    for found in compare_tensors(one, other):
        if found.verdict != "same":
            comparable = found.amount is not None and one[found.name].dtype == other[found.name].dtype
            gaps[found.name] = float(found.amount or 0.0) if comparable else math.inf
    return gaps


def compare_with(
    path: Path, shapes: Mapping[str, tuple[int, ...]], tensors: Iterable[tuple[str, NDArray[np.float32]]]
) -> Difference | None:
    """Compare a file with tensors that are made one after the other; otherwise like `compare_files`.

    Args:
        path: The file.
        shapes: Expected shapes by name.
        tensors: Name and values of each. None is made unless the file has exactly these names and shapes, so they
            never take more memory than the file.
    """
    import numpy as np

    found = {name: (entry.dtype, entry.shape) for name, entry in read_entries([path]).items()}
    # Compared by type first, because numpy lacks some types of safetensors.
    wanted = {name: ("F32", shape) for name, shape in shapes.items()}
    gaps = {name: math.inf for name in {*found, *wanted} if found.get(name) != wanted.get(name)}
    if gaps:
        return _difference(gaps)
    with _opened(path) as file:
        for name, expected in tensors:
            actual = file.get_tensor(name)
            if actual.tobytes() != expected.tobytes():
                gaps[name] = float(np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max())
    return _difference(gaps)


def _difference(gaps: Mapping[str, float]) -> Difference | None:
    if not gaps:
        return None
    largest = largest_of(gaps)
    return Difference(tuple(sorted(gaps)), largest, gaps[largest])


def largest_of(amounts: Mapping[str, float]) -> str:
    """The name of the largest amount; NaN counts as larger than any number."""
    return max(sorted(amounts), key=lambda name: (math.isnan(amounts[name]), amounts[name]))


def movement(one: Path, other: Path) -> float:
    """Euclidean distance between the weights of two files with the same tensors.

    A value that is NaN on one side only moved infinitely far; one that is NaN on both sides did not move.

    Raises:
        VerificationError: One is not a safetensors file, or their tensors differ in name or shape.
    """
    import numpy as np

    moved = 0.0
    for _, before, after in _pairs(read_entries([one]), read_entries([other])):
        stayed = (before == after) | (np.isnan(before) & np.isnan(after))
        with np.errstate(invalid="ignore", over="ignore"):
            squares = np.square(np.where(stayed, 0.0, after - before))
        moved += float(np.where(np.isnan(squares), np.inf, squares).sum())
    return math.sqrt(moved)


def largest_change(one: Path, other: Path) -> float:
    """Largest absolute difference of a weight between two files; otherwise like `movement`."""
    changes = largest_changes(read_entries([one]), read_entries([other]))
    return changes[largest_of(changes)] if changes else 0.0


def largest_changes(one: Mapping[str, TensorEntry], other: Mapping[str, TensorEntry]) -> dict[str, float]:
    """Largest absolute difference of an element in each tensor; NaN if an element is NaN.

    Raises:
        VerificationError: The tensors differ in name or shape, or do not hold floating point numbers.
    """
    import numpy as np

    found = dict.fromkeys(one, 0.0)
    for name, before, after in _pairs(one, other):
        # numpy's maximum, unlike Python's, keeps NaN.
        found[name] = float(np.maximum(found[name], np.abs(after - before).max()))
    return found


def _pairs(
    one: Mapping[str, TensorEntry], other: Mapping[str, TensorEntry]
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """The elements of both sides, block by block, with the name of their tensor."""
    import numpy as np

    odd = sorted(set(one) ^ set(other))
    if odd:
        raise VerificationError(
            f"Only one of the two checkpoints has the tensor {odd[0]}", "They are not checkpoints of one run"
        )
    for name in sorted(one):
        before, after = one[name], other[name]
        if before.shape != after.shape or not {before.dtype, after.dtype} <= set(_SIZES):
            raise VerificationError(f"The tensor {name} is {before.describe()} before and {after.describe()} after")
        for left, right in _blocks(before, after):
            yield (
                name,
                _numbers(left, before.dtype).astype(np.float64),
                _numbers(right, after.dtype).astype(np.float64),
            )


def _compare(first: TensorEntry, second: TensorEntry) -> TensorComparison:
    if first.dtype == second.dtype and all(left == right for left, right in _blocks(first, second)):
        return TensorComparison(first.name, "same")
    if not {first.dtype, second.dtype} <= set(_SIZES):
        reason = f"{first.describe()} and {second.describe()}, which are only compared bit by bit"
        return TensorComparison(first.name, "different", reason=reason)
    return _compare_numbers(first, second)


def _compare_numbers(first: TensorEntry, second: TensorEntry) -> TensorComparison:
    import numpy as np

    casts = [*_casts(first.dtype, second.dtype, turned=False), *_casts(second.dtype, first.dtype, turned=True)]
    # A lossless conversion explains more than a lossy one.
    casts.sort(key=lambda cast: cast.source != cast.through)
    elements, amount = 0, 0.0
    for left, right in _blocks(first, second):
        numbers, others = _numbers(left, first.dtype), _numbers(right, second.dtype)
        casts = [
            cast for cast in casts if (_gives(cast, others, left) if cast.reversed else _gives(cast, numbers, right))
        ]
        unlike = ~((numbers == others) | (np.isnan(numbers) & np.isnan(others)))
        elements += int(unlike.sum())
        if unlike.any():
            with np.errstate(invalid="ignore", over="ignore"):
                gap = float(np.abs(numbers[unlike].astype(np.float64) - others[unlike]).max())
            amount = gap if gap != gap or gap > amount else amount
    if casts:
        return TensorComparison(first.name, "cast", casts[0], elements, amount)
    types = "" if first.dtype == second.dtype else f" ({TYPE_NAMES[first.dtype]} and {TYPE_NAMES[second.dtype]})"
    total = int(np.prod(first.shape, dtype=np.int64))
    reason = f"{elements} of {total} elements differ{types}, by up to {amount:.3g}"
    return TensorComparison(first.name, "different", None, elements, amount, reason)


def _casts(source: str, target: str, *, turned: bool) -> Iterator[Cast]:
    """Conversions worth trying: through each type that loses something, into a type that can hold the result."""
    for through in _HOLDS[target]:
        if through == source:
            if source != target:
                yield Cast(source, through, target, "nearest", turned)
        elif source not in _HOLDS[through]:
            yield Cast(source, through, target, "nearest", turned)
            if through == "BF16":
                yield Cast(source, through, target, "truncated", turned)


def _gives(cast: Cast, numbers: NDArray[Any], stored: bytes) -> bool:
    """Whether a conversion of these numbers gives those bits; all NaNs count as equal."""
    import numpy as np

    result = numbers if cast.through == cast.source else _rounded(numbers, cast.through, cast.rounding)
    wanted = _numbers(stored, cast.target)
    with np.errstate(over="ignore", invalid="ignore"):
        given = result.astype(wanted.dtype)
    signs = np.signbit(given) == np.signbit(wanted)
    return bool(np.all(((given == wanted) & signs) | (np.isnan(given) & np.isnan(wanted))))


def _rounded(numbers: NDArray[Any], target: str, rounding: Rounding) -> NDArray[Any]:
    """Numbers after a conversion to a narrower type."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        if target != "BF16":
            return numbers.astype({"F32": np.float32, "F16": np.float16, "F64": np.float64}[target])
        bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
        if rounding == "nearest":
            bits = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
        values = (bits & np.uint32(0xFFFF0000)).view(np.float32)
        # Adding to the bits of a NaN can turn it into a number.
        return np.where(np.isnan(numbers), np.float32(np.nan), values)


def _numbers(data: bytes, dtype: str) -> NDArray[Any]:
    """The values in these bytes, in a numpy type that can hold them all."""
    import numpy as np

    if dtype == "BF16":
        return (np.frombuffer(data, dtype="<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F16":
        return np.frombuffer(data, dtype="<f2").astype(np.float32)
    return np.frombuffer(data, dtype={"F32": "<f4", "F64": "<f8"}[dtype])


def _blocks(first: TensorEntry, second: TensorEntry) -> Iterator[tuple[bytes, bytes]]:
    """The same elements of both tensors, block by block."""
    with ExitStack() as files:
        one, other = (files.enter_context(entry.path.open("rb")) for entry in (first, second))
        yield from zip_longest(_pieces(one, first), _pieces(other, second), fillvalue=b"")


def _pieces(file: BinaryIO, entry: TensorEntry) -> Iterator[bytes]:
    file.seek(entry.offset)
    left = entry.size
    while left:
        piece = file.read(min(left, BLOCK_ELEMENTS * _SIZES.get(entry.dtype, 1)))
        if not piece:
            raise VerificationError(f"{entry.path.name} ends in the middle of the tensor {entry.name}")
        left -= len(piece)
        yield piece


def _entries(path: Path) -> Iterator[TensorEntry]:
    # safetensors validates the header. Only the offsets, which it does not tell, are read here.
    with _opened(path) as file:
        names = list(file.keys())
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        try:
            header = load_json(raw.read(length))
        except ValueError as error:
            raise not_safetensors(path, error) from error
    for name in names:
        described = header[name]
        begin, end = described["data_offsets"]
        yield TensorEntry(
            name=name,
            dtype=described["dtype"],
            shape=tuple(described["shape"]),
            path=path,
            offset=8 + length + begin,
            size=end - begin,
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, TypeError, OSError) as error:
        raise not_safetensors(path, error) from error


def not_safetensors(path: Path, error: Exception) -> LlamafundError:
    """What a person needs to know about a file that cannot be read as safetensors, or that the machine cannot open.

    Args:
        path: The file.
        error: What safetensors, the operating system or our reader of JSON said.
    """
    what = f"{path.name} cannot be read as safetensors"
    if isinstance(error, DocumentError):
        return VerificationError(what, f"In its header {error.problem}", _CHECK_DOWNLOAD)
    if not path.is_file():
        reason = "It is a directory" if path.is_dir() else "There is no such file"
        return VerificationError(what, reason, "Check the path")
    trouble = machine_trouble(error, f"Reading {path.name}")
    if trouble is not None:
        return trouble
    if isinstance(error, FileNotFoundError):
        # safetensors says this of every file that it cannot open.
        return LlamafundError(f"{path.name} cannot be opened", remedy="Check its permissions, and close other programs")
    if isinstance(error, OSError) and error.strerror:
        return VerificationError(what, error.strerror, "Check the path and its permissions")
    said = str(error).removeprefix("Error while deserializing header: ")
    reason = next((ours for theirs, ours in _REASONS if theirs in said), "It is damaged, or another kind of file")
    return VerificationError(what, reason, _CHECK_DOWNLOAD)
