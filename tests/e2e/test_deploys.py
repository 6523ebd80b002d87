"""Workers are replaced one by one while tickets come in; a worker leaves whenever it is told to."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.e2e.installation import (
    Installation,
    Program,
    customer_of,
    eventually,
    free_port,
)
from tests.gateway.panel import SECRET, Sender
from tests.workflows.world import BY_THE_SERVER
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.attributes import register_search_attributes
from transfer.commands import console
from transfer.commands.announce import announcement
from transfer.commands.deploy import say_what_it_means, show
from transfer.deploying import Deployed, Role, Version
from transfer.parties import Account
from transfer.tickets import Intent, text_to_file
from worker import GRACE

pytestmark = pytest.mark.deploys

WAVES, WIDE = 6, 5
DOMAINS = [[f"t{wave}-{one}.example" for one in range(WIDE)] for wave in range(WAVES)]
ALL = [domain for wave in DOMAINS for domain in wave]
STEPS = ("authorize", "release", "accept")
"""The first one opens the transfer."""


class Flow:
    """Tickets of thirty transfers: one half comes before a worker is told to stop, one while."""

    def __init__(self, installed: Installation, port: int, thread: ThreadPoolExecutor) -> None:
        self._installed, self._port, self._thread = installed, port, thread
        parts = [
            [(domain, step) for wave, step in _under_way(number) for domain in DOMAINS[wave]]
            for number in range(WAVES + len(STEPS) - 1)
        ]
        self._parts = iter(parts)

    def goes_on(self) -> Future[None]:
        """Let the next tickets come in, beside what the caller does."""
        nothing: list[tuple[str, str]] = []
        part = next(self._parts, nothing)
        return self._thread.submit(lambda: asyncio.run(self._come_in(part)))

    def all_come_in(self) -> None:
        """Let the rest come in."""
        for part in self._parts:
            asyncio.run(self._come_in(part))

    async def _come_in(self, part: Iterable[tuple[str, str]]) -> None:
        database = Database(self._installed.settings["TRANSFER_DATABASE_URL"])
        sender, desk = Sender(f"http://127.0.0.1:{self._port}"), SqlDesk(database)
        acme, globex = Account(id="acme", name="Acme"), Account(id="globex", name="Globex")
        async with sender.client:
            for domain, step in part:
                subject, text = text_to_file(Intent(step), domain, acme, globex)
                account, person = {
                    "authorize": (customer_of(domain), "carl"),
                    "release": ("acme", "ann"),
                    "accept": ("globex", "gina"),
                }[step]
                ticket = await desk.file(account, person, subject, text)
                body, name = announcement(ticket), f"msg_{ticket.id}"
                while (answer := await sender.send(body, webhook_id=name)).is_error:
                    assert answer.status_code in (429, 503), answer.text
                outcome = "opened" if step == STEPS[0] else "signalled"
                assert answer.json()["outcome"] == outcome, answer.text
        await database.close()


def _under_way(number: int) -> list[tuple[int, str]]:
    """What comes in at the same time: each wave is one step behind the wave before."""
    steps = [(number - behind, step) for behind, step in enumerate(STEPS)]
    return [(wave, step) for wave, step in steps if 0 <= wave < WAVES]


@pytest.fixture
def rolling(install: Callable[..., Installation]) -> Generator[tuple[Installation, Flow]]:
    """An installation with a gateway, no worker, and tickets to come."""
    installed = install()
    installed.sink.start()
    installed.settings |= installed.policy(grace="1s")
    installed.set_up(ALL)
    port = free_port()
    gateway = installed.gateway(TRANSFER_WEBHOOK_SECRET=SECRET, TRANSFER_GATEWAY_PORT=str(port))
    eventually(lambda: _listens(port), "the gateway listens")
    with ThreadPoolExecutor(1) as thread:
        yield installed, Flow(installed, port, thread)
    assert gateway.stop() == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(240)
def test_workers_are_replaced_one_by_one_under_load_and_no_transfer_notices(
    rolling: tuple[Installation, Flow],
) -> None:
    """First without versions, then to a first version, then to the next one."""
    panel, flow = rolling
    first, second = _working(panel, "", 2)
    flow.goes_on().result()
    (third,) = _working(panel, "", 1)
    _leaves(first, flow)
    fourth, fifth = _working(panel, "v1", 2)
    assert "idle until: python starter.py deploy v1" in panel.done("deploy").words
    moved = panel.done("deploy", "v1")
    assert "v1 gets every new transfer, and every open one at its next step." in moved.words
    for worker in (second, third):
        _leaves(worker, flow)
    sixth, seventh = _working(panel, "v2", 2)
    panel.done("deploy", "v2", "--ramp", "50")
    flow.goes_on().result()
    panel.done("deploy", "v2")
    for worker in (fourth, fifth):
        _leaves(worker, flow)
    flow.all_come_in()

    panel.reaches("COMPLETED", *ALL)
    by = panel.asked(_worked_by)
    assert set(by) == {"", "v1", "v2"}, by
    for domain in ALL:
        panel.moved_once(domain)
        codes = [row["code"] for row in panel.done("evidence", domain, "--json").document]
        assert (codes.count("AUTHORIZED"), codes.count("COMPLETED")) == (3, 1), codes
    panel.all_told(*ALL)
    shown = panel.done("deploy", "--json").document["versions"]
    assert [(one["build_id"], one["role"]) for one in shown] == [
        ("v2", "CURRENT"),
        ("v1", "DRAINED"),
    ]
    assert [one["workers"] for one in shown] == [2, 0]
    for worker in (sixth, seventh):
        _leaves(worker, flow)


def _working(panel: Installation, build_id: str, count: int) -> list[Program]:
    """Begin workers of a version, and wait until they work."""
    workers = [panel.worker(TRANSFER_BUILD_ID=build_id) for _ in range(count)]
    for worker in workers:
        worker.has_said("worker_started")
    return workers


def _leaves(worker: Program, flow: Flow) -> None:
    """Tell a worker to stop while tickets come in: it ends within its grace, and well."""
    coming_in = flow.goes_on()
    worker.send(signal.SIGTERM)
    began = time.monotonic()
    assert worker.ended() == 0, worker.log
    assert time.monotonic() - began < GRACE.total_seconds() + 10
    assert "worker_stopped" in worker.log
    assert "Traceback" not in worker.log
    coming_in.result()


async def _worked_by(client: Client) -> Counter[str]:
    """How many steps of transfers each version did. None failed of itself."""
    by = Counter[str]()
    for domain in ALL:
        history = await client.get_workflow_handle(f"transfer-{domain}").fetch_history()
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                done = event.workflow_task_completed_event_attributes
                by[done.deployment_version.build_id] += 1
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                failed = event.workflow_task_failed_event_attributes
                assert failed.cause in BY_THE_SERVER, failed
    return by


# -- leaving -----------------------------------------------------------------------------------
@contextmanager
def hanging() -> Generator[socket.socket]:
    """An address where somebody takes calls, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def test_a_worker_leaves_though_temporal_hangs(install: Callable[..., Installation]) -> None:
    with hanging() as temporal:
        worker = install(f"127.0.0.1:{temporal.getsockname()[1]}").worker()
        with temporal.accept()[0]:
            _leaves_at_start(worker)


