"""The `llamafund` program: runs one command, and turns every error into one line and an exit code.

Commands are loaded when they are called. So `llamafund wallet list` imports no chain library and no machine-learning
library, and `llamafund --help` imports no command at all.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence

import click

from llamafund_chain.cli.groups import PlugInGroup, show_help
from llamafund_chain.cli.interruption import left_behind, undisturbed
from llamafund_chain.cli.secrecy import tokens_in, without_paths, without_tokens
from llamafund_chain.cli.table import COMMANDS
from llamafund_chain.errors import ExitCode, LlamafundError
from llamafund_chain.text import closest, printable

_MESSAGE_LIMIT = 4000


def _tell(context: click.Context, _: click.Parameter, verbose: bool) -> None:
    """Print what the library logs, on standard error, until the command ends."""
    if not verbose:
        return
    import logging

    class ToStandardError(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            click.echo(printable(record.getMessage(), _MESSAGE_LIMIT), err=True)

    logger, handler = logging.getLogger("llamafund_chain"), ToStandardError()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    context.call_on_close(lambda: logger.removeHandler(handler))
    context.call_on_close(lambda: logger.setLevel(before))


@click.group(
    name="llamafund",
    cls=PlugInGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 verification failed, 4 node unreachable, 5 transaction "
    "refused, 6 not final yet, 130 interrupted.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_tell,
    help="Show what nodes are waited for, and where in the program an error occurred.",
)
@click.version_option(package_name="llamafund", prog_name="llamafund")
def cli() -> None:
    """Crowdfund an open AI model without trusting whoever trains it.

    An escrow on chain holds the money and pays it out milestone by milestone. Named attestors sign each milestone,
    and anyone can audit it.
    """
    show_help()


def run(argv: Sequence[str], *, when_loaded: Callable[[], None] | None = None) -> int:
    """Run one command line in this process.

    Args:
        argv: Arguments without the program's name.
        when_loaded: Called once the command's module is loaded, before the command begins.

    Returns:
        The exit code. Results went to standard output, everything else to standard error.
    """
    verbose, context = False, None
    try:
        verbose = any(argument in ("-v", "--verbose") for argument in _leading_options(argv))
        context = cli.make_context("llamafund", list(argv), obj=when_loaded)
        with context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        with undisturbed():
            left = left_behind(context)
            _complain(f"Interrupted; {left}." if left else "Interrupted.", argv, verbose)
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        _complain(_usage_message(error), argv, verbose)
        return ExitCode.USAGE
    except LlamafundError as error:
        _complain(str(error), argv, verbose)
        return error.exit_code
    except BrokenPipeError:
        # The reader of standard output is gone. The flush at exit must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ERROR
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"A file could not be read or written: {where}{error.strerror or error}", argv, verbose)
        return ExitCode.ERROR
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        hint = "" if verbose else " This is a bug in the program; `llamafund -v …` shows where."
        _complain(f"Unexpected {type(error).__name__}: {_hide(str(error), argv)}.{hint}", argv, verbose)
        return ExitCode.ERROR
    return ExitCode.OK


def _leading_options(argv: Sequence[str]) -> list[str]:
    options: list[str] = []
    for argument in argv:
        if not argument.startswith("-"):
            break
        options.append(argument)
    return options


def _complain(message: str, argv: Sequence[str], verbose: bool) -> None:
    if verbose:
        sys.stderr.write(_hide(traceback.format_exc(), argv))
    click.echo(f"Error: {printable(message, _MESSAGE_LIMIT)}", err=True)


def _hide(text: str, argv: Sequence[str]) -> str:
    """Libraries' words without the tokens that addresses of nodes and stores often have in them."""
    variables = (value for name, value in os.environ.items() if name.startswith("LLAMAFUND_"))
    return without_tokens(without_paths(text), tokens_in((*argv, *variables)))


def _usage_message(error: click.ClickException) -> str:
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        message = f"No such option {error.option_name!r}."
        known = [name for parameter in error.ctx.command.params for name in parameter.opts] if error.ctx else []
        near = closest(error.option_name, [name for name in known if name.startswith("-")])
        message += f" Did you mean {near!r}?" if near else ""
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" See: {context.command_path} --help" if context is not None else ""
    return f"{message}{'' if message.endswith(('.', '?', '!')) else '.'}{hint}"
