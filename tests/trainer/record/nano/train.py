"""A training script as in nanoGPT: settings are globals, overridden by files and by --name=value."""

from ast import literal_eval  # noqa: F401 - the configurator runs in here
from pathlib import Path

import numpy as np
import torch
from model import GPT, GPTConfig
from safetensors.torch import save_model

from llamafund_trainer import Recorder

out_dir = "out"
seed = "5a" * 32
max_iters, eval_interval = 20, 10
batch_size, block_size = 4, 16
learning_rate, dropout = 1e-3, 0.0
config_keys = [name for name, value in globals().items() if isinstance(value, int | float | str) and name[0] != "_"]
exec(Path("configurator.py").read_text())

data_dir = Path("data") / "tiny"
tokens = np.memmap(data_dir / "train" / "input.txt", dtype=np.uint8, mode="r")

recorder = Recorder(
    Path(out_dir) / "evidence",
    program=["configurator.py"],
    dataset=Path(out_dir) / "dataset.json",
    data=data_dir,
    seed=seed,
    store=Path(out_dir) / "store",
)
torch.use_deterministic_algorithms(True)
torch.manual_seed(recorder.library_seed)
model = GPT(GPTConfig(block_size=block_size, dropout=dropout))
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)


def get_batch():
    """Samples drawn with the global random numbers, as nanoGPT does."""
    starts = torch.randint(len(tokens) - block_size, (batch_size,))
    x = torch.stack([torch.from_numpy(tokens[start : start + block_size].astype(np.int64)) for start in starts])
    y = torch.stack([torch.from_numpy(tokens[start + 1 : start + 1 + block_size].astype(np.int64)) for start in starts])
    return x, y


def save(directory):
    """What nanoGPT keeps in ckpt.pt, with the random state; and the weights for everybody."""
    checkpoint = {"optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
    torch.save(checkpoint, directory / "ckpt.pt")
    save_model(model, str(directory / "model.safetensors"))


iter_num = 0
last = recorder.latest()
if last is not None:
    from safetensors.torch import load_model

    load_model(model, last.directory / "model.safetensors")
    checkpoint = torch.load(last.directory / "ckpt.pt", weights_only=True)
    optimizer.load_state_dict(checkpoint["optimizer"])
    torch.set_rng_state(checkpoint["random"])
    iter_num = last.step
recorder.begin(iter_num)
if iter_num == 0:
    recorder.checkpoint(0, save)
while iter_num < max_iters:
    x, y = get_batch()
    _, loss = model(x, y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    iter_num += 1
    if iter_num % eval_interval == 0:
        recorder.checkpoint(iter_num, save, {"train_loss": round(loss.item() * 1_000_000)})
print(recorder.end()[-1].sha256)
