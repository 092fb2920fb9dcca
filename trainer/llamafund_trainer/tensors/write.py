"""Writing safetensors files block by block, so memory does not grow with the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.files import storage_error

_FORMAT = {"format": "pt"}
"""What transformers writes to the header of every file, and expects there."""


@dataclass(frozen=True)
class TensorHeader:
    """What a file's header says about one tensor.

    Attributes:
        name: Name of the tensor.
        dtype: Type by its name in safetensors, for example `BF16`.
        shape: Dimensions.
        size: Number of bytes.
    """

    name: str
    dtype: str
    shape: Sequence[int]
    size: int


def encode_header(header: Mapping[str, object]) -> bytes:
    """A header as the bytes of a file, padded so that tensors begin at a multiple of 8 bytes."""
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return encoded + b" " * (-len(encoded) % 8)


def write_tensors(target: Path, tensors: Iterable[TensorHeader], data: Iterable[bytes]) -> None:
    """Write a safetensors file as transformers does.

    Args:
        target: The file. An existing one is replaced, but only by a complete one.
        tensors: The tensors, in the order of their bytes.
        data: Their bytes, one tensor after the other.

    Raises:
        LlamafundError: The file cannot be written.
    """
    header: dict[str, object] = {"__metadata__": _FORMAT}
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.size
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    encoded = encode_header(header)
    unfinished = target.with_name(f".{target.name}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(len(encoded).to_bytes(8, "little") + encoded)
            file.writelines(data)
        unfinished.replace(target)
    except OSError as error:
        raise storage_error(error, f"Writing {str(target)!r}") from error
    finally:
        unfinished.unlink(missing_ok=True)
