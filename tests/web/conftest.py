"""A real browser, the built page as `llamafund web` serves it, and campaigns on a real chain."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from llamafund_chain.web.server import serving

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60_000
"""Milliseconds that a condition may take on a busy machine."""

_INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
_PACKED = (
    'import c from "@sparticuz/chromium"; console.log(JSON.stringify({path: await c.executablePath(), args: c.args}))'
)


def _fixtures_of_the_package() -> ModuleType:
    """The fixtures of tests/llamafund_chain, which pytest offers only below that folder."""
    path = ROOT / "tests" / "llamafund_chain" / "conftest.py"
    spec = importlib.util.spec_from_file_location("llamafund_fixtures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_shared = _fixtures_of_the_package()
Stage = _shared.Stage
hand_made = _shared.hand_made
stage = _shared.stage


def find_browser() -> tuple[str, list[str]]:
    """A browser that is there, else the one of node_modules: its path and its arguments."""
    for name in _INSTALLED:
        found = shutil.which(name)
        if found:
            return found, ["--no-sandbox"]
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", _PACKED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    packed = json.loads(ran.stdout)
    # In one process the browser ends with its first window, and a page's rules should hold as at home.
    left_out = ("--single-process", "--disable-web-security")
    return packed["path"], [one for one in packed["args"] if one not in left_out]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file. Where none can be had, they are skipped; on CI they fail."""
    try:
        path, arguments = find_browser()
        driver = sync_playwright().start()
    except (OSError, subprocess.CalledProcessError, ValueError, Error) as error:
        _without_a_browser(error)
    try:
        opened = driver.chromium.launch(executable_path=path, args=arguments)
    except Error as error:
        driver.stop()
        _without_a_browser(error)
    yield opened
    opened.close()
    driver.stop()


def _without_a_browser(error: Exception) -> None:
    reason = f"no browser: {getattr(error, 'stderr', None) or error}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Window:
    """A window with the page in it.

    Attributes:
        page: Playwright's page.
        errors: What the page's console called an error.
        requests: Addresses that it asked.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def has(self, text: str) -> None:
        """Wait until the text is on the page."""
        self.page.get_by_text(text).first.wait_for(timeout=PATIENCE)


@dataclass
class Site:
    """The page, served, and a chain's node.

    Attributes:
        url: Where it is.
        rpc: The node that links name; may be changed.
        chain_id: EIP-155 number.
        browser: Opens windows.
        contexts: Those that are open; closed in the end.
    """

    url: str
    rpc: str
    chain_id: int
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)

    def link(self, path: str = "", **options: str) -> str:
        """A link to a view: `""` for the first screen, else as after `#/`."""
        query = urlencode({"rpc": self.rpc, "gateway": self.url.rstrip("/"), **options})
        return f"{self.url}#/{path}?{query}"

    def campaign(self, address: str, view: str = "", **options: str) -> str:
        """A link to a campaign, or to one of its views."""
        return self.link("/".join(filter(None, (str(self.chain_id), address, view))), **options)

    def window(self, before: Callable[[BrowserContext], None] | None = None, **settings: Any) -> Window:
        """A new window in a profile of its own.

        Args:
            before: Changes the profile before there is a page in it, for example to add a wallet.
            settings: As Playwright's `new_context`; for example `locale`, `viewport`, `color_scheme`.
        """
        context = self.browser.new_context(**{"locale": "en-US", "timezone_id": "UTC", **settings})
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        if before is not None:
            before(context)
        window = Window(context.new_page())
        window.page.on("console", lambda said: window.errors.append(said.text) if said.type == "error" else None)
        window.page.on("pageerror", lambda error: window.errors.append(str(error)))
        window.page.on("request", lambda request: window.requests.append(request.url))
        return window

    def open(self, link: str, **settings: Any) -> Window:
        """A new window that shows a link."""
        window = self.window(**settings)
        window.page.goto(link)
        return window


@pytest.fixture
def site(stage: Any, browser: Browser) -> Iterator[Site]:
    """The built page beside the stage's chain, with the stage's store as its gateway."""
    with serving(0, stage.run.store) as url:
        connection = stage.devnet.connection
        shown = Site(url, stage.devnet.rpc_url, connection.chain_id, browser)
        yield shown
        for context in shown.contexts:
            # What is still on its way has nobody to tell any more.
            context.unroute_all(behavior="ignoreErrors")
            for page in context.pages:
                page.unroute_all(behavior="ignoreErrors")
            context.close()
