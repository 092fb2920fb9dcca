"""Trees of real sizes, and what others make of the same bytes: Kubo's vectors, `sha256sum`, standards' validators."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, parse

from assurance.harness import ROOT, BrokenToolError, Result

SHORT = (
    "tests/llamafund_chain/evidence/test_hashing_interoperability.py",
    "tests/llamafund_chain/evidence/test_exports.py",
)
TESTS = ("tests/llamafund_chain/evidence/test_large_trees.py", *SHORT)


def run(short: bool) -> Iterator[Result]:
    """Run the tests, the long ones too unless `short`, and report each.

    Raises:
        BrokenToolError: pytest ended without a report.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        environment = {name: value for name, value in os.environ.items() if name != "LLAMAFUND_ASSURE"}
        if not short:
            environment["LLAMAFUND_ASSURE"] = "1"
        command = (sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", *(SHORT if short else TESTS))
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if not report.exists():
            raise BrokenToolError(f"pytest ended without a report: {(ended.stdout + ended.stderr)[-2000:]}")
        cases = list(parse(report).iter("testcase"))  # noqa: S314 - pytest wrote it just now
    for case in cases:
        if case.find("skipped") is None:
            yield _result(case)


def _result(case: Element) -> Result:
    failed = next((found for tag in ("failure", "error") if (found := case.find(tag)) is not None), None)
    detail = "" if failed is None else (failed.text or "no message")[-4000:]
    return Result(case.get("name", "").removeprefix("test_").replace("_", " "), 1, "run", failed is None, detail)
