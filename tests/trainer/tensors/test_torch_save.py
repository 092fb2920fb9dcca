"""What `torch.save` wrote is read as torch reads it, or not at all."""

from __future__ import annotations

import errno
import io
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade_pickles import Described, Indexer, Mapped, stored
from transformers.trainer_pt_utils import safe_globals

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_trainer.tensors import torch_save
from llamafund_trainer.tensors.compare import read_numbers
from llamafund_trainer.tensors.torch_save import MAX_SMALL_FILE, optimizer_tensors, read_saved, same_values

REFUSED = "cannot be read as a training state"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def saved(value: object) -> bytes:
    target = io.BytesIO()
    torch.save(value, target)
    return target.getvalue()


@pytest.fixture
def optimizer(lab: object) -> bytes:
    """The honest optimizer after step 20."""
    return lab.file(lab.run[2], "optimizer.pt")


def by_hand(state: object, members: Mapping[str, bytes] | None = None, **options: int) -> bytes:
    """An archive with an index of one's own and, if nothing else is said, two numbers beside it."""
    index, target = io.BytesIO(), io.BytesIO()
    Indexer(index, protocol=2).dump({"state": state, "param_groups": []})
    files = {
        "data.pkl": index.getvalue(),
        "byteorder": b"little",
        "version": b"3\n",
        "data/0": struct.pack("<2f", 1, 2),
    }
    with zipfile.ZipFile(target, "w", **options) as archive:
        for name, content in {**files, **(members or {})}.items():
            archive.writestr(f"a/{name}", content)
    return target.getvalue()


