"""The facts file is a format that others read."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from llamafund_chain.demo.facts import DemoFacts, Expectation, FraudFact


def _facts() -> DemoFacts:
    return DemoFacts(
        started_at=1,
        folder="/somewhere",
        expectations=[Expectation(act=1, claim="The goal is met", held=True, found="12 ETH")],
        frauds=[FraudFact(name="A lie", caught_by=["seed-fresh"], said="No", outcome="Nothing was paid")],
    )


def test_the_file_names_its_schema() -> None:
    assert json.loads(_facts().to_json())["schema"] == "llamafund/demo/1"


def test_facts_survive_being_written_and_read() -> None:
    assert DemoFacts.model_validate_json(_facts().to_json()) == _facts()


def test_a_story_that_has_not_ended_is_not_said_to_have_held() -> None:
    assert json.loads(_facts().to_json())["held"] is False


def test_unknown_facts_are_refused() -> None:
    with pytest.raises(ValidationError):
        DemoFacts.model_validate({"started_at": 1, "folder": "/", "surprise": 1})
