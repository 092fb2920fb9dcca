"""The published rules about risks: data in `risk_rules.json`, and their evaluation over a flat set of facts.

Other programs repeat this: the web page reads the same file, and both pass the same vectors. So a condition is one of
`{"fact", OPERATOR, "times"?}`, `{"all"}`, `{"any"}` and `{"not"}`, and a fact that is missing or `null` makes what
depends on it unknown, as in Kleene's logic. docs/risk-rules.md is made from the same file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from llamafund_chain.amounts import format_amount
from llamafund_chain.campaign.answer_cost import three_digits
from llamafund_chain.chain.coins import DECIMALS
from llamafund_chain.checks.check import CheckResult, CheckStatus
from llamafund_chain.text import from_millionths, printable
from llamafund_chain.times import duration

Facts = Mapping[str, JsonValue]
"""By name: flags, whole numbers (from 2^53 on as decimal text), texts, and lists of texts. `None` is unknown."""

Outcome = Literal["holds", "fails", "unknown"]
Severity = Literal["critical", "high", "medium", "low"]
FactType = Literal["flag", "count", "money", "wei", "cost", "seconds", "millionths", "text", "list"]

SEVERITIES: Sequence[Severity] = ("critical", "high", "medium", "low")
"""From the worst on."""

STATUS: Mapping[Outcome, CheckStatus] = {"holds": "pass", "fails": "warn", "unknown": "unchecked"}
"""What an outcome is as a finding of a check."""

_PLACE = re.compile(r"\{([a-z_]+)\}")
_TEXT_LIMIT = 300
_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "below": lambda left, right: left < right,
    "at_most": lambda left, right: left <= right,
    "above": lambda left, right: left > right,
    "at_least": lambda left, right: left >= right,
}

Condition = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Case(_Part):
    """One way in which a rule fails.

    Attributes:
        applies: When, in words.
        when: The same as a condition.
        says: The finding; names of facts in braces stand for their values.
    """

    severity: Severity
    applies: str
    when: Condition
    says: str


class Rule(_Part):
    """A rule.

    Attributes:
        given: The condition under which it is asked at all.
        cases: It fails if any of them does, and holds if none does.
        holds: The finding if it holds.
        unknown: The finding if that could not be told.
        ask: What to do or ask if it does not hold.
    """

    id: str
    title: str
    given: Condition | None = None
    cases: tuple[Case, ...]
    holds: str
    unknown: str
    ask: str


class FactDescription(_Part):
    type: FactType
    meaning: str


class Reason(_Part):
    severity: Severity
    outcome: Outcome


class GradeRule(_Part):
    """A grade, which a campaign has if any of its reasons is there and no worse grade's is."""

    grade: str
    means: str
    any: tuple[Reason, ...]


class Rules(_Part):
    schema_: Annotated[Literal["llamafund/risk-rules/1"], Field(alias="schema")]
    version: int
    severities: dict[Severity, str]
    grades: Annotated[tuple[GradeRule, ...], Field(min_length=1)]
    facts: dict[str, FactDescription]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Judged:
    """A rule's outcome.

    Attributes:
        rule: The rule.
        severity: Of the worst case that applies; if unknown, of the worst that may apply; if it holds, of the worst.
        detail: The finding as a sentence without its full stop, every character visible.
        cases: Indexes of the cases that apply.
    """

    rule: Rule
    outcome: Outcome
    severity: Severity
    detail: str
    cases: tuple[int, ...] = ()

    @property
    def result(self) -> CheckResult:
        """The same as the result of a check."""
        return CheckResult(self.rule.id, STATUS[self.outcome], self.detail)

    def to_json(self) -> dict[str, JsonValue]:
        """The same as JSON."""
        ask = None if self.outcome == "holds" else self.rule.ask
        return {
            "rule": self.rule.id,
            "outcome": self.outcome,
            "severity": self.severity,
            "detail": self.detail,
            "ask": ask,
        }


@cache
def published() -> Rules:
    """The rules of this package."""
    return Rules.model_validate_json(rules_text())


def rules_text() -> str:
    """The file with the rules."""
    return files("llamafund_chain.checks").joinpath("risk_rules.json").read_text(encoding="utf-8")


