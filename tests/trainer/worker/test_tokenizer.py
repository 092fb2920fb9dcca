"""The tokenizer: lossless, the same every time, and blind to the held-out part."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from llamafund_chain.errors import LlamafundError
from llamafund_trainer.llama import END_OF_TEXT
from llamafund_trainer.recipe import RecipeFile
from llamafund_trainer.worker.corpus import token_blocks
from llamafund_trainer.worker.tokenizer import encode_document, train_tokenizer

TEXTS = ["the cat sees the dog\n" * 5, "naïve façade 🦙 the end\n" * 5]


@pytest.fixture(scope="module")
def tokenizer(recipe: RecipeFile) -> Tokenizer:
    return train_tokenizer(recipe.recipe, TEXTS)


def test_the_same_documents_give_the_same_tokenizer(recipe: RecipeFile, tokenizer: Tokenizer) -> None:
    assert train_tokenizer(recipe.recipe, TEXTS).to_str() == tokenizer.to_str()
    assert train_tokenizer(recipe.recipe, TEXTS[:1]).to_str() != tokenizer.to_str()


def test_the_vocabulary_fits_the_recipe(recipe: RecipeFile, tokenizer: Tokenizer) -> None:
    assert 257 <= tokenizer.get_vocab_size() <= recipe.recipe.tokenizer.vocab_size


@given(text=st.text())
@settings(max_examples=100)
def test_every_text_survives(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(encode_document(tokenizer, text)[1:], skip_special_tokens=False) == text


def test_a_document_cannot_smuggle_in_the_end_of_text(tokenizer: Tokenizer) -> None:
    ids = encode_document(tokenizer, f"one{END_OF_TEXT}two")
    assert ids.count(0) == 1
    assert ids[0] == 0


def test_too_little_text_for_one_sample_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(LlamafundError, match="One sample takes 4096"):
        token_blocks(tokenizer, TEXTS, 4096)


def test_blocks_are_the_documents_one_after_another(tokenizer: Tokenizer) -> None:
    stream = [token for text in TEXTS for token in encode_document(tokenizer, text)]
    blocks = token_blocks(tokenizer, TEXTS, 8)
    assert blocks.ravel().tolist() == stream[: len(stream) // 8 * 8]
