"""Every line of the documents that somebody could type is run, or its reason stands in one table; all of it parses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import snippets

from llamafund_chain.cli.main import cli

WORDS = re.compile(r"`(llamafund [^`]+)`")


def parse(words: list[str]) -> None:
    """Let the command read its words as far as that needs no file and no chain.

    Raises:
        click.UsageError: There is no such command or option.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="llamafund")
    while isinstance(command, click.Group):
        rest = [word for word in words if not word.startswith("-")]
        inner = command.get_command(context, rest[0]) if rest else None
        if inner is None:
            if command is cli and rest:
                raise click.UsageError(f"there is no command {rest[0]}")
            break
        words = words[words.index(rest[0]) + 1 :]
        command, context = inner, click.Context(inner, info_name=rest[0], parent=context)
    command.make_parser(context).parse_args(list(words))


def commands(line: str) -> list[list[str]]:
    """The words behind each `llamafund` of a line, up to where the shell takes over."""
    plain = re.sub(r"\\\n", " ", line)
    plain = re.sub(r"[…]", "", plain)
    found = []
    for part in re.split(r"\bllamafund (?=[a-z-])", plain)[1:]:
        words = shlex.split(re.split(r"[|;&>)]|\s#", part.replace("|HASH", "").replace("|CID", ""))[0])
        found.append(words)
    return found


def test_every_snippet_is_run_or_has_its_reason_in_the_table() -> None:
    told = {one.text for one in snippets.story()}
    used = set()
    for page in snippets.pages():
        for one in snippets.snippets(page):
            row = snippets.elsewhere(one)
            used.add(row)
            generated = one.page == "docs/cli.md" and one.language == "console"
            how_to = Path(one.page).parent.name == "how-to" and Path(one.page).stem in snippets.HOW_TO
            if one.language in snippets.RUNNABLE and not (generated or how_to or one.text in told):
                assert row, f"{one.page}: say in tests/docs/snippets.py where this runs:\n{one.text}"
    assert used - {None} == snippets.ELSEWHERE.keys(), "rows that nothing needs"


def test_the_reasons_name_tests_that_are_there() -> None:
    for reason in snippets.ELSEWHERE.values():
        for path in re.findall(r"tests/[\w/.]+", reason):
            assert (snippets.ROOT / path).exists(), reason


def test_every_how_to_has_lines_that_run() -> None:
    assert {path.stem for path in (snippets.ROOT / "docs" / "how-to").glob("*.md")} >= set(snippets.HOW_TO)
    for page in snippets.HOW_TO:
        assert snippets.how_to(page), page


@pytest.mark.parametrize("page", [path.relative_to(snippets.ROOT).as_posix() for path in snippets.pages()])
def test_commands_and_options_in_snippets_and_in_prose_exist(page: str) -> None:
    text = (snippets.ROOT / page).read_text(encoding="utf-8")
    blocks = [
        line
        for one in snippets.snippets(snippets.ROOT / page)
        if one.language == "console"
        for line in one.text.split("\n$ ")
    ]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in (*blocks, *(" ".join(found.split()) for found in WORDS.findall(prose))):
        if "[OPTIONS]" in line:
            continue
        for words in commands(line):
            try:
                # In prose, an option may stand without its value.
                parse([*words, "value"] if not words[0].startswith("-") else words)
            except click.UsageError as error:
                pytest.fail(f"{line!r}: {error.format_message()}")


def test_a_command_or_an_option_that_is_not_there_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(["plegde", "0x00"])
    with pytest.raises(click.UsageError):
        parse(["pledge", "0x00", "1", "--wallets", "alice"])
    parse(["-v", "campaign", "show", "0x00"])
