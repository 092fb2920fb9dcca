"""`llamafund compare-weights`: the same bits, the same numbers after a cast, or other weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save
from weight_files import torch_written, written

from llamafund_chain.errors import ExitCode

Llamafund = Callable[..., object]


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "too short"),
        (b"no tensors", "does not begin with a header"),
        (b"\xff" * 64, "does not begin with a header"),
        (b"\x02" + b"\0" * 7 + b"{]", "is not what safetensors writes"),
        (b"\x02" + b"\0" * 7 + b"\xff\xfe", "is not what safetensors writes"),
        (save({"w": np.zeros(4, np.float32)})[:30], "ends inside its header"),
        (save({"w": np.zeros(4, np.float32)})[:-3], "ends before its last tensor"),
        (save({"w": np.zeros(4, np.float32)}).replace(b"[4]", b"[3]"), "another size than its shape"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(
    llamafund: Llamafund, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    ran = llamafund("compare-weights", path, path)
    ran.refused(ExitCode.VERIFICATION_FAILED, "bad.safetensors cannot be read as safetensors", words)
    assert "deserializ" not in ran.stderr


def test_what_does_not_exist_is_a_usage_error(lab: object, llamafund: Llamafund, tmp_path: Path) -> None:
    llamafund("compare-weights", tmp_path / "nothing", lab.exported).refused(ExitCode.USAGE, "no weights called")
    llamafund("compare-weights", tmp_path, lab.exported).refused(ExitCode.USAGE, "has no weights")
    ran = llamafund("compare-weights", lab.dataset.sha256, lab.exported, "--store", lab.store.location)
    ran.refused(ExitCode.VERIFICATION_FAILED, "llamafund/dataset/1")
