"""What the story makes of a recipe before it is promised."""

from __future__ import annotations

import pytest
import yaml

from llamafund_chain.demo.story import _for_this_machine
from llamafund_chain.samples.machine import processor_class

PLAIN = b"schema: llamafund/recipe/1\ndeterminism: {threads: 1}\n"


def test_it_names_the_machine_that_trains() -> None:
    made = _for_this_machine(PLAIN)
    assert made.startswith(PLAIN)
    assert yaml.safe_load(made)["environment"]["processor_class"] == processor_class()


@pytest.mark.parametrize(
    "recipe",
    [
        b"environment: {torch: 2.13.0}\n",
        b"determinism: {device: cuda}\n",
        b"lora: {rank: 4}\n",
        b"a: [1\n",
        b"- a list\n",
    ],
    ids=["names one", "GPU", "adapter", "none", "list"],
)
def test_a_recipe_that_says_more_or_is_none_stays_as_it_is(recipe: bytes) -> None:
    assert _for_this_machine(recipe) == recipe
