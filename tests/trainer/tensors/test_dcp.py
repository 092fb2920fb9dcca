"""Distributed checkpoints in torch's own format: joined as they were split, or refused, and never run."""

from __future__ import annotations

import io
import math
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch.distributed.checkpoint import save as save_distributed
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_trainer.record.recorder import Recorder
from llamafund_trainer.record.repeat import RepeatWarning
from llamafund_trainer.tensors import dcp_index
from llamafund_trainer.tensors.dcp import distributed_files, join_weights, read_weights
from llamafund_trainer.tensors.dcp_index import INDEX

MATRIX = torch.arange(60, dtype=torch.float32).reshape(5, 12)
Parts = Sequence[tuple[tuple[int, ...], torch.Tensor]]
GRID: Parts = [
    ((0, 0), MATRIX[:3, :8]),
    ((0, 8), MATRIX[:3, 8:]),
    ((3, 0), MATRIX[3:, :5]),
    ((3, 5), MATRIX[3:, 5:]),
    ((5, 0), MATRIX[5:]),
]
"""Rows for three processes, the last of which gets none; and each of the others has split its columns again."""


class Written:
    """A checkpoint as two processes write it, whose index a test can change."""

    def __init__(self, folder: Path, tensors: Mapping[tuple[str, ...], Parts]) -> None:
        self.folder = folder
        self.index = Metadata({}, {}, {})
        files = [io.BytesIO(), io.BytesIO()]
        for path, parts in tensors.items():
            name = ".".join(path)
            ends = [[begin + size for begin, size in zip(at, part.shape, strict=True)] for at, part in parts]
            self.index.planner_data[name] = path
            self.index.state_dict_metadata[name] = TensorStorageMetadata(
                TensorProperties(dtype=parts[0][1].dtype),
                torch.Size([max(end) for end in zip(*ends, strict=True)]),
                [ChunkStorageMetadata(torch.Size(at), part.shape) for at, part in parts],
            )
            for number, (at, part) in enumerate(parts):
                file = files[number % 2]
                begin = file.tell()
                torch.save(part.clone(), file)
                place = _StorageInfo(f"__{number % 2}_0.distcp", begin, file.tell() - begin)
                self.index.storage_data[MetadataIndex(name, at, number)] = place
        self.index.state_dict_metadata["step"] = BytesStorageMetadata()
        self.index.storage_data[MetadataIndex("step")] = _StorageInfo("__0_0.distcp", 0, 5)
        folder.mkdir(parents=True)
        for rank, file in enumerate(files):
            (folder / f"__{rank}_0.distcp").write_bytes(file.getvalue())
        self.save()

    def save(self, protocol: int = 4) -> Path:
        """Write the index."""
        (self.folder / INDEX).write_bytes(pickle.dumps(self.index, protocol=protocol))
        return self.folder / INDEX

    def place(self, number: int, **changes: Any) -> None:
        """Change where a part of the matrix is said to be."""
        key = MetadataIndex("model.matrix", GRID[number][0])
        self.index.storage_data[key] = replace(self.index.storage_data[key], **changes)

    @property
    def matrix(self) -> Any:
        return self.index.state_dict_metadata["model.matrix"]

    def chunk(self, number: int, offsets: tuple[int, ...], sizes: tuple[int, ...]) -> None:
        """Change which part of the matrix a part is said to be."""
        place = self.index.storage_data.pop(MetadataIndex("model.matrix", GRID[number][0]))
        self.index.storage_data[MetadataIndex("model.matrix", torch.Size(offsets))] = place
        self.matrix.chunks[number] = ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    moments = [(at, part * 2) for at, part in GRID]
    return Written(
        tmp_path / "checkpoint" / "dcp",
        {
            ("model", "matrix"): GRID,
            ("model", "scale"): [((), torch.tensor(1.5, dtype=torch.float64))],
            ("optimizer", "state", "matrix", "exp_avg"): moments,
        },
    )


def test_parts_of_rows_and_columns_become_the_whole(written: Written, tmp_path: Path) -> None:
    for protocol in (4, 5):
        join_weights([written.save(protocol)], tmp_path / "joined")
        whole = save({"matrix": MATRIX, "scale": torch.tensor(1.5, dtype=torch.float64)}, {"format": "pt"})
        assert (tmp_path / "joined").read_bytes() == whole


