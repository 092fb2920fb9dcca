"""Command groups that load a command when it is called, and the commands of other packages.

Other packages add commands through the entry point group `llamafund.commands`. A package may name the short helps of
its commands in a dictionary `SHORT_HELPS`, so that `--help` does not have to load them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from llamafund_chain.cli.interruption import begins
from llamafund_chain.cli.output import named
from llamafund_chain.cli.plug_ins import PlugIn, plug_ins
from llamafund_chain.cli.table import Entry, Section, by_role
from llamafund_chain.errors import LlamafundError
from llamafund_chain.text import closest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETION_VARIABLE = "_LLAMAFUND_COMPLETE"
"""Set by a shell that wants words completed."""

_NO_LIMIT = 10_000
"""Characters. click would cut a short help; we let it wrap."""


class LazyGroup(click.Group):
    """A group that knows its commands from a table and imports one when it is called. Bare, it prints its help.

    Args:
        table: The commands by name.
        attributes: Arguments of `click.Group`.
    """

    def __init__(self, *, table: Mapping[str, Entry | Section], **attributes: Any) -> None:
        super().__init__(**{"callback": show_help, "invoke_without_command": True, **attributes})
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        found = self.table.get(cmd_name)
        if found is None:
            return None
        if isinstance(found, Section):
            return LazyGroup(name=cmd_name, help=found.short_help, table=found.commands)
        module, _, attribute = found.place.partition(":")
        return _as_command(cmd_name, getattr(import_module(module), attribute))

    def summary(self, ctx: click.Context, name: str) -> str:
        """The short help of a command, for `--help`."""
        if name in self.table:
            return self.table[name].short_help
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(_NO_LIMIT)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(ctx, name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command without loading any."""
        from click.shell_completion import CompletionItem

        begun = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete) if incomplete.startswith("-") else []
        return [*(CompletionItem(name, help=self.summary(ctx, name)) for name in begun), *options]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not (ctx.resilient_parsing or name.startswith("-")) and self.get_command(ctx, name) is None:
            inside = [
                f"{group} {name}"
                for group, section in self.table.items()
                if isinstance(section, Section) and name in section.commands
            ]
            near = closest(name, self.list_commands(ctx))
            similar = inside or ([near] if near else [])
            hint = f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        _, command, _ = resolved = super().resolve_command(ctx, args)
        if command is not None and any("--json" in parameter.opts for parameter in command.params):
            named(ctx, name)
        if command is not None and (isinstance(command, CommandWithMore) or not isinstance(command, click.Group)):
            begins(ctx, command)
            # Imported here: `--help` needs no settings.
            from llamafund_chain.cli.settings import Defaults

            ctx.default_map = {name: cast("Any", Defaults())}
        return resolved


class CommandWithMore(LazyGroup):
    """A command that has further commands below its own name: `audit ADDRESS`, and `audit diff OLD NEW`.

    The first word decides: the name of one of them, or else the command's own words, as if there were no others.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in self.table:
            ctx.params = dict.fromkeys(parameter.name for parameter in self.params if parameter.name)
            ctx._protected_args, ctx.args = args[:1], args[1:]
            return ctx.args
        return click.Command.parse_args(self, ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        # A command below asks for the words before its own name; of these, this command's own are none.
        return super().get_params(ctx) if ctx.command is self else []

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if not (args and args[0] in self.table):
            extra = {"allow_interspersed_args": True, "allow_extra_args": False, **extra}
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx._protected_args:
            return click.Command.invoke(self, ctx)
        with ctx:
            name, command, rest = self.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
            ctx._protected_args, ctx.args = [], []
            ctx.invoked_subcommand = name
            if command is None:
                raise click.UsageError(f"No such command {name!r}.", ctx)
            below = command.make_context(name, rest, parent=ctx)
            with below:
                return below.command.invoke(below)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return click.Command.collect_usage_pieces(self, ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Further commands"):
            formatter.write_dl([(f"{ctx.info_name} {name}", self.summary(ctx, name)) for name in self.table])


class PlugInGroup(LazyGroup):
    """A group to which other packages may add commands. They cannot replace those in the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *plug_ins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        plug_in = plug_ins().get(cmd_name)
        if plug_in is None:
            return None
        try:
            return _as_command(cmd_name, plug_in.load())
        except ImportError as error:
            return _unavailable(cmd_name, plug_in, error)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for role, names in by_role(self.list_commands(ctx)).items():
            with formatter.section(role):
                formatter.write_dl([(name, self.summary(ctx, name)) for name in names])

    def summary(self, ctx: click.Context, name: str) -> str:
        told = None if name in self.table else _told_short_help(plug_ins()[name])
        return super().summary(ctx, name) if told is None else told


@click.pass_context
def show_help(context: click.Context) -> None:
    """Print a group's help if no command was named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _told_short_help(plug_in: PlugIn) -> str | None:
    """The short help that a plug-in's package names; `None` if only the command itself has one."""
    package = plug_in.module.rpartition(".")[0]
    if not package:
        return None
    try:
        helps = getattr(import_module(package), "SHORT_HELPS", {})
    except ImportError:
        return None
    told = helps.get(plug_in.name) if isinstance(helps, Mapping) else None
    return None if told is None else str(told)


def _as_command(name: str, loaded: object) -> click.Command:
    if not isinstance(loaded, click.Command):
        raise LlamafundError(f"The command {name} is a {type(loaded).__name__}", "It must be a click command")
    return loaded


def _unavailable(name: str, entry: PlugIn, error: ImportError) -> click.Command:
    """A command that just says why it cannot run."""

    def explain() -> None:
        raise LlamafundError(
            f"The command {name} cannot be loaded from {entry.value}",
            str(error),
            "Install what it needs, for example: pip install 'llamafund[trainer]'",
        )

    return click.Command(
        name,
        callback=explain,
        help="Not available: it needs a package that is not installed.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
