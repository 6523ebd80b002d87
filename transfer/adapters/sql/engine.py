"""One database: how it is reached, its transactions, and what to say when it is away.

A transaction is a function that is given a connection, and runs in a thread from its beginning to
its end. Statement by statement, event loop and driver would hand over to each other several times
as often, which cost more than the statements.
"""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Executable,
    RowMapping,
    Table,
    create_engine,
    event,
    exc,
    make_url,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import ExceptionContext

from transfer.adapters.sql import sqlite
from transfer.errors import InputInvalid, Unreachable

TIMEOUT = timedelta(seconds=10)
"""How long one attempt to connect, one statement, or the wait for a lock may take."""

MOST_OF_SQLITE = 3
"""Reads of SQLite at the same time: nobody waits for a network there, so more of them would only
wait for the interpreter's lock, and cost twice the CPU."""

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_SCHEMA_MISSING = ("42P01", "42703", "3F000")
_READ_ONLY = "25006"
"""SQLSTATE of a write on a standby: what clients meet for a moment while PostgreSQL fails over."""
_MEND = "Run: python starter.py setup"
_MAX_REASON = 200


_P = ParamSpec("_P")
_T = TypeVar("_T")


class _GivenUp(Exception):
    """Nobody waits for a transaction any more, so it is undone."""


