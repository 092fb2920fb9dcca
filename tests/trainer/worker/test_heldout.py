"""Bits per byte: exact, independent of how it is computed, and honest about what is easy to beat."""

from __future__ import annotations

import copy
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_trainer.recipe import Recipe, RecipeFile
from llamafund_trainer.worker.heldout import (
    Heldout,
    Share,
    batch_that_fits,
    bits_per_byte,
    encode_heldout,
    exact_model,
    measure_baselines,
)
from llamafund_trainer.worker.model import empty_model, initial_model, load_model
from llamafund_trainer.worker.tokenizer import train_tokenizer

SEED = "5a" * 32
DOCUMENTS = ((0, *range(5, 75)), (0, *range(100, 133)), (0, 7, 8, 9), (0, 12))
HELDOUT = Heldout(documents=DOCUMENTS, size=300)
WINDOWS = 7
"""In the documents, at a context of 32: 3, 2, 1 and 1."""


def exact(model: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(model).double()


def by_hand(model: torch.nn.Module, context: int, stride: int) -> float:
    """Every window on its own, in float32, as transformers computes it."""
    bits = 0.0
    for document in DOCUMENTS:
        scored = 0
        for start in range(0, len(document) - 1, stride):
            window = document[start : start + context + 1]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([window[:-1]])).logits[0]
            chances = torch.log_softmax(logits, -1)
            for place in range(max(scored - start, 0), len(window) - 1):
                bits -= chances[place, window[place + 1]].item() / math.log(2)
                scored = start + place + 1
    return bits / HELDOUT.size


@pytest.mark.parametrize("stride", [32, 16, 5])
def test_it_is_what_transformers_computes_window_by_window(recipe: RecipeFile, stride: int) -> None:
    model = initial_model(recipe.recipe, SEED)
    value = bits_per_byte(exact(model), HELDOUT, context=32, stride=stride, batch_size=3)
    assert value is not None
    assert value / 1e6 == pytest.approx(by_hand(model, 32, stride), abs=2e-6)


def test_batch_size_and_threads_do_not_change_the_integer(recipe: RecipeFile) -> None:
    model = initial_model(recipe.recipe, SEED)
    before = torch.get_num_threads()
    values = set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            values |= {
                bits_per_byte(exact(model), HELDOUT, context=32, stride=32, batch_size=size) for size in (1, 2, 16)
            }
    finally:
        torch.set_num_threads(before)
    assert len(values) == 1


def test_as_many_windows_are_measured_together_as_have_room(recipe: RecipeFile) -> None:
    """Without a GPU: only the number that follows from what one would say of its memory."""
    assert [batch_that_fits(recipe.recipe, 10, free) for free in (0, 9, 35, 10**6)] == [1, 1, 3, 16]


def test_the_model_is_left_as_it_was(recipe: RecipeFile) -> None:
    model = initial_model(recipe.recipe, SEED)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    bits_per_byte(exact_model(model, recipe.recipe, torch.device("cpu")), HELDOUT, context=32, stride=32, batch_size=4)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == torch.float32 for name in before)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("in_step", [False, True])
def test_processes_that_share_the_windows_come_to_the_same_integer(
    recipe: RecipeFile, count: int, in_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other here: what each of them adds is kept, and given to the last one."""
    model = initial_model(recipe.recipe, SEED)
    sizes = {"context": 32, "stride": 32, "batch_size": 1}
    alone = bits_per_byte(exact(model), HELDOUT, **sizes)
    parts: list[float] = []
    calls: list[int] = []

    def total(value: float, _: Share) -> float:
        parts.append(value)
        return math.fsum(parts)

    monkeypatch.setattr("llamafund_trainer.worker.heldout._sum_of_all", total)
    for rank in range(count):
        each = exact(model)
        each.register_forward_hook(lambda *_: calls.append(rank))  # noqa: B023 - it is called at once
        found = bits_per_byte(each, HELDOUT, **sizes, share=Share(rank, count, in_step=in_step))
    assert found == alone
    assert len(parts) == count
    often = [calls.count(rank) for rank in range(count)]
    assert len(set(often)) == 1 if in_step else sum(often) == WINDOWS


def test_a_diverged_model_has_no_value(recipe: RecipeFile) -> None:
    model = initial_model(recipe.recipe, SEED)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.nan
    assert bits_per_byte(exact(model), HELDOUT, context=32, stride=32, batch_size=4) is None


def test_weights_are_compared_with_a_recipe_before_its_model_is_built(
    recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"w": torch.zeros(3)}, tmp_path / "w.safetensors")

    def empty(recipe: Recipe) -> torch.nn.Module:
        assert torch.get_default_device().type == "meta"
        return empty_model(recipe)

    monkeypatch.setattr("llamafund_trainer.worker.model.empty_model", empty)
    with pytest.raises(VerificationError, match="other tensors than the recipe's model"):
        load_model(recipe.recipe, tmp_path / "w.safetensors")


def test_the_byte_baseline_is_the_best_smoothed_count(recipe: RecipeFile) -> None:
    train, heldout = ["aaaabbbcd" * 9], ["abcde"]
    tokenizer = train_tokenizer(recipe.recipe, train)
    encoded = encode_heldout(tokenizer, heldout)
    tokens = [token for text in train for token in tokenizer.encode(text).ids]
    found = measure_baselines(tokens, train, encoded, heldout, 300)
    seen = Counter(train[0].encode())
    total = sum(seen.values())
    costs = [
        sum(math.log2((total + k * 256) / (seen[byte] + k)) for byte in heldout[0].encode()) / 5
        for k in (10 ** (exponent / 4) for exponent in range(-16, 9))
    ]
    assert found.unigram_bytes == pytest.approx(min(costs) * 1e6, abs=1)
    assert found.unigram_tokens > 0


def test_nothing_held_out_cannot_be_measured(recipe: RecipeFile) -> None:
    tokenizer = train_tokenizer(recipe.recipe, ["abc"])
    with pytest.raises(LlamafundError, match="no text"):
        encode_heldout(tokenizer, [])
