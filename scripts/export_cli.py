"""Write docs/cli.md, the reference of all commands. It is made from the commands themselves.

    python scripts/export_cli.py           write docs/cli.md
    python scripts/export_cli.py --check   compare only; exit 1 when it is outdated

Run it after a change to a command, an option or a help text.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from llamafund_chain.cli.main import cli
from llamafund_chain.cli.settings import KEYS, NETWORK_KEYS
from llamafund_chain.cli.table import OTHERS, by_role
from llamafund_chain.errors import ExitCode
from llamafund_chain.files import write_file

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

_INTRODUCTION = """# Commands

Made from the commands by `python scripts/export_cli.py`; a test compares. `llamafund COMMAND --help` says the same.

Results go to standard output, everything else to standard error. `--json` prints one document
(schema `llamafund/cli/1`) with amounts as decimal strings. Options of the program itself stand before the command:
`llamafund -v audit …`.
"""

_EXAMPLE = """```toml
network = "base"
wallet = "alice"

[networks.base]
rpc = ["https://node.example", "http://127.0.0.1:8545"]

[networks.lab]
chain_id = 424242
rpc = "http://10.0.0.5:8545"
```

"""

_MEANINGS = {
    ExitCode.OK: "ok",
    ExitCode.ERROR: "error",
    ExitCode.USAGE: "the words, a file or a setting cannot be used",
    ExitCode.VERIFICATION_FAILED: "something is not what it claims to be",
    ExitCode.NODE_UNREACHABLE: "the node, or another server, does not answer or cannot",
    ExitCode.REVERTED: "the contract refused the transaction",
    ExitCode.NOT_FINAL: "a reorganisation could still undo what this needs",
    ExitCode.UNCHECKED: "something could not be checked, which says nothing about it",
    ExitCode.INTERRUPTED: "interrupted",
}


def build() -> str:
    """Return the reference's text."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    root = click.Context(cli, info_name="llamafund")
    yield _INTRODUCTION
    yield from _options(cli, root)
    yield "## Exit codes"
    yield ""
    yield "| code | meaning |"
    yield "|---|---|"
    yield from (f"| {code.value} | {meaning} |" for code, meaning in _MEANINGS.items())
    yield ""
    yield from _settings()
    for role, names in by_role(cli.list_commands(root)).items():
        if role == OTHERS:
            continue
        yield f"## {role}"
        yield ""
        for name in names:
            command = cli.get_command(root, name)
            assert command is not None
            yield from _command(command, click.Context(command, info_name=name, parent=root))


def _settings() -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "A typed option comes first, then the environment, then the project's `llamafund.toml`, then your own file"
    yield "(`llamafund config path`). A project's file"
    yield "[chooses no node and no key](decisions/0024-a-project-chooses-no-node.md)."
    yield ""
    yield from _EXAMPLE.splitlines()
    yield "| key | in a project's file | what it sets |"
    yield "|---|---|---|"
    for name, key in KEYS.items():
        yield f"| `{name}` | {'yes' if key.in_projects else 'no'} | {key.help} |"
    for name, key in NETWORK_KEYS.items():
        yield f"| `networks.NAME.{name}` | no | {key.help} |"
    yield ""


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"### {context.command_path}"
    yield ""
    # click reads \\b as: do not wrap what follows.
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    prose, _, example = text.partition("Example:\n")
    yield _escaped(prose.strip())
    yield ""
    usage = " ".join(command.collect_usage_pieces(context))
    yield "```console"
    yield f"$ {context.command_path} {usage}"
    yield "```"
    yield ""
    if example:
        yield "Example:"
        yield ""
        yield "```console"
        yield from (_as_typed(line) for line in inspect.cleandoc(example).splitlines())
        yield "```"
        yield ""
    yield from _options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, info_name=name, parent=context))


def _as_typed(line: str) -> str:
    return f"$ {line}" if line.startswith("llamafund") else line


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    rows = [(_cell(names), _escaped(_cell(meaning))) for names, meaning in filter(None, records)]
    if not rows:
        return
    yield "| option | meaning |"
    yield "|---|---|"
    yield from (f"| `{names}` | {meaning} |" for names, meaning in rows)
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Plain text that Markdown shows as it is."""
    return re.sub(r"([<>*_])", r"\\\1", text)


def main() -> int:
    """Write the reference, or compare."""
    parser = argparse.ArgumentParser(description="Write docs/cli.md, the reference of all commands.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when it is outdated")
    arguments = parser.parse_args()
    text = build()
    same = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text
    if arguments.check and not same:
        print(
            "docs/cli.md is outdated: a command changed. Run `python scripts/export_cli.py` and commit the result.",
            file=sys.stderr,
        )
        return 1
    if not same:
        write_file(TARGET, text.encode())
    print(f"docs/cli.md {'is as it was' if same else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