class Database:
    """A database and its connections. Build one per process, and ``close`` it at the end.

    ``url`` is ``sqlite:///path`` or ``postgresql://user:password@host/name``. Nothing is connected
    before the first transaction. Every transaction raises ``Unreachable`` when the database is
    away, locked for longer than ``timeout``, or has no tables yet. At most ``at_once`` transactions
    run at the same time; others wait for their turn.

    Raises:
        InputInvalid: the URL names neither SQLite nor PostgreSQL.
    """

    def __init__(self, url: str, *, timeout: timedelta = TIMEOUT, at_once: int = 10) -> None:
        self._url = _normalised(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        readers = min(at_once, MOST_OF_SQLITE) if self.is_sqlite else at_once
        self.name = _spoken(self._url)
        """How people may read the URL: without user and password."""
        self._patience = seconds = timeout.total_seconds()
        engine = create_engine(
            self._url,
            connect_args={"timeout": seconds} if self.is_sqlite else _libpq(self._url, seconds),
            hide_parameters=True,
            pool_pre_ping=not self.is_sqlite,
            pool_size=readers + self.is_sqlite,  # whose writer has a thread of its own
            max_overflow=0,  # a connection beyond the pool would be made and closed each time
            pool_timeout=seconds,
        )
        if self.is_sqlite:
            sqlite.tune(engine)
            self._reader = engine
            self._writer = engine.execution_options(sqlite_begin="IMMEDIATE")
        else:
            event.listen(engine, "handle_error", _replace_if_it_does_not_answer)
            # One snapshot for all statements of a read: facts are facts of one instant.
            self._reader = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writer = engine.execution_options(isolation_level="READ COMMITTED")
        self.engine = engine
        """For those who watch it."""
        self._readers = ThreadPoolExecutor(readers, "database")
        # SQLite's waiting for a lock is not fair: within one process writers queue up here instead.
        self._writers = ThreadPoolExecutor(1, "database") if self.is_sqlite else self._readers

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database."""
        return Path(self._url.database) if self.is_sqlite and self._url.database else None

    async def read(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Read in one transaction, as of one instant, and return what ``work`` does."""
        return await self._run(self._readers, self.reading, lambda c: work(c, *args, **kwargs))

    async def write(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Write in one transaction: committed at the end, undone by any exception.

        Undone as well where the caller is cancelled before the end.
        """
        return await self._run(self._writers, self.writing, lambda c: work(c, *args, **kwargs))

    async def rows(self, wanted: Executable) -> Sequence[RowMapping]:
        """Read what one statement finds."""
        return await self.read(lambda connection: connection.execute(wanted).mappings().all())

    async def execute(self, *statements: Executable) -> None:
        """Write by these statements, in one transaction."""

        def all_of_them(connection: Connection) -> None:
            for statement in statements:
                connection.execute(statement)

        await self.write(all_of_them)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """As ``read``, in the caller's own thread, which waits."""
        with self._speaking(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """As ``write``, in the caller's own thread, which waits."""
        with self._speaking(), self._writer.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Close all connections; one that is in use closes at its transaction's end."""
        for threads in {self._readers, self._writers}:
            threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.engine.dispose)

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        begin: Callable[[], AbstractContextManager[Connection]],
        work: Callable[[Connection], _T],
    ) -> _T:
        """Run a transaction in a thread. No thread can be cancelled, so it is told before its end.

        Raises:
            Unreachable: the database is away, or no thread was free in time.
        """
        given_up = threading.Event()

        def transaction() -> _T:
            with begin() as connection:
                found = work(connection)
                if given_up.is_set():
                    raise _GivenUp
                return found

        context = contextvars.copy_context()  # a span of a statement belongs to the caller's
        job = threads.submit(context.run, transaction)
        # Of no effect on one that has begun: its own limits end that.
        impatience = asyncio.get_running_loop().call_later(self._patience, job.cancel)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            given_up.set()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            with self._speaking():  # it was not the caller who gave up
                raise exc.TimeoutError from None
        finally:
            impatience.cancel()

    @contextmanager
    def _speaking(self) -> Generator[None]:
        """Turn what only time or an operator can mend into ``Unreachable``, in one line."""
        try:
            yield
        except (exc.SQLAlchemyError, OSError) as error:
            reason = _why_away(error)
            if reason is None:
                raise
            # `from None`: the causes would carry SQL into the workflow's history.
            raise Unreachable(f"The database {self.name} is away: {self._clean(reason)}") from None

    def _clean(self, reason: str) -> str:
        line = " ".join(reason.split())
        for secret in (self._url.password, self._url.query.get("password")):
            if isinstance(secret, str) and secret:
                line = line.replace(secret, "***")
        return line[:_MAX_REASON]


def _replace_if_it_does_not_answer(error: ExceptionContext) -> None:
    """Whatever shows when a kept connection is tried: one that was just cut off fails oddly."""
    if error.is_pre_ping:
        error.is_disconnect = True


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert the rows that are not there yet; a row whose key is there stays as it is."""
    if rows:
        insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
        connection.execute(insert(table).on_conflict_do_nothing(), list(map(dict, rows)))


def replace(
    connection: Connection, table: Table, row: Mapping[str, object], *newer_by: str
) -> None:
    """Insert a row; one whose key is there takes these values, if its ``newer_by`` are less."""
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    keys = [column.name for column in table.primary_key]
    values = {name: value for name, value in row.items() if name not in keys}
    statement = insert(table).values(dict(row))
    present = tuple_(*(table.c[name] for name in newer_by))
    newer = tuple_(*(statement.excluded[name] for name in newer_by))
    where = present < newer if newer_by else None
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=values, where=where)
    )


def _normalised(url: str) -> URL:
    try:
        parsed = make_url(url.strip())
    except exc.ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in _DRIVERS:
        # The URL is not repeated: it may hold a password.
        raise InputInvalid(
            "The database URL is not understood. Write sqlite:///path or"
            " postgresql://user:password@host/name."
        )
    return parsed.set(drivername=_DRIVERS[parsed.drivername])


def _spoken(url: URL) -> str:
    """The URL without whatever may be secret: its query can hold a password, too."""
    hosts = url.host or url.query.get("host") or ""
    host = hosts if isinstance(hosts, str) else ",".join(hosts)
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{host}{port}/{url.database or ''}"


def _libpq(url: URL, seconds: float) -> dict[str, str | int]:
    """Limit every way in which PostgreSQL, or the network on the way to it, can keep us waiting."""
    milliseconds = max(1, int(seconds * 1000))
    options = (
        f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
        f" -c idle_in_transaction_session_timeout={6 * milliseconds}"
    )
    given = url.query.get("options", "")
    return {
        "connect_timeout": max(2, int(seconds)),
        "tcp_user_timeout": milliseconds,
        "keepalives_idle": max(1, int(seconds)),
        "keepalives_interval": max(1, int(seconds)),
        "options": f"{options} {given if isinstance(given, str) else ' '.join(given)}".strip(),
        "application_name": "customer-transfer",
    }


def _why_away(error: exc.SQLAlchemyError | OSError) -> str | None:
    """Say why trying again, or an operator, can help; ``None`` where only a programmer can."""
    if isinstance(error, OSError):
        return str(error) or type(error).__name__
    if isinstance(error, exc.TimeoutError):
        return "all connections are busy"
    if not isinstance(error, exc.DBAPIError):
        return None
    said = str(error.orig)
    state = getattr(error.orig, "sqlstate", None)
    if state in _SCHEMA_MISSING or "no such table" in said or "no such column" in said:
        return f"its tables are missing or old. {_MEND}"
    if said == "unable to open database file":
        return f"{said}. {_MEND}"
    passing = isinstance(error, exc.OperationalError | exc.InterfaceError)
    # A file that is no database is a bare DatabaseError.
    broken_file = type(error.orig) is sqlite3.DatabaseError
    if passing or broken_file or error.connection_invalidated or state == _READ_ONLY:
        return said or type(error.orig).__name__
    return None
