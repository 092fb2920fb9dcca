"""Opening a base of facts: an SQLite file, or a PostgreSQL database for operators."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as Session
from sqlalchemy import Engine, create_engine, delete, event, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from llamafund_chain.errors import UsageError
from llamafund_chain.facts.tables import APPLICATION, SCHEMA, TIME, VIEWS, about, metadata
from llamafund_chain.facts.trouble import FactsError, as_trouble, damaged

PATIENCE = 60
"""Seconds to wait for another process that writes."""

_POSTGRES = "postgresql+psycopg"
_WRITES = "llamafund_writes"
_ADVISORY_LOCK = 0x4C46_4654
_TRIES, _PAUSE = 100, 0.05
_MAGIC = b"SQLite format 3\0"


def is_server(location: str) -> bool:
    """Whether a base is a database of a server, and not a file."""
    return "://" in location


class Database:
    """One base of facts, whose tables are there when it is made.

    Args:
        location: The path of a file, or `postgresql+psycopg://…`.

    Attributes:
        shown: The same without what may be secret.

    Raises:
        UsageError: The location names no kind of database that is supported.
        FactsError: It is damaged, of a newer program, of another program, or cannot be written to.
    """

    def __init__(self, location: str) -> None:
        if is_server(location):
            url = _server(location)
            self.shown = url.render_as_string(hide_password=True)
            self._secrets = (str(url.password),) if url.password else ()
        else:
            url = URL.create("sqlite", database=os.path.abspath(location))  # noqa: PTH100 - it follows no link
            self.shown, self._secrets = repr(location), ()
            with self.trouble():
                _check_file(Path(location), self.shown)
        self._engine = _engine(url)
        with self.trouble():
            self._prepare()

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Turn the database's errors into one for people."""
        with as_trouble(self.shown, *self._secrets):
            yield

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees the base as it is now, whatever others write meanwhile."""
        with self.trouble(), self._engine.connect() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that happens as a whole or not at all; no other process writes meanwhile."""
        with self.trouble(), self._engine.connect().execution_options(**{_WRITES: True}) as session, session.begin():
            if session.dialect.name == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield session

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()

    def _prepare(self) -> None:
        """Make the tables that are missing, or refuse those that another program made."""
        with self.reading() as session:
            if self._is_ready(session):
                return
        with self.writing() as session:
            if self._is_ready(session):
                return
            metadata.create_all(session)
            for name in VIEWS.keys() - inspect(session).get_view_names():
                session.execute(text(f"CREATE VIEW {name} AS {VIEWS[name].format(time=TIME[session.dialect.name])}"))
            session.execute(delete(about))
            session.execute(insert(about).values(name="schema", value=str(SCHEMA)))
            if session.dialect.name == "sqlite":
                session.execute(text(f"PRAGMA application_id = {APPLICATION}"))

    def _is_ready(self, session: Session) -> bool:
        names = inspect(session).get_table_names()
        if about.name not in names:
            if names and session.dialect.name == "sqlite":
                raise FactsError(
                    f"{self.shown} is no base of facts", "It has other tables", "Name another file with --facts"
                )
            return False
        found = session.execute(select(about.c.value).where(about.c.name == "schema")).scalar()
        if found is None or not str(found).isdecimal():
            raise damaged(self.shown, "It does not say which version its tables have")
        if int(found) > SCHEMA:
            raise FactsError(
                f"The base of facts {self.shown} has tables of version {found}",
                f"This program knows version {SCHEMA}. Nothing was changed",
                "Use the program that made it, or name another file with --facts",
            )
        return int(found) == SCHEMA


def _server(location: str) -> URL:
    scheme = location.partition("://")[0]
    if scheme != _POSTGRES:
        raise UsageError(
            f"A base of facts cannot be at an address that begins with {scheme[:40]!r}",
            "It is an SQLite file or a PostgreSQL database",
            f"Write the path of a file, or {_POSTGRES}://user@host/database",
        )
    try:
        url = make_url(location)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # Not from the cause: it shows the whole address.
        raise UsageError(
            "The address of the base of facts makes no sense", remedy=f"Write {_POSTGRES}://user@host/database"
        ) from None
    return url


def _check_file(path: Path, shown: str) -> None:
    """Make an empty file that nobody else can read, unless there is one; refuse what is no SQLite file.

    Raises:
        FactsError: It is something else than a file of this user.
        OSError: It cannot be read or made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise FactsError(f"{shown} is no file", "A base of facts is one", "Name a file with --facts")
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise FactsError(
            f"Others may write to the base of facts {shown}",
            "Whoever writes to it chooses what an audit sees",
            f"Use a file of your own: chmod go-w {shown}, or name another with --facts",
        )
    if status.st_size:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise damaged(shown, "It does not begin like an SQLite file")


def _engine(url: URL) -> Engine:
    if url.drivername == _POSTGRES:
        try:
            return create_engine(url, poolclass=NullPool, hide_parameters=True)
        except ImportError:
            raise UsageError(
                "This installation has no driver for PostgreSQL",
                "It is an extra",
                "Install it: pip install 'llamafund[postgres]'",
            ) from None
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": PATIENCE})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # This program begins transactions, not the driver: it would begin them too late.
        connection.isolation_level = None
        _use_wal(connection)
        for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begun(session: Session) -> None:
        writes = session.get_execution_options().get(_WRITES)
        session.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Let others read while one writes. Where two processes make the file at once, this does not wait by itself."""
    for left in reversed(range(_TRIES)):
        try:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
            time.sleep(_PAUSE)