def judge(facts: Facts, only: Collection[str] | None = None) -> list[Judged]:
    """Apply the rules, in their order, to what is known. A rule that does not apply is left out.

    Args:
        facts: Described in the rules' file. Missing ones are unknown.
        only: Ids of the rules to apply; `None` for all.
    """
    found = []
    for rule in published().rules:
        if only is not None and rule.id not in only:
            continue
        asked = True if rule.given is None else holds(rule.given, facts)
        if asked is not False:
            found.append(_judge(rule, facts, asked=asked is True))
    return found


def grade(judged: Collection[Judged]) -> GradeRule:
    """The grade that follows from some outcomes: the worst that any of them is a reason for, else the last."""
    reasons = {(one.severity, one.outcome) for one in judged}
    for candidate in published().grades:
        if any((reason.severity, reason.outcome) in reasons for reason in candidate.any):
            return candidate
    return published().grades[-1]


def holds(condition: Condition, facts: Facts) -> bool | None:
    """Whether a condition holds; `None` if the facts do not tell.

    Args:
        condition: As the rules' file has them.
        facts: What is known.
    """
    if "all" in condition:
        return _all(holds(part, facts) for part in condition["all"])
    if "any" in condition:
        return _not(_all(_not(holds(part, facts)) for part in condition["any"]))
    if "not" in condition:
        return _not(holds(condition["not"], facts))
    left = facts.get(condition["fact"])
    if left is None:
        return None
    if "empty" in condition:
        return (left == []) is condition["empty"]
    if "is" in condition:
        right = condition["is"]
        return bool(left == right) if isinstance(right, bool | str) else _whole(left) == right
    (operator,) = condition.keys() & _COMPARE.keys()
    right = condition[operator]
    if isinstance(right, dict):
        right = facts.get(right["fact"])
        if right is None:
            return None
    return _COMPARE[operator](_whole(left) * condition.get("times", 1), _whole(right))


def _judge(rule: Rule, facts: Facts, *, asked: bool) -> Judged:
    told = [holds(case.when, facts) for case in rule.cases]
    failed = tuple(place for place, answer in enumerate(told) if answer) if asked else ()
    if failed:
        says = ". ".join(fill(rule.cases[place].says, facts) for place in failed)
        return Judged(rule, "fails", _worst([rule.cases[place] for place in failed]), says, failed)
    if not asked or None in told:
        open_cases = [case for case, answer in zip(rule.cases, told, strict=True) if answer is not False]
        return Judged(rule, "unknown", _worst(open_cases or rule.cases), fill(rule.unknown, facts))
    return Judged(rule, "holds", _worst(rule.cases), fill(rule.holds, facts))


def fill(template: str, facts: Facts) -> str:
    """A sentence with the facts in it.

    Args:
        template: Names of facts in braces stand for their values.
        facts: What is known.
    """
    described = published().facts
    return _PLACE.sub(lambda match: _shown(match[1], described[match[1]].type, facts), template)


def _shown(name: str, kind: FactType, facts: Facts) -> str:
    value = facts.get(name)
    if value is None:
        return "an unknown amount" if kind in ("money", "wei", "cost") else "unknown"
    if isinstance(value, list):
        return "; ".join(printable(str(one), _TEXT_LIMIT) for one in value)
    if kind == "money":
        return f"{format_amount(_whole(value), _whole(facts['asset_decimals']))} {facts['asset_symbol']}"
    if kind in ("wei", "cost"):
        wei = three_digits(_whole(value)) if kind == "cost" else _whole(value)
        return f"{format_amount(wei, DECIMALS)} {facts['coin_symbol']}"
    if kind == "seconds":
        return duration(_whole(value))
    if kind == "millionths":
        return from_millionths(_whole(value))
    return printable(str(value), _TEXT_LIMIT)


def _whole(value: Any) -> int:
    return int(value)


def _all(answers: Any) -> bool | None:
    known = list(answers)
    if False in known:
        return False
    return None if None in known else True


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _worst(cases: Sequence[Case]) -> Severity:
    return min((case.severity for case in cases), key=SEVERITIES.index)
