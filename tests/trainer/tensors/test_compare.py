"""Weights compared tensor by tensor: never within a tolerance, and in bounded memory."""

from __future__ import annotations

import errno
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from weight_files import torch_written, written

from llamafund_chain.errors import VerificationError
from llamafund_trainer.tensors import compare
from llamafund_trainer.tensors.compare import compare_tensors, not_safetensors, read_entries


def compared(path: Path, values: dict[str, np.ndarray]) -> compare.Difference | None:
    return compare.compare_with(path, {name: value.shape for name, value in values.items()}, values.items())


def test_a_type_that_numpy_lacks_is_a_difference_from_what_was_expected(tmp_path: Path) -> None:
    import torch

    path = torch_written(tmp_path / "w.safetensors", {"w": torch.zeros(4, dtype=torch.float8_e4m3fn)})
    found = compared(path, {"w": np.zeros(4, np.float32)})
    assert found is not None
    assert (found.tensors, found.amount) == (("w",), np.inf)


@given(arrays(np.uint32, st.integers(1, 60)))
@settings(max_examples=150)
def test_every_bit_pattern_is_rounded_to_bfloat16_as_torch_does(bits: np.ndarray) -> None:
    """Infinities, subnormals, halves to even and values that are not numbers included."""
    import torch

    values = bits.view(np.float32)
    expected = torch.from_numpy(values.copy()).bfloat16().float().numpy()
    rounded = compare._rounded(values, "BF16", "nearest")
    assert np.array_equal(rounded, expected, equal_nan=True)
    finite = ~np.isnan(expected)
    assert np.array_equal(np.signbit(rounded[finite]), np.signbit(expected[finite]))


def test_tensors_that_cannot_be_compared_are_never_within_a_tolerance(
    random_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    one = written(tmp_path / "one.safetensors", random_weights)
    extra = {**random_weights, "extra": np.zeros(3, np.float32)}
    other_type = {**random_weights, "layer.1": random_weights["layer.1"].astype(np.int32)}
    narrower = {**random_weights, "layer.1": random_weights["layer.1"].astype(np.float16)}
    for values, name in ((extra, "extra"), (other_type, "layer.1"), (narrower, "layer.1")):
        found = compare.compare_files(one, written(tmp_path / "other.safetensors", values))
        assert found == compare.Difference((name,), name, float("inf"))
        assert compared(tmp_path / "other.safetensors", random_weights) == found
    assert compare.compare_files(one, one) is None


def test_expected_tensors_are_made_one_by_one_and_only_for_a_file_that_can_hold_them(
    random_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = written(tmp_path / "w.safetensors", random_weights)
    assert compared(path, random_weights) is None
    changed = {**random_weights, "layer.2": random_weights["layer.2"] + np.float32(1)}
    found = compared(path, changed)
    assert found is not None
    assert (found.tensors, found.amount) == (("layer.2",), pytest.approx(1, abs=1e-6))

    def never() -> Iterator[tuple[str, np.ndarray]]:
        pytest.fail("made for nothing")
        yield

    shapes = {name: value.shape for name, value in random_weights.items()}
    for other, odd in (({"layer.1": (2**24, 2**24)}, "layer.1"), ({"layer.9": (40, 30)}, "layer.9")):
        found = compare.compare_with(path, {**shapes, **other}, never())
        assert found == compare.Difference((odd,), odd, float("inf"))


def test_memory_does_not_grow_with_the_weights(tmp_path: Path) -> None:
    large = np.zeros((4096, 4096), np.float32)
    paths = [written(tmp_path / name, {"w": large}) for name in ("a.safetensors", "b.safetensors")]
    large[-1, -1] = 1
    written(paths[1], {"w": large})
    del large
    tracemalloc.start()
    (found,) = compare_tensors(*(read_entries([path]) for path in paths))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.verdict, found.elements, found.amount) == ("different", 1, 1.0)
    assert peak < 48 * 2**20 < paths[0].stat().st_size


def test_a_tensor_that_stands_in_two_places_is_refused(tmp_path: Path) -> None:
    """safetensors takes the last one."""
    one, other = (f'{{"dtype": "F32", "shape": [1], "data_offsets": {place}}}' for place in ([0, 4], [4, 8]))
    header = f'{{"w": {one}, "w": {other}, "v": {one}}}'.encode()
    path = tmp_path / "twice.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(VerificationError, match="occurs twice"):
        read_entries([path])


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path, random_weights: dict[str, np.ndarray]) -> None:
    path = written(tmp_path / "one.safetensors", random_weights)
    entries = read_entries([path])
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(VerificationError, match="ends in the middle"):
        list(compare_tensors(entries, entries))


def test_a_file_that_this_machine_cannot_open_is_not_called_damaged(tmp_path: Path) -> None:
    """With no more files allowed, safetensors says that there is none."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"whatever")
    for error in (FileNotFoundError(f"No such file or directory: {path}"), OSError(errno.EIO, "Input/output error")):
        found = not_safetensors(path, error)
        assert not isinstance(found, VerificationError)
        assert path.name in found.what
