"""Initial weights from the training seed, in integer arithmetic.

Torch's normal generator gives different bits on different processors. Here each value is the sum of four 16-bit
integers from SHAKE-256, centred and scaled once, so every machine and every program computes the same bytes. The
distribution has the standard deviation that the recipe names, and is close to normal (Irwin-Hall of order 4).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llamafund_trainer.seeds import derive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llamafund_trainer.recipe import Recipe

_CHUNK = 1 << 18
_MEAN = 4 * 65535 // 2
_DEVIATION = math.sqrt((2**32 - 1) / 3)


def parameter_shapes(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, by its name in `model.safetensors`."""
    model = recipe.architecture
    head = model.hidden_size // model.heads
    queries, keys = model.heads * head, model.kv_heads * head
    hidden, inner = model.hidden_size, model.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (recipe.vocab_size, hidden)}
    for index in range(model.layers):
        layer = f"model.layers.{index}"
        shapes |= {
            f"{layer}.input_layernorm.weight": (hidden,),
            f"{layer}.self_attn.q_proj.weight": (queries, hidden),
            f"{layer}.self_attn.k_proj.weight": (keys, hidden),
            f"{layer}.self_attn.v_proj.weight": (keys, hidden),
            f"{layer}.self_attn.o_proj.weight": (hidden, queries),
            f"{layer}.post_attention_layernorm.weight": (hidden,),
            f"{layer}.mlp.gate_proj.weight": (inner, hidden),
            f"{layer}.mlp.up_proj.weight": (inner, hidden),
            f"{layer}.mlp.down_proj.weight": (hidden, inner),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not model.tie_embeddings:
        shapes["lm_head.weight"] = (recipe.vocab_size, hidden)
    return shapes


def parameter_count(recipe: Recipe) -> int:
    """Number of parameters; shared ones count once."""
    return sum(math.prod(shape) for shape in parameter_shapes(recipe).values())


def initial_tensors(recipe: Recipe, seed: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every tensor of checkpoint 0.

    Args:
        recipe: Decides shapes and standard deviation.
        seed: The training seed, 64 hexadecimal digits.

    Yields:
        Name and values. Norm weights are 1.
    """
    import numpy as np

    key = derive(seed, "initial-weights")
    for name, shape in parameter_shapes(recipe).items():
        if len(shape) == 1:
            yield name, np.ones(shape, dtype=np.float32)
        else:
            yield name, drawn(key, name, shape, recipe.architecture.initializer_range)


def drawn(key: bytes, name: str, shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
    """The random values of a tensor.

    Args:
        key: 32 bytes from the training seed.
        name: Name of the tensor, which also decides its values.
        shape: Dimensions of the tensor.
        deviation: Standard deviation of the values; their mean is 0.
    """
    import numpy as np

    scale = deviation / _DEVIATION
    count = math.prod(shape)
    values = np.empty(count, dtype=np.float32)
    for start in range(0, count, _CHUNK):
        length = min(_CHUNK, count - start)
        stream = hashlib.shake_256(key + f"{name}/{start}".encode()).digest(8 * length)
        sums = np.frombuffer(stream, dtype="<u2").reshape(length, 4).sum(axis=1, dtype=np.int64) - _MEAN
        values[start : start + length] = (sums.astype(np.float64) * scale).astype(np.float32)
    return values.reshape(shape)
