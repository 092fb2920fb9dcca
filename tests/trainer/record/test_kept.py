"""No evidence is lost, whatever a Trainer removes, and what is exported is what was trained."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_trainer import AttestationCallback, library_seed
from llamafund_trainer.record.files import link_files
from llamafund_trainer.record.repeat import RepeatWarning, doubts_of_trainer

SEED = "5a" * 32
DATASET = "ab" * 32

Train = Callable[..., AttestationCallback]


class Plain(nn.Module):
    """Not a model of transformers: a plain module."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(library_seed(SEED))
        self.layer = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": ((self.layer(x).squeeze(-1) - labels) ** 2).mean()}


class Laziest:
    """A thread that does nothing until somebody waits for it: hashing takes as long as it possibly can."""

    def __init__(self, **_: object) -> None: ...

    def submit(self, work: Callable[..., None], *given: Any) -> Future[None]:
        class Waited(Future[None]):
            def result(self, timeout: float | None = None) -> None:
                if not self.done():
                    work(*given)
                    self.set_result(None)

        return Waited()

    def shutdown(self, wait: bool) -> None: ...


def samples() -> list[dict[str, torch.Tensor]]:
    rows = torch.arange(64, dtype=torch.float32).reshape(16, 4) / 64
    return [{"x": row, "labels": row.sum()} for row in rows]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Trains four steps, two for each epoch, and records them."""

    def run(name: str = "a", *, resume: bool = False, more: tuple[TrainerCallback, ...] = (), **changes: Any) -> Any:
        callback = AttestationCallback(tmp_path / name / "evidence", dataset=DATASET, seed=SEED)
        values: dict[str, Any] = {
            "output_dir": str(tmp_path / name / "out"),
            "seed": library_seed(SEED),
            "max_steps": 4,
            "save_steps": 1,
            "eval_steps": 1,
            "logging_steps": 1,
            "per_device_train_batch_size": 8,
            "learning_rate": 0.1,
            "metric_for_best_model": "loss",
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
        }
        trainer = Trainer(
            model=Plain(),
            args=TrainingArguments(**{**values, **changes}),
            train_dataset=samples(),
            eval_dataset=samples()[:4],
            callbacks=[callback, *more],
        )
        trainer.train(resume_from_checkpoint=callback.resume_from(tmp_path / name / "out") if resume else None)
        return callback

    return run


@pytest.mark.parametrize(
    ("save", "evaluate", "limit", "best"),
    [
        (save, evaluate, limit, best)
        for save, evaluate, limit, best in product(
            ("steps", "epoch", "best"), ("no", "steps", "epoch"), (None, 1, 2), (False, True)
        )
        # The Trainer refuses these itself.
        if not (save == "best" and evaluate == "no") and not (best and save not in (evaluate, "best"))
    ],
)
def test_no_checkpoint_is_removed_before_it_is_recorded(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: str, evaluate: str, limit: Any, best: bool
) -> None:
    monkeypatch.setattr("llamafund_trainer.record.recorder.ThreadPoolExecutor", Laziest)
    callback = train(
        save_strategy=save,
        eval_strategy=evaluate,
        save_total_limit=limit,
        load_best_model_at_end=best,
        optim="sgd",
        # The highest loss is that of the first checkpoint.
        greater_is_better=best,
    )
    run = callback.end()
    steps = [link.steps.last for link in run]
    assert steps[0] == 0
    assert len(steps) > 1
    last = tmp_path / "a" / "evidence" / "checkpoints" / f"checkpoint-{steps[-1]}"
    assert hash_tree(last, [entry.path for entry in run[-1].files]).content == run[-1].content
    kept = sorted(path.name for path in last.parent.iterdir())
    assert kept == ["checkpoint-0", last.name]
    callback.export(tmp_path / "model", license="MIT", score=0, step=steps[-1])


def test_across_disks_recording_ends_before_the_trainer_goes_on(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr("llamafund_trainer.record.recorder.ThreadPoolExecutor", Laziest)
    run = train(save_total_limit=1, eval_strategy="steps", load_best_model_at_end=True).end()
    assert [link.steps.last for link in run] == [0, 1, 2, 3, 4]


def test_a_checkpoint_that_is_linked_again_has_the_new_files(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / f"{number}.json").write_text("{}")
        assert link_files(tmp_path / f"{number}", tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["2.json"]


def test_the_same_run_has_the_same_hashes_with_evaluation_and_in_another_place(train: Train, tmp_path: Path) -> None:
    settings = {"eval_strategy": "steps", "load_best_model_at_end": True, "save_total_limit": 2, "max_steps": 4}
    first = train("a", **settings).end()
    state = json.loads((tmp_path / "a/evidence/checkpoints/checkpoint-4/trainer_state.json").read_text())
    assert "eval_loss" in state["log_history"][-1]
    assert not [name for entry in state["log_history"] for name in entry if "runtime" in name or "second" in name]

    class Break(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        train("elsewhere", more=(Break(),), **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RepeatWarning)
        again = train("elsewhere", resume=True, **settings).end()
    assert [link.sha256 for link in again] == [link.sha256 for link in first]


def test_a_run_that_does_not_repeat_after_an_interruption_says_so(train: Train, tmp_path: Path) -> None:
    train()
    kept = tmp_path / "a" / "evidence" / "checkpoints" / "checkpoint-4"
    for place in (kept, tmp_path / "a" / "out" / "checkpoint-4"):
        (place / "model.safetensors").unlink()

    class Nudge(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            given["model"].layer.bias.data += 0.5

    with pytest.warns(RepeatWarning, match=r"step 4 is not the one that was recorded before.*model.safetensors"):
        train(resume=True, more=(Nudge(),)).end()


def test_what_would_not_repeat_is_said_at_the_start(train: Train) -> None:
    with pytest.warns(RepeatWarning, match="save_only_model leaves the optimizer's state out"):
        train(save_only_model=True)
    with pytest.warns(RepeatWarning, match="global random numbers"):
        train("b", accelerator_config={"use_seedable_sampler": False})
    arguments: Any = type("", (), {"save_only_model": False, "ignore_data_skip": True})
    tokenizer: Any = type("", (), {"mask_token": "m", "pad_token": "p", "get_vocab": dict, "all_special_ids": []})()
    loader: Any = type("", (), {"collate_fn": DataCollatorForLanguageModeling(tokenizer, mlm=True)})
    found = " ".join(doubts_of_trainer(arguments, loader))
    assert "ignore_data_skip" in found
    assert "Give the collator a seed" in found


def test_a_run_that_would_save_nothing_is_refused_at_its_start(train: Train) -> None:
    with pytest.raises(UsageError, match=r"saves no checkpoints.*save_strategy='steps'"):
        train(save_strategy="no")


def test_export_takes_the_weights_that_the_training_ended_with(train: Train, tmp_path: Path) -> None:
    short = train(save_strategy="best", eval_strategy="steps", greater_is_better=True, optim="sgd")
    with pytest.raises(UsageError, match=r"after step 1, but the training did 4 steps.*step=1"):
        short.export(tmp_path / "no", license="MIT", score=0)
    assert not (tmp_path / "no").exists()
    best = train("b", eval_strategy="steps", load_best_model_at_end=True, greater_is_better=True, optim="sgd")
    with pytest.raises(UsageError, match=r"loaded its best model, from step 1; the last checkpoint is after 4"):
        best.export(tmp_path / "no", license="MIT", score=0)
    weights = best.export(tmp_path / "model", license="MIT", score=0, step=1)
    assert weights.parent == best.end()[1].sha256
    saved = load_file(tmp_path / "b" / "out" / "checkpoint-1" / "model.safetensors")
    assert torch.equal(load_file(tmp_path / "model" / "model.safetensors")["layer.weight"], saved["layer.weight"])
    with pytest.raises(UsageError, match="no checkpoint after step 9"):
        best.export(tmp_path / "other", license="MIT", score=0, step=9)


def test_weights_that_are_not_finite_are_not_exported(train: Train, tmp_path: Path) -> None:
    class Spoil(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if state.global_step == 4:
                given["model"].layer.bias.data += float("nan")

    spoilt = train(more=(Spoil(),))
    with pytest.raises(VerificationError, match=r"'layer.bias' after step 4 has values that are not finite"):
        spoilt.export(tmp_path / "no", license="MIT", score=0)
    assert not (tmp_path / "no").exists()
