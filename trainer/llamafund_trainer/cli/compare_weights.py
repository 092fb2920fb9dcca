"""`llamafund compare-weights`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import json_option, stores_option
from llamafund_chain.cli.output import emit, progress
from llamafund_chain.errors import VerificationError
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store.several import open_stores
from llamafund_trainer.runs.open_weights import open_weights
from llamafund_trainer.tensors.compare import TensorComparison, compare_tensors, read_entries

_SHOWN = 20
"""Tensors that are listed for a person; `--json` lists all."""


@dataclass(frozen=True)
class Comparison:
    """All tensors of both sides, compared."""

    tensors: Sequence[TensorComparison]

    @property
    def apart(self) -> list[TensorComparison]:
        """Tensors that are neither the same nor converted."""
        return [each for each in self.tensors if each.verdict in ("different", "missing")]

    @property
    def same(self) -> int:
        """How many tensors are the same bit for bit."""
        return sum(each.verdict == "same" for each in self.tensors)

    @property
    def verdict(self) -> Literal["same", "cast", "different"]:
        """On all tensors together."""
        if self.apart or not self.tensors:
            return "different"
        return "same" if self.same == len(self.tensors) else "cast"


@click.command("compare-weights")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@stores_option
@json_option
def compare_weights(one: str, other: str, stores: tuple[str, ...], as_json: bool) -> None:
    """Compare the weights A and B tensor by tensor.

    Each is a safetensors file, a directory with such files, or the hash of the manifest of weights or of a checkpoint.
    If one side is the other after a conversion to another number type, the conversion is named. Such weights follow
    from the others, but are not the same bytes. Exits with code 3 if a tensor is neither the same nor converted.

    \b
    Example:
      llamafund compare-weights 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae ./downloaded
    """
    if_interrupted("not every tensor was compared")
    source = open_stores(stores)
    with ScratchFolder("compare") as workdir:
        sides = []
        for name in (one, other):
            progress(f"Opening {name}")
            sides.append(read_entries(open_weights(name, source, workdir).files))
        progress(f"Comparing {len(sides[0])} tensors")
        found = Comparison(tuple(compare_tensors(*sides)))
    emit("compare-weights", {"one": one, "other": other, **_facts(found)}, _lines(found), as_json=as_json)
    if found.verdict == "different":
        _refuse(found)


def _refuse(found: Comparison) -> None:
    if not found.tensors:
        raise VerificationError("There are no tensors to compare")
    first = found.apart[0]
    raise VerificationError(
        f"{len(found.apart)} of {len(found.tensors)} tensors are not the same",
        f"{first.name}: {first.reason}",
        "These are different weights; do not use one in place of the other",
    )


def _facts(found: Comparison) -> dict[str, JsonValue]:
    casts: list[JsonValue] = [*sorted({str(each.cast) for each in found.tensors if each.cast is not None})]
    return {
        "verdict": found.verdict,
        "tensors": len(found.tensors),
        "same": found.same,
        "casts": casts,
        "not_same": [_tensor_facts(each) for each in found.tensors if each.verdict != "same"],
    }


def _tensor_facts(found: TensorComparison) -> dict[str, JsonValue]:
    return {
        "tensor": found.name,
        "verdict": found.verdict,
        "cast": None if found.cast is None else str(found.cast),
        "differing_elements": found.elements,
        "largest_difference": None if found.amount is None else str(found.amount),
        "reason": found.reason,
    }


def _lines(found: Comparison) -> list[str]:
    count = len(found.tensors)
    if found.verdict == "same":
        return [f"All {count} tensors are the same: names, types, shapes and every bit."]
    by_cast: dict[str, int] = {}
    for each in found.tensors:
        if each.cast is not None:
            cast = f"{each.cast} turns {'B into A' if each.cast.reversed else 'A into B'}"
            by_cast[cast] = by_cast.get(cast, 0) + 1
    lines = [f"{found.same} of {count} tensors are the same bit for bit."] if found.same else []
    lines += [
        f"{n} of {count} tensors are the same after a cast, not bit for bit: {cast}." for cast, n in by_cast.items()
    ]
    lines += [f"{each.name}: {each.reason}" for each in found.apart[:_SHOWN]]
    if len(found.apart) > _SHOWN:
        lines.append(f"... and {len(found.apart) - _SHOWN} more")
    return lines
