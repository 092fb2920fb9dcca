"""The base of facts of a command: `--facts` and `--no-facts`, and opening it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llamafund_chain.chain.journal import state_folder
from llamafund_chain.cli.output import note
from llamafund_chain.cli.settings import current
from llamafund_chain.errors import LlamafundError

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Connection

F = TypeVar("F", bound=Callable[..., Any])

_FACTS = f"{__name__}.facts"
_NO_FACTS = f"{__name__}.no_facts"
_FILE = "facts.sqlite"


def facts_option(command: F) -> F:
    """`--facts` and `--no-facts`; `open_facts` does what they say."""
    without = click.option(
        "--no-facts",
        is_flag=True,
        expose_value=False,
        callback=lambda context, _option, given: context.meta.update({_NO_FACTS: given}),
        help="Keep nothing, and ask the node for everything anew.",
    )(command)
    return click.option(
        "--facts",
        envvar="LLAMAFUND_FACTS",
        metavar="FILE",
        default=None,
        show_default=f"{_FILE} in the program's state folder",
        show_envvar=True,
        expose_value=False,
        callback=lambda context, _option, given: context.meta.update({_FACTS: given}),
        help="Where logs and headers are kept, so that the node is asked only for new ones: an SQLite file, or "
        "postgresql+psycopg://…",
    )(without)


def open_facts(connection: Connection) -> None:
    """Let a connection use the base of facts, if the command has one.

    One that was not asked for stands in nobody's way: what is wrong with it is noted, and the node asked.

    Raises:
        LlamafundError: The base that was named cannot be used.
    """
    meta = click.get_current_context().meta
    if _FACTS not in meta or meta.get(_NO_FACTS):
        return
    # Imported here: commands without a base need no SQLAlchemy.
    from llamafund_chain.facts.base import Facts
    from llamafund_chain.facts.database import Database
    from llamafund_chain.facts.trouble import FactsError

    named = meta[_FACTS] or (current().values["facts"].text if "facts" in current().values else None)
    if named is not None:
        connection.facts = Facts(Database(named), connection)
        return
    try:
        connection.facts = Facts(Database(str(_default())), connection, on_trouble=_note)
    except FactsError as error:
        _note(error)


def _default() -> Path:
    return state_folder() / _FILE


def _note(error: LlamafundError) -> None:
    note(f"Note: going on without the base of facts. {error}")
