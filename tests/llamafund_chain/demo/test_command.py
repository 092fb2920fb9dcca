"""`llamafund demo`: what it refuses before anything is started. The story itself is played in tests/e2e."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import pytest

from llamafund_chain.cli.main import run
from llamafund_chain.demo import command
from llamafund_chain.demo.facts import DemoFacts
from llamafund_chain.errors import ExitCode


def test_a_folder_that_no_demo_wrote_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    code = run(["demo", "--out", str(tmp_path)])

    captured = capsys.readouterr()
    assert code == ExitCode.USAGE
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_missing_recipe_is_refused_before_an_older_demo_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from llamafund_chain.demo.folder import prepare

    older = prepare(tmp_path / "out")
    older.facts.write_text("{}")

    code = run(["demo", "--out", str(tmp_path / "out"), "--recipe", str(tmp_path / "none.yaml")])

    assert code == ExitCode.USAGE
    assert "There is no recipe" in capsys.readouterr().err
    assert older.facts.is_file()


def test_json_is_the_facts_and_the_story_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(out: Path, recipe: Path, promise: Decimal, stream: TextIO, *, keep: bool) -> DemoFacts:
        stream.write("Once upon a time.\n")
        return DemoFacts(started_at=1, folder=str(out), held=True)

    monkeypatch.setattr(command, "tell", tell)
    assert run(["demo", "--out", str(tmp_path / "out"), "--json"]) == ExitCode.OK
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["schema"], document["command"]) == ("llamafund/cli/1", "demo")
    assert DemoFacts.model_validate(document["facts"]).held
    assert printed.err == "Once upon a time.\n"
    assert run(["demo", "--out", str(tmp_path / "out")]) == ExitCode.OK
    assert capsys.readouterr().out == "Once upon a time.\n"


@pytest.mark.parametrize("promise", ["0", "-1", "NaN", "inf", "1e3", "2.1234567", "two", ""])
def test_a_promise_that_is_no_number_of_bits_is_refused(
    tmp_path: Path, promise: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["demo", "--out", str(tmp_path / "out"), f"--promise={promise}"])

    assert code == ExitCode.USAGE
    assert "is not a number of bits per byte" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_promise_that_counting_letters_keeps_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["demo", "--out", str(tmp_path / "out"), "--promise=4.7"])

    assert code == ExitCode.USAGE
    assert "Counting letters already does 4.649673" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_anvil_the_demo_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMAFUND_ANVIL", str(tmp_path / "no-anvil"))

    code = run(["demo", "--out", str(tmp_path / "out")])

    captured = capsys.readouterr()
    assert code == ExitCode.USAGE
    assert "LLAMAFUND_ANVIL" in captured.err
    assert "Traceback" not in captured.err
