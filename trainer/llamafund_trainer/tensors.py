"""Comparing safetensors files without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import VerificationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
    """Where two sets of weights differ most.

    Attributes:
        tensors: Names of all tensors that differ or that one side lacks.
        largest: Name of the tensor with the largest difference; empty where none can be compared.
        amount: Largest absolute difference; not a number where a value is not a number on one side only.
    """

    tensors: tuple[str, ...]
    largest: str
    amount: float


def compare_files(one: Path, other: Path) -> Difference | None:
    """Compare two files tensor by tensor, bit by bit.

    Returns:
        Null when every tensor has the same name, type, shape and bits.

    Raises:
        VerificationError: One is not a safetensors file.
    """
    with _opened(other) as second:
        return compare_with(one, {name: second.get_tensor(name) for name in second.keys()})  # noqa: SIM118


def compare_with(path: Path, expected: Mapping[str, NDArray[np.float32]]) -> Difference | None:
    """Compare a file with tensors in memory; otherwise as `compare_files`."""
    import numpy as np

    differing: list[str] = []
    largest, amount = "", 0.0
    with _opened(path) as file:
        names = set(file.keys())
        differing.extend(names ^ set(expected))
        for name in sorted(names & set(expected)):
            actual, wanted = file.get_tensor(name), expected[name]
            if actual.dtype != wanted.dtype or actual.shape != wanted.shape:
                differing.append(name)
            elif actual.tobytes() != wanted.tobytes():
                differing.append(name)
                gap = float(np.abs(actual.astype(np.float64) - wanted.astype(np.float64)).max())
                if not largest or gap != gap or gap > amount:
                    largest, amount = name, gap
    return Difference(tuple(sorted(differing)), largest, amount) if differing else None


def movement(one: Path, other: Path) -> float:
    """Euclidean distance between the weights of two files with the same tensors.

    Raises:
        VerificationError: One is not a safetensors file, or their tensors differ in name or shape.
    """
    import numpy as np

    total = 0.0
    with _opened(one) as first, _opened(other) as second:
        if set(first.keys()) != set(second.keys()):
            raise VerificationError(f"{one.name} and {other.name} have different tensors")
        for name in sorted(first.keys()):
            before, after = first.get_tensor(name), second.get_tensor(name)
            if before.shape != after.shape:
                raise VerificationError(f"The tensor {name} changes its shape")
            total += float(np.square(after.astype(np.float64) - before.astype(np.float64)).sum())
    return float(np.sqrt(total))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, TypeError) as error:
        raise VerificationError(f"{path.name} cannot be read as safetensors", str(error)) from error
