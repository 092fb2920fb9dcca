"""Record the training of any Hugging Face `Trainer`. Run it: python hf_trainer.py OUT_DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer import AttestationCallback, library_seed

SEED = "5a" * 32  # A funded run takes it from its campaign.


def write_documents(root: Path) -> None:
    """Some text to train on, and some to measure with."""
    for part, first, last in (("train", 0, 40), ("heldout", 40, 44)):
        (root / part).mkdir(parents=True, exist_ok=True)
        for number in range(first, last):
            (root / part / f"{number:02}.txt").write_text(f"Number {number} comes before number {number + 1}.\n" * 3)


def read_samples(root: Path, length: int = 32) -> list[dict[str, torch.Tensor]]:
    """The bytes of the training documents, cut into samples."""
    text = b"".join(path.read_bytes() for path in sorted((root / "train").iterdir()))
    blocks = [torch.tensor(list(text[at : at + length])) for at in range(0, len(text) - length, length)]
    return [{"input_ids": block, "labels": block} for block in blocks]


def main(out: Path) -> None:
    """Train, record, export."""
    write_documents(out / "corpus")
    store = LocalStore(out / "store")
    dataset = build_dataset(
        out / "corpus", title="Numbers", source="made here", license="CC0-1.0", preparation="none", store=store
    )

    torch.manual_seed(library_seed(SEED))
    config = LlamaConfig(
        vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    attestation = AttestationCallback(
        out / "evidence", dataset=dataset.sha256, data=out / "corpus", seed=SEED, store=store
    )
    trainer = Trainer(
        model=LlamaForCausalLM(config),
        args=TrainingArguments(
            output_dir=str(out / "checkpoints"),
            seed=library_seed(SEED),
            full_determinism=True,
            max_steps=20,
            save_steps=10,
            logging_steps=5,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=read_samples(out / "corpus"),
        callbacks=[attestation],
    )
    trainer.train(resume_from_checkpoint=attestation.resume_from(out / "checkpoints"))
    checkpoints = attestation.end()
    weights = attestation.export(out / "model", license="Apache-2.0", score=0, measurement="Not measured.")
    print(f"last checkpoint {checkpoints[-1].sha256}")
    print(f"open weights    {weights.sha256}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
