"""Of which kind a recipe is."""

from __future__ import annotations

import pytest

from llamafund_chain.evidence.recipes import RecipeKind, recipe_kind


@pytest.mark.parametrize(
    "data",
    [
        b"schema: llamafund/recipe/1\n",
        b'{"schema": "llamafund/recipe/1"}',
        b"schema: llamafund/recipe/1\nsteps: [\n",
        b"# long\n" * 10_000 + b"schema: 'llamafund/recipe/1'\n",
    ],
)
def test_what_says_that_it_is_the_trainers_is_taken_at_its_word(data: bytes) -> None:
    assert recipe_kind(data) is RecipeKind.TRAINER


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"[1]", b"schema: llamafund/recipe/10\n", b"import torch\n# schema: llamafund/recipe/1\n"],
)
def test_anything_else_is_another_programs(data: bytes) -> None:
    assert recipe_kind(data) is RecipeKind.OTHER
