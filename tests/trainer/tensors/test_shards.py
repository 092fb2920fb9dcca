"""Shards become whole files again, or are refused: nothing in a stranger's shards is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_trainer.record.recorder import Recorder
from llamafund_trainer.tensors.optimizer_settings import optimizer_problem
from llamafund_trainer.tensors.shards import (
    MODEL,
    SHARDING_KEY,
    WEIGHTS,
    join_shards,
    shard_files,
    sort_header,
    weight_files,
    whole_weights,
)

Tensors = Mapping[str, np.ndarray]
WHOLE: Tensors = {
    "b.matrix": np.arange(15, dtype=np.float32).reshape(5, 3),
    "a.vector": np.arange(4, dtype=np.float16),
    "count": np.array(7, dtype=np.float32),
    "z.cube": np.arange(24, dtype=np.float64).reshape(2, 3, 4),
}


def write_shard(path: Path, tensors: Tensors, note: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, metadata={SHARDING_KEY: note if isinstance(note, str) else json.dumps(note)})
    return path


def place(*offsets: int) -> dict[str, object]:
    return {"saved_offsets": [*offsets]}


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """`WHOLE`, split as FSDP splits it, with a tensor that fits into one process's part."""
    one, two = (tmp_path / "checkpoint" / path for path in shard_files(MODEL, 2))
    first = {"b.matrix": WHOLE["b.matrix"][:3], "a.vector": WHOLE["a.vector"], "z.cube": WHOLE["z.cube"][:1]}
    second = {
        "b.matrix": WHOLE["b.matrix"][3:],
        "a.vector": WHOLE["a.vector"][4:],
        "z.cube": WHOLE["z.cube"][1:],
        "count": WHOLE["count"],
    }
    places = {"b.matrix": place(3, 0), "a.vector": place(4), "z.cube": place(1, 0, 0), "count": place()}
    return [
        write_shard(two, second, places),
        write_shard(one, first, {"b.matrix": place(0, 0), "a.vector": place(0), "z.cube": place(0, 0, 0)}),
    ]


def test_shards_become_the_file_that_a_whole_model_has(shards: Sequence[Path], tmp_path: Path) -> None:
    save_file(dict(WHOLE), tmp_path / "whole", metadata={"format": "pt"})
    join_shards(shards, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "whole").read_bytes()
    (tmp_path / "place").mkdir()
    assert whole_weights(tmp_path / "checkpoint", tmp_path / "place").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"b.matrix": place(4, 0)}, "do not fit together"),
        ({"b.matrix": place(2, 0)}, "do not fit together"),
        ({"b.matrix": place(0, 0)}, "do not fit together"),
        ({"b.matrix": place(2**70, 0)}, "do not fit together"),
        ({"b.matrix": place(0, 3)}, "does not say which rows"),
        ({"b.matrix": place(-3, 0)}, "does not say which rows"),
        ({"b.matrix": place(3)}, "does not say which rows"),
        ({"b.matrix": {"saved_offsets": [True, 0]}}, "does not say which rows"),
        ({"b.matrix": {"saved_offsets": "30"}}, "does not say which rows"),
        ({"b.matrix": [3, 0]}, "does not say which rows"),
        ({}, "does not say which rows"),
        ([], "does not say which rows"),
        ("", "does not say which parts"),
        ("[" * 100_000, "does not say which parts"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(
    shards: Sequence[Path], tmp_path: Path, places: object, message: str
) -> None:
    write_shard(shards[0], {"b.matrix": WHOLE["b.matrix"][3:]}, places)
    with pytest.raises(VerificationError, match=message):
        join_shards(shards, tmp_path / "joined")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"], "nothing half-written stays"


@pytest.mark.parametrize(
    ("name", "piece", "message"),
    [
        ("b.matrix", WHOLE["b.matrix"][3:].astype(np.float64), "different types or shapes"),
        ("b.matrix", WHOLE["b.matrix"][3:, :2], "different types or shapes"),
        ("count", WHOLE["count"], "is in 2 shards"),
    ],
)
def test_pieces_of_different_kinds_are_refused(
    shards: Sequence[Path], tmp_path: Path, name: str, piece: np.ndarray, message: str
) -> None:
    third = write_shard(tmp_path / "third", {name: piece.copy()}, {name: place(*[5, 0][: piece.ndim])})
    with pytest.raises(VerificationError, match=message):
        join_shards([*shards, third], tmp_path / "joined")


def test_a_file_without_places_is_no_shard(tmp_path: Path) -> None:
    save_file(dict(WHOLE), tmp_path / "plain")
    with pytest.raises(VerificationError, match="does not say which parts"):
        join_shards([tmp_path / "plain"], tmp_path / "joined")
    (tmp_path / "plain").write_bytes(b"no tensors")
    with pytest.raises(VerificationError, match="cannot be read as safetensors"):
        join_shards([tmp_path / "plain"], tmp_path / "joined")


def test_a_tensor_with_two_places_is_refused(tmp_path: Path) -> None:
    note = f'{{"b.matrix": {json.dumps(place(3, 0))}, "b.matrix": {json.dumps(place(0, 0))}}}'
    path = write_shard(tmp_path / "twice", {"b.matrix": WHOLE["b.matrix"]}, note)
    with pytest.raises(VerificationError, match="occurs twice"):
        join_shards([path], tmp_path / "joined")


def test_weights_in_two_ways_are_refused(shards: Sequence[Path], tmp_path: Path) -> None:
    assert weight_files(["config.json", WEIGHTS, "model/other.safetensors"]) == (WEIGHTS,)
    save_file(dict(WHOLE), tmp_path / "checkpoint" / WEIGHTS)
    with pytest.raises(VerificationError, match="both"):
        whole_weights(tmp_path / "checkpoint", tmp_path)
    with pytest.raises(UsageError, match="has no weights"):
        whole_weights(tmp_path, tmp_path)


def test_equal_shards_get_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for order in (("format", "DCP_VERSION", SHARDING_KEY), (SHARDING_KEY, "format", "DCP_VERSION")):
        path = tmp_path / "shard"
        save_file(dict(WHOLE), path, metadata={"format": "pt"})
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = {**json.loads(data[8 : 8 + length]), "__metadata__": dict.fromkeys(order, "ü")}
        encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        encoded += b" " * (-len(encoded) % 8)
        path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data[8 + length :])
        contents.append((path.read_bytes(), sort_header(path) or path.read_bytes()))
    (one, sorted_one), (other, sorted_other) = contents
    assert one != other
    assert sorted_one == sorted_other
    assert len(sorted_one) == len(one)


