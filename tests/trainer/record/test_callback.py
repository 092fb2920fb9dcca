"""The callback in somebody else's Trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_trainer import AttestationCallback, library_seed
from llamafund_trainer.record.callback import DivergedError
from llamafund_trainer.record.samples import samples_hash

SEED = "5a" * 32
DATASET = "ab" * 32

Train = Callable[..., AttestationCallback]


def samples(count: int = 16) -> list[dict[str, torch.Tensor]]:
    blocks = torch.arange(count * 8).reshape(count, 8) % 50
    return [{"input_ids": block, "labels": block} for block in blocks]


def model() -> LlamaForCausalLM:
    torch.manual_seed(library_seed(SEED))
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=50, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Trains four steps and records them in `tmp_path/evidence`."""

    def run(*, data: Any = None, resume: bool = False, attest: dict[str, Any] | None = None, **changes: Any) -> Any:
        callback = AttestationCallback(tmp_path / "evidence", dataset=DATASET, seed=SEED, **(attest or {}))
        values: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "seed": library_seed(SEED),
            "max_steps": 4,
            "save_steps": 2,
            "logging_steps": 1,
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
        }
        trainer = Trainer(
            model=model(),
            args=TrainingArguments(**{**values, **changes}),
            train_dataset=samples() if data is None else data,
            callbacks=[callback],
        )
        trainer.train(resume_from_checkpoint=callback.resume_from(tmp_path / "out") if resume else None)
        return callback

    return run


def test_the_chain_begins_with_the_initial_weights(train: Train) -> None:
    run = train().end()
    assert [link.steps.last for link in run] == [0, 2, 4]
    assert [link.parent for link in run] == [DATASET, run[0].sha256, run[1].sha256]
    assert all("model.safetensors" in [entry.path for entry in link.files] for link in run)
    assert run[2].metrics["train_loss"] > 0


def test_a_checkpoint_that_the_trainer_removes_is_recorded_first(train: Train, tmp_path: Path) -> None:
    assert [link.steps.last for link in train(save_steps=1, save_total_limit=1).end()] == [0, 1, 2, 3, 4]
    assert [path.name for path in (tmp_path / "out").glob("checkpoint-*")] == ["checkpoint-4"]


def test_tokenised_samples_are_bound(train: Train) -> None:
    honest = samples()
    swapped = samples()
    swapped[5]["input_ids"] = swapped[5]["input_ids"].clone()
    swapped[5]["input_ids"][3] += 1
    bound = {samples_hash(honest), samples_hash(swapped), samples_hash(honest[:-1]), samples_hash(honest[::-1])}
    assert len(bound) == 4
    assert train(data=honest).end()[0].environment["samples"] == samples_hash(honest)


def test_a_run_does_not_go_on_with_other_samples(train: Train, tmp_path: Path) -> None:
    train()
    (tmp_path / "evidence" / "manifests" / "step-00000004.json").unlink()
    swapped = samples()
    swapped[5] = swapped[6]
    with pytest.raises(VerificationError, match="hash of the samples is"):
        train(data=swapped, resume=True)
    assert [link.steps.last for link in train(resume=True).end()] == [0, 2, 4]


def test_a_trainer_with_another_seed_is_refused(train: Train) -> None:
    with pytest.raises(UsageError, match=rf"seeded with 42.*follows {library_seed(SEED)}"):
        train(seed=42)


def test_training_arguments_are_written_down_without_places(train: Train, tmp_path: Path) -> None:
    run = train(learning_rate=3e-3).end()
    text = (tmp_path / "evidence" / "recipe.json").read_text()
    assert '"learning_rate": 0.003' in text
    assert str(tmp_path) not in text
    assert len({link.recipe for link in run}) == 1


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_evidence(train: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"at step [34]\..*evidence of the steps before is kept"):
        train(
            learning_rate=1e30,
            max_grad_norm=0.0,
            logging_nan_inf_filter=False,
            warmup_steps=3,
            lr_scheduler_type="constant_with_warmup",
        )
    assert (tmp_path / "evidence" / "manifests" / "step-00000002.json").exists()


def test_a_trainer_of_trl_takes_the_callback(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="TRL is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate(["<eos>", "<unk>", *"abcdefgh"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    callback = AttestationCallback(tmp_path / "evidence", dataset=DATASET, seed=SEED)
    trl.SFTTrainer(
        model=model(),
        args=trl.SFTConfig(
            output_dir=str(tmp_path / "out"),
            seed=library_seed(SEED),
            max_steps=2,
            save_steps=1,
            max_length=8,
            use_cpu=True,
            bf16=False,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list([{"text": "a b c d"}, {"text": "e f g h"}] * 8),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>", unk_token="<unk>"
        ),
        callbacks=[callback],
    ).train()
    run = callback.end()
    assert [link.steps.last for link in run] == [0, 1, 2]
    assert run[0].environment["samples"]
