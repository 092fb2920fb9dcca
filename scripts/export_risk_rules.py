"""Write docs/risk-rules.md. It is made from the rules in the Python package.

    python scripts/export_risk_rules.py           write the page
    python scripts/export_risk_rules.py --check   compare only; exit 1 when it is outdated

Run it after a change in llamafund_chain/checks/risk_rules.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from llamafund_chain.checks.rules import Rule, published
from llamafund_chain.files import write_file

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "risk-rules.md"

_HEAD = """\
# Risk rules

<!-- Made by scripts/export_risk_rules.py from llamafund_chain/checks/risk_rules.json. Do not edit. -->

`llamafund inspect` and `llamafund pledge` judge a campaign by these rules, and the web page by the same file
(`llamafund_chain/checks/risk_rules.json`, version {version}). A rule has three outcomes: it **holds**, it **fails**, or
that could **not be told**. What could not be told is never taken for good, and never for bad.
"""

_FORM = """\
## How to repeat it

The input is one flat JSON object of facts. Whole numbers from 2^53 on are decimal text, amounts are in smallest units.
A fact that is missing or `null` is unknown. Conditions are:

| form | is true if |
|---|---|
| `{"fact": F, "is": V}` | the fact is this flag, text or number |
| `{"fact": F, "below": V}`, also `at_most`, `above`, `at_least` | the number compares so |
| `{"fact": F, "times": N, "below": V}` | N times the number compares so |
| `{"fact": F, "empty": true}` | the list is empty; with `false`, if it is not |
| `{"all": [...]}`, `{"any": [...]}`, `{"not": C}` | all, any, or none of them is |

V is a value, or another fact as `{"fact": G}`. A comparison with an unknown fact is unknown. `all` is false if one part
is false, else unknown if one is unknown; `any` likewise with true. The negation of unknown is unknown.

A rule is left out if its `given` is false, and cannot be told if its `given` is unknown. It fails if any case is true.
Else it cannot be told if any case is unknown. Else it holds. The severity is that of the worst true case; of an unknown
rule, that of the worst case that is not false. The sentences of all true cases are joined. The grade is the first, from
the worst on, for which there is a reason.

`tests/vectors/risk-rules.json` has facts with the findings and the grade that follow from them.
"""


def render() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    rules = published()
    yield _HEAD.format(version=rules.version)
    yield "## Severities\n"
    yield from (f"- **{name}**: {meaning}" for name, meaning in rules.severities.items())
    yield "\n## Grades\n"
    yield "| grade | means | if any of these is there, and no worse grade's |"
    yield "|---|---|---|"
    for grade in rules.grades:
        said = {"fails": "a {} rule that fails", "unknown": "a {} rule that could not be told", "holds": "a {} rule"}
        reasons = "; ".join(said[reason.outcome].format(reason.severity) for reason in grade.any)
        yield f"| **{grade.grade}** | {grade.means} | {reasons or 'none of them'} |"
    yield "\n## Rules\n"
    for rule in rules.rules:
        yield from _rule(rule)
    yield _FORM
    yield "## Facts\n"
    yield "| fact | type | meaning |"
    yield "|---|---|---|"
    yield from (f"| `{name}` | {fact.type} | {fact.meaning} |" for name, fact in rules.facts.items())
    yield ""


def _rule(rule: Rule) -> Iterator[str]:
    yield f"### `{rule.id}`\n"
    yield f"**{rule.title}.** {rule.ask}\n"
    if rule.given is not None:
        yield f"Only where `{_compact(rule.given)}`.\n"
    yield "| outcome | severity | when | what it says |"
    yield "|---|---|---|---|"
    for case in rule.cases:
        yield f"| fails | {case.severity} | {case.applies}: `{_compact(case.when)}` | {case.says} |"
    yield f"| holds | | | {rule.holds} |"
    yield f"| not told | | | {rule.unknown} |\n"


def _compact(condition: object) -> str:
    return json.dumps(condition)


def main() -> int:
    """Write the page, or compare."""
    parser = argparse.ArgumentParser(description="Write docs/risk-rules.md from the rules in the Python package.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when the page is outdated")
    arguments = parser.parse_args()
    text = render()
    changed = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
    if arguments.check and changed:
        print(
            "docs/risk-rules.md is outdated. Run `python scripts/export_risk_rules.py` and commit the result.",
            file=sys.stderr,
        )
        return 1
    if changed:
        write_file(PAGE, text.encode())
    print(f"{len(published().rules)} rules, {'page written' if changed else 'page unchanged'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
