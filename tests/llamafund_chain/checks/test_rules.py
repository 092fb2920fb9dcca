"""The published rules: their form, their page, their vectors, and three outcomes for everything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import export_risk_rules
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamafund_chain.checks.rules import SEVERITIES, fill, grade, holds, judge, published

ROOT = Path(__file__).resolve().parents[3]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "risk-rules.json").read_text(encoding="utf-8"))
OPERATORS = ("is", "empty", "below", "at_most", "above", "at_least")
RULES = published().rules


def leaves(condition: Any) -> Iterator[dict[str, Any]]:
    """The comparisons in a condition, after checking its form."""
    if condition is None:
        return
    assert isinstance(condition, dict), condition
    if "fact" in condition:
        assert len(condition.keys() & set(OPERATORS)) == 1, condition
        assert condition.keys() <= {"fact", "times", *OPERATORS}, condition
        yield condition
        return
    ((word, inside),) = condition.items()
    assert word in ("all", "any", "not"), condition
    for part in [inside] if word == "not" else inside:
        yield from leaves(part)


def all_leaves() -> list[dict[str, Any]]:
    return [
        leaf for rule in RULES for when in (rule.given, *(case.when for case in rule.cases)) for leaf in leaves(when)
    ]


def facts_in(*texts: str) -> set[str]:
    return {name for text in texts for name in re.findall(r"\{([a-z_]+)\}", text)}


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_a_vector_has_its_findings_and_its_grade(vector: dict[str, Any]) -> None:
    found = judge({**VECTORS["bases"][vector["base"]], **vector["changes"]})
    others = [
        {"rule": one.rule.id, "outcome": one.outcome, "severity": one.severity, "detail": one.detail}
        for one in found
        if one.outcome != "holds"
    ]
    assert others == vector["others"]
    assert [one.rule.id for one in found if one.outcome == "holds"] == vector["holds"]
    assert grade(found).grade == vector["grade"]
    if "says" in vector:
        assert {one.rule.id: one.detail for one in found} == vector["says"]


def test_what_to_ask_for_is_told_only_where_a_rule_does_not_hold() -> None:
    for vector in VECTORS["vectors"]:
        for one in judge({**VECTORS["bases"][vector["base"]], **vector["changes"]}):
            assert one.to_json()["ask"] == (None if one.outcome == "holds" else one.rule.ask)


def test_the_vectors_show_each_case_and_each_unknown() -> None:
    """A rule that nobody has seen to fail is no rule."""
    seen: set[tuple[str, int]] = set()
    unknown: set[str] = set()
    for vector in VECTORS["vectors"]:
        for one in judge({**VECTORS["bases"][vector["base"]], **vector["changes"]}):
            seen |= {(one.rule.id, place) for place in one.cases}
            unknown |= {one.rule.id} if one.outcome == "unknown" else set()
    assert {(rule.id, place) for rule in RULES for place in range(len(rule.cases))} - seen == set()
    assert {rule.id for rule in RULES} - unknown == set()
    assert {vector["grade"] for vector in VECTORS["vectors"]} == {one.grade for one in published().grades}


def test_conditions_and_sentences_name_described_facts_of_fitting_types() -> None:
    described, used = published().facts, set[str]()
    numbers = ("count", "money", "wei", "cost", "seconds", "millionths")
    for leaf in all_leaves():
        for name in (leaf["fact"], *(value["fact"] for value in leaf.values() if isinstance(value, dict))):
            used.add(name)
            kind = described[name].type
            if leaf.keys() & {"below", "at_most", "above", "at_least"}:
                assert kind in numbers, leaf
            assert (kind == "list") == ("empty" in leaf), leaf
            assert (kind == "flag") == isinstance(leaf.get("is"), bool), leaf
    for rule in RULES:
        used |= facts_in(rule.holds, rule.unknown, *(case.says for case in rule.cases))
    # Amounts are written with these.
    assert used | {"asset_symbol", "asset_decimals", "coin_symbol"} == described.keys()


def test_rules_have_ids_of_their_own_and_sentences_without_a_full_stop() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        for text in (rule.holds, rule.unknown, *(case.says for case in rule.cases)):
            assert not text.endswith("."), text
        assert rule.ask.endswith((".", "?")), rule.ask
        assert re.fullmatch(r"[a-z-]+", rule.id)


def test_the_page_is_made_from_the_rules() -> None:
    assert (ROOT / "docs" / "risk-rules.md").read_text(encoding="utf-8") == export_risk_rules.render()


def test_nothing_known_is_neither_good_nor_bad() -> None:
    found = judge({})
    assert {one.outcome for one in found} == {"unknown"}
    assert [one.rule.id for one in found] == [rule.id for rule in RULES]
    assert grade(found).grade == "C"


def test_grades_get_worse_with_the_reasons_alone() -> None:
    order = [one.grade for one in published().grades]
    assert order == sorted(order, reverse=True)
    reasons = [(reason.severity, reason.outcome) for one in published().grades for reason in one.any]
    assert len(set(reasons)) == len(reasons)
    assert all(outcome != "holds" for _, outcome in reasons)
    assert not published().grades[-1].any


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(st.none(), st.integers(0, 3))), st.integers(0, 3))
def test_a_condition_and_its_negation_agree_about_what_is_unknown(facts: dict[str, Any], bound: int) -> None:
    left = {"fact": "a", "below": bound}
    right = {"fact": "b", "at_least": {"fact": "a"}}
    for condition in (left, right, {"all": [left, right]}, {"any": [left, right]}):
        told = holds(condition, facts)
        assert holds({"not": condition}, facts) is (None if told is None else not told)
    both = [holds(left, facts), holds(right, facts)]
    assert holds({"all": [left, right]}, facts) is (False if False in both else None if None in both else True)
    assert holds({"any": [left, right]}, facts) is (True if True in both else None if None in both else False)


@given(st.dictionaries(st.sampled_from(sorted(published().facts)), st.none()))
def test_what_is_not_known_is_told_like_what_is_missing(facts: dict[str, Any]) -> None:
    assert [(one.rule.id, one.outcome) for one in judge(facts)] == [(one.rule.id, one.outcome) for one in judge({})]


def test_strangers_words_in_a_sentence_are_made_visible() -> None:
    said = fill("The proposal could not be read: {proposal_problem}", {"proposal_problem": "\x1b[2J‮evil"})
    assert "\x1b" not in said
    assert "‮" not in said


def test_the_worst_true_case_decides_the_severity() -> None:
    for rule in RULES:
        assert all(case.severity in SEVERITIES for case in rule.cases)
    (found,) = judge({"quorum": 2, "seats_of_one": 2, "shared_wallets": ["x"]}, ("one-owner",))
    assert (found.severity, found.cases) == ("critical", (0, 1))
