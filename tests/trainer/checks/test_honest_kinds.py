"""Honest runs of many kinds of models and habits, through every check of the trainer: nothing fails or is doubted.

Their recipe is anybody's file, so checks that would repeat it say that they cannot. Runs that can be repeated are in
`record/test_examples.py`, `record/test_nano.py` and `replay/`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate
import peft
import pytest
import torch
import transformers
from findings import results

from llamafund_chain.evidence.recipes import NOT_REPLAYABLE
from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer import Recorder

SEED = "5a" * 32
STEPS, EVERY = 4, 2

Built = tuple[torch.nn.Module, Callable[[torch.Generator], dict[str, torch.Tensor]]]


def text(model: str, config: str, **values: Any) -> Built:
    """A language model of transformers, and a batch of tokens for it."""
    made = getattr(transformers, model)(getattr(transformers, config)(vocab_size=64, **values))

    def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
        tokens = torch.randint(64, (2, 8), generator=generator)
        return {"input_ids": tokens, "labels": tokens}

    return made, batch


SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
GPT2 = {"n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}


def vit() -> Built:
    config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=3, **SMALL)

    def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
        pixels = torch.randn((2, 3, 8, 8), generator=generator)
        return {"pixel_values": pixels, "labels": torch.randint(3, (2,), generator=generator)}

    return transformers.ViTForImageClassification(config), batch


def whisper() -> Built:
    sizes = {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))
    }
    config = transformers.WhisperConfig(
        vocab_size=64,
        d_model=16,
        num_mel_bins=8,
        max_source_positions=10,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        **sizes,
    )

    def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
        sound = torch.randn((2, 8, 20), generator=generator)
        return {"input_features": sound, "labels": torch.randint(3, 64, (2, 8), generator=generator)}

    return transformers.WhisperForConditionalGeneration(config), batch


MODELS: dict[str, Callable[[], Built]] = {
    "GPT-2": lambda: text("GPT2LMHeadModel", "GPT2Config", **GPT2),
    "Llama-like": lambda: text("Qwen3ForCausalLM", "Qwen3Config", num_key_value_heads=1, head_dim=8, **SMALL),
    "mixture of experts": lambda: text(
        "MixtralForCausalLM",
        "MixtralConfig",
        num_key_value_heads=1,
        num_local_experts=2,
        num_experts_per_tok=1,
        **SMALL,
    ),
    "Mamba": lambda: text("MambaForCausalLM", "MambaConfig", hidden_size=16, num_hidden_layers=1, state_size=4),
    "T5": lambda: text("T5ForConditionalGeneration", "T5Config", **T5),
    "BERT": lambda: text("BertForMaskedLM", "BertConfig", max_position_embeddings=16, **SMALL),
    "ViT": vit,
    "Whisper": whisper,
}


def train(model: Any, batch: Any, directory: Path, store: LocalStore, dataset: str, habit: str) -> Recorder:
    """A loop as people write it, up to its last step."""
    (directory / "recipe.txt").write_text("Trained by a script that is not published.\n")
    recorder = Recorder(
        directory / "evidence", recipe=directory / "recipe.txt", dataset=dataset, seed=SEED, store=store
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    backward: Callable[[torch.Tensor], None] = torch.Tensor.backward
    trained = model
    if habit == "accelerate":
        accelerator = accelerate.Accelerator(cpu=True)
        trained, optimizer = accelerator.prepare(model, optimizer)
        backward = accelerator.backward

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")

    recorder.begin(0)
    recorder.checkpoint(0, save)
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        for part in range(2 if habit == "accumulated gradients" else 1):
            generator = torch.Generator().manual_seed(recorder.data_order_seed + 2 * step + part)
            backward(trained(**batch(generator)).loss)
        optimizer.step()
        if step % EVERY == 0:
            recorder.checkpoint(step, save)
    return recorder


HABITS = {
    "accumulated gradients": MODELS["GPT-2"],
    "accelerate": MODELS["GPT-2"],
    "adapter of peft": MODELS["GPT-2"],
    "bfloat16": MODELS["Llama-like"],
    "layers computed twice": MODELS["Llama-like"],
}


@pytest.mark.parametrize("kind", [*MODELS, *HABITS])
def test_an_honest_run_is_doubted_by_no_check(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    model, batch = {**MODELS, **HABITS}[kind]()
    if kind == "bfloat16":
        model.to(torch.bfloat16)
    if kind == "adapter of peft":
        model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    if kind == "layers computed twice":
        model.gradient_checkpointing_enable()
    store = LocalStore(tmp_path / "store")
    for part in ("train", "heldout"):
        (tmp_path / "corpus" / part).mkdir(parents=True)
        (tmp_path / "corpus" / part / "a.txt").write_text(f"words of {part}")
    dataset = build_dataset(
        tmp_path / "corpus", title="t", source="s", license="CC0-1.0", preparation="none", store=store
    )
    recorder = train(model.train(), batch, tmp_path, store, dataset.sha256, kind)
    run = recorder.end()
    assert [link.steps.last for link in run] == [0, 2, 4]
    weights = recorder.export(tmp_path / "model", license="Apache-2.0", score=0, measurement="Not measured.")
    for evidence in (run[-1], weights):
        found = results(store, evidence, tmp_path / evidence.sha256, 1)
        assert {result.status for result in found.values()} == {"pass", "unchecked"}
        assert all(result.detail.startswith(NOT_REPLAYABLE) for result in found.values() if result.status != "pass")
        assert found["checkpoint-files-known"].status == "pass"
    assert found["weights-equal-checkpoint"].status == "pass"
