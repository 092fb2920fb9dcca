"""The built page: made from the one source, recorded, small, and the same as what is served."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import build_web
import export_web
import pytest
import requests

from llamafund_chain.web.server import place, serving, site

ROOT = Path(__file__).resolve().parents[2]
WORDS = ROOT / "web" / "src" / "words"
FIRST_LOAD = 110_000
"""Bytes, gzipped, of everything that the first screen needs."""


def test_what_the_page_knows_of_contracts_and_rules_is_the_packages() -> None:
    assert export_web.outdated() == {}, "run `python scripts/export_web.py`, then `make web`"


def test_the_built_files_are_those_that_were_recorded() -> None:
    recorded = json.loads(build_web.RECORD.read_text(encoding="utf-8"))
    assert recorded == build_web.described(), "run `make web`"


@pytest.mark.skipif(
    not (ROOT / "web" / "node_modules" / "vite").exists() and os.environ.get("CI") != "true",
    reason="web/node_modules is not installed",
)
def test_the_sources_give_the_recorded_bytes_in_another_folder(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "web" / "node_modules").symlink_to((ROOT / "web" / "node_modules").resolve())
    look = Path("llamafund_chain") / "audit" / "report"
    shutil.copytree(ROOT / look, tmp_path / look)
    subprocess.run(
        ["node", "node_modules/vite/bin/vite.js", "build", "--logLevel", "error"],
        cwd=tmp_path / "web",
        check=True,
        timeout=300,
    )
    built = build_web.described(tmp_path / "llamafund_chain" / "web" / "site")
    assert built == json.loads(build_web.RECORD.read_text(encoding="utf-8")), "run `make web`"


def test_the_first_load_is_small() -> None:
    html = site()["/index.html"].decode()
    named = re.findall(r'(?:src|href)="\.(/assets/[^"]+)"', html)
    assert len(named) >= 2
    # In German, its words come on top.
    named += [path for path in site() if re.match(r"/assets/de-", path)]
    assert sum(len(gzip.compress(site()[path], 9)) for path in ("/index.html", *named)) <= FIRST_LOAD


def test_german_says_all_that_english_says_with_the_same_values() -> None:
    english, german = (json.loads((WORDS / f"{name}.json").read_text(encoding="utf-8")) for name in ("en", "de"))
    assert list(english) == sorted(english) == list(german)
    for key, text in english.items():
        places = re.compile(r"\{\w+\}")
        assert sorted(places.findall(text)) == sorted(places.findall(german[key])), key
        assert german[key].strip(), key


def test_the_server_sends_its_headers_and_serves_nobody_elses_name() -> None:
    with serving(0, first=place(31337, "0x" + "ab" * 20, "http://127.0.0.1:1/?key=secret")) as url:
        page = requests.get(url, timeout=60)
        assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert "require-trusted-types-for 'script'" in page.text
        opened = requests.get(f"{url}open", timeout=60, allow_redirects=False)
        assert opened.headers["Location"].startswith("/#/31337/0xabab")
        assert requests.get(f"{url}../pyproject.toml", timeout=60).status_code == 404
        assert requests.get(f"{url}ipfs/bafy", timeout=60).status_code == 404
        foreign = requests.get(url, headers={"Host": "evil.example:80"}, timeout=60)
        assert foreign.status_code == 403