def test_every_tensor_of_an_optimizer_is_found_where_torch_finds_it(optimizer: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "optimizer.pt", optimizer)
    found = optimizer_tensors(path)
    state = torch.load(path, weights_only=True)["state"]
    assert set(found) == {f"{number}.{name}" for number, kept in state.items() for name in kept}
    for number, kept in state.items():
        for name, tensor in kept.items():
            entry = found[f"{number}.{name}"]
            assert entry.shape == tuple(tensor.shape)
            assert np.array_equal(np.concatenate(list(read_numbers(entry))), tensor.numpy().reshape(-1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_of_every_type_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.tensor([[1.5, -2.0], [0.25, 3.0]], dtype=dtype)
    path = write(tmp_path / "optimizer.pt", saved({"state": {0: {"exp_avg": values}}, "param_groups": []}))
    entry = optimizer_tensors(path)["0.exp_avg"]
    assert np.concatenate(list(read_numbers(entry))).tolist() == [1.5, -2.0, 0.25, 3.0]


def test_values_are_the_same_whatever_file_they_are_in(lab: object, tmp_path: Path) -> None:
    honest, other = (lab.file(run[2], "rng_state.pth") for run in (lab.run, lab.other))
    one = write(tmp_path / "one", honest)
    again = write(tmp_path / "again", saved(torch.load(io.BytesIO(honest), weights_only=False)))
    assert again.read_bytes() != honest
    assert same_values(one, again)
    assert not same_values(one, write(tmp_path / "other", other))


@pytest.mark.parametrize("part", ["python", "numpy", "cpu"])
def test_one_other_random_number_is_another_state(lab: object, tmp_path: Path, part: str) -> None:
    honest = lab.file(lab.run[2], "rng_state.pth")
    state = torch.load(io.BytesIO(honest), weights_only=False)
    if part == "python":
        version, numbers, gauss = state["python"]
        state["python"] = (version, (numbers[0] ^ 1, *numbers[1:]), gauss)
    elif part == "numpy":
        state["numpy"][1][-1] ^= 1
    else:
        state["cpu"][-1] ^= 1
    assert not same_values(write(tmp_path / "one", honest), write(tmp_path / "other", saved(state)))


def test_a_random_state_that_torch_reads_otherwise_is_refused(lab: object, tmp_path: Path) -> None:
    honest = lab.file(lab.run[2], "rng_state.pth")
    state = torch.load(io.BytesIO(honest), weights_only=False)
    count, other = state["cpu"].numel(), torch.Generator().manual_seed(7).get_state()
    parts = [Described(stored(key, count, torch.ByteStorage), shape=(count,)) for key in ("0", "1")]
    index = io.BytesIO()
    changed = replace(parts[0], changed=parts[1])
    Indexer(index, protocol=2).dump({**state, "cpu": changed})
    with zipfile.ZipFile(tmp_path / "forged", "w") as archive:
        for name, content in (("data.pkl", index.getvalue()), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(f"a/{name}", content)
        for key, tensor in (("0", state["cpu"]), ("1", other)):
            archive.writestr(f"a/data/{key}", tensor.numpy().tobytes())
    with safe_globals():
        read = torch.load(tmp_path / "forged", weights_only=True)["cpu"]
    assert torch.equal(read, other), "what the Trainer would continue with"
    with pytest.raises(VerificationError, match=REFUSED):
        same_values(write(tmp_path / "one", honest), tmp_path / "forged")


def test_a_large_file_is_not_compared_in_memory(lab: object, tmp_path: Path) -> None:
    one = write(tmp_path / "one", lab.file(lab.run[2], "rng_state.pth"))
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_SMALL_FILE + 1)
    with pytest.raises(VerificationError, match="large is longer than"):
        same_values(one, tmp_path / "large")


ONE = Described(stored())
BY_HAND: dict[str, Callable[[], bytes]] = {
    "keys that look alike": lambda: by_hand({0: {"exp_avg": ONE}, "0": {"exp_avg": Described(stored("1"))}}),
    "a number in place of a tensor": lambda: by_hand({0: {"step": 3}}),
    "no state": lambda: by_hand([]),
    "more elements than bytes": lambda: by_hand({0: {"exp_avg": Described(stored(elements=3))}}),
    "fewer elements than bytes": lambda: by_hand({0: {"exp_avg": Described(stored(elements=1), shape=(1,))}}),
    "an offset": lambda: by_hand({0: {"exp_avg": Described(stored(), offset=1)}}),
    "a negative offset": lambda: by_hand({0: {"exp_avg": Described(stored(), offset=-1)}}),
    "a shape that is too large": lambda: by_hand({0: {"exp_avg": Described(stored(), shape=(3,))}}),
    "a negative shape": lambda: by_hand({0: {"exp_avg": Described(stored(), shape=(-2,))}}),
    "a stride": lambda: by_hand({0: {"exp_avg": Described(stored(), stride=(0,))}}),
    "no bytes": lambda: by_hand({0: {"exp_avg": Described(stored("7"))}}),
    "bytes of no type": lambda: by_hand({0: {"exp_avg": Described(stored(kind=torch.ComplexFloatStorage))}}),
    "a type that is a text": lambda: by_hand({0: {"exp_avg": Described(stored(kind="QInt8Storage"))}}),
    "bytes that are described twice": lambda: by_hand(
        {0: {"exp_avg": ONE, "exp_avg_sq": Described(stored(kind=torch.HalfStorage, elements=4))}}
    ),
    "bytes that two share": lambda: by_hand({0: {"exp_avg": ONE, "exp_avg_sq": ONE}}),
    "another tensor in its place": lambda: by_hand(
        {0: {"exp_avg": Described(stored(), changed=Described(stored("1")))}}, {"data/1": struct.pack("<2f", 3, 4)}
    ),
    "a mapping that hides what it holds": lambda: by_hand(Mapped({"exp_avg": ONE}, {"get": OrderedDict})),
    "a tensor that torch negates": lambda: saved(
        {"state": {0: {"exp_avg": torch._neg_view(torch.ones(2))}}, "param_groups": []}
    ),
    "a tensor with a gradient": lambda: saved(
        {"state": {0: {"exp_avg": torch.ones(2, requires_grad=True)}}, "param_groups": []}
    ),
    "compressed bytes": lambda: by_hand({0: {"exp_avg": ONE}}, compression=zipfile.ZIP_DEFLATED),
    "big-endian numbers": lambda: by_hand({0: {"exp_avg": ONE}}, {"byteorder": b"big"}),
    "names that are alike": lambda: by_hand({0: {"exp_avg": ONE}}, {"DATA/0": struct.pack("<2f", 3, 4)}),
    "odd names": lambda: by_hand({0: {"exp_avg": ONE}}, {"data\\1": b""}),
}


def test_what_is_made_by_hand_is_read_where_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "optimizer.pt", by_hand({0: {"exp_avg": ONE}}))
    assert next(read_numbers(optimizer_tensors(path)["0.exp_avg"])).tolist() == [1, 2]
    assert torch.load(path, weights_only=True)["state"][0]["exp_avg"].tolist() == [1, 2]


@pytest.mark.parametrize("what", BY_HAND)
def test_an_index_that_does_not_describe_what_is_there_is_refused(tmp_path: Path, what: str) -> None:
    with pytest.raises(VerificationError, match=REFUSED):
        optimizer_tensors(write(tmp_path / "optimizer.pt", BY_HAND[what]()))


def two_archives(honest: bytes) -> bytes:
    """One behind the other: which one counts is a matter of taste."""
    return by_hand({0: {"exp_avg": ONE}}) + honest


def behind_an_old_file(honest: bytes) -> bytes:
    """Behind a file of the kind that torch wrote before it wrote archives, and still reads."""
    old = io.BytesIO()
    torch.save(torch.load(io.BytesIO(honest), weights_only=True), old, _use_new_zipfile_serialization=False)
    return _moved(honest, old.getvalue())


def _moved(honest: bytes, front: bytes) -> bytes:
    """An archive behind something else, with every place in it corrected."""
    target = io.BytesIO(front)
    target.seek(0, io.SEEK_END)
    with zipfile.ZipFile(io.BytesIO(honest)) as source, zipfile.ZipFile(target, "a") as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    return target.getvalue()


def remark(honest: bytes) -> bytes:
    """A comment, in which a second directory could stand."""
    return honest[:-2] + struct.pack("<H", 3) + b"abc"


def elsewhere(honest: bytes) -> bytes:
    """Large archives say twice where their directory is: the first time it is somewhere else now."""
    data = bytearray(honest)
    data[-42 + 8 : -42 + 16] = struct.pack("<Q", 0)
    return bytes(data)


def shorter(honest: bytes) -> bytes:
    """A directory that ends before its last member does."""
    data = bytearray(honest)
    for place, size in ((-98 + 24, 8), (-98 + 32, 8), (-22 + 8, 2), (-22 + 10, 2)):
        number = int.from_bytes(data[place : place + size], "little")
        data[place : place + size] = (number - 1).to_bytes(size, "little")
    return bytes(data)


def repeated(honest: bytes) -> bytes:
    """Two members of one name."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(honest)) as source, zipfile.ZipFile(target, "w") as archive:
        for name in (*source.namelist(), "optimizer/data/1"):
            archive.writestr(name, source.read(name))
    return target.getvalue()


def hidden(honest: bytes) -> bytes:
    """A name that ends early for whoever ends names at a zero."""
    return honest.replace(b"optimizer/data/10", b"optimizer/data/1\0")


def twice_named(honest: bytes) -> bytes:
    """Members with a second name, by which Python 3.12 and later go, and torch does not."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(honest)) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            info = zipfile.ZipInfo(name)
            second = struct.pack("<BL", 1, zlib.crc32(name.encode())) + b"optimizer/other"
            info.extra = struct.pack("<HH", 0x7075, len(second)) + second
            archive.writestr(info, source.read(name))
    return target.getvalue()


def open_ended(honest: bytes) -> bytes:
    return honest[:-40]


@pytest.mark.parametrize(
    "change", [two_archives, behind_an_old_file, remark, elsewhere, shorter, repeated, hidden, twice_named, open_ended]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_two_readers_could_read_in_two_ways_is_refused(
    optimizer: bytes, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    changed = change(optimizer)
    assert changed != optimizer
    with pytest.raises(VerificationError, match=REFUSED):
        read_saved(write(tmp_path / "optimizer.pt", changed))


def test_torch_reads_the_old_file_in_front_of_an_archive(optimizer: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "optimizer.pt", behind_an_old_file(optimizer))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None, "an archive to whoever goes by its end"
    assert path.read_bytes()[:4] != b"PK\3\4"
    assert torch.load(path, weights_only=True)["state"], "and a file of the old kind to torch"


def index_alone(index: bytes) -> bytes:
    """An archive with an index of one's own and nothing else."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in (("data.pkl", index), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(f"a/{name}", content)
    return target.getvalue()


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
HUNGRY = {
    "a key that holds the one before it twice": b"}"
    b")q\x00" + b"".join(b"h%c\x86q%c" % (number, number + 1) for number in range(100)) + b"Ns.",
    "a tensor as a key": b"}" + TENSOR + b"(NNNN\x89NtRNs.",
    "copies of a mapping": b"}ccollections\nOrderedDict\nq\x00](" + b"K\x01N\x86" * 50 + b"e\x85q\x01h\x00h\x01R.",
    "a function with other defaults": b"}" + TENSOR + b"q\x00N}X\x0c\x00\x00\x00__defaults__NNN\x87s\x86b}.",
}
"""Indexes that take time, memory or liberties, in pickle's protocol 2."""


@pytest.mark.parametrize("what", HUNGRY)
def test_an_index_that_takes_more_than_its_bytes_is_refused(tmp_path: Path, what: str) -> None:
    with pytest.raises(VerificationError, match=REFUSED):
        read_saved(write(tmp_path / "optimizer.pt", index_alone(b"\x80\x02" + HUNGRY[what])))


def test_a_directory_of_very_many_members_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "optimizer.pt", by_hand({0: {"exp_avg": ONE}}))
    monkeypatch.setattr(torch_save, "MAX_TENSORS", 0)
    monkeypatch.setattr(torch_save, "_OTHER_MEMBERS", 3)
    monkeypatch.delattr(zipfile, "ZipFile")
    with pytest.raises(VerificationError, match="Its directory says 4 members"):
        read_saved(path)


def test_an_optimizer_with_its_parameters_in_another_order_is_another_one(
    lab: object, optimizer: bytes, tmp_path: Path
) -> None:
    from llamafund_trainer.tensors.optimizer_settings import optimizer_problem

    state = torch.load(io.BytesIO(optimizer), weights_only=True)
    first = state["param_groups"][0]["params"]
    first[0], first[1] = first[1], first[0]
    path = write(tmp_path / "optimizer.pt", saved(state))
    assert "in another order" in str(optimizer_problem(lab.recipe.recipe, 20, path))
    del state["param_groups"][1]["params"]
    assert "in another order" in str(optimizer_problem(lab.recipe.recipe, 20, write(path, saved(state))))


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "Input/output error"), MemoryError()], ids=["disk", "memory"])
def test_a_failing_machine_stand_in_blames_no_training_state(
    tmp_path: Path, optimizer: bytes, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    path = write(tmp_path / "optimizer.pt", optimizer)

    def fail(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    for read in (read_saved, optimizer_tensors):
        with pytest.raises(LlamafundError, match=r"Reading optimizer\.pt failed") as caught:
            read(path)
        assert not isinstance(caught.value, VerificationError)
