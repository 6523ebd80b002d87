"""Bring the database's schema up to date, and tell whether it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from transfer.adapters.sql.engine import Database
from transfer.errors import Unreachable

_SETUP_LOCK = 7_402_001
"""Any number: who holds PostgreSQL's advisory lock by it may change the schema."""
_TRIES, _PAUSE_SECONDS = 20, 0.1


class SchemaState(StrEnum):
    """How the database's schema relates to this code."""

    CURRENT = "current"
    MISSING = "missing"
    OLD = "old"
    NEWER = "newer than this code"


async def upgrade(url: str) -> None:
    """Create or update the schema, in one transaction; a current one is left alone.

    Several processes may do so at the same time. An SQLite file and its folder are made.

    Raises:
        Unreachable: the database is away.
        InputInvalid: the URL names neither SQLite nor PostgreSQL.
    """
    async with _opened(url) as database:
        if database.path is not None:
            try:
                database.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Unreachable(f"No folder for {database.name}: {error}") from None
            await _connected(database)
        await database.write(_upgrade)


async def check(url: str) -> SchemaState:
    """Connect, and tell whether the schema is current. Changes nothing.

    Raises:
        Unreachable: the database is away.
        InputInvalid: the URL names neither SQLite nor PostgreSQL.
    """
    async with _opened(url) as database:
        if database.path is not None and not database.path.exists():
            return SchemaState.MISSING  # connecting would make an empty file
        found = await database.read(_revision)
    scripts = ScriptDirectory.from_config(_config())
    if found is None:
        return SchemaState.MISSING
    if found == scripts.get_current_head():
        return SchemaState.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return SchemaState.OLD if found in known else SchemaState.NEWER


async def is_current(url: str) -> bool:
    """Tell whether the schema is what this code needs."""
    return await check(url) is SchemaState.CURRENT


@asynccontextmanager
async def _opened(url: str) -> AsyncGenerator[Database, None]:
    database = Database(url, at_once=1)
    try:
        yield database
    finally:
        await database.close()


async def _connected(database: Database) -> None:
    """Open a new SQLite file: of several who do so at once, it turns some away without waiting.

    Raises:
        Unreachable: it cannot be opened.
    """
    for _ in range(_TRIES - 1):
        with suppress(Unreachable):
            await database.read(_revision)
            return
        await asyncio.sleep(_PAUSE_SECONDS)
    await database.read(_revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "transfer.adapters.sql:migrations")
    return config


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
