"""The lines in the documents that somebody could type or paste, and where each of them is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNNABLE = {"bash", "console", "json", "python", "sh", "toml", "yaml"}
STORY = ("## One campaign, from all sides", "## What else there is for you")
"""The headings of the README between which the campaign is."""
HOW_TO = ("backer", "researcher", "attestor", "auditor")
"""Pages of docs/how-to, in the order in which their lines run after the README's campaign."""

ELSEWHERE = {
    (
        "README.md",
        "$ make demo",
    ): "tests/e2e/test_demo.py runs the demo; the other one runs these tests",
    ("CONTRIBUTING.md", "$ make setup"): "make runs the tests, not the tests make; .ci/run is `make test`",
    ("docs/deploying.md", ""): "tests/scripts/test_deploying.py, on a fresh chain",
    ("docs/extending.md", ""): "tests/docs/test_extending.py",
    ("docs/facts.md", "$ llamafund audit CAMPAIGN"): "tests/llamafund_chain/cli/test_facts.py, with every kind of base",
    ("docs/how-to/arbiter.md", ""): "tests/llamafund_chain/cli/test_contest.py; the audit: tests/e2e/test_readme.py",
    ("docs/how-to/attestor.md", "$ llamafund attest $CAMPAIGN --attestation proposed.json --signature"): (
        "a wallet outside signs: tests/llamafund_chain/cli/test_attest.py stands in for one"
    ),
    ("docs/how-to/auditor.md", "$ llamafund audit diff"): (
        "a report of another day: tests/llamafund_chain/cli/test_audit_reports.py"
    ),
    ("docs/installing.md", "$ pip install llamafund"): "tests/packaging/test_installed.py installs the wheel",
    ("docs/schemas/README.md", '{"files": 1204'): "part of a manifest: tests/llamafund_chain/evidence",
    ("docs/security.md", "$ llamafund verify-deployment"): "a node of your own: tests/llamafund_chain/cli",
    ("docs/security.md", "$ make contracts"): "the compiler: tests/scripts/test_export_artifacts.py and test_verify.py",
    ("docs/security.md", "$ python scripts/verify.py"): "services on the internet: tests/scripts/test_verify.py",
    ("docs/python.md", "import time"): "tests/llamafund_chain/campaign/test_review_in_python.py",
    (
        "trainer/README.md",
        "from llamafund_trainer import",
    ): "tests/trainer/record/test_examples.py runs the whole files",
    (
        "trainer/README.md",
        "$ hf download",
    ): "Hugging Face: tests/trainer/worker/test_fine_tuning.py makes a base itself",
    ("trainer/README.md", "model:\n  base:"): "tests/trainer/test_recipe.py",
    ("docs/verification.md", "environment:"): "tests/trainer/record/test_environment.py",
    ("examples/ape/README.md", "$ pip install eth-ape"): "tests/llamafund_chain/examples/test_ape.py",
    ("examples/attestor_service/README.md", "$ mkdir"): "tests/llamafund_chain/examples/test_attestor_service.py",
    ("examples/audit_notebook/README.md", "$ export"): "tests/llamafund_chain/examples/test_audit_notebook.py",
    ("examples/safe/README.md", "$ llamafund"): "tests/llamafund_chain/examples/test_safe.py",
    ("docs/cli.md", "network = "): "tests/docs/test_cli.py",
}
"""What does not run behind the campaign, by page and beginning (all of it: empty), with what runs it instead."""


@dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
        page: Its page, relative to the repository.
        language: What stands behind the fence; empty for drawings and formulas.
        text: The lines.
    """

    page: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Commands as they are typed, each with the lines that continue it."""
        assert all(line.startswith(("$ ", "    ")) for line in self.text.splitlines()), self
        return re.sub(r"^\$ ", "\0", self.text, flags=re.MULTILINE).split("\0")[1:]


def pages() -> list[Path]:
    """The documents for people."""
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "trainer" / "README.md",
        *sorted(ROOT.glob("docs/**/*.md")),
        *sorted(ROOT.glob("examples/*/*.md")),
    ]


def snippets(path: Path) -> Iterator[Snippet]:
    """The fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Snippet(path.relative_to(ROOT).as_posix(), language, block)


def story() -> list[Snippet]:
    """The README's campaign."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = text[text.index(STORY[0]) : text.index(STORY[1])]
    return [one for one in snippets(ROOT / "README.md") if one.text in told]


def elsewhere(snippet: Snippet) -> tuple[str, str] | None:
    """The row of the table that a snippet belongs to."""
    return next((row for row in ELSEWHERE if row[0] == snippet.page and snippet.text.startswith(row[1])), None)


def how_to(page: str) -> list[str]:
    """The lines of a how-to that run, without those that the README's campaign has run."""
    told = {line for one in story() for line in one.lines}
    found = [one for one in snippets(ROOT / "docs" / "how-to" / f"{page}.md") if one.language == "console"]
    return [line for one in found if elsewhere(one) is None for line in one.lines if line not in told]


def promised_output() -> list[re.Pattern[str]]:
    """The lines that the tutorial says are printed, where … stands for anything."""
    shown = "".join(one.text for one in snippets(ROOT / "docs" / "tutorial.md") if one.language == "text")
    return [re.compile(r".*".join(map(re.escape, line.split("…")))) for line in shown.splitlines()]
