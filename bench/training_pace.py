"""The process that `bench.trainer` measures: a plain Hugging Face `Trainer`, with and without our callback."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from llamafund_chain.evidence.manifests import DatasetManifest, parse_as
from llamafund_trainer import AttestationCallback
from llamafund_trainer.recipe import load_recipe
from llamafund_trainer.seeds import library_seed
from llamafund_trainer.worker.corpus import load_corpus
from llamafund_trainer.worker.model import initial_model

CHECKPOINT_EVERY = 100


class _Samples(Dataset[dict[str, torch.Tensor]]):
    def __init__(self, blocks: Any) -> None:
        self._blocks = torch.from_numpy(blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self._blocks[index], "labels": self._blocks[index]}


def main() -> None:
    """Run every mode in turn, as often as asked, and write the processor times beside the file that asks for them."""
    file = Path(sys.argv[1])
    asked = json.loads(file.read_text())
    recipe = load_recipe(Path(asked["recipe"])).recipe
    torch.set_num_threads(recipe.determinism.threads)
    dataset = parse_as(DatasetManifest, Path(asked["dataset"]).read_bytes())
    samples = _Samples(load_corpus(recipe, Path(asked["data"]), dataset).blocks)
    times: dict[str, list[float]] = {mode: [] for mode in asked["modes"]}
    for number in range(asked["rounds"]):
        for mode in asked["modes"]:
            place = Path(asked["place"]) / f"{mode}-{number}"
            callbacks: list[Any] = []
            if mode == "attested":
                callbacks.append(AttestationCallback(place / "evidence", dataset=dataset.sha256, seed=asked["seed"]))
            arguments = TrainingArguments(
                output_dir=str(place / "out"),
                use_cpu=True,
                full_determinism=mode != "default",
                seed=library_seed(asked["seed"]),
                max_steps=asked["steps"],
                per_device_train_batch_size=recipe.training.batch_size,
                learning_rate=recipe.optimizer.learning_rate,
                logging_steps=recipe.training.log_every,
                save_steps=CHECKPOINT_EVERY,
                report_to=[],
                disable_tqdm=True,
            )
            model: Any = initial_model(recipe, asked["seed"])
            trainer = Trainer(model=model, args=arguments, train_dataset=samples, callbacks=callbacks)
            # Processor time of all threads includes hashing beside the training, and excludes other programs.
            begun = time.process_time()
            trainer.train()
            times[mode].append(time.process_time() - begun)
    file.with_name("answer.json").write_text(json.dumps(times))


if __name__ == "__main__":
    main()
