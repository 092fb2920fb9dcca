"""The pages of `docs/reference` are what the code says today, and leave nothing out."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import export_reference
import pytest

import llamafund_chain
from llamafund_chain.checks.rules import published
from llamafund_chain.deployment import artifacts

LIBRARY = Path(llamafund_chain.__file__).parent
NAMING = re.compile(
    r"""(?:CheckResult(?:\.of)?|self\._add|self\._attempt)\(\s*"([a-z]+-[a-z-]+)"|attempt\(\s*[\w"]+,\s*"([a-z-]+)"|"""
    r"""\bname = "([a-z-]+)\""""
)
"""A name in the source where a result is made of it."""


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return export_reference.build()


def checks(page: str) -> set[str]:
    return set(re.findall(r"^\| `([a-zN-]+)` \|", page, re.MULTILINE))


def test_the_reference_is_made_from_the_code_of_today(pages: dict[str, str]) -> None:
    outdated = export_reference.differences(pages, export_reference.TARGET)
    assert outdated == [], "run python scripts/export_reference.py"


def test_every_name_under_which_a_check_reports_is_listed(pages: dict[str, str]) -> None:
    listed = checks(pages["checks.md"]) | {rule.id for rule in published().rules}
    for folder in ("audit", "checks"):
        for file in (LIBRARY / folder).rglob("*.py"):
            named = {"".join(found) for found in NAMING.findall(file.read_text(encoding="utf-8"))}
            assert named <= listed, file


def test_every_function_event_and_error_of_the_contracts_has_its_line(pages: dict[str, str]) -> None:
    for contract in ("CampaignFactory", "Campaign", "CourtArbiter"):
        part = pages["contracts.md"].partition(f"\n## {contract}\n")[2].partition("\n## ")[0]
        for item in artifacts.load(contract).abi:
            if item["type"] in ("function", "event", "error"):
                assert f"\n- **`{item['name']}(" in part
            if item["type"] == "error" and item["name"].startswith(contract):
                assert re.search(rf"^- \*\*`{item['name']}\([^`]*\)`\*\*: Thrown ", part, re.MULTILINE), item["name"]


def test_every_public_name_is_described(pages: dict[str, str]) -> None:
    described = dict(re.findall(r"^## `(\w+)`\n((?:(?!^## ).*\n?)*)", pages["api.md"], re.MULTILINE))
    assert described.keys() == set(llamafund_chain.__all__)
    for name, text in described.items():
        for heading, next_line in re.findall(r"^\*\*`([^`]+)`\*\*\n\n(.*)$", text, re.MULTILINE):
            assert re.match(r"[A-Z`]", next_line), f"{name}: {heading}"


def test_an_outdated_reference_is_told_and_written_anew(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(export_reference, "TARGET", tmp_path / "reference")
    monkeypatch.setattr(export_reference, "PAGES", {"one.md": lambda: "# One"})
    monkeypatch.setattr(sys, "argv", ["export_reference.py", "--check"])
    assert export_reference.main() == 1
    assert "one.md" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["export_reference.py"])
    assert export_reference.main() == 0
    assert (tmp_path / "reference" / "one.md").read_text() == "# One\n"
    monkeypatch.setattr(sys, "argv", ["export_reference.py", "--check"])
    assert export_reference.main() == 0