def test_a_matrix_larger_than_a_block_is_joined_row_by_row(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamafund_trainer.tensors.dcp._SPAN", 100)
    join_weights([written.save()], tmp_path / "joined")
    assert torch.equal(load_file(tmp_path / "joined")["matrix"], MATRIX)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_what_torch_itself_saves_is_read_in_any_folder(tmp_path: Path) -> None:
    layer = torch.nn.Linear(3, 2)
    state = {"empty": torch.empty(0, 3), **layer.state_dict()}
    save_distributed({"model": state}, checkpoint_id=tmp_path / "pytorch_model_fsdp_0", no_dist=True)
    optimizer = {"optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}}
    save_distributed(optimizer, checkpoint_id=tmp_path / "optimizer_0", no_dist=True)
    indexes = [tmp_path / name / INDEX for name in ("optimizer_0", "pytorch_model_fsdp_0")]
    join_weights(indexes, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == save(state, {"format": "pt"})
    save_distributed(layer.state_dict(), checkpoint_id=tmp_path / "plain", no_dist=True)
    assert [weight.name for weight in read_weights([tmp_path / "plain" / INDEX])] == ["bias", "weight"]
    titan = {**layer.state_dict(), "optimizer": {"state.weight.step": torch.ones(1)}, "train": {"step": torch.ones(1)}}
    save_distributed(titan, checkpoint_id=tmp_path / "titan", no_dist=True)
    assert [weight.name for weight in read_weights([tmp_path / "titan" / INDEX])] == ["bias", "weight"]
    with pytest.raises(VerificationError, match="holds 2 sets of weights"):
        read_weights([*indexes, tmp_path / "plain" / INDEX])
    with pytest.raises(VerificationError, match=r"holds no sets of weights.*below 'model'"):
        read_weights(indexes[:1])


def test_only_files_beside_an_index_belong_to_it() -> None:
    there = ["a/.metadata", "a/__0_0.distcp", "a/b/__0_0.distcp", "__0_0.distcp", "a/config.json"]
    assert distributed_files(there) == ("a/.metadata", "a/__0_0.distcp")
    assert distributed_files([".metadata", *there[3:]]) == (".metadata", "__0_0.distcp")


Change = Callable[[Written], object]
LIES: dict[str, tuple[Change, str]] = {
    "an offset past the end": (lambda it: it.place(0, offset=10**9), "ends before one of the tensors"),
    "a length past the end": (lambda it: it.place(0, length=10**9), "ends before one of the tensors"),
    "a negative offset": (lambda it: it.place(0, offset=-1), "not say where"),
    "another part's bytes": (
        lambda it: it.place(0, **vars(it.index.storage_data[MetadataIndex("model.matrix", (3, 0))])),
        "but __0_0.distcp has",
    ),
    "a length that is cut": (lambda it: it.place(0, length=100), "directory is not where"),
    "a file outside": (lambda it: it.place(0, relative_path="../__0_0.distcp"), "no .distcp file beside it"),
    "an absolute file": (lambda it: it.place(0, relative_path="/etc/passwd"), "no .distcp file beside it"),
    "a file that is not there": (lambda it: it.place(0, relative_path="__7_0.distcp"), "no .distcp file beside it"),
    "the index itself": (lambda it: it.place(0, relative_path=INDEX), "no .distcp file beside it"),
    "compressed bytes": (lambda it: it.place(0, transform_descriptors=["zstd"]), "compressed"),
    "a part without a place": (lambda it: it.index.storage_data.pop(MetadataIndex("model.matrix", (0, 8))), "not say"),
    "a hole in the rows": (lambda it: it.chunk(0, (1, 0), (3, 8)), "do not fit together"),
    "a hole in the columns": (lambda it: it.chunk(1, (0, 9), (3, 4)), "do not fit together"),
    "a part that is left out": (lambda it: it.matrix.chunks.pop(1), "do not fit together"),
    "overlapping rows": (lambda it: it.chunk(2, (2, 0), (2, 5)), "do not fit together"),
    "overlapping columns": (lambda it: it.chunk(1, (0, 7), (3, 4)), "do not fit together"),
    "a part twice": (lambda it: it.matrix.chunks.append(it.matrix.chunks[0]), "same place"),
    "a part past the end": (lambda it: it.chunk(3, (3, 5), (2, 8)), "do not fit together"),
    "more rows than there are": (lambda it: setattr(it.matrix, "size", torch.Size((6, 12))), "do not fit together"),
    "endless rows": (lambda it: setattr(it.matrix, "size", torch.Size((2**62, 12))), "do not fit together"),
    "other dimensions": (lambda it: setattr(it.matrix, "size", torch.Size((60,))), "other dimensions"),
    "no parts": (lambda it: it.matrix.chunks.clear(), "do not fit together"),
    "a size that is no number": (lambda it: setattr(it.matrix, "size", ("5", 12)), "few whole numbers"),
    "many dimensions": (lambda it: setattr(it.matrix, "size", torch.Size([1] * 33)), "few whole numbers"),
    "another type": (lambda it: setattr(it.matrix.properties, "dtype", torch.float64), "but __0_0.distcp has"),
    "a type without a name": (
        lambda it: setattr(it.matrix.properties, "dtype", torch.complex64),
        "safetensors does not",
    ),
    "no type": (lambda it: setattr(it.matrix.properties, "dtype", "float32"), "has no type"),
    "two models": (lambda it: it.index.planner_data.update({"model.scale": ("app", "model", "scale")}), "2 places"),
    "the same name": (lambda it: it.index.planner_data.update({"model.scale": ("model", "matrix")}), "twice"),
    "a name of the header": (
        lambda it: it.index.planner_data.update({"model.scale": ("model", "__metadata__")}),
        "safetensors does not have",
    ),
    "a name that is no text": (lambda it: it.index.planner_data.update({"model.scale": ((),)}), "name was"),
    "no tensors": (lambda it: setattr(it.index, "state_dict_metadata", None), "something else is where a mapping"),
}


@pytest.mark.parametrize("what", LIES)
def test_an_index_that_lies_is_refused(written: Written, tmp_path: Path, what: str) -> None:
    change, message = LIES[what]
    change(written)
    with pytest.raises(VerificationError) as found:
        join_weights([written.save()], tmp_path / "joined")
    assert message.lower() in str(found.value).lower()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"], "nothing half-written stays"


def test_weights_that_share_their_bytes_are_refused(written: Written, tmp_path: Path) -> None:
    """A small file could become one of any size."""
    key = MetadataIndex("model.matrix", (0, 0))
    for number in range(3):
        name = f"model.copy{number}"
        chunk = ChunkStorageMetadata(torch.Size((0, 0)), torch.Size((3, 8)))
        written.index.state_dict_metadata[name] = replace(written.matrix, size=chunk.sizes, chunks=[chunk])
        written.index.planner_data[name] = ("model", f"copy{number}")
        written.index.storage_data[MetadataIndex(name, (0, 0))] = written.index.storage_data[key]
    with pytest.raises(VerificationError, match="two tensors in the same bytes"):
        join_weights([written.save()], tmp_path / "joined")


@pytest.mark.parametrize(("limit", "value"), [("MAX_TENSORS", 2), ("MAX_TENSORS", 8), ("MAX_OPERATIONS", 50)])
def test_more_than_any_checkpoint_has_is_refused(
    written: Written, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(dcp_index, limit, value)
    with pytest.raises(VerificationError, match=f"more than {value}"):
        read_weights([written.save()])
    monkeypatch.setattr(dcp_index, "MAX_INDEX", 99)
    with pytest.raises(VerificationError, match="longer than 99 bytes"):
        read_weights([written.save()])


class _Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)


def test_a_program_in_an_index_or_in_a_tensor_is_not_run(written: Written, tmp_path: Path) -> None:
    caught = tmp_path / "caught"
    pickle.loads(pickle.dumps(_Bomb(caught)))
    assert caught.exists(), "it would work"
    caught.unlink()
    written.index.version = _Bomb(caught)
    with pytest.raises(VerificationError, match="asks for"):
        read_weights([written.save()])
    written.index.version = "1.0.0"
    data, place = io.BytesIO(), written.index.storage_data[MetadataIndex("model.scale", ())]
    torch.save(_Bomb(caught), data)
    with (written.folder / place.relative_path).open("ab") as file:
        place.offset, place.length = file.tell(), file.write(data.getvalue())
    with pytest.raises(VerificationError, match="asks for"):
        read_weights([written.save()])
    assert not caught.exists()


@pytest.mark.parametrize("saved", [{"a": torch.ones(2)}, torch.ones(4, 2).t(), torch.ones(4, dtype=torch.complex64)])
def test_what_is_no_tensor_in_one_piece_is_refused(written: Written, saved: object) -> None:
    data, place = io.BytesIO(), written.index.storage_data[MetadataIndex("model.scale", ())]
    torch.save(saved, data)
    with (written.folder / place.relative_path).open("ab") as file:
        place.offset, place.length = file.tell(), file.write(data.getvalue())
    with pytest.raises(VerificationError, match=r"\.distcp cannot be read as a training state"):
        read_weights([written.save()])


ODD: dict[str, bytes] = {
    "nothing": b"",
    "a text": b"not a pickle",
    "a list of itself": b"\x80\x04]\x94h\x00a.",
    "an empty stack": b"\x80\x04.",
    "two values": b"\x80\x04NN.",
    "a mark": b"\x80\x04(.",
    "items without a mark": b"\x80\x04}u.",
    "half an item": b"\x80\x04}(Nu.",
    "a list as a mapping": b"\x80\x04](NNu.",
    "a mapping as a list": b"\x80\x04}Na.",
    "what was never kept": b"\x80\x04h\x07.",
    "a call of a text": b"\x80\x04\x8c\x01a)R.",
    "a state of a text": b"\x80\x04\x8c\x01a}b.",
    "a state twice": b"\x80\x04\x8c\x05torch\x8c\x04Size\x93)R}b}b.",
    "a name of bytes": b"\x80\x04NN\x93.",
    "an old operation": b"\x80\x02cos\nsystem\n.",
    "a long number": b"\x80\x04\x8a\x09" + b"\xff" * 8 + b"\x7f.",
    "an extension": b"\x80\x04\x82\x01.",
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_index_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / INDEX).write_bytes(ODD[what])
    with pytest.raises(VerificationError, match="cannot be read as the index"):
        read_weights([tmp_path / INDEX])


def test_one_wrong_byte_never_raises_anything_else(written: Written) -> None:
    path = written.save()
    honest = path.read_bytes()
    for at in range(0, len(honest), 5):
        path.write_bytes(honest[:at] + bytes([honest[at] ^ 0x41]) + honest[at + 1 :])
        try:
            read_weights([path])
        except LlamafundError:
            continue
    path.write_bytes(honest + b"\x00")
    with pytest.raises(VerificationError, match="goes on after its end"):
        read_weights([path])


def test_what_could_not_be_joined_is_refused_at_the_first_checkpoint(written: Written, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", recipe=__file__, dataset="ab" * 32, seed="cd" * 32)
    recorder.begin(0, {})
    written.place(0, offset=7)
    written.save()
    with pytest.raises(UsageError, match=r"after step 2 could not be exported.*HuggingFaceStorageWriter"):
        recorder.checkpoint(2, written.folder.parent)
    recorder.end()


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_an_index_with_another_number_in_it_is_no_other_training(tmp_path: Path) -> None:
    for attempt in ("one", "two"):
        recorder = Recorder(tmp_path / "run", recipe=__file__, dataset="ab" * 32, seed="cd" * 32)
        recorder.begin(0, {})
        save_distributed({"model": {"w": torch.ones(3)}}, checkpoint_id=tmp_path / attempt / "dcp", no_dist=True)
        recorder.checkpoint(2, tmp_path / attempt)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RepeatWarning)
            recorder.end()
    one, two = ((tmp_path / attempt / "dcp" / INDEX).read_bytes() for attempt in ("one", "two"))
    assert one != two
    recorder = Recorder(tmp_path / "run", recipe=__file__, dataset="ab" * 32, seed="cd" * 32)
    recorder.begin(0, {})
    save_distributed({"model": {"w": torch.zeros(3)}}, checkpoint_id=tmp_path / "three" / "dcp", no_dist=True)
    recorder.checkpoint(2, tmp_path / "three")
    with pytest.warns(RepeatWarning, match=r"dcp/__0_0\.distcp differ"):
        recorder.end()


def test_split_weights_that_are_not_finite_are_not_exported(tmp_path: Path) -> None:
    parts = [((0,), torch.ones(2)), ((2,), torch.tensor([1.0, math.nan]))]
    Written(tmp_path / "checkpoint" / "dcp", {("model", "w"): parts})
    recorder = Recorder(tmp_path / "run", recipe=__file__, dataset="ab" * 32, seed="cd" * 32)
    recorder.begin(0, {})
    recorder.checkpoint(2, tmp_path / "checkpoint")
    with pytest.raises(VerificationError, match="'w' after step 2 has values that are not finite"):
        recorder.export(tmp_path / "model", license="Apache-2.0", score=0)
    recorder.end()
    assert not (tmp_path / "model").exists()
