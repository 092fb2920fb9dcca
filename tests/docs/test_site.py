"""The documents as a site: built strictly by MkDocs and by Zensical, whole, and asking nothing of anybody."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
import site_pages
import snippets
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv" / "docs" / "bin"
BUILDERS = ("mkdocs", "zensical")
LOADED = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
VISITED = ("index.html", "404.html", "docs/concepts.html", "docs/reference/checks.html", "docs/schemas/index.html")
"""One page of each kind: all of them have the same frame, and each file is read by the test of what pages load."""
FETCHING = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


class Page(HTMLParser):
    """What a built page loads, what it links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag in LOADED and given.get(LOADED[tag]):
            self.loaded.append(given[LOADED[tag]])
        if tag == "link" and FETCHING & set(given.get("rel", "").split()):
            self.loaded.append(given["href"])
        if "srcset" in given:
            self.loaded += [part.split()[0] for part in given["srcset"].split(",")]
        self.loaded += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


def settings() -> dict[str, object]:
    """`mkdocs.yml`, with its one tag for Python read as a word."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    loaded: dict[str, object] = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    return loaded


def listed(nav: object) -> list[str]:
    """The pages that the navigation names."""
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    assert not isinstance(inner, str)
    return [page for part in inner for page in listed(part)]  # type: ignore[union-attr]


@pytest.fixture(scope="module", params=BUILDERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    builder = TOOLS / request.param
    if not builder.is_file():
        reason = f"{request.param} is not installed: make {TOOLS.parent.relative_to(ROOT)}/.ready"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    project = tmp_path_factory.mktemp(request.param)
    shutil.copy(ROOT / "mkdocs.yml", project)
    site_pages.write(project / "build" / "site" / "pages")
    built = subprocess.run(
        [builder, "build", "--strict"],
        cwd=project,
        env={**os.environ, "HOME": str(project), "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, (built.stdout + built.stderr)[-6000:]
    return project / "build" / "site" / "html"


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_a_page_of_the_site_is_there_for_every_document_and_none_is_hard_to_find(site: Path) -> None:
    built = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    documents = [page.as_posix() for page in site_pages.pages()]
    assert {
        re.sub(r"(README)?\.md$", lambda one: "index.html" if one[1] else ".html", page) for page in documents
    } <= built
    apart = [page for page in documents if page.startswith("docs/decisions/0")]
    assert sorted(listed(settings()["nav"])) == sorted(set(documents) - set(apart))


def test_the_campaign_is_told_once_by_the_tutorial_with_the_readmes_lines(tmp_path: Path) -> None:
    site_pages.write(tmp_path)
    laid_out = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.md")
    }
    for block in snippets.story():
        assert block.text in laid_out["docs/tutorial.md"]
    assert [page for page, text in laid_out.items() if "\n$ llamafund replay $CHECKPOINT" in text] == [
        "docs/tutorial.md"
    ]
    assert "../README.md#" not in laid_out["docs/tutorial.md"]


def test_every_link_and_anchor_of_the_built_pages_leads_somewhere(site: Path) -> None:
    found = pages(site)
    broken = []
    for path, page in found.items():
        for link in page.links:
            split = urlsplit(link)
            if split.scheme or link.startswith("/") or path.name == "404.html":
                continue
            target = Path(os.path.normpath(path.parent / unquote(split.path))) if split.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (target in found and unquote(split.fragment) not in found[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for path, page in pages(site).items():
        for address in page.loaded:
            split = urlsplit(address)
            assert split.scheme in ("", "data"), f"{path}: {address}"
            assert not split.netloc, f"{path}: {address}"
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]*", text), sheet


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The address of the site on a server of its own."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_no_request_leaves_a_page_in_a_browser_and_the_search_finds_and_the_words_of_drawings_fit(
    site: Path, served: str
) -> None:
    script = ROOT / "tests" / "browser" / "visit.mjs"
    drawings = (path.relative_to(site).as_posix() for path in sorted((site / "docs" / "pictures").glob("*.svg")))
    ran = subprocess.run(
        ["node", str(script), served, *VISITED, *drawings], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    if told["browser"] is None:
        reason = f"no browser here: {told['why']}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    assert told["asked"] > len(VISITED)
    assert told["outside"] == []
    assert told["errors"] == []