def test_a_recorder_exports_shards_as_one_file(shards: Sequence[Path], tmp_path: Path) -> None:
    write_shard(tmp_path / "checkpoint" / shard_files("optimizer", 1)[0], {"count": WHOLE["count"]}, {"count": place()})
    recorder = Recorder(tmp_path / "run", recipe=__file__, dataset="ab" * 32, seed="cd" * 32)
    recorder.begin(0, {})
    recorder.checkpoint(0, tmp_path / "checkpoint")
    weights = recorder.export(tmp_path / "model", license="Apache-2.0", score=0)
    recorder.end()
    assert [entry.path for entry in weights.files] == ["README.md", WEIGHTS]
    assert weights.parameters == sum(values.size for values in WHOLE.values())
    save_file(dict(WHOLE), tmp_path / "whole", metadata={"format": "pt"})
    assert (tmp_path / "model" / WEIGHTS).read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.fixture
def settings(lab: object, tmp_path: Path) -> Callable[[object], Path]:
    """Writes an optimizer's settings as a checkpoint in shards has them."""

    def write(groups: object) -> Path:
        path = tmp_path / "optimizer.json"
        path.write_text(json.dumps(groups))
        return path

    return write


def honest_settings(lab: object) -> list[dict[str, object]]:
    import io

    import torch

    groups = torch.load(io.BytesIO(lab.file(lab.run[2], "optimizer.pt")), weights_only=True)["param_groups"]
    return [{name: value for name, value in group.items() if name != "params"} for group in groups]


def test_settings_in_json_are_compared_with_the_recipe(lab: object, settings: Callable[[object], Path]) -> None:
    honest = honest_settings(lab)
    assert optimizer_problem(lab.recipe.recipe, 20, settings(honest)) is None
    for name, value in (("lr", 0.5), ("betas", [0.9, 0.999]), ("betas", [[]]), ("amsgrad", True), ("trick", 1)):
        forged = [honest[0], {**honest[1], name: value}]
        assert name in str(optimizer_problem(lab.recipe.recipe, 20, settings(forged)))
    for odd in (honest[:1], {}, [1, 2], "no", None):
        assert "two groups" in str(optimizer_problem(lab.recipe.recipe, 20, settings(odd)))
    path = settings(honest)
    path.write_text(path.read_text().replace('"lr":', '"lr": 0.5, "lr":', 1))
    with pytest.raises(VerificationError, match="occurs twice"):
        optimizer_problem(lab.recipe.recipe, 20, path)
    with pytest.raises(VerificationError, match=r"optimizer\.json is longer"):
        optimizer_problem(lab.recipe.recipe, 20, settings(["x" * (1 << 20)]))
