"""The record of the environment: what is in it, and what it can explain."""

from __future__ import annotations

from llamafund_trainer.record.environment import differing_settings


def test_a_setting_that_was_not_recorded_counts_as_different() -> None:
    assert differing_settings({"torch": "2"}, {"torch": "2", "threads": "1"}) == {"threads": ("", "1")}
    assert differing_settings({"python": "3.11"}, {"python": "3.12"}) == {}


def test_a_setting_that_nobody_records_now_explains_nothing() -> None:
    assert differing_settings({"torch": "2", "moon": "full"}, {"torch": "2"}) == {}
