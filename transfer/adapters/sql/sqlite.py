"""SQLite's peculiarities: transactions that we begin, and connections that never keep a lock."""

from __future__ import annotations

import sqlite3
from asyncio import Future
from functools import partial
from typing import cast

import aiosqlite
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

_CHUNK = 64  # rows at a time, aiosqlite's own default


def tune(engine: Engine) -> None:
    """Let every connection of ``engine`` keep its promises, and begin as it is told to."""
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)


class _Connection(aiosqlite.Connection):
    """An aiosqlite connection that is rolled back before it is closed.

    A task that is cancelled while its statement runs leaves a cursor behind, in the frames of its
    traceback. SQLite closes such a connection only when the cursor is collected, and keeps its
    transaction, and the lock of the whole database, until then.
    """

    async def close(self) -> None:
        """Roll back, and close."""
        self._queue_rollback()
        await super().close()

    def stop(self) -> Future[None] | None:
        """Roll back, and close, without waiting for it."""
        self._queue_rollback()
        return cast("Future[None] | None", super().stop())

    def be_expendable(self) -> None:
        """Do not keep a process alive that ends by a crash."""
        self._thread.daemon = True

    def _queue_rollback(self) -> None:
        # Put into the queue of the connection's own thread, so that no cancellation can prevent it.
        if self._connection is not None:
            self._tx.put_nowait((None, self._connection.rollback))


def connect(path: str, *, timeout: float, **options: bool) -> aiosqlite.Connection:
    """Make a connection, to be awaited; ``timeout`` is in seconds, for each wait for a lock."""
    opened = _Connection(partial(sqlite3.connect, path, timeout=timeout, **options), _CHUNK)
    opened.be_expendable()
    return opened


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Python's sqlite3 would begin transactions by its own rules: late, and never IMMEDIATE.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin ourselves. A writer locks at once: one that has read first could not wait for it."""
    how = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {how}")
