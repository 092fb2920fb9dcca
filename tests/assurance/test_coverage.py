"""How forge's coverage report is read."""

import pytest

from assurance.coverage import excuse, read_lcov
from assurance.harness import BrokenToolError

REPORT = "SF:contracts/A.sol\nFN:1,A.f\nFNDA:{f},A.f\nDA:2,{l}\nDA:3,4\nBRDA:3,0,0,{b}\nBRDA:3,0,1,1\nend_of_record\n"


def test_what_ran_is_counted():
    counts = read_lcov(REPORT.format(f=1, l=1, b=1))
    assert {unit: (count.total, count.missed) for unit, count in counts.items()} == {
        "lines": (2, []),
        "branches": (2, []),
        "functions": (1, []),
    }


@pytest.mark.parametrize("never", ["0", "-"])
def test_what_never_ran_is_named(never):
    counts = read_lcov(REPORT.format(f=0, l=0, b=never))
    assert counts["lines"].missed == ["contracts/A.sol:2"]
    assert counts["branches"].missed == ["contracts/A.sol:3"]
    assert counts["functions"].missed == ["contracts/A.sol:A.f"]


@pytest.mark.parametrize("text", ["", "no lcov", "SF:a\nDA:1,many\n"])
def test_a_report_that_counts_nothing_is_broken(text):
    with pytest.raises(BrokenToolError):
        read_lcov(text)


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "a.sol").write_text("if (a) {\n  b;\n}\n")
    (tmp_path / "exceptions.toml").write_text('[[exception]]\nsource = "a.sol"\nbranch = "if (a) {"\nruns = "b;"\n')
    return tmp_path


def _excused(checkout, inside, branch):
    counts = read_lcov(f"SF:a.sol\nFNDA:1,f\nDA:2,{inside}\nBRDA:1,0,0,{branch}\n")
    return excuse(counts, checkout / "exceptions.toml", checkout)["branches"]


def test_a_branch_of_which_forge_lost_sight_is_excused_only_where_its_inside_ran(checkout):
    assert _excused(checkout, inside=1, branch=0) == []
    assert _excused(checkout, inside=0, branch=0) == ["a.sol:1"]


def test_an_excuse_that_is_not_needed_is_an_error(checkout):
    with pytest.raises(BrokenToolError, match="drop it"):
        _excused(checkout, inside=1, branch=1)
