"""The pictures of the documents: drawings that show what the code says and can be heard, and views of the page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import take_pictures

from llamafund_chain.campaign.terms import Status

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {SVG + tag for tag in ("svg", "title", "desc", "defs", "marker", "rect", "path", "g", "text")}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_drawing_is_only_lines_and_words_and_says_what_it_shows(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert {element.tag for element in root.iter()} <= DRAWN
    assert not re.search(r"(?:href|src|style|url\((?!#)|@import|<!)", text)
    for part in ("title", "desc"):
        assert (root.findtext(SVG + part) or "").strip()


def test_every_drawing_is_shown_with_words_for_whoever_cannot_see_it() -> None:
    shown = {}
    for page in DOCS.rglob("*.md"):
        for words, link in re.findall(r"!\[([^\]]*)\]\(([^)]+\.svg)\)", page.read_text(encoding="utf-8")):
            shown[(page.parent / link).resolve()] = words
    assert shown.keys() == {picture.resolve() for picture in PICTURES}
    assert all(len(words) > 20 for words in shown.values())


def test_every_view_of_the_page_is_kept_at_both_widths_in_light_and_dark() -> None:
    looked_at = {view for path in take_pictures.tests() for view in take_pictures.views(path)}
    assert {"start", "list", "campaign", "verify", "verify-files", "act-ready", "mine"} <= looked_at
    wanted = {
        f"web-{view}-{size}-{scheme}" for view in looked_at for size in (360, 1280) for scheme in ("light", "dark")
    }
    assert {path.stem for path in (DOCS / "pictures").glob("*.webp")} == wanted, "run `python scripts/take_pictures.py`"


def test_every_view_that_is_shown_has_words_for_whoever_cannot_see_it() -> None:
    for page in (DOCS.parent / "README.md", *DOCS.rglob("*.md")):
        for words, link in re.findall(r"!\[([^\]]*)\]\(([^)]+\.webp)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).resolve().is_file(), (page.name, link)
            assert len(words) > 10, (page.name, link)


def test_the_life_of_a_campaign_is_drawn_with_the_contracts_states() -> None:
    root = ElementTree.fromstring((DOCS / "pictures" / "life.svg").read_text(encoding="utf-8"))
    boxes = [group.findtext(f"{SVG}text") for group in root.iter(f"{SVG}g")]
    assert sorted(boxes, key=str) == sorted(status.name.capitalize() for status in Status)
