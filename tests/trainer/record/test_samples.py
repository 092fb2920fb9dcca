"""The hash of all samples: it binds every byte of any type, or refuses."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from llamafund_chain.errors import UsageError
from llamafund_trainer.record.samples import draws_anew, samples_hash


@dataclass
class Pair:
    left: int
    right: Any


def test_binding_samples_draws_no_random_number() -> None:
    class Augmented:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> list[Any]:
            return [index, random.random(), np.random.rand(), torch.rand(1)]

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    samples_hash(Augmented())
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


def test_a_stream_of_samples_has_no_hash() -> None:
    assert samples_hash(iter([1, 2])) == ""


def image(level: int) -> Any:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    return pillow.fromarray(np.full((4, 4), level, dtype=np.uint8))


@pytest.mark.parametrize(
    "make",
    [
        lambda n: torch.tensor([1, n], dtype=torch.bfloat16),
        lambda n: torch.tensor([1, n]).to(torch.float8_e4m3fn),
        lambda n: torch.tensor([1.0, n], requires_grad=True),
        lambda n: torch.tensor([1 + 1j, n]).conj(),
        lambda n: torch.eye(3)[:, : n + 1],
        lambda n: torch.tensor([0, n]).to_sparse(),
        lambda n: torch.tensor([[0, n]], dtype=torch.float32).to_sparse_csr(),
        lambda n: torch.quantize_per_tensor(torch.tensor([1.0]), 0.1 * n, 0, torch.qint8),
        lambda n: np.array([1, n], dtype=np.float16),
        lambda n: np.array(["a", n], dtype=object),
        lambda n: np.array([(1, n)], dtype=[("a", "i4"), ("b", "f8")]),
        lambda n: {"text": "word", "ids": {n, 7, 8}},
        lambda n: Pair(1, [n]),
        lambda n: b"bytes" + bytes([n]),
        image,
    ],
)
def test_samples_of_any_type_are_bound(make: Any) -> None:
    one = samples_hash([make(1)])
    assert samples_hash([make(1)]) == one
    assert samples_hash([make(2)]) != one


def test_an_object_without_bytes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Sample 1 holds an object of type .*\.object.*bind_samples=False"):
        samples_hash([1, {"x": object()}])


def test_a_table_has_one_hash_however_it_is_stored() -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    columns = {
        "ids": [[1, 2], [], None, [3]],
        "text": ["a", None, "bc", ""],
        "yes": [True, False, None, True],
        "pair": [{"q": 1}, {"q": None}, None, {"q": 4}],
    }
    table = datasets.Dataset.from_dict(columns)
    longer = datasets.Dataset.from_dict({name: values[3:] + values for name, values in columns.items()})
    expected = samples_hash(table)
    assert samples_hash(longer.select(range(1, 5))) == expected
    assert samples_hash(datasets.concatenate_datasets([table.select([0, 1]), table.select([2, 3])])) == expected
    assert samples_hash(table.with_format("torch", columns=["ids", "text", "yes", "pair"])) == expected
    others = [table.select([1, 0, 2, 3]), table.remove_columns("text"), table.rename_column("ids", "labels"), longer]
    for name, values in columns.items():
        others.append(datasets.Dataset.from_dict({**columns, name: [*values[:3], values[1]]}))
    assert len({expected, *map(samples_hash, others)}) == 1 + len(others)


def test_a_dataset_that_draws_anew_is_seen() -> None:
    class Augmented(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            return torch.rand(2)

    assert draws_anew(Augmented([1]))
    assert not draws_anew([torch.ones(2)])
    assert not draws_anew([object()])
