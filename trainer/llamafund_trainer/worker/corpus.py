"""The data of a run: the dataset's documents, encoded with the tokenizer that follows from them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llamafund_chain.evidence.manifests import DatasetManifest
from llamafund_chain.store.documents import published_documents
from llamafund_trainer.llama import END_OF_TEXT_ID
from llamafund_trainer.worker.heldout import Baselines, Heldout, encode_heldout, measure_baselines
from llamafund_trainer.worker.misfit import MisfitError
from llamafund_trainer.worker.tokenizer import encode_document, train_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from llamafund_trainer.base_files import Base
    from llamafund_trainer.recipe import Recipe


@dataclass(frozen=True)
class Corpus:
    """Encoded data.

    Attributes:
        recipe: The recipe.
        tokenizer: Trained on the training part, or the base model's.
        first: The token that each document begins with.
        blocks: The training part as samples, one per row.
        heldout: The held-out part.
        train_texts: Documents of the training part.
        heldout_texts: Documents of the held-out part.
        base: The base model, if there is one.
    """

    recipe: Recipe
    tokenizer: Tokenizer
    first: int
    blocks: NDArray[np.int64]
    heldout: Heldout
    train_texts: tuple[str, ...]
    heldout_texts: tuple[str, ...]
    base: Base | None = None

    def baselines(self) -> Baselines:
        """How well the best models without context do."""
        tokens = (token for text in self.train_texts for token in encode_document(self.tokenizer, text, self.first))
        vocabulary = self.recipe.vocab_size if self.base is None else self.tokenizer.get_vocab_size()
        return measure_baselines(tokens, self.train_texts, self.heldout, self.heldout_texts, vocabulary)


def load_corpus(recipe: Recipe, root: Path, manifest: DatasetManifest, base: Base | None = None) -> Corpus:
    """Read a dataset's files and encode them.

    Args:
        recipe: Decides vocabulary size and context length.
        root: Directory with the files that the manifest names, verified.
        manifest: The dataset manifest.
        base: The base model, whose tokenizer is used; `None` to train one.

    Raises:
        MisfitError: A part has too little text, or the base model's tokenizer loses some of it.
        VerificationError: The base model's tokenizer cannot be used, or a file contains anything but documents.
    """
    train_texts = tuple(published_documents(root, manifest.part("train")))
    heldout_texts = tuple(published_documents(root, manifest.part("heldout")))
    if base is None:
        tokenizer, first = train_tokenizer(recipe, train_texts), END_OF_TEXT_ID
    else:
        tokenizer, first = base.tokenizer()
    heldout = encode_heldout(tokenizer, heldout_texts, first)
    if base is not None:
        _require_all_text(tokenizer, heldout, heldout_texts)
    return Corpus(
        recipe=recipe,
        tokenizer=tokenizer,
        first=first,
        blocks=token_blocks(tokenizer, train_texts, recipe.data.context_length, first),
        heldout=heldout,
        train_texts=train_texts,
        heldout_texts=heldout_texts,
        base=base,
    )


def token_blocks(
    tokenizer: Tokenizer, documents: Iterable[str], context_length: int, first: int = END_OF_TEXT_ID
) -> NDArray[np.int64]:
    """All documents as one stream of tokens, cut into blocks. An incomplete block at the end is dropped.

    Args:
        tokenizer: The tokenizer.
        documents: The texts.
        context_length: Tokens in a block.
        first: The token that each document begins with.

    Raises:
        MisfitError: There are fewer tokens than in one block.
    """
    stream = array("q")
    for text in documents:
        stream.extend(encode_document(tokenizer, text, first))
    count = len(stream) // context_length
    if count == 0:
        raise MisfitError(
            f"The training part has {len(stream)} tokens",
            f"One sample takes {context_length}",
            "Choose a smaller data.context_length, or more data",
        )
    return np.frombuffer(stream, dtype=np.int64)[: count * context_length].reshape(count, context_length)


def _require_all_text(tokenizer: Tokenizer, heldout: Heldout, texts: tuple[str, ...]) -> None:
    """Refuse a tokenizer that loses text: bits per byte only make sense if the tokens spell every byte."""
    for number, (document, text) in enumerate(zip(heldout.documents, texts, strict=True)):
        if tokenizer.decode(document[1:], skip_special_tokens=False) != text:
            raise MisfitError(
                f"The base model's tokenizer loses some of the held-out document {number}",
                "Its tokens do not spell the same text again, so bits per byte cannot be measured",
                "Prepare the data as the tokenizer writes it, such as in Unicode form NFC, or choose another model",
            )
