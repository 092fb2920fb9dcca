"""docs/extending.md: its plug-in works as it stands, and every place that it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from llamafund_chain.checks.run import discover
from llamafund_chain.evidence.manifests import ProposalManifest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plug-in of the page, installed: what pip would make of it, without pip."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = tmp_path / "llamafund_plain_words-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    ((group, entries),) = project["entry-points"].items()
    lines = "".join(f"{name} = {place}\n" for name, place in entries.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("plain_words", None)


def test_the_check_of_the_page_is_found_and_its_test_passes(plug_in: Path) -> None:
    (check,) = (one for one in discover() if getattr(one, "__name__", "") == "summary_explains")
    assert "summary" in ProposalManifest.model_fields
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:pytest-brownie", plug_in],
        cwd=plug_in,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
    assert check.__doc__


def test_an_audit_runs_the_check_of_the_page(plug_in: Path, tmp_path: Path) -> None:
    """Without a chain: the runner that audits and attestors share is given a milestone that has only a proposal."""
    from types import SimpleNamespace

    from llamafund_chain.checks.check import CheckContext
    from llamafund_chain.checks.run import run_checks

    fields = dict.fromkeys(CheckContext.__dataclass_fields__)
    said = SimpleNamespace(summary="three words only")
    context = CheckContext(**{**fields, "proposal": said, "workdir": tmp_path, "progress": lambda _: None})
    found = {result.name: result for result in run_checks(context)}
    assert (found["summary-explains"].status, found["summary-explains"].data) == ("warn", {"words": 3})


def test_every_place_that_the_page_names_is_there() -> None:
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    text = " ".join(prose.split())
    paths = {name for name in re.findall(r"`([\w./-]+/[\w./-]*)`", text) if name != "llamafund/recipe/1"}
    assert len(paths) > 15
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []
    named = re.findall(r"`(\w+)`(?:[^`.]*?`(\w+)`,)? in `([\w./-]+\.\w+)`", text)
    assert len(named) > 10
    for one, other, path in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert all(name in source for name in (one, other) if name), (one, other, path)
