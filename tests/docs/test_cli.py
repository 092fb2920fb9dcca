"""The reference of the commands is what the commands say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import export_cli
from every_command import every_command


def test_the_reference_is_made_from_the_commands_of_today() -> None:
    assert export_cli.TARGET.read_text(encoding="utf-8") == export_cli.build(), "run python scripts/export_cli.py"


def test_every_command_and_every_exit_code_has_its_place() -> None:
    text = export_cli.build()
    for path, _ in every_command():
        assert path == "llamafund" or f"### {path}\n" in text, path
    for code, meaning in export_cli._MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in text
    assert set(export_cli._MEANINGS) == set(type(next(iter(export_cli._MEANINGS))))


def test_the_settings_shown_as_an_example_are_taken(llamafund, tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "own.toml"
    (text,) = re.findall(r"```toml\n(.*?)```", export_cli.build(), re.DOTALL)
    file.write_text(text)
    monkeypatch.setenv("LLAMAFUND_CONFIG", str(file))
    found = llamafund("config", "show", "--json").json
    assert found["settings"]["network"]["value"] == "base"
    assert found["networks"]["lab"]["chain_id"] == 424242


def test_an_outdated_reference_is_told_and_written_anew(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(export_cli, "TARGET", tmp_path / "cli.md")
    monkeypatch.setattr(sys, "argv", ["export_cli.py", "--check"])
    assert export_cli.main() == 1
    assert "outdated" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["export_cli.py"])
    assert export_cli.main() == 0
    monkeypatch.setattr(sys, "argv", ["export_cli.py", "--check"])
    assert export_cli.main() == 0


def test_what_markdown_would_take_for_a_mark_is_shown() -> None:
    assert export_cli._escaped("a_b <c> *d*") == r"a\_b \<c\> \*d\*"
    assert export_cli._cell("one|two\n three") == r"one\|two three"


def test_options_of_a_command_are_in_its_table() -> None:
    text = export_cli.build()
    part = text[text.index("### llamafund pledge\n") : text.index("### llamafund unpledge\n")]
    for option in ("--rpc URL", "--network NAME", "--wallet NAME", "--yes"):
        assert f"| `{option}" in part
