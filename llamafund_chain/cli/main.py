"""The `llamafund` program: finds commands, runs one, and turns every error into one line and an exit code.

Commands are loaded when they are named, so that `llamafund wallet list` imports neither a chain library nor a
machine-learning one. Other packages add commands through the entry point group `llamafund.commands`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import click

from llamafund_chain.errors import ExitCode, LlamafundError
from llamafund_chain.text import printable

ENTRY_POINT_GROUP = "llamafund.commands"

BUILT_IN: Mapping[str, str] = {
    "answer": "llamafund_chain.cli.answer:answer",
    "attest": "llamafund_chain.cli.attest:attest",
    "audit": "llamafund_chain.cli.audit:audit",
    "campaign": "llamafund_chain.cli.campaign:campaign",
    "challenge": "llamafund_chain.cli.challenge:challenge",
    "claim": "llamafund_chain.cli.claim:claim",
    "dataset": "llamafund_chain.cli.dataset:dataset",
    "devnet": "llamafund_chain.cli.devnet:devnet",
    "fetch": "llamafund_chain.cli.fetch:fetch",
    "manifest": "llamafund_chain.cli.manifest:manifest",
    "pledge": "llamafund_chain.cli.pledge:pledge",
    "publish": "llamafund_chain.cli.publish:publish",
    "refund": "llamafund_chain.cli.refund:refund",
    "return-bond": "llamafund_chain.cli.return_bond:return_bond",
    "store": "llamafund_chain.cli.store:store",
    "submit": "llamafund_chain.cli.submit:submit",
    "unpledge": "llamafund_chain.cli.unpledge:unpledge",
    "verify": "llamafund_chain.cli.verify:verify",
    "verify-deployment": "llamafund_chain.cli.verify_deployment:verify_deployment",
    "vote-stop": "llamafund_chain.cli.vote_stop:vote_stop",
    "wallet": "llamafund_chain.cli.wallet:wallet",
    "watch": "llamafund_chain.cli.watch:watch",
}
"""Where each command of this package is defined."""

_MESSAGE_LIMIT = 4000


class CommandGroup(click.Group):
    """A group whose commands are imported only when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted({*BUILT_IN, *_plug_ins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        place = BUILT_IN.get(cmd_name)
        if place is not None:
            module, _, attribute = place.partition(":")
            return _as_command(cmd_name, getattr(import_module(module), attribute))
        plug_in = _plug_ins().get(cmd_name)
        if plug_in is None:
            return None
        try:
            return _as_command(cmd_name, plug_in.load())
        except ImportError as error:
            return _unavailable(cmd_name, plug_in, error)


@click.group(
    name="llamafund",
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 verification failed, 4 node unreachable, 5 transaction "
    "reverted, 6 not final yet, 130 interrupted.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show where in the program an error arose.")
@click.version_option(package_name="llamafund", prog_name="llamafund")
def cli(verbose: bool) -> None:
    """Crowdfund an open AI model without trusting whoever trains it.

    Money waits in an escrow on chain and is paid out milestone by milestone, each one attested by named
    keys and open to everybody's audit.
    """


def run(argv: Sequence[str]) -> int:
    """Run one command line in this process.

    Args:
        argv: Arguments without the program's name.

    Returns:
        The exit code. Results went to standard output, everything else to standard error.
    """
    verbose = any(argument in ("-v", "--verbose") for argument in _leading_options(argv))
    try:
        with cli.make_context("llamafund", list(argv)) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        _complain("Interrupted. Whatever was sent before stays sent", verbose)
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        _complain(_usage_message(error), verbose)
        return ExitCode.USAGE
    except LlamafundError as error:
        _complain(str(error), verbose)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read standard output has gone; writing there again at exit must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ERROR
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"A file could not be read or written: {where}{error.strerror or error}", verbose)
        return ExitCode.ERROR
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        hint = "" if verbose else " This is a fault of the program; `llamafund -v …` shows where."
        _complain(f"Unexpected {type(error).__name__}: {error}.{hint}", verbose)
        return ExitCode.ERROR
    return ExitCode.OK


def main() -> None:
    """Entry point of the `llamafund` script."""
    sys.exit(run(sys.argv[1:]))


def _leading_options(argv: Sequence[str]) -> list[str]:
    options: list[str] = []
    for argument in argv:
        if not argument.startswith("-"):
            break
        options.append(argument)
    return options


def _complain(message: str, verbose: bool) -> None:
    if verbose:
        traceback.print_exc(file=sys.stderr)
    click.echo(f"Error: {printable(message, _MESSAGE_LIMIT)}", err=True)


def _usage_message(error: click.ClickException) -> str:
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" See: {context.command_path} --help" if context is not None else ""
    return f"{message}{'' if message.endswith(('.', '?', '!')) else '.'}{hint}"


def _plug_ins() -> dict[str, EntryPoint]:
    found = entry_points(group=ENTRY_POINT_GROUP)
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.value, reverse=True)}


def _as_command(name: str, loaded: object) -> click.Command:
    if not isinstance(loaded, click.Command):
        raise LlamafundError(f"The command {name} is a {type(loaded).__name__}", "It must be a click command")
    return loaded


def _unavailable(name: str, entry: EntryPoint, error: ImportError) -> click.Command:
    """A command that only says why it cannot run."""

    def explain() -> None:
        raise LlamafundError(
            f"The command {name} cannot be loaded from {entry.value}",
            str(error),
            "Install what it needs, for example: pip install 'llamafund[trainer]'",
        )

    return click.Command(
        name,
        callback=explain,
        help="Not available: a package that it needs is missing.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
