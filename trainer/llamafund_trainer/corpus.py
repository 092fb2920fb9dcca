"""The data of a run: the dataset's documents with the tokenizer that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.dataset import read_documents
from llamafund_chain.manifests import DatasetManifest
from llamafund_trainer.data import token_blocks
from llamafund_trainer.evaluation import Baselines, Heldout, encode_heldout, measure_baselines
from llamafund_trainer.tokenizer import encode_document, train_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from llamafund_trainer.recipe import Recipe


@dataclass(frozen=True)
class Corpus:
    """Encoded data.

    Attributes:
        tokenizer: Trained on the training part.
        blocks: The training part as samples, one a row.
        heldout: The held-out part.
    """

    recipe: Recipe
    tokenizer: Tokenizer
    blocks: NDArray[np.int64]
    heldout: Heldout
    train_texts: tuple[str, ...]
    heldout_texts: tuple[str, ...]

    def baselines(self) -> Baselines:
        """The best models without context."""
        tokens = (token for text in self.train_texts for token in encode_document(self.tokenizer, text))
        return measure_baselines(
            tokens, self.train_texts, self.heldout, self.heldout_texts, self.recipe.tokenizer.vocab_size
        )


def load_corpus(recipe: Recipe, root: Path, manifest: DatasetManifest) -> Corpus:
    """Read a dataset's files and encode them.

    Args:
        recipe: Gives vocabulary and context length.
        root: Directory with the files that the manifest names, verified.
        manifest: The dataset.

    Raises:
        LlamafundError: A part has too little text.
    """
    train_texts = tuple(read_documents(root, manifest.part("train")))
    heldout_texts = tuple(read_documents(root, manifest.part("heldout")))
    tokenizer = train_tokenizer(recipe, train_texts)
    return Corpus(
        recipe=recipe,
        tokenizer=tokenizer,
        blocks=token_blocks(tokenizer, train_texts, recipe.data.context_length),
        heldout=encode_heldout(tokenizer, heldout_texts),
        train_texts=train_texts,
        heldout_texts=heldout_texts,
    )
