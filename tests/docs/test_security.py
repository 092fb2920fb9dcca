"""`docs/security.md` names a test for every promise and threat, the tests exist, and none is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED_AFTER_AN_ATTACK = re.compile(r"test_(promises?|threat)_")


def section(text: str, title: str) -> str:
    """A section of level two, without its heading."""
    match = re.search(rf"^## {re.escape(title)}[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, title
    return match[1]


def rows(text: str) -> dict[str, str]:
    """The first two cells of each row of a section's table, without its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    found = {first: second for first, second, *_ in cells}
    assert len(found) == len(cells) > 0, "a table without rows, or with the same row twice"
    return found


def promised() -> dict[str, str]:
    return rows(section(SECURITY, "Promises"))


def threatened() -> dict[str, str]:
    return rows(section(SECURITY, "Threats"))


def all_named() -> set[str]:
    return {name for cell in (*promised().values(), *threatened().values()) for name in re.findall(r"`([^`]+)`", cell)}


def functions_of(path: Path) -> set[str]:
    """Names of the test functions of a module, which is read and not imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_promise_of_the_protocol_has_its_row() -> None:
    promises = re.findall(r"^(\d+)\. \*\*(.+?)\.\*\*", section(PROTOCOL, "The promises"), re.MULTILINE)
    assert len(promises) == 8
    assert list(promised()) == [f"{number}. {words}" for number, words in promises]


def test_every_threat_of_the_protocol_has_its_row_in_the_same_words() -> None:
    assert list(threatened()) == list(rows(section(PROTOCOL, "Threats")))


def test_every_row_names_a_test() -> None:
    without = [words for words, cell in {**promised(), **threatened()}.items() if "::test_" not in cell]
    assert not without


def test_a_promise_is_attacked_by_a_test_of_its_number() -> None:
    for row, cell in promised().items():
        number = row.split(".")[0]
        names = re.findall(r"::test_promises?_([\d_and]+?)_(?!and|\d)", cell)
        assert any(number in re.findall(r"\d+", name) for name in names), row


def test_every_named_test_exists() -> None:
    missing = []
    for name in sorted(all_named()):
        path, _, function = name.partition("::")
        file = ROOT / path
        if not file.is_file() or function not in functions_of(file):
            missing.append(name)
    assert not missing


def test_every_test_named_after_a_promise_or_threat_is_in_the_table() -> None:
    written = {
        f"{path.relative_to(ROOT).as_posix()}::{name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in functions_of(path)
        if NAMED_AFTER_AN_ATTACK.match(name)
    }
    assert len(written) > 40
    assert written - all_named() == set()


def test_the_short_form_leads_to_the_long_one() -> None:
    assert "](docs/security.md)" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
