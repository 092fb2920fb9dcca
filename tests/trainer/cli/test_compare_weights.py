"""`llamafund compare-weights`: the same bits, the same numbers after a cast, or other weights."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load, save, save_file

from llamafund_chain.errors import ExitCode, VerificationError
from llamafund_trainer.tensors import compare
from llamafund_trainer.tensors.compare import compare_tensors, read_entries

Llamafund = Callable[..., object]


def written(path: Path, values: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(values, path)
    return path


def torch_written(path: Path, values: dict[str, object]) -> Path:
    from safetensors.torch import save_file as save_tensors

    save_tensors(values, path)
    return path


def compared(path: Path, values: dict[str, np.ndarray]) -> compare.Difference | None:
    return compare.compare_with(path, {name: value.shape for name, value in values.items()}, values.items())


@pytest.fixture
def random_weights() -> dict[str, np.ndarray]:
    source = np.random.default_rng(11)
    return {f"layer.{index}": source.normal(0, 0.05, (40, 30)).astype(np.float32) for index in range(4)}


def test_open_weights_are_the_attested_checkpoints(lab: object, llamafund: Llamafund) -> None:
    for other in (lab.weights.sha256, lab.exported, lab.exported / "model.safetensors"):
        ran = llamafund("compare-weights", lab.run[-1].sha256, other, "--store", lab.store.location, "--json")
        assert ran.code == ExitCode.OK, ran.stderr
        assert ran.json["verdict"] == "same"
        assert ran.json["tensors"] == ran.json["same"] > 5
        assert ran.json["not_same"] == []


def test_another_runs_weights_are_different_and_the_tensor_is_named(lab: object, llamafund: Llamafund) -> None:
    ran = llamafund("compare-weights", lab.other[-1].sha256, lab.exported, "--store", lab.store.location, "--json")
    ran.refused(ExitCode.VERIFICATION_FAILED, "tensors are not the same", "model.")
    assert ran.json["verdict"] == "different"
    assert float(ran.json["not_same"][0]["largest_difference"]) > 0


def test_an_adapter_beside_whole_weights_is_refused(lab: object, llamafund: Llamafund, tmp_path: Path) -> None:
    forged = lab.forge(lab.run[-1], tmp_path, {"adapter_model.safetensors": lab.file(lab.weights, "model.safetensors")})
    ran = llamafund("compare-weights", forged.sha256, lab.exported, "--store", lab.store.location)
    ran.refused(ExitCode.VERIFICATION_FAILED, "both adapter_model.safetensors and whole weights")


def test_a_type_that_numpy_lacks_is_a_difference_from_what_was_expected(tmp_path: Path) -> None:
    import torch

    path = torch_written(tmp_path / "w.safetensors", {"w": torch.zeros(4, dtype=torch.float8_e4m3fn)})
    found = compared(path, {"w": np.zeros(4, np.float32)})
    assert found is not None
    assert (found.tensors, found.amount) == (("w",), np.inf)


def test_one_changed_bit_is_found(lab: object, llamafund: Llamafund, tmp_path: Path) -> None:
    values = {name: each.copy() for name, each in load(lab.file(lab.weights, "model.safetensors")).items()}
    name = max(values)
    values[name].view(np.uint32).flat[-1] ^= 1
    ran = llamafund("compare-weights", written(tmp_path / "x.safetensors", values), lab.exported, "--json")
    ran.refused(ExitCode.VERIFICATION_FAILED, name, "1 of")
    assert [each["tensor"] for each in ran.json["not_same"]] == [name]


@pytest.mark.parametrize("target", ["bfloat16", "float16", "float64"])
def test_a_cast_is_named_and_is_not_called_the_same(
    random_weights: dict[str, np.ndarray], llamafund: Llamafund, tmp_path: Path, target: str
) -> None:
    """The casts are torch's own."""
    import torch

    one = written(tmp_path / "one.safetensors", random_weights)
    converted = {name: torch.from_numpy(each).to(getattr(torch, target)) for name, each in random_weights.items()}
    other = torch_written(tmp_path / "other.safetensors", converted)
    for sides, way in (((one, other), "A into B"), ((other, one), "B into A")):
        ran = llamafund("compare-weights", *sides)
        assert ran.code == ExitCode.OK, ran.stderr
        assert "float32" in ran.stdout
        assert target in ran.stdout
        assert way in ran.stdout
        assert "not bit for bit" in ran.stdout
    machine = llamafund("compare-weights", one, other, "--json").json
    assert machine["verdict"] == "cast"
    assert machine["same"] == 0
    assert len(machine["casts"]) == 1


def test_weights_that_lost_bits_on_the_way_are_told_though_the_type_is_the_same(
    random_weights: dict[str, np.ndarray], llamafund: Llamafund, tmp_path: Path
) -> None:
    import torch

    one = written(tmp_path / "one.safetensors", random_weights)
    values = {name: torch.from_numpy(each).bfloat16().float() for name, each in random_weights.items()}
    ran = llamafund("compare-weights", one, torch_written(tmp_path / "other.safetensors", values), "--json")
    assert ran.json["casts"] == ["float32 to bfloat16, rounded to nearest, stored as float32"]


