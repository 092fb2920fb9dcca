"""Tests of pytest whose long versions take minutes: which of them to run, and what each shows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, parse

from assurance.harness import ROOT, BrokenToolError, Result


def run_tests(tests: Sequence[str], short: bool) -> Iterator[Result]:
    """Run tests, the long ones too unless `short`, and report each.

    Args:
        tests: Their files, relative to the checkout.
        short: Whether to skip those that take minutes.

    Raises:
        BrokenToolError: pytest ended without a report.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        environment = {name: value for name, value in os.environ.items() if name != "LLAMAFUND_ASSURE"}
        if not short:
            environment["LLAMAFUND_ASSURE"] = "1"
        command = (sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", *tests)
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
