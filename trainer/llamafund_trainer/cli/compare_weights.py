"""`llamafund compare-weights`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import json_option, stores_option
from llamafund_chain.cli.output import emit, progress
from llamafund_chain.errors import VerificationError

if TYPE_CHECKING:
    from llamafund_trainer.tensors.compare import TensorComparison

_SHOWN = 20


@click.command("compare-weights")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@stores_option
@json_option
def compare_weights(one: str, other: str, stores: tuple[str, ...], as_json: bool) -> None:
    """Compare the weights A and B tensor by tensor.

    Each is a safetensors file, a directory with such files, or the hash of a checkpoint's or weights' manifest. Where
    one side is the other after a conversion to another number type, the conversion is named: such weights follow from
    the others, but are not the same bytes. Ends with exit code 3 when a tensor is neither.

    \b
    Example:
      llamafund compare-weights 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae ./downloaded
    """
    from llamafund_chain.store.several import open_stores
    from llamafund_trainer.runs.open_weights import open_weights
    from llamafund_trainer.tensors.compare import compare_tensors, read_entries

    if_interrupted("not every tensor was compared")
    source = open_stores(stores)
    with tempfile.TemporaryDirectory(prefix="llamafund-compare-") as workdir:
        sides = []
        for name in (one, other):
            progress(f"Opening {name}")
            sides.append(read_entries(open_weights(name, source, Path(workdir)).files))
        progress(f"Comparing {len(sides[0])} tensors")
        found = list(compare_tensors(*sides))
    apart = [each for each in found if each.verdict in ("different", "missing")]
    casts = sorted({str(each.cast) for each in found if each.cast is not None})
    verdict = "different" if apart or not found else "cast" if casts else "same"
    listed: list[JsonValue] = [_facts(each) for each in found if each.verdict != "same"]
    facts: dict[str, JsonValue] = {
        "one": one,
        "other": other,
        "verdict": verdict,
        "tensors": len(found),
        "same": sum(each.verdict == "same" for each in found),
        "casts": [*casts],
        "not_same": listed,
    }
    emit("compare-weights", facts, _lines(verdict, found, apart), as_json=as_json)
    if verdict == "different":
        first = apart[0] if apart else None
        raise VerificationError(
            f"{len(apart)} of {len(found)} tensors are not the same" if first else "There are no tensors to compare",
            f"{first.name}: {first.reason}" if first else "",
            "These are other weights; do not use one in place of the other",
        )


def _lines(verdict: str, found: Sequence[TensorComparison], apart: Sequence[TensorComparison]) -> list[str]:
    if verdict == "same":
        return [f"All {len(found)} tensors are the same: names, types, shapes and every bit."]
    lines = []
    by_cast: dict[str, list[TensorComparison]] = {}
    for each in found:
        if each.cast is not None:
            side = "B into A" if each.cast.reversed else "A into B"
            by_cast.setdefault(f"{each.cast} turns {side}", []).append(each)
    same = sum(each.verdict == "same" for each in found)
    if same:
        lines.append(f"{same} of {len(found)} tensors are the same bit for bit.")
    for cast, tensors in by_cast.items():
        lines.append(f"{len(tensors)} of {len(found)} tensors are the same after a cast, not bit for bit: {cast}.")
    lines += [f"{each.name}: {each.reason}" for each in apart[:_SHOWN]]
    if len(apart) > _SHOWN:
        lines.append(f"... and {len(apart) - _SHOWN} more")
    return lines


def _facts(found: TensorComparison) -> dict[str, JsonValue]:
    return {
        "tensor": found.name,
        "verdict": found.verdict,
        "cast": None if found.cast is None else str(found.cast),
        "differing_elements": found.elements,
        "largest_difference": None if found.amount is None else str(found.amount),
        "reason": found.reason,
    }
