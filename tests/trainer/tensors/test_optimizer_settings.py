"""Settings in published optimizers and schedulers, read without running the pickle."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
from handmade_pickles import Indexer, Mapped

from llamafund_chain.errors import VerificationError
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.tensors.optimizer_settings import learning_rate, optimizer_problem, schedule_problem
from llamafund_trainer.tensors.torch_save import MAX_OPERATIONS, read_saved


def saved(path: Path, value: object) -> Path:
    import torch

    torch.save(value, path)
    return path


@pytest.fixture
def state(lab: object, tmp_path: Path) -> Path:
    """Scheduler and optimizer of the honest checkpoint after step 20."""
    for name in ("scheduler.pt", "optimizer.pt"):
        (tmp_path / name).write_bytes(lab.file(lab.run[2], name))
    return tmp_path


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant_with_warmup"])
def test_the_schedule_is_transformers_own(lab: object, kind: str) -> None:
    import torch
    from transformers import get_scheduler

    recipe: Recipe = lab.recipe.recipe
    recipe = recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update={"kind": kind})})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.optimizer.learning_rate)
    schedule = get_scheduler(kind, optimizer, recipe.schedule.warmup_steps, recipe.training.steps)
    for step in range(recipe.training.steps + 1):
        assert learning_rate(recipe, step) == pytest.approx(schedule.get_last_lr()[0], rel=1e-12), step
        optimizer.step()
        schedule.step()


def test_honest_states_follow_from_the_recipe(lab: object, tmp_path: Path) -> None:
    for link in lab.run:
        for name, problem in (("scheduler.pt", schedule_problem), ("optimizer.pt", optimizer_problem)):
            (tmp_path / name).write_bytes(lab.file(link, name))
            assert problem(lab.recipe.recipe, link.steps.last, tmp_path / name) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_lrs", [0.02, 0.021]),
        ("base_lrs", []),
        ("_last_lr", [0.02, 0.02]),
        ("_last_lr", [float("nan")] * 2),
        ("last_epoch", 21),
        ("_step_count", 20),
    ],
)
def test_every_changed_setting_of_a_scheduler_is_named(lab: object, state: Path, key: str, value: object) -> None:
    import torch

    honest = torch.load(state / "scheduler.pt", weights_only=True)
    path = saved(state / "scheduler.pt", {**honest, key: value})
    assert key in str(schedule_problem(lab.recipe.recipe, 20, path))


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        (0, "lr", 0.5),
        (1, "initial_lr", 0.03),
        (0, "betas", (0.9, 0.999)),
        (1, "eps", 1e-6),
        (0, "weight_decay", 0.0),
        (1, "weight_decay", 0.1),
        (0, "amsgrad", True),
        (0, "maximize", True),
        (0, "decoupled_weight_decay", False),
        (0, "fused", True),
        (1, "foreach", False),
        (1, "trick", 1),
    ],
)
def test_every_changed_setting_of_an_optimizer_is_named(
    lab: object, state: Path, group: int, key: str, value: object
) -> None:
    import torch

    honest = torch.load(state / "optimizer.pt", weights_only=True)
    honest["param_groups"][group][key] = value
    path = saved(state / "optimizer.pt", honest)
    assert key in str(optimizer_problem(lab.recipe.recipe, 20, path))


@pytest.mark.parametrize("attribute", ["keys", "get"])
def test_a_schedule_that_torch_does_not_read_is_refused(lab: object, tmp_path: Path, attribute: str) -> None:
    """An OrderedDict whose attribute hides what is in it from whoever asks by that name."""
    honest, index = lab.file(lab.run[2], "scheduler.pt"), io.BytesIO()
    values = read_saved(saved_bytes(tmp_path / "honest.pt", honest))
    Indexer(index, protocol=2).dump(Mapped(values, {attribute: OrderedDict}))
    path = saved_bytes(tmp_path / "scheduler.pt", archive({"a/data.pkl": index.getvalue()}))
    with pytest.raises(VerificationError, match="cannot be read as a training state"):
        schedule_problem(lab.recipe.recipe, 20, path)


def saved_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_missing_group_is_told(lab: object, state: Path) -> None:
    import torch

    honest = torch.load(state / "optimizer.pt", weights_only=True)
    honest["param_groups"].pop()
    assert "two groups" in str(optimizer_problem(lab.recipe.recipe, 20, saved(state / "optimizer.pt", honest)))


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch run",)


def archive(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return data.getvalue()


def odd(value: object, protocol: int = 2) -> bytes:
    return archive({"a/data.pkl": pickle.dumps(value, protocol=protocol)})


HOSTILE = {
    "nothing": b"",
    "no archive": b"not a zip file",
    "an empty archive": archive({}),
    "two indexes": archive({"a/data.pkl": b"", "b/data.pkl": b""}),
    "garbage": archive({"a/data.pkl": b"\x80\x02garbage"}),
    "no mapping": archive({"a/data.pkl": pickle.dumps(["no", "mapping"])}),
    "a function": archive({"a/data.pkl": pickle.dumps(_Evil())}),
    "eval": archive({"a/data.pkl": b"cbuiltins\neval\n(S'1'\ntR."}),
    "torch.load": archive({"a/data.pkl": b"ctorch\nload\n."}),
    "depth": archive({"a/data.pkl": b"(lp0\n" * 200_000}),
    "another protocol": odd({}, 4),
    "a number of any length": odd({"last_epoch": 10**5000}),
    "numbers of one hash": odd(dict.fromkeys(number * (2**61 - 1) for number in range(100))),
    "a memory of one thing": archive({"a/data.pkl": b"\x80\x02Nr\xff\xff\xff\xff."}),
    "too much to do": archive({"a/data.pkl": b"\x80\x02(" + b"]" * MAX_OPERATIONS + b"t."}),
}


# By name: the bytes hold the time, and parallel runs must agree on what a test is called.
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused_and_never_run(
    lab: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scheduler.pt"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(VerificationError, match="cannot be read as a training state"):
        schedule_problem(lab.recipe.recipe, 20, path)
    assert not (tmp_path / "run").exists()


def test_values_without_end_are_told_without_their_text(lab: object, tmp_path: Path) -> None:
    value: object = []
    for _ in range(100):
        value = [value, value]
    for place, name in ((value, "base_lrs"), ([value, value], "base_lrs"), (value, "last_epoch")):
        (tmp_path / "scheduler.pt").write_bytes(
            archive({"a/data.pkl": pickle.dumps({"_last_lr": [0.01], name: place}, protocol=2)})
        )
        said = schedule_problem(lab.recipe.recipe, 20, tmp_path / "scheduler.pt")
        assert said is not None
        assert len(said) < 300


def test_an_index_that_unpacks_to_more_than_memory_is_refused(lab: object, tmp_path: Path) -> None:
    path = tmp_path / "scheduler.pt"
    path.write_bytes(archive({"a/data.pkl": b"\0" * (65 * 1024 * 1024)}))
    with pytest.raises(VerificationError, match="longer than"):
        schedule_problem(lab.recipe.recipe, 20, path)
