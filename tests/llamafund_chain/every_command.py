"""Every command of the program, and words that it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from llamafund_chain.cli import main

RUN_UNTIL_STOPPED = frozenset({"devnet", "demo", "web"})
"""Commands that no test runs in its own process with any words: they have no end of their own, or take minutes."""


def walk(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(command, info_name=name, parent=parent)
    yield context.command_path, command
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from walk(found, child, context)


def every_command() -> list[tuple[str, click.Command]]:
    """Each command and group, by its path."""
    return list(walk(main.cli, "llamafund", None))


def only_groups(command: click.Command) -> bool:
    """Whether it is a group that is no command itself, as `audit` is."""
    return isinstance(command, click.Group) and not any("--json" in one.opts for one in command.params)


def needed_words(parameter: click.Parameter) -> list[str]:
    """Something that a required parameter takes."""
    kinds = {"address": "0x" + "11" * 20, "hash": "ab" * 32, "directory": "/", "file": os.devnull}
    if not parameter.required:
        return []
    value = kinds.get(parameter.type.name, "word")
    if isinstance(parameter.type, click.Choice):
        value = str(next(iter(parameter.type.choices)))
    return [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
