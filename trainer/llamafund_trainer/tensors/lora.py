"""Low-rank adapters without torch: their initial values from the training seed, and merging them into the base model.

Every machine merges to the same bytes. For each weight, the products of the two matrices are added one after the other
in float64. The sum is scaled, added to the base model's weight and rounded once to float32. A product of two float32
numbers is exact in float64, and no library decides the order of the additions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import VerificationError
from llamafund_trainer.seeds import derive
from llamafund_trainer.tensors.compare import TensorEntry, read_entries, read_numbers
from llamafund_trainer.tensors.initial_weights import drawn
from llamafund_trainer.tensors.write import TensorHeader, write_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llamafund_trainer.recipe import LoraSection

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"

_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_BLOCK_ELEMENTS = 1 << 16
"""Elements merged at a time; few enough for a processor's cache."""


@dataclass(frozen=True)
class LowRank:
    """The two matrices whose product is added to a weight.

    Attributes:
        down: Of shape (rank, inputs).
        up: Of shape (outputs, rank).
    """

    down: NDArray[np.float32]
    up: NDArray[np.float32]


def initial_pair(seed: str, module: str, rank: int, outputs: int, inputs: int) -> LowRank:
    """The initial values of an adapter. Their product is 0, so training starts from the base model.

    Args:
        seed: The training seed, 64 hexadecimal digits.
        module: Name of the adapted layer.
        rank: Rank of the two matrices.
        outputs: Outputs of the layer.
        inputs: Inputs of the layer.
    """
    import numpy as np

    # The standard deviation of peft's own initialisation, which is uniform up to 1 / sqrt(inputs).
    deviation = 1 / math.sqrt(3 * inputs)
    down = drawn(derive(seed, "initial-adapter"), module, (rank, inputs), deviation)
    return LowRank(down, np.zeros((outputs, rank), dtype=np.float32))


def merged_rows(weight: NDArray[np.float32], pair: LowRank, scale: float) -> NDArray[np.float32]:
    """Rows of a weight with an adapter merged into them.

    Args:
        weight: Of shape (rows, inputs).
        pair: The adapter; `up` has as many rows as the weight.
        scale: Factor of their product.
    """
    import numpy as np

    added = np.zeros(weight.shape, dtype=np.float64)
    down, up = pair.down.astype(np.float64), pair.up.astype(np.float64)
    for index in range(down.shape[0]):
        added += up[:, index : index + 1] * down[index : index + 1, :]
    result: NDArray[np.float32] = (weight.astype(np.float64) + added * scale).astype(np.float32)
    return result


def merge_weight(weight: NDArray[np.float32], pair: LowRank, scale: float) -> NDArray[np.float32]:
    """Like `merged_rows` for a whole weight, block by block."""
    import numpy as np

    result = np.empty_like(weight)
    rows = max(1, _BLOCK_ELEMENTS // weight.shape[1])
    for start in range(0, len(weight), rows):
        part = slice(start, start + rows)
        result[part] = merged_rows(weight[part], LowRank(pair.down, pair.up[part]), scale)
    return result


def merge_files(base: Mapping[str, TensorEntry], adapter: Path, lora: LoraSection, target: Path) -> None:
    """Merge an adapter into the base model's weights, and write them as one safetensors file in float32.

    The same inputs give the same bytes everywhere. One tensor is in memory at a time.

    Args:
        base: The base model's tensors.
        adapter: The adapter's file, as peft writes it.
        lora: The recipe's section.
        target: The file to write.

    Raises:
        VerificationError: The adapter does not fit the recipe and the base model.
        LlamafundError: The file cannot be written.
    """
    pairs = _pairs(base, adapter, lora)
    names = sorted(base)
    headers = (TensorHeader(name, "F32", base[name].shape, 4 * math.prod(base[name].shape)) for name in names)
    blocks = (block for name in names for block in _merged(base[name], pairs.get(name), lora.scale))
    write_tensors(target, headers, blocks)


def changed_by(base: Mapping[str, TensorEntry], adapter: Path, lora: LoraSection) -> tuple[str, ...]:
    """The base model's tensors that an adapter changes; otherwise like `merge_files`."""
    pairs = _pairs(base, adapter, lora)
    return tuple(name for name, (_, up) in pairs.items() if any(block.any() for block in read_numbers(up)))


def _merged(entry: TensorEntry, pair: tuple[TensorEntry, TensorEntry] | None, scale: float) -> Iterator[bytes]:
    import numpy as np

    if pair is None:
        for numbers in read_numbers(entry):
            yield numbers.astype("<f4").tobytes()
        return
    weight, down, up = (
        np.concatenate(list(read_numbers(each))).astype(np.float32).reshape(each.shape) for each in (entry, *pair)
    )
    yield merge_weight(weight, LowRank(down, up), scale).astype("<f4").tobytes()


def _pairs(
    base: Mapping[str, TensorEntry], adapter: Path, lora: LoraSection
) -> dict[str, tuple[TensorEntry, TensorEntry]]:
    """The two matrices of each adapted layer, by the name of the weight that they change."""
    found = read_entries([adapter])
    modules = {name.removeprefix(_PREFIX).removesuffix(end) for name in found for end in (_DOWN, _UP) if end in name}
    expected = {f"{_PREFIX}{module}{end}" for module in modules for end in (_DOWN, _UP)}
    odd = sorted(set(found) ^ expected)
    if odd or not modules:
        raise VerificationError(
            f"{adapter.name} is not an adapter as peft writes it",
            f"The tensor {odd[0]!r} does not belong there, or lacks its counterpart" if odd else "It is empty",
        )
    pairs: dict[str, tuple[TensorEntry, TensorEntry]] = {}
    for module in sorted(modules):
        down, up, weight = found[_PREFIX + module + _DOWN], found[_PREFIX + module + _UP], base.get(f"{module}.weight")
        if weight is None or len(weight.shape) != 2 or 0 in weight.shape:
            raise VerificationError(f"{adapter.name} adapts {module!r}", "The base model has no such linear layer")
        outputs, inputs = weight.shape
        if (down.shape, up.shape) != ((lora.rank, inputs), (outputs, lora.rank)) or {down.dtype, up.dtype} != {"F32"}:
            raise VerificationError(
                f"The adapter of {module!r} is {down.describe()} and {up.describe()}",
                f"Recipe and base model need the shapes {[lora.rank, inputs]} and {[outputs, lora.rank]} in float32",
            )
        pairs[weight.name] = (down, up)
    return pairs
