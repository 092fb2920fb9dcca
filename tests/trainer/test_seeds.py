"""Seeds: functions of the training seed and a label, and of nothing else."""

from __future__ import annotations

from llamafund_trainer.seeds import data_order_seed, derive, library_seed

SEED = "5a" * 32


def test_uses_of_the_seed_share_nothing() -> None:
    assert len({derive(SEED, label) for label in ("a", "b", "data-order")}) == 3
    assert 0 <= data_order_seed(SEED) < 2**53
    assert 0 <= library_seed(SEED) < 2**31
