"""The index of a file as `torch.save` writes it, made by hand: with it a test can say what torch never would."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Stored:
    """Bytes of a tensor, which are not in the index."""

    pid: tuple[object, ...]


@dataclass(frozen=True)
class Described:
    """A tensor in the index."""

    storage: Stored
    offset: object = 0
    shape: object = (2,)
    stride: object = (1,)
    changed: Described | None = None
    """What torch puts in its place when the index says BUILD."""

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True)
class Mapped:
    """A mapping in the index that is changed after it was made."""

    values: Mapping[str, object]
    attributes: Mapping[str, object]


class Indexer(pickle.Pickler):
    """Writes the index."""

    def persistent_id(self, value: object) -> object:
        return value.pid if isinstance(value, Stored) else None

    def reducer_override(self, value: object) -> object:
        if isinstance(value, Mapped):
            return OrderedDict, ([[name, each] for name, each in value.values.items()],), dict(value.attributes)
        if not isinstance(value, Described):
            return NotImplemented
        arguments = (value.storage, value.offset, value.shape, value.stride, False, OrderedDict())
        made = (torch._utils._rebuild_tensor_v2, arguments)
        return made if value.changed is None else (*made, {value.changed: 0})


def stored(key: object = "0", elements: object = 2, kind: object = torch.FloatStorage) -> Stored:
    return Stored(("storage", kind, key, "cpu", elements))
