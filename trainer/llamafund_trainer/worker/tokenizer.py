"""The tokenizer of new models: a byte-level BPE, trained on the training part only.

It works on bytes, so it can encode every text without loss, and bits per byte count every byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from llamafund_trainer.llama import END_OF_TEXT, END_OF_TEXT_ID

if TYPE_CHECKING:
    from pathlib import Path

    from llamafund_trainer.recipe import Recipe


def train_tokenizer(recipe: Recipe, documents: Iterable[str]) -> Tokenizer:
    """Train on documents in their order. The same documents give the same tokenizer.

    The vocabulary is at most as large as the recipe says. A small corpus does not fill it.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{END_OF_TEXT} $A",
                pair=f"{END_OF_TEXT} $A {END_OF_TEXT} $B",
                special_tokens=[(END_OF_TEXT, END_OF_TEXT_ID)],
            ),
        ]
    )
    return tokenizer


def encode_document(tokenizer: Tokenizer, text: str, first: int = END_OF_TEXT_ID) -> list[int]:
    """The token that documents begin with, then the text. Special tokens spelled out in the text stay plain text."""
    tokenizer.encode_special_tokens = True
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return [first, *ids]


def save_tokenizer(tokenizer: Tokenizer, context_length: int, directory: Path) -> None:
    """Write the files that `transformers.AutoTokenizer` reads."""
    build: Any = PreTrainedTokenizerFast
    wrapped = build(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(directory)
