"""The pages of `docs/decisions`: one form, consecutive numbers, all of them in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
PAGES = sorted(path.name for path in FOLDER.glob("*.md") if path.name != "README.md")
MOST_LINES = 50


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_context_choice_and_consequence_and_is_short(page: str) -> None:
    text = (FOLDER / page).read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Consequence"]
    for section in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]:
        assert section.strip()
    assert len(text.splitlines()) <= MOST_LINES


def test_pages_are_numbered_without_a_gap() -> None:
    titles = [(FOLDER / page).read_text(encoding="utf-8").splitlines()[0] for page in PAGES]
    assert len(PAGES) >= 18
    for number, (page, title) in enumerate(zip(PAGES, titles, strict=True), start=1):
        assert page.startswith(f"{number:04}-")
        assert title.startswith(f"# {number}. ")


def test_the_index_lists_every_page_by_its_title() -> None:
    listed = re.findall(r"^\d+\. \[(.+)\]\((.+)\)$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    titles = [(FOLDER / page).read_text(encoding="utf-8").splitlines()[0] for page in PAGES]
    assert listed == [(title.partition(". ")[2], page) for title, page in zip(titles, PAGES, strict=True)]
