"""Record your own training loop. Run it: python plain_loop.py OUT_DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model

from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer import Recorder

SEED = "5a" * 32  # A funded run takes it from its campaign.
STEPS, EVERY, CONTEXT, BATCH = 20, 10, 16, 8


def write_documents(root: Path) -> None:
    """Some text to train on, and some to measure with."""
    for part, first, last in (("train", 0, 40), ("heldout", 40, 44)):
        (root / part).mkdir(parents=True, exist_ok=True)
        for number in range(first, last):
            (root / part / f"{number:02}.txt").write_text(f"Number {number} comes before number {number + 1}.\n" * 3)


class NextByte(torch.nn.Module):
    """Predicts a byte from the bytes before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(256, 32)
        self.hidden = torch.nn.Linear(32 * CONTEXT, 64)
        self.output = torch.nn.Linear(64, 256)

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = torch.relu(self.hidden(self.embedding(context).flatten(1)))
        return self.output(hidden)  # type: ignore[no-any-return]


def main(out: Path) -> None:
    """Train, record, export."""
    write_documents(out / "corpus")
    store = LocalStore(out / "store")
    dataset = build_dataset(
        out / "corpus", title="Numbers", source="made here", license="CC0-1.0", preparation="none", store=store
    )
    text = torch.tensor(list(b"".join(path.read_bytes() for path in sorted((out / "corpus/train").iterdir()))))

    recorder = Recorder(out / "evidence", dataset=dataset.sha256, data=out / "corpus", seed=SEED, store=store)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recorder.library_seed)
    model = NextByte()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def save(directory: Path) -> None:
        save_model(model, str(directory / "model.safetensors"))
        torch.save(optimizer.state_dict(), directory / "optimizer.pt")

    last = recorder.latest()
    if last is not None:
        load_model(model, last.directory / "model.safetensors")
        optimizer.load_state_dict(torch.load(last.directory / "optimizer.pt", weights_only=True))
    first = 0 if last is None else last.step
    recorder.begin(first)
    if first == 0:
        recorder.checkpoint(0, save)
    for step in range(first + 1, STEPS + 1):
        # The order of the samples only depends on seed and step, so resuming needs no state.
        generator = torch.Generator().manual_seed(recorder.data_order_seed + step)
        starts = torch.randint(len(text) - CONTEXT, (BATCH,), generator=generator)
        contexts = torch.stack([text[start : start + CONTEXT] for start in starts])
        loss = torch.nn.functional.cross_entropy(model(contexts), text[starts + CONTEXT])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % EVERY == 0:
            recorder.checkpoint(step, save, {"train_loss": round(loss.item() * 1_000_000)})
    checkpoints = recorder.end()
    weights = recorder.export(out / "model", license="Apache-2.0", score=0, measurement="Not measured.")
    print(f"last checkpoint {checkpoints[-1].sha256}")
    print(f"open weights    {weights.sha256}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
