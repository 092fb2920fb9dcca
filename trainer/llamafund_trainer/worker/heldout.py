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
from torch import distributed
from torch.overrides import TorchFunctionMode

from llamafund_chain.checks.baselines import best_unigram, unigram_bytes
from llamafund_trainer.llama import END_OF_TEXT_ID
from llamafund_trainer.worker.misfit import MisfitError
from llamafund_trainer.worker.model import whole_model
from llamafund_trainer.worker.tokenizer import encode_document

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from llamafund_trainer.recipe import Recipe

_EXACT_BYTES = 8
"""Bytes of a number in float64."""

_COPIES = 4
"""How many numbers as large as all predictions of a batch are in memory at the same time, with room to spare."""


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
        MisfitError: It has no text.
    """
    encoded: list[tuple[int, ...]] = []
    size = 0
    for text in documents:
        size += len(text.encode("utf-8"))
        encoded.append(tuple(encode_document(tokenizer, text, first)))
    if size == 0:
        raise MisfitError(
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
    return Baselines(
        unigram_tokens=best_unigram(Counter(train_tokens), token_counts, vocabulary, heldout.size),
        unigram_bytes=unigram_bytes(train_texts, heldout_texts),
    )


@dataclass(frozen=True)
class Share:
    """A process's share of the windows.

    Attributes:
        rank: Its number.
        count: How many processes share them. All of them must measure at the same time.
        in_step: Whether all must compute equally often, because the model is split among them.
        device: What the processes exchange numbers from, wherever the model is.
    """

    rank: int = 0
    count: int = 1
    in_step: bool = False
    device: str = "cpu"


_ALONE = Share()


def exact_model(model: Any, recipe: Recipe, device: torch.device) -> Any:
    """A copy in float64 of a model as it will be published, where it can be measured fastest.

    Args:
        model: The model; an adapter is merged.
        recipe: The run's recipe.
        device: Where the copy goes if the memory of every process suffices there; else it is on the CPU.
    """
    whole = whole_model(model)
    place = device if _fits(whole, recipe, device) else torch.device("cpu")
    # A model with a merged adapter is a copy already.
    return (copy.deepcopy(whole) if whole is model else whole).to(place, torch.float64)


def measure(exact: Any, recipe: Recipe, heldout: Heldout, share: Share = _ALONE) -> int | None:
    """Measure a model in float64, which is changed, as the recipe says.

    Returns:
        Millionths of a bit per byte, or `None` if the model's probabilities are not finite.
    """
    device, batch_size = next(exact.parameters()).device, recipe.evaluation.batch_size
    if device.type == "cuda":
        # A model that is split must be measured equally often by all, so all take the same number.
        batch_size = _least(batch_that_fits(recipe, _window_bytes(exact, recipe), _free(device)), share.device)
    return bits_per_byte(
        exact,
        heldout,
        context=recipe.data.context_length,
        stride=recipe.evaluation_stride,
        batch_size=batch_size,
        share=share,
    )


def bits_per_byte(
    exact: Any, heldout: Heldout, *, context: int, stride: int, batch_size: int, share: Share = _ALONE
) -> int | None:
    """Measure a model.

    Args:
        exact: The model in float64, which is changed.
        heldout: What it has to predict.
        context: Tokens in a window.
        stride: Tokens from the start of one window to the next.
        batch_size: Windows at a time.
        share: This process's share. Every process gets the result.

    Returns:
        Millionths of a bit per byte, or `None` if the model's probabilities are not finite.
    """
    losses: list[float] = []
    device = next(exact.parameters()).device
    batches = list(_batches(heldout.documents, context, stride, batch_size))
    with torch.no_grad(), _exactly(exact):
        for index in range(share.rank, _rounded_up(len(batches), share.count), share.count):
            if index >= len(batches) and not share.in_step:
                break
            inputs, targets, first_scored = batches[min(index, len(batches) - 1)]
            logits = exact(input_ids=torch.tensor(inputs, device=device), use_cache=False).logits
            log_probabilities = torch.log_softmax(logits, dim=-1)
            picked = log_probabilities.gather(-1, torch.tensor(targets, device=device).unsqueeze(-1)).squeeze(-1)
            if index >= len(batches):
                break  # This process only kept step.
            for row, start in zip(picked.tolist(), first_scored, strict=True):
                losses.extend(row[start:])
    total = _sum_of_all(math.fsum(losses) if all(map(math.isfinite, losses)) else math.nan, share)
    if not math.isfinite(total):
        return None
    return round(-total / math.log(2) / heldout.size * 1_000_000)


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _sum_of_all(value: float, share: Share) -> float:
    if share.count == 1:
        return value
    own = torch.tensor([value], dtype=torch.float64, device=share.device)
    values = [torch.empty_like(own) for _ in range(share.count)]
    distributed.all_gather(values, own)
    return math.fsum(each.item() for each in values)


def _fits(model: Any, recipe: Recipe, device: torch.device) -> bool:
    """Whether a copy in float64, and what it predicts of one window, has room on the device of every process."""
    if device.type != "cuda":
        return False
    wanted = _EXACT_BYTES * sum(parameter.numel() for parameter in model.parameters()) + _window_bytes(model, recipe)
    return _least(int(wanted <= _free(device)), str(device)) == 1


def batch_that_fits(recipe: Recipe, window: int, free: int) -> int:
    """How many windows can be measured together; their number does not change the result.

    Args:
        recipe: Says how many at most.
        window: Bytes that the predictions of one window take.
        free: Bytes that are free.
    """
    return max(1, min(recipe.evaluation.batch_size, free // window))


def _window_bytes(model: Any, recipe: Recipe) -> int:
    return int(_EXACT_BYTES * _COPIES * recipe.data.context_length * model.config.get_text_config().vocab_size)


def _free(device: torch.device) -> int:
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return free


def _least(number: int, device: str) -> int:
    """The least of the numbers that all processes have."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return number
    shared = torch.tensor(number, device=device)
    distributed.all_reduce(shared, op=distributed.ReduceOp.MIN)
    return int(shared.item())


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


def _exactly(exact: Any) -> AbstractContextManager[Any]:
    """Prepare a model in float64, and make the context that it must run in.

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

    exact.eval()
    # SDPA's softmax keeps the type, and its memory does not grow with the square of the context.
    if getattr(exact, "_supports_sdpa", False):
        exact.set_attn_implementation("sdpa")
    device = next(exact.parameters()).device
    mode = Exactly()
    with mode:
        for parent in list(exact.modules()):
            for name, child in list(parent.named_children()):
                if hasattr(child, "inv_freq") and hasattr(child, "config"):
                    # Built again, because its frequencies were rounded to float32.
                    setattr(parent, name, type(child)(child.config).to(device))
    return mode
