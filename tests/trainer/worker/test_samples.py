"""The order of samples: a function of the training seed and a counter, and of nothing else."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_trainer.worker.samples import SampleOrder, epoch_order

SEED = "5a" * 32


@given(st.integers(0, 2**53 - 1), st.integers(0, 50), st.integers(1, 200))
@settings(max_examples=30)
def test_an_epoch_visits_every_block_once(seed: int, epoch: int, count: int) -> None:
    assert sorted(epoch_order(seed, epoch, count)) == list(range(count))


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30))
@settings(max_examples=30)
def test_a_sample_does_not_depend_on_what_was_asked_before(positions: list[int]) -> None:
    order = SampleOrder(7, 9)
    fresh = [SampleOrder(7, 9)[position] for position in positions]
    assert [order[position] for position in positions] == fresh


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = {tuple(epoch_order(seed, epoch, 50)) for seed in (1, 2) for epoch in (0, 1)}
    assert len(orders) == 4


def test_the_order_is_the_documented_hash() -> None:
    keys = [
        hashlib.sha256(b"".join(value.to_bytes(8, "big") for value in (3, 1, index))).digest()[:8]
        for index in range(20)
    ]
    assert list(epoch_order(3, 1, 20)) == sorted(range(20), key=lambda index: keys[index])
