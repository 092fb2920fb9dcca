"""Writing safetensors files piece by piece, so that memory does not grow with the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.files import storage_error

_FORMAT = {"format": "pt"}
"""What transformers writes into the files that it saves, and looks for in those that it loads."""


@dataclass(frozen=True)
class TensorHeader:
    """What stands in a file's header about one tensor.

    Attributes:
        name: Its name.
        dtype: As safetensors calls it, for example `BF16`.
        shape: Its dimensions.
        size: Its bytes.
    """

    name: str
    dtype: str
    shape: Sequence[int]
    size: int


def encode_header(header: Mapping[str, object]) -> bytes:
    """A header as it stands in a file, padded so that tensors begin at a multiple of 8 bytes."""
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return encoded + b" " * (-len(encoded) % 8)


def write_tensors(target: Path, tensors: Iterable[TensorHeader], data: Iterable[bytes]) -> None:
    """Write a safetensors file as transformers does.

    Args:
        target: The file; replaced when it exists. It appears only when it is complete.
        tensors: What it holds, in the order of their bytes.
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
