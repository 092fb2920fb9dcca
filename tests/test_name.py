"""The name stands in one constant of each language: a copy with another one shows that wherever people read."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME, OTHER = "LlamaFund", "Camel & Co"
CONSTANTS = {
    "llamafund_chain/name.py": 'PROJECT = "LlamaFund"',
    "mkdocs.yml": "site_name: LlamaFund",
    "README.md": "# LlamaFund",
    "web/index.html": "<title>LlamaFund</title>",
}
"""Where the name is, by language: of the programs, of the site, of the first page, and of the page that pledges."""

SIGNED = {
    "llamafund_chain/campaign/attestation.py": "LlamaFund Campaign",
    "llamafund_chain/audit/recheck/signed.py": "LlamaFund Audit",
}
"""What signatures are made of: it never changes, whatever the project is called."""


def spoken(path: Path) -> list[str]:
    """The texts of a Python file that a user may read: everything quoted but the docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    } | {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def test_no_text_for_users_has_the_name_written_into_it() -> None:
    found: dict[str, list[str]] = {}
    for folder in ("llamafund_chain", "trainer/llamafund_trainer"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".py":
                texts = spoken(path)
            elif path.suffix in (".j2", ".css", ".yaml"):
                texts = path.read_text(encoding="utf-8").splitlines()
            else:
                continue
            named = [text for text in texts if NAME in text]
            if named:
                found[path.relative_to(ROOT).as_posix()] = named
    assert found == {"llamafund_chain/name.py": [NAME], **{file: [text] for file, text in SIGNED.items()}}


def test_the_page_takes_the_name_from_what_is_made_of_the_constant() -> None:
    constant = re.compile(r"^export const (PROJECT|DOMAIN_NAME) = .*\n", re.MULTILINE)
    web = ROOT / "web"
    sources = [path for path in sorted((web / "src").rglob("*")) if path.suffix in (".ts", ".tsx", ".json", ".css")]
    assert len(sources) > 30
    texts = {path.relative_to(web).as_posix(): path.read_text(encoding="utf-8") for path in sources}
    assert f'export const PROJECT = "{NAME}"' in texts["src/generated/constants.ts"]
    assert [name for name, text in texts.items() if NAME in constant.sub("", text)] == []


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with another name in each constant, and nowhere else."""
    copy = tmp_path_factory.mktemp("renamed")
    for folder in ("llamafund_chain", "trainer/llamafund_trainer"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in CONSTANTS.items():
        before = (ROOT / file).read_text(encoding="utf-8")
        assert before.count(f"{text}\n") == 1, file
        (copy / file).parent.mkdir(exist_ok=True)
        (copy / file).write_text(before.replace(text, text.replace(NAME, OTHER)), encoding="utf-8")
    return copy


def said(copy: Path, *command: str) -> str:
    """What a program of the copy prints."""
    path = os.pathsep.join(map(str, (copy, copy / "trainer", ROOT / "tests" / "llamafund_chain")))
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_help_reports_notices_and_the_documents_have_the_new_name(renamed: Path) -> None:
    assert f"{OTHER}: crowdfund an open AI model" in said(renamed, "-m", "llamafund_chain", "--help")
    page = said(renamed, "-c", "import report_examples as r, llamafund_chain as l; print(l.render_html(r.report()))")
    # What a browser shows: without the script, and the report as data.
    seen = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.search(r"<title>[^<]*Camel &amp; Co</title>", seen)
    assert "Camel &amp; Co audit" in seen
    assert NAME not in seen
    assert (renamed / "README.md").read_text(encoding="utf-8").startswith(f"# {OTHER}\n")


def test_what_is_signed_keeps_its_name(renamed: Path) -> None:
    code = "from llamafund_chain.campaign.attestation import DOMAIN_NAME; print(DOMAIN_NAME)"
    assert said(renamed, "-c", code) == "LlamaFund Campaign\n"
