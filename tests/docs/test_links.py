"""Every relative link in the documents leads to a file that is there, and to a heading that is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md", "trainer/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return re.sub(r"^(```|~~~).*?^\1", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?)\s*$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Relative links of a document that lead nowhere."""
    broken = []
    for link in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_the_documents_are_found() -> None:
    wanted = {"README.md", "CONTRIBUTING.md", "docs/protocol.md", "docs/decisions/README.md", "trainer/README.md"}
    assert wanted <= set(DOCUMENTS)
    assert any(document.startswith(".github/") for document in DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_lead_somewhere(document: str) -> None:
    assert broken_links(ROOT / document) == []


def test_links_to_missing_files_and_headings_are_noticed(tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("# A heading, *here*\n\n```\n# No heading\n[no](link.md)\n```\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[a](other.md) [b](other.md#a-heading-here) [c](#page) [d](https://example.org/x) [e\nf](gone.md)\n"
        "[g](other.md#no-heading) [h](#gone)\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "other.md#no-heading", "#gone"]
    assert broken_links(other) == []
