"""Record the training of a Lightning module. Run it: python lightning_module.py OUT_DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlamaForCausalLM

from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer import LightningAttestationCallback, SeededSampler, library_seed

SEED = "5a" * 32  # A funded run takes it from its campaign.


def write_documents(root: Path) -> None:
    """Some text to train on, and some to measure with."""
    for part, first, last in (("train", 0, 40), ("heldout", 40, 44)):
        (root / part).mkdir(parents=True, exist_ok=True)
        for number in range(first, last):
            (root / part / f"{number:02}.txt").write_text(f"Number {number} comes before number {number + 1}.\n" * 3)


def read_samples(root: Path, length: int = 32) -> list[torch.Tensor]:
    """The bytes of the training documents, cut into samples."""
    text = b"".join(path.read_bytes() for path in sorted((root / "train").iterdir()))
    return [torch.tensor(list(text[at : at + length])) for at in range(0, len(text) - length, length)]


class Llama(LightningModule):  # type: ignore[misc]
    """A tiny Llama that reads bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
            )
        )

    def training_step(self, batch: torch.Tensor, _: int) -> Any:
        return self.model(input_ids=batch, labels=batch).loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def main(out: Path) -> None:
    """Train, record, export."""
    write_documents(out / "corpus")
    store = LocalStore(out / "store")
    dataset = build_dataset(
        out / "corpus", title="Numbers", source="made here", license="CC0-1.0", preparation="none", store=store
    )

    seed_everything(library_seed(SEED), verbose=False)
    attestation = LightningAttestationCallback(
        out / "evidence",
        dataset=dataset.sha256,
        data=out / "corpus",
        seed=SEED,
        every=10,
        store=store,
    )
    trainer = Trainer(
        max_steps=20,
        accelerator="cpu",
        devices=1,
        deterministic=True,
        callbacks=[attestation],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    samples = read_samples(out / "corpus")
    step, checkpoint = attestation.resume_from()
    loader = DataLoader(samples, batch_size=8, sampler=SeededSampler(SEED, len(samples), first=8 * step))
    trainer.fit(Llama(), loader, ckpt_path=checkpoint)
    checkpoints = attestation.end()
    weights = attestation.export(out / "model", license="Apache-2.0", score=0, measurement="Not measured.")
    print(f"last checkpoint {checkpoints[-1].sha256}")
    print(f"open weights    {weights.sha256}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