@pytest.mark.parametrize("hangs", [False, True], ids=["away", "hanging"])
def test_a_worker_leaves_though_the_database_is_not_there(
    install: Callable[..., Installation], hangs: bool
) -> None:
    """It works, and waits for it: a transfer that comes meanwhile would wait, too."""
    with hanging() as listener:
        port = listener.getsockname()[1] if hangs else free_port()
        panel = install(
            database=f"postgresql://transfer:made-up@127.0.0.1:{port}/transfer",
        )
        panel.asked(register_search_attributes)
        worker = panel.working()
        _leaves_at_start(worker)


def _leaves_at_start(worker: Program) -> None:
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.ended() == 0, worker.log
    assert time.monotonic() - began < GRACE.total_seconds()
    assert "Traceback" not in worker.log


def test_going_back_names_the_changes_that_open_transfers_came_past(
    capsys: pytest.CaptureFixture[str],
) -> None:
    versions = (
        Version(build_id="v1", role=Role.CURRENT),
        Version(build_id="v2", role=Role.DRAINING, workers=2, open=3, pinned=1),
        Version(build_id="v3", role=Role.WAITING, workers=1),
    )
    found = Deployed(versions=versions, guards={"looks-twice": 3}, newest="v2")
    told = {}
    for build_id in ("v1", "v2", ""):
        say_what_it_means(found, build_id, None)
        told[build_id] = " ".join(capsys.readouterr().out.split())
    for build_id, name in (("v1", "v1"), ("", "unversioned")):
        warning = f"past a change (looks-twice (3)) stand still, unharmed, if {name} does not know"
        assert warning in told[build_id]
    assert "looks-twice" not in told["v2"]
    with patch.object(console.out, "_width", 200):
        show(found)
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "missing: nothing moves until one starts",
        "3, 1 pinned │ needed by what is pinned",
        "idle until: python starter.py deploy v3",
        "Changes that open transfers keep to: looks-twice (3).",
    ):
        assert words in shown


def test_deploying_what_is_not_there_is_refused_in_a_line(
    install: Callable[..., Installation],
) -> None:
    panel = install()
    ran = panel.run("deploy", "v7", "--timeout", "0")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "NO_WORKER: No worker of v7 asks for work. Start one with TRANSFER_BUILD_ID=v7, then run"
        " this again.\n"
    )
    for usage in (
        ["v7", "--unversioned"],
        ["--unversioned", "--ramp", "5"],
        ["--ramp", "5"],
        ["v 7"],
        ["v7", "--ramp", "100"],
    ):
        assert panel.run("deploy", *usage).code == 2, usage
    (version,) = panel.done("deploy", "--json").document["versions"]
    assert (version["build_id"], version["role"]) == ("", "CURRENT")
    gone = install(f"127.0.0.1:{free_port()}")
    assert gone.run("deploy", "v7").code == 4
