"""The `llamafund` program: runs one command, and turns every error into one line and an exit code.

Commands are loaded when they are called. So `llamafund wallet list` imports no chain library and no machine-learning
library, and `llamafund --help` imports no command at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import click

from llamafund_chain.cli.groups import COMPLETION_VARIABLE, PlugInGroup, show_help
from llamafund_chain.cli.interruption import left_behind, undisturbed
from llamafund_chain.cli.output import failure, silence_progress
from llamafund_chain.cli.secrecy import tokens_in, without_paths, without_tokens
from llamafund_chain.cli.table import COMMANDS
from llamafund_chain.errors import ExitCode, LlamafundError, UsageError
from llamafund_chain.name import PROJECT
from llamafund_chain.text import closest, printable

_MESSAGE_LIMIT = 4000
_WORD_LIMIT = 60


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


def _version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    # Imported here: nothing else needs it.
    from llamafund_chain.cli.version import tell

    tell(context, option, asked)


@click.group(
    name="llamafund",
    cls=PlugInGroup,
    table=COMMANDS,
    help=f"""{PROJECT}: crowdfund an open AI model without trusting whoever trains it.

    An escrow on chain holds the money and pays it out milestone by milestone. Named attestors sign each milestone,
    and anyone can audit it.
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 verification failed, 4 node unreachable, 5 transaction "
    "refused, 6 not final yet, 7 could not be checked, 130 interrupted.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_tell,
    help="Show what nodes are waited for, and where in the program an error occurred.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=silence_progress,
    help="Show no progress on a terminal. Results, questions, remarks and errors stay.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version, and what a report of a bug needs.",
)
def cli() -> None:
    # Its help is not a docstring, because it says the project's name.
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
    words = _Words(argv)

    def complain(code: ExitCode, message: str, error: LlamafundError | None = None) -> ExitCode:
        _complain(message, words, verbose)
        if "--json" in argv:
            failure(context, code, message, error)
        return code

    try:
        completing = os.environ.get(COMPLETION_VARIABLE)
        if completing:
            return _complete(completing)
        verbose = any(argument in ("-v", "--verbose") for argument in _leading_options(argv))
        _check_words(argv)
        context = words.context = cli.make_context("llamafund", list(argv), obj=when_loaded)
        with context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        with undisturbed():
            left = left_behind(context)
            return complain(ExitCode.INTERRUPTED, f"Interrupted; {left}." if left else "Interrupted.")
    except click.ClickException as error:
        return complain(ExitCode.USAGE, _usage_message(error))
    except LlamafundError as error:
        return complain(error.exit_code, str(error), error)
    except BrokenPipeError:
        # The reader of standard output is gone. The flush at exit must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ERROR
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return complain(ExitCode.ERROR, f"A file could not be read or written: {where}{error.strerror or error}")
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        hint = "" if verbose else " This is a bug in the program; `llamafund -v …` shows where."
        told = f"Unexpected {type(error).__name__}: {words.without_secrets(str(error))}.{hint}"
        return complain(ExitCode.ERROR, told)
    return ExitCode.OK


def _complete(instruction: str) -> int:
    """Offer a shell what its user may mean. Whoever is typing does not want to read of mistakes."""
    from click.shell_completion import shell_complete

    try:
        return shell_complete(cli, {}, "llamafund", COMPLETION_VARIABLE, instruction)
    except (click.ClickException, LlamafundError, LookupError, OSError, ValueError):
        return ExitCode.ERROR


def _check_words(argv: Sequence[str]) -> None:
    """Refuse what no shell can pass on and no file can be called: programs may call `run` with any text.

    Raises:
        UsageError: A word has a zero byte, or half of a character.
    """
    for word in argv:
        try:
            usable = b"\0" not in os.fsencode(word)
        except UnicodeEncodeError:
            usable = False
        if not usable:
            raise UsageError(
                f"The word '{printable(word, _WORD_LIMIT)}' cannot be used",
                "It has a zero byte, or half of a character",
                "Remove it",
            )


def _leading_options(argv: Sequence[str]) -> list[str]:
    options: list[str] = []
    for argument in argv:
        if not argument.startswith("-"):
            break
        options.append(argument)
    return options


def _complain(message: str, words: _Words, verbose: bool) -> None:
    if verbose:
        # Imported here, as below: the usual end needs neither.
        import traceback

        sys.stderr.write(words.without_secrets(traceback.format_exc()))
    click.echo(f"Error: {printable(message, _MESSAGE_LIMIT)}", err=True)


class _Words:
    """What the user gave: arguments, variables, and what the command's context has read of files."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self.context: click.Context | None = None

    def without_secrets(self, text: str) -> str:
        """Libraries' words without the tokens that addresses of nodes and stores often have in them."""
        from llamafund_chain.cli.settings import loaded

        variables = (value for name, value in os.environ.items() if name.startswith("LLAMAFUND_"))
        settings = loaded(self.context)
        configured = () if settings is None else settings.addresses
        return without_tokens(without_paths(text), tokens_in((*self._argv, *variables, *configured)))


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
