"""The Lightning callback with modules as people write them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from llamafund_chain.errors import UsageError
from llamafund_trainer import SeededSampler

lightning = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed")

SEED = "5a" * 32
DATASET = "ab" * 32

Fit = Callable[..., Any]


def module(kind: str = "", dropout: float = 0.0) -> Any:
    class Net(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.net = nn.Sequential(nn.Linear(2, 1), nn.Dropout(dropout))
            self.automatic_optimization = kind != "manual"

        def training_step(self, batch: torch.Tensor, number: int) -> Any:
            if kind == "skips" and number == 1:
                return None
            loss = self.net(batch).pow(2).mean()
            if kind != "manual":
                return loss
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(self.net(batch).pow(2).mean())
                optimizer.step()
            return None

        def configure_optimizers(self) -> Any:
            made = [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]
            return made if kind == "manual" else made[0]

    return Net()


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """Trains 12 steps, with a checkpoint every 5."""
    (tmp_path / "train.py").write_text("print('training')")

    def run(net: Any, *, first: int | None = 0, resume: bool = False, shuffle: bool = False, **changes: Any) -> Any:
        from llamafund_trainer import LightningAttestationCallback

        callback = LightningAttestationCallback(
            tmp_path / "run", recipe=tmp_path / "train.py", dataset=DATASET, seed=SEED, every=5
        )
        rows = list(torch.arange(32.0).reshape(16, 2) / 32)
        order = {"shuffle": True} if shuffle else {"sampler": SeededSampler(SEED, len(rows), first=first or 0)}
        trainer = lightning.Trainer(
            max_steps=12,
            accelerator="cpu",
            devices=1,
            callbacks=[callback],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **changes,
        )
        trainer.fit(net, DataLoader(rows, batch_size=2, **order), ckpt_path=callback.resume_from()[1])
        return callback

    return run


@pytest.mark.parametrize("kind", ["", "manual", "skips"])
def test_the_last_step_has_a_checkpoint_that_is_exported(fit: Fit, tmp_path: Path, kind: str) -> None:
    callback = fit(module(kind))
    run = callback.end()
    assert [link.steps.last for link in run] == ([0, 6, 10, 12] if kind == "manual" else [0, 5, 10, 12])
    weights = callback.export(tmp_path / "model", license="MIT", score=0)
    assert weights.parent == run[-1].sha256


def test_a_sampler_that_starts_elsewhere_is_refused_and_what_does_not_repeat_is_said(fit: Fit, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="(?s).*resumed run differs")
        fit(module(), accumulate_grad_batches=2, limit_train_batches=8).end()
    (tmp_path / "run" / "manifests" / "step-00000012.json").unlink()
    with pytest.raises(UsageError, match=r"starts at sample 20, but 10 steps have seen 40.*first=4 \* step"):
        fit(module(), first=20, accumulate_grad_batches=2)
    with (
        pytest.warns(UserWarning, match=r"shuffle=True.*resumed run differs"),
        pytest.warns(UserWarning, match="dropout"),
    ):
        fit(module(dropout=0.5), shuffle=True)
