"""The held-out part: how well a model predicts it, and how well simple models without context do.

Evaluation runs in float64 from end to end, including norms and position embeddings. Its rounding errors are some nine
orders of magnitude below the millionth that is reported. The number therefore does not depend on batch size, thread
count or processor: everyone who measures the same weights gets the same integer.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from llamafund_chain.errors import LlamafundError
from llamafund_trainer.llama import END_OF_TEXT_ID
from llamafund_trainer.worker.tokenizer import encode_document

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

_ADD_K = tuple(10.0 ** (exponent / 4) for exponent in range(-16, 9))


@dataclass(frozen=True)
class Baselines:
    """How well models without context do, in millionths of a bit per byte of held-out text.

    Attributes:
        unigram_tokens: With the frequencies of tokens.
        unigram_bytes: With the frequencies of bytes.
    """

    unigram_tokens: int
    unigram_bytes: int


@dataclass(frozen=True)
class Heldout:
    """The held-out part, encoded.

    Attributes:
        documents: Token ids of each document, starting with the token that documents begin with.
        size: UTF-8 bytes of all documents.
    """

    documents: tuple[tuple[int, ...], ...]
    size: int

    @property
    def tokens(self) -> int:
        """Tokens to predict: all but the first of each document."""
        return sum(len(document) - 1 for document in self.documents)


def encode_heldout(tokenizer: Tokenizer, documents: Iterable[str], first: int = END_OF_TEXT_ID) -> Heldout:
    """Encode the held-out part.

    Args:
        tokenizer: The tokenizer.
        documents: The texts.
        first: The token that each document begins with.

    Raises:
        LlamafundError: It has no text.
    """
    encoded: list[tuple[int, ...]] = []
    size = 0
    for text in documents:
        size += len(text.encode("utf-8"))
        encoded.append(tuple(encode_document(tokenizer, text, first)))
    if size == 0:
        raise LlamafundError(
            "The held-out part has no text", "There is nothing to measure on", "Add documents to heldout/"
        )
    return Heldout(tuple(encoded), size)


def measure_baselines(
    train_tokens: Iterable[int],
    train_texts: Iterable[str],
    heldout: Heldout,
    heldout_texts: Iterable[str],
    vocabulary: int,
) -> Baselines:
    """How well the best unigram models of the same data do.

    Args:
        train_tokens: All tokens of the training part.
        train_texts: All documents of the training part.
        heldout: The held-out part, encoded.
        heldout_texts: The documents of the held-out part.
        vocabulary: Number of token ids.
    """
    token_counts = Counter(token for document in heldout.documents for token in document[1:])
    seen_bytes: Counter[int] = Counter()
    for text in train_texts:
        seen_bytes.update(text.encode("utf-8"))
    byte_counts: Counter[int] = Counter()
    for text in heldout_texts:
        byte_counts.update(text.encode("utf-8"))
    return Baselines(
        unigram_tokens=_best_unigram(Counter(train_tokens), token_counts, vocabulary, heldout.size),
        unigram_bytes=_best_unigram(seen_bytes, byte_counts, 256, heldout.size),
    )


def bits_per_byte(
    model: PreTrainedModel, heldout: Heldout, *, context: int, stride: int, batch_size: int
) -> int | None:
    """Measure a model without changing it.

    Args:
        model: The model, on the CPU.
        heldout: What it has to predict.
        context: Tokens in a window.
        stride: Tokens from the start of one window to the next.
        batch_size: Windows at a time.

    Returns:
        Millionths of a bit per byte, or `None` if the model's probabilities are not finite.
    """
    exact, exactly = _exact_copy(model)
    losses: list[float] = []
    with torch.inference_mode(), exactly:
        for inputs, targets, first_scored in _batches(heldout.documents, context, stride, batch_size):
            logits = exact(input_ids=torch.tensor(inputs), use_cache=False).logits
            log_probabilities = torch.log_softmax(logits, dim=-1)
            picked = log_probabilities.gather(-1, torch.tensor(targets).unsqueeze(-1)).squeeze(-1)
            for row, start in zip(picked.tolist(), first_scored, strict=True):
                losses.extend(row[start:])
    if not all(math.isfinite(loss) for loss in losses):
        return None
    return round(-math.fsum(losses) / math.log(2) / heldout.size * 1_000_000)


def _batches(
    documents: Sequence[Sequence[int]], context: int, stride: int, batch_size: int
) -> Iterator[tuple[list[Sequence[int]], list[Sequence[int]], list[int]]]:
    """Windows of equal length, so that nothing needs padding: inputs, targets, and the first target that counts."""
    by_length: dict[int, list[tuple[Sequence[int], Sequence[int], int]]] = {}
    for document in documents:
        scored = 0
        for start in range(0, len(document) - 1, stride):
            inputs = document[start : min(start + context, len(document) - 1)]
            targets = document[start + 1 : start + 1 + len(inputs)]
            if start + len(inputs) > scored:
                by_length.setdefault(len(inputs), []).append((inputs, targets, scored - start))
                scored = start + len(inputs)
    for windows in by_length.values():
        for index in range(0, len(windows), batch_size):
            batch = windows[index : index + batch_size]
            yield [row[0] for row in batch], [row[1] for row in batch], [row[2] for row in batch]


def _exact_copy(model: PreTrainedModel) -> tuple[Any, AbstractContextManager[Any]]:
    """The model in float64, and the context that it must run in.

    Whatever the model's type, transformers computes norms, position embeddings and softmax in float32. In this context
    it gets float64 whenever it asks for float32.
    """

    class Exactly(TorchFunctionMode):
        def __torch_function__(self, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if called is torch.Tensor.float:
                return torch.Tensor.double(*args, **(kwargs or {}))
            wider = tuple(torch.float64 if value is torch.float32 else value for value in args)
            named = {name: torch.float64 if value is torch.float32 else value for name, value in (kwargs or {}).items()}
            return called(*wider, **named)

    exact: Any = copy.deepcopy(model)
    exact.double().eval()
    # SDPA's softmax keeps the type, and its memory does not grow with the square of the context.
    if getattr(exact, "_supports_sdpa", False):
        exact.set_attn_implementation("sdpa")
    mode = Exactly()
    with mode:
        for parent in list(exact.modules()):
            for name, child in list(parent.named_children()):
                if hasattr(child, "inv_freq") and hasattr(child, "config"):
                    # Built again, because its frequencies were rounded to float32.
                    setattr(parent, name, type(child)(child.config))
    return exact, mode


def _best_unigram(seen: Counter[int], counts: Counter[int], symbols: int, size: int) -> int:
    total = sum(seen.values())
    best = math.inf
    for k in _ADD_K:
        denominator = math.log2(total + k * symbols)
        bits = math.fsum(count * (denominator - math.log2(seen[symbol] + k)) for symbol, count in counts.items())
        best = min(best, bits)
    return round(best / size * 1_000_000)
