"""What slither finds in the contracts, and how its report is read."""

import pytest

from assurance import static_analysis
from assurance.harness import BrokenToolError
from assurance.static_analysis import Finding, compare, read_exceptions, severe_findings

CONTRACT = {"type": "contract", "name": "Campaign"}
ATTEST = {"type": "function", "name": "attest", "type_specific_fields": {"parent": CONTRACT}}


def _report(impact="Low"):
    found = {"check": "timestamp", "impact": impact, "elements": [ATTEST], "description": "uses\n\ttime"}
    return {"success": True, "error": None, "results": {"detectors": [found]}}


def test_slither_finds_nothing_that_is_not_explained():
    (result,) = static_analysis.run(short=True)
    assert result.holds, result.detail
    assert result.cases > 90


def test_findings_above_informational_count():
    assert severe_findings(_report("High")) == [Finding("timestamp", "Campaign.attest", "uses time")]
    assert severe_findings(_report("Informational")) == []


def test_a_finding_that_nobody_explained_is_wrong():
    (line,) = compare(severe_findings(_report()), {})
    assert "timestamp at Campaign.attest: uses time" in line


def test_an_explained_finding_is_not():
    assert compare(severe_findings(_report()), {("timestamp", "Campaign.attest"): "windows are days"}) == []


def test_an_exception_that_slither_no_longer_reports_is_wrong():
    (line,) = compare([], {("timestamp", "Campaign.attest"): "windows are days"})
    assert "drop it" in line


@pytest.mark.parametrize("report", [{}, {"success": False, "error": "no AST", "results": {}}, {"success": True}])
def test_a_report_of_failure_is_no_result(report):
    with pytest.raises(BrokenToolError, match="slither failed"):
        severe_findings(report)


def test_an_exception_needs_a_reason(tmp_path):
    path = tmp_path / "exceptions.toml"
    path.write_text('[[exception]]\ndetector = "timestamp"\nplaces = ["Campaign.attest"]\n')
    with pytest.raises(BrokenToolError, match="reason"):
        read_exceptions(path)


def test_an_exception_is_listed_once(tmp_path):
    path = tmp_path / "exceptions.toml"
    path.write_text(2 * '[[exception]]\ndetector = "timestamp"\nplaces = ["Campaign.attest"]\nreason = "days"\n')
    with pytest.raises(BrokenToolError, match="twice"):
        read_exceptions(path)
