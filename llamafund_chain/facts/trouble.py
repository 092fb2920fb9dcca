"""What can be wrong with a base of facts: never a finding about a campaign or its people."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from llamafund_chain.errors import LlamafundError, NodeError
from llamafund_chain.files import storage_error
from llamafund_chain.text import printable

_MOST_SAID = 300


class FactsError(LlamafundError):
    """The base of facts cannot be used."""


class ContradictionError(NodeError):
    """The node says something else than what was seen of the same block before."""


@contextmanager
def as_trouble(shown: str, *secrets: str) -> Iterator[None]:
    """Turn whatever a database raises into an error for people.

    Args:
        shown: The base, without what may be secret.
        secrets: What no message may contain.

    Raises:
        FactsError: The database refused, or its file or disk did.
    """
    try:
        yield
    except OSError as error:
        told = storage_error(error, f"Using the base of facts {shown}")
        raise FactsError(told.what, told.why, told.remedy) from None
    except SQLAlchemyError as error:
        # Not from the cause: it may contain the password.
        raise _told(error, shown, secrets) from None


def _told(error: SQLAlchemyError, shown: str, secrets: tuple[str, ...]) -> FactsError:
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    for secret in secrets:
        said = said.replace(secret, "…")
    said = printable(said, _MOST_SAID)
    code = getattr(cause, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL or "DiskFull" in type(cause).__name__:
        return FactsError(
            f"The base of facts {shown} cannot grow: the disk is full",
            "What was in it is unharmed",
            "Free some space and repeat the command, or go without it with --no-facts",
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return FactsError(
            f"The base of facts {shown} is in use",
            "Another program has been writing to it for a long time",
            "Repeat the command when that one is done, or go without it with --no-facts",
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(shown, said)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return FactsError(
            f"The base of facts {shown} cannot be written to",
            said,
            "Check its permissions, name another file with --facts, or go without one with --no-facts",
        )
    return FactsError(
        f"The base of facts {shown} cannot be used",
        said,
        "Check that its server runs and lets you in, or go without it with --no-facts",
    )


def damaged(shown: str, why: str) -> FactsError:
    """The error for a file whose content is broken."""
    return FactsError(
        f"The base of facts {shown} is damaged",
        why,
        "Nothing of it was used or changed. Move it away: a new one is filled from the chain",
    )
