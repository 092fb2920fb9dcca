"""Lay out the pages of the documents' site in build/site/pages, for MkDocs or Zensical to build (`make site`).

    python scripts/site_pages.py           write build/site/pages
    python scripts/site_pages.py FOLDER    write them there

The documents keep the places that they have in the repository, so that their links hold, and each file that one of
them links to lies there too. Nothing of the site is written twice: the tutorial takes its lines from the README.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "site" / "pages"

_PAGES = ("*.md", "docs/**/*.md", "examples/*/*.md", "trainer/*.md")
_STORY = (re.compile(r"^## One campaign, from all sides\n", re.MULTILINE), re.compile(r"^## What else", re.MULTILINE))
"""Where the README's campaign begins and ends. On the site, the tutorial tells it."""
_TOLD = re.compile(r"^\[[^\]]+\]\(\.\./README\.md#([\w-]+)\)$", re.MULTILINE)
"""A line of the tutorial that is only a link to a part of the campaign, and stands for it."""
_LINK = re.compile(r"(!?)\[((?:[^\]\\]|\\.)*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def pages(root: Path = ROOT) -> list[Path]:
    """The documents that have a page, relative to the repository."""
    return sorted({path.relative_to(root) for pattern in _PAGES for path in root.glob(pattern)})


def write(target: Path, root: Path = ROOT) -> int:
    """Make a folder hold exactly the site's pages, and what they link to.

    Returns:
        The number of pages.
    """
    shutil.rmtree(target, ignore_errors=True)
    documents = pages(root)
    for page in documents:
        text = _text(page, root)
        place = target / page
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_without_folders(text, (root / page).parent), encoding="utf-8")
        for linked in _files(text, (root / page).parent):
            copy = target / linked.relative_to(root)
            if linked.suffix != ".md" and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(linked, copy)
    return len(documents)


def _text(page: Path, root: Path) -> str:
    """A document as the site shows it."""
    text = (root / page).read_text(encoding="utf-8")
    if page == Path("README.md"):
        begin, end = (mark.search(text) for mark in _STORY)
        assert begin is not None
        assert end is not None
        told = "\nRosa asks, Alice pays, Vera checks: [the tutorial](docs/tutorial.md) plays it on your machine.\n\n"
        return text[: begin.end()] + told + text[end.start() :]
    if page == Path("docs/tutorial.md"):
        readme = (root / "README.md").read_text(encoding="utf-8")
        return _TOLD.sub(lambda match: _part(readme, match[1]), text)
    return text


def _part(readme: str, anchor: str) -> str:
    """What stands under a heading of the README, with links as they are from docs/."""
    for heading, text in re.findall(r"^#+ (.+)\n((?:(?!#+ ).*\n)*)", readme, re.MULTILINE):
        if re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") == anchor:
            return str(text).strip().replace("](docs/", "](")
    raise LookupError(f"the README has no heading #{anchor}, which docs/tutorial.md links to")


def _files(text: str, folder: Path) -> Iterator[Path]:
    """Files of the repository that a document links to."""
    for _, _, link, _ in _LINK.findall(text):
        if link and ":" not in link and (folder / link).is_file():
            # Not `resolve`: a link in the file system keeps its own place.
            yield Path(*_normal((folder / link).parts))


def _normal(parts: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for part in parts:
        if part == "..":
            found.pop()
        else:
            found.append(part)
    return found


def _without_folders(text: str, folder: Path) -> str:
    """A document whose links to folders are only their words: a site lists no folder."""

    def word(match: re.Match[str]) -> str:
        link = match[3]
        return match[2] if link and ":" not in link and (folder / link).is_dir() else match[0]

    return _LINK.sub(word, text)


def main() -> int:
    """Write the pages."""
    parser = argparse.ArgumentParser(description="Lay out the pages of the documents' site.")
    parser.add_argument("folder", nargs="?", type=Path, default=TARGET)
    target = parser.parse_args().folder
    print(f"{write(target)} pages in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
