"""Samples and their order.

The n-th sample of a run is a function of the data order seed and n alone. Within an epoch the blocks are
sorted by a hash of seed, epoch and block number, so resuming at any step needs no state.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from llamafund_trainer.seeds import data_order_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray


def epoch_order(order_seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which one epoch visits `count` blocks."""
    prefix = order_seed.to_bytes(8, "big") + epoch.to_bytes(8, "big")
    keys = np.frombuffer(
        b"".join(hashlib.sha256(prefix + index.to_bytes(8, "big")).digest()[:8] for index in range(count)), dtype=">u8"
    )
    return np.argsort(keys, kind="stable").astype(np.int64)


class SampleOrder:
    """Says which block is the n-th sample of a run.

    Args:
        order_seed: Data order seed.
        count: Number of blocks.
    """

    def __init__(self, order_seed: int, count: int) -> None:
        self._seed = order_seed
        self._count = count
        self._epoch = -1
        self._order: NDArray[np.int64] | None = None

    def __getitem__(self, position: int) -> int:
        epoch, index = divmod(position, self._count)
        if self._order is None or epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_order(self._seed, epoch, self._count)
        return int(self._order[index])


class SeededSampler:
    """The endless sequence of samples that a run sees, as numbers: a `sampler` for `DataLoader`.

    Each epoch has its own order, which follows from the training seed alone. So a run that continues needs no state but
    the number of samples it has seen.

    Args:
        seed: The training seed, 64 hexadecimal digits.
        count: Number of samples in the dataset.
        first: How many samples the run has seen.
    """

    def __init__(self, seed: str, count: int, first: int = 0) -> None:
        self._order = SampleOrder(data_order_seed(seed), count)
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return map(self._order.__getitem__, itertools.count(self.first))