def test_truncation_is_another_cast_than_rounding(
    random_weights: dict[str, np.ndarray], llamafund: Llamafund, tmp_path: Path
) -> None:
    import torch

    one = written(tmp_path / "one.safetensors", random_weights)
    cut = {
        name: torch.from_numpy((each.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)).bfloat16()
        for name, each in random_weights.items()
    }
    ran = llamafund("compare-weights", one, torch_written(tmp_path / "other.safetensors", cut), "--json")
    assert ran.json["casts"] == ["float32 to bfloat16, truncated"]


def test_a_cast_with_one_wrong_element_is_different(
    random_weights: dict[str, np.ndarray], llamafund: Llamafund, tmp_path: Path
) -> None:
    one = written(tmp_path / "one.safetensors", random_weights)
    halves = {name: each.astype(np.float16) for name, each in random_weights.items()}
    halves["layer.2"].view(np.uint16)[3, 4] ^= 1
    ran = llamafund("compare-weights", one, written(tmp_path / "other.safetensors", halves), "--json")
    ran.refused(ExitCode.VERIFICATION_FAILED, "layer.2")
    verdicts = {each["tensor"]: each["verdict"] for each in ran.json["not_same"]}
    assert verdicts == {"layer.0": "cast", "layer.1": "cast", "layer.2": "different", "layer.3": "cast"}


@given(arrays(np.uint32, st.integers(1, 60)))
@settings(max_examples=150, deadline=None)
def test_every_bit_pattern_is_rounded_to_bfloat16_as_torch_does(bits: np.ndarray) -> None:
    """Infinities, subnormals, halves to even and values that are not numbers included."""
    import torch

    values = bits.view(np.float32)
    expected = torch.from_numpy(values.copy()).bfloat16().float().numpy()
    rounded = compare._rounded(values, "BF16", "nearest")
    assert np.array_equal(rounded, expected, equal_nan=True)
    finite = ~np.isnan(expected)
    assert np.array_equal(np.signbit(rounded[finite]), np.signbit(expected[finite]))


def test_a_model_in_parts_is_compared_as_one(
    random_weights: dict[str, np.ndarray], llamafund: Llamafund, tmp_path: Path
) -> None:
    names = sorted(random_weights)
    for part, chosen in enumerate((names[:1], names[1:])):
        written(tmp_path / "parts" / f"model-{part}.safetensors", {name: random_weights[name] for name in chosen})
    whole = written(tmp_path / "whole.safetensors", random_weights)
    assert llamafund("compare-weights", tmp_path / "parts", whole).code == ExitCode.OK
    written(tmp_path / "parts" / "model-2.safetensors", {names[0]: random_weights[names[0]]})
    llamafund("compare-weights", tmp_path / "parts", whole).refused(
        ExitCode.VERIFICATION_FAILED, names[0], "another file"
    )


def test_missing_tensors_and_other_shapes_are_different(
    random_weights: dict[str, np.ndarray], llamafund: Llamafund, tmp_path: Path
) -> None:
    one = written(tmp_path / "one.safetensors", random_weights)
    other = {**random_weights, "layer.1": random_weights["layer.1"].T.copy(), "extra": np.zeros(3, np.float32)}
    del other["layer.0"]
    ran = llamafund("compare-weights", one, written(tmp_path / "other.safetensors", other), "--json")
    ran.refused(ExitCode.VERIFICATION_FAILED, "3 of 5 tensors")
    assert {each["tensor"] for each in ran.json["not_same"]} == {"layer.0", "layer.1", "extra"}


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


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 64, save({"w": np.zeros(4, np.float32)})[:-3]])
def test_what_is_no_safetensors_file_is_refused(llamafund: Llamafund, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    llamafund("compare-weights", path, path).refused(ExitCode.VERIFICATION_FAILED, "safetensors")


def test_a_tensor_that_stands_in_two_places_is_refused(tmp_path: Path) -> None:
    """safetensors takes the last one."""
    one, other = (f'{{"dtype": "F32", "shape": [1], "data_offsets": {place}}}' for place in ([0, 4], [4, 8]))
    header = f'{{"w": {one}, "w": {other}, "v": {one}}}'.encode()
    path = tmp_path / "twice.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(VerificationError, match="a key occurs twice"):
        read_entries([path])


def test_what_does_not_exist_is_a_usage_error(lab: object, llamafund: Llamafund, tmp_path: Path) -> None:
    llamafund("compare-weights", tmp_path / "nothing", lab.exported).refused(ExitCode.USAGE, "no weights called")
    llamafund("compare-weights", tmp_path, lab.exported).refused(ExitCode.USAGE, "has no weights")
    ran = llamafund("compare-weights", lab.dataset.sha256, lab.exported, "--store", lab.store.location)
    ran.refused(ExitCode.VERIFICATION_FAILED, "llamafund/dataset/1")


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path, random_weights: dict[str, np.ndarray]) -> None:
    path = written(tmp_path / "one.safetensors", random_weights)
    entries = read_entries([path])
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(VerificationError, match="ends in the middle"):
        list(compare_tensors(entries, entries))
