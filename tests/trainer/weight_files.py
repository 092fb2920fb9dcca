"""Files of weights for tests."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import save_file


def written(path: Path, values: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(values, path)
    return path


def torch_written(path: Path, values: dict[str, object]) -> Path:
    from safetensors.torch import save_file as save_tensors

    save_tensors(values, path)
    return path
