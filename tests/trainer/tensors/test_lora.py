"""Adapters: where they begin, and a merge that gives the same bits everywhere."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from llamafund_chain.errors import VerificationError
from llamafund_trainer.recipe import LoraSection
from llamafund_trainer.tensors import lora
from llamafund_trainer.tensors.compare import read_entries
from llamafund_trainer.tensors.lora import LowRank, changed_by, initial_pair, merge_files, merge_weight

SEED = "5a" * 32
PREFIX = "base_model.model.layer.q"


def pair_of(rank: int, outputs: int, inputs: int, seed: int = 1) -> LowRank:
    source = np.random.default_rng(seed)
    return LowRank(
        source.normal(0, 0.1, (rank, inputs)).astype(np.float32),
        source.normal(0, 0.1, (outputs, rank)).astype(np.float32),
    )


def test_an_adapter_begins_with_nothing_and_follows_from_the_seed() -> None:
    pair = initial_pair(SEED, "model.layers.0.q", 8, 40, 3000)
    assert not pair.up.any()
    assert pair.up.shape == (40, 8)
    # The standard deviation of a uniform distribution up to 1 / sqrt(inputs), as peft draws it.
    assert pair.down.std() == pytest.approx((1 / 3000 / 3) ** 0.5, rel=0.03)
    assert abs(pair.down.mean()) < 3e-4
    assert np.array_equal(pair.down, initial_pair(SEED, "model.layers.0.q", 8, 40, 3000).down)
    for other in (initial_pair("5b" * 32, "model.layers.0.q", 8, 40, 3000), initial_pair(SEED, "k", 8, 40, 3000)):
        assert not np.array_equal(pair.down, other.down)


def test_each_merged_weight_is_the_exact_sum_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, scale = pair_of(5, 6, 7), 32 / 12
    weight = np.random.default_rng(2).normal(0, 1, (6, 7)).astype(np.float32)
    merged = merge_weight(weight, pair, scale)
    for row in range(6):
        for column in range(7):
            products = (Fraction(float(pair.up[row, k])) * Fraction(float(pair.down[k, column])) for k in range(5))
            exact = Fraction(float(weight[row, column])) + sum(products) * Fraction(scale)
            assert (
                abs(Fraction(float(merged[row, column])) - exact) <= Fraction(float(np.spacing(abs(merged).max()))) / 2
            )
    for size in (1, 8, 1 << 20):
        monkeypatch.setattr(lora, "_BLOCK_ELEMENTS", size)
        assert np.array_equal(merge_weight(weight, pair, scale), merged), "blocks change nothing"


def written(folder: Path, adapter: dict[str, np.ndarray]) -> tuple[Path, Path]:
    weight = np.random.default_rng(3).normal(0, 1, (6, 7)).astype(np.float32)
    save_file({"layer.q.weight": weight, "norm.weight": weight[0].astype(np.float16)}, folder / "base.safetensors")
    save_file(adapter, folder / "adapter_model.safetensors")
    return folder / "base.safetensors", folder / "adapter_model.safetensors"


def test_files_are_merged_into_what_other_programs_read(tmp_path: Path) -> None:
    pair = pair_of(4, 6, 7)
    base, adapter = written(tmp_path, {f"{PREFIX}.lora_A.weight": pair.down, f"{PREFIX}.lora_B.weight": pair.up})
    section = LoraSection(rank=4, alpha=6)
    for name in ("one", "two"):
        merge_files(read_entries([base]), adapter, section, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    before, after = load_file(base), load_file(tmp_path / "one")
    assert np.array_equal(after["layer.q.weight"], merge_weight(before["layer.q.weight"], pair, 1.5))
    assert after["norm.weight"].dtype == np.float32
    assert np.array_equal(after["norm.weight"], before["norm.weight"].astype(np.float32))
    assert changed_by(read_entries([base]), adapter, section) == ("layer.q.weight",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"down": np.zeros((3, 7), np.float32)}, "recipe and base model need"),
        ({"up": np.zeros((5, 4), np.float32)}, "recipe and base model need"),
        ({"up": np.zeros((6, 4), np.float16)}, "in float32"),
        ({"module": "base_model.model.layer.z"}, "no such linear layer"),
        ({"module": "base_model.model.norm"}, "no such linear layer"),
        ({"extra": np.zeros(3, np.float32)}, "does not belong there"),
        ({"module": "elsewhere"}, "does not belong there"),
    ],
)
def test_an_adapter_of_another_model_or_recipe_is_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    pair = pair_of(4, 6, 7)
    module = change.get("module", PREFIX)
    adapter = {
        f"{module}.lora_A.weight": change.get("down", pair.down),
        f"{module}.lora_B.weight": change.get("up", pair.up),
        **({"extra": change["extra"]} if "extra" in change else {}),
    }
    base, path = written(tmp_path, adapter)
    with pytest.raises(VerificationError, match=f"(?i){words}"):
        merge_files(read_entries([base]), path, LoraSection(rank=4), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_layer_of_no_size_is_refused(tmp_path: Path) -> None:
    empty = np.zeros((0, 7), np.float32)
    save_file({"layer.q.weight": empty}, tmp_path / "base.safetensors")
    pair = {f"{PREFIX}.lora_A.weight": np.zeros((4, 7), np.float32), f"{PREFIX}.lora_B.weight": empty[:, :4]}
    save_file(pair, tmp_path / "adapter_model.safetensors")
    base = read_entries([tmp_path / "base.safetensors"])
    with pytest.raises(VerificationError, match="no such linear layer"):
        merge_files(base, tmp_path / "adapter_model.safetensors", LoraSection(rank=4), tmp_path / "merged")
