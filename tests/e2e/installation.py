"""An installation on real counterparts: a Temporal server, a database, a mail sink, workers.

Everything is on free ports and in a folder of its own, is waited for with a limit, and is ended by
the id of its process. Commands run inside the test process, which is quick, or as a program.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest.mock import patch

from aiosmtpd.controller import Controller
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper

from transfer.attributes import KEYS
from transfer.commands import app, console
from transfer.commands.console import finished
from transfer.connection import connect
from transfer.settings import load_settings

PROGRAMS = Path(sys.executable).parent
PATIENCE = 120.0
"""Seconds after which a test that waits for something gives up."""

T = TypeVar("T")


def eventually(look: Callable[[], T], why: str, within: float = PATIENCE) -> T:
    """Look until something is found, and return it."""
    end = time.monotonic() + within
    pause = 0.02
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within:g} s: {why}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.3)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_a_thread(work: Callable[[], T]) -> T:
    """Work where no other event loop is: a command line begins its own."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def environment(settings: dict[str, str]) -> Generator[None]:
    """This process's environment: with these settings, and no others of ours or Temporal's."""
    with patch.dict(os.environ):
        for name in [n for n in os.environ if n.startswith(("TEMPORAL_", "TRANSFER_"))]:
            del os.environ[name]
        os.environ.update(settings)
        yield


async def new_namespace(client: Client) -> str:
    """Make a namespace that nobody else has, and return its name."""
    name = f"ns-{uuid.uuid4().hex}"
    kept = Duration(seconds=86400)
    wanted = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=kept)
    await client.workflow_service.register_namespace(wanted)
    return name


class Program:
    """A program of ours or a neighbour's that runs by itself, with its log in a file."""

    def __init__(self, log: Path, settings: dict[str, str], *command: str) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TEMPORAL_", "TRANSFER_", "COVERAGE_"))
        }
        self._log = log
        with log.open("ab") as opened:
            self._begins_at = opened.tell()
            self._process = subprocess.Popen(
                command,
                cwd=log.parent,
                env=kept | settings,
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_bytes()[self._begins_at :].decode(errors="replace")

    def has_said(self, text: str, *, within: float = PATIENCE) -> None:
        """Wait until it has written a text, and did not end before."""

        def look() -> bool:
            said = text in self.log
            if not said and self._process.poll() is not None:
                raise AssertionError(f"it ended with {self._process.returncode}: {self.log}")
            return said

        try:
            eventually(look, f"it says {text!r}", within)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.log[-3000:]}") from None

    def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        return self._process.wait(PATIENCE)

    def send(self, what: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(what)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        try:
            return self.ended()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.pid} did not end: {self.log[-3000:]}") from None


class Server:
    """Temporal's dev server. It keeps its state over a restart if it is given a file."""

    def __init__(
        self,
        folder: Path,
        *,
        keeps: bool = False,
        ui: bool = False,
        codec: str = "",
    ) -> None:
        self._folder = folder
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        ui_port = str(free_port())
        self.ui = f"http://127.0.0.1:{ui_port}" if ui else ""
        self._shown: tuple[str, ...] = ("--ui-port", ui_port) if ui else ("--headless",)
        if codec:
            self._shown += ("--ui-codec-endpoint", codec)
        self._arguments = ["--db-filename", str(folder / "temporal.db")] if keeps else []
        for key in KEYS if keeps else ():
            kind = key.indexed_value_type.name.title().replace("_", "").replace("list", "List")
            self._arguments += ["--search-attribute", f"{key.name}={kind}"]
        self._program: Program | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self._program = Program(
            self._folder / "temporal.log",
            {},
            *(str(PROGRAMS / "temporal"), "server", "start-dev", *self._shown),
            *("--ip", "127.0.0.1", "--port", str(self._port), "--log-level", "error"),
            *("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"),
            *self._arguments,
        )
        eventually(self._answers, f"Temporal at {self.address}")
        return self

    def namespace(self) -> str:
        """Make a namespace that nobody else has, and return its name."""

        async def make() -> str:
            return await new_namespace(await Client.connect(self.address))

        return in_a_thread(lambda: asyncio.run(make()))

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self._program is not None:
            self._program.kill()
            self._program = None

    def _answers(self) -> bool:
        async def look() -> None:
            client = await Client.connect(self.address)
            await client.count_workflows(rpc_timeout=timedelta(seconds=1))

        try:
            in_a_thread(lambda: asyncio.run(look()))
        except (RuntimeError, RPCError):
            return False
        return True


class Sink:
    """A mail server that keeps every mail. It can be away, and come back at the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self._controller: Any = None

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        """Keep one mail."""
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 kept"

    def start(self) -> None:
        """Take mails."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Be away."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def about(self, domain: str) -> list[tuple[str, str]]:
        """Message-ID and recipient of every mail about a domain."""
        return [(m["Message-ID"], m["To"]) for m in self.mails if domain in m["Subject"]]


@dataclass(frozen=True)
class Ran:
    """What a command printed, and the exit code it left with."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """All that was printed, in one line."""
        return " ".join((self.out + self.err).split())


class Installation:
    """One installation: its settings, its commands, its workers, its mails."""

    def __init__(
        self, folder: Path, address: str, *, namespace: str = "default", database: str = ""
    ) -> None:
        self.folder = folder
        self.database = folder / "transfer.db"
        self.sink = Sink()
        self.settings = {
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_NAMESPACE": namespace,
            "TEMPORAL_CONFIG_FILE": str(folder / "temporal.toml"),
            "TRANSFER_DATABASE_URL": database or f"sqlite:///{self.database}",
            "TRANSFER_SMTP_URL": f"smtp://127.0.0.1:{self.sink.port}",
            "TRANSFER_MAIL_FROM": "Customer Transfers <transfers@panel.example>",
            "TRANSFER_STAFF_NOTIFY": "support@panel.example",
            "TRANSFER_NOTICE_RETRY_SECONDS": "0.5",
            "TRANSFER_RECONCILE_SECONDS": "86400",  # who wants it triggers it
            "TRANSFER_DIGEST_AT": "",
        }
        self._programs: list[Program] = []

    # -- commands ------------------------------------------------------------------------------
    def run(self, *arguments: str, **settings: str) -> Ran:
        """Run a command inside this process: all of it but the process's own beginning and end."""
        out, err = io.StringIO(), io.StringIO()
        with (
            environment(self.settings | settings),
            redirect_stdout(out),
            redirect_stderr(err),
            patch("transfer.logs.configure"),
            patch.object(console.out, "_width", 200),
        ):
            code = in_a_thread(
                lambda: finished(partial(app, list(arguments), prog_name="starter.py"))
            )
        ran = Ran(code, out.getvalue(), err.getvalue())
        assert "Traceback" not in ran.out + ran.err, ran
        return ran

    def done(self, *arguments: str, **settings: str) -> Ran:
        """Run a command that has to succeed."""
        ran = self.run(*arguments, **settings)
        assert ran.code == 0, (arguments, ran)
        return ran

    def program(self, *arguments: str, **settings: str) -> Program:
        """Begin a command as a program of its own."""
        return self._begun("starter", *arguments, **settings)

    def worker(self, **settings: str) -> Program:
        """Begin a worker."""
        return self._begun("worker", **settings)

    def worker_with(self, *arguments: str, **settings: str) -> Program:
        """Begin a worker with arguments."""
        return self._begun("worker", *arguments, **settings)

    def gateway(self, **settings: str) -> Program:
        """Begin a gateway."""
        return self._begun("gateway", **settings)

    def codec_server(self, **settings: str) -> Program:
        """Begin a codec server."""
        return self._begun("gateway.codec", **settings)

    def _begun(self, module: str, *arguments: str, **settings: str) -> Program:
        log = self.folder / f"{module}-{len(self._programs)}.log"
        program = Program(log, self.settings | settings, sys.executable, "-m", module, *arguments)
        self._programs.append(program)
        return program

    def working(self, **settings: str) -> Program:
        """Begin a worker, and wait until it works."""
        worker = self.worker(**settings)
        worker.has_said("worker_started")
        return worker

    # -- the story of a transfer ---------------------------------------------------------------
    def set_up(self, domains: Iterable[str], by: Mapping[str, str] | None = None) -> Self:
        """Make schema and search attributes, and load a customer for each domain; see ``load``."""
        self.done("setup")
        return self.load(domains, by)

    def load(self, domains: Iterable[str], by: Mapping[str, str] | None = None) -> Self:
        """Load a customer for each domain, administered by Carl or whom ``by`` names."""
        self.done("accounts", "load", str(accounts_file(self.folder, domains, by)))
        return self

    def policy(self, **values: object) -> dict[str, str]:
        """Settings with a policy file of these values."""
        path = self.folder / f"policy-{len(list(self.folder.glob('policy-*')))}.toml"
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        return {"TRANSFER_POLICY_FILE": str(path)}

    def file(self, domain: str, what: str, *, by: str = "", to: str = "globex") -> str:
        """File a party's ticket about a domain, and return its id."""
        account, person = {
            "release": ("acme", "ann"),
            "authorize": (customer_of(domain), "carl"),
            "accept": ("globex", "gina"),
        }[what]
        filed = self.done(
            *("desk", "file", "--account", account, "--by", by or person),
            *("--for", what, domain, "--to", to),
        )
        return filed.out.strip()

    def ring(self, domain: str, what: str) -> str:
        """File a party's ticket about a domain, and ring for it."""
        ticket = self.file(domain, what)
        self.done("ticket", domain, what, ticket)
        return ticket

    def states(self) -> dict[str, str]:
        """The state of every transfer, as the list has it."""
        rows = self.done("list", "--json").document
        return {row["transfer_id"].removeprefix("transfer-"): row["state"] for row in rows}

    def reaches(self, state: str, *domains: str) -> None:
        """Wait until transfers are in a state, as the list has it."""
        seen: dict[str, str] = {}

        def look() -> bool:
            seen.update(self.states())
            return all(seen.get(domain) == state for domain in domains)

        try:
            eventually(look, f"{domains} in {state}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None

    def authorized(self, domain: str, *slots: str) -> None:
        """Wait until a transfer has accepted the tickets of these slots."""

        def look() -> bool:
            found = self.done("show", domain, "--json").document["slots"]
            return all(found.get(slot, {}).get("state") == "AUTHORIZED" for slot in slots)

        eventually(look, f"{domain} has {slots}")

    def billing(self, domain: str) -> list[dict[str, Any]]:
        """The billing assignments of a domain's customer."""
        rows: list[dict[str, Any]] = self.done("accounts", "show", domain, "--json").document[
            "assignments"
        ]
        return rows

    def moved_once(self, domain: str) -> None:
        """Billing went from the old to the new reseller, once, without a gap or an overlap."""
        before, after = self.billing(domain)
        assert (before["reseller"], after["reseller"]) == ("acme", "globex")
        assert before["ends_at"] == after["starts_at"]
        assert after["ends_at"] is None

    def all_told(self, *domains: str) -> None:
        """Wait until every mail has arrived; no mail came twice, and none is missing."""
        for domain in domains:
            eventually(partial(self._is_told, domain), f"all mails about {domain}")
            rows = self.query("SELECT mail FROM deliveries WHERE key LIKE ?", f"%{domain}/%")
            mails = [json.loads(mail) for (mail,) in rows if mail]
            expected = sorted((mail["message_id"], mail["to"]) for mail in mails)
            assert sorted(self.sink.about(domain)) == expected
            assert len({message_id for message_id, _ in expected}) == len(expected)
            assert len({(mail["subject"], mail["to"]) for mail in mails}) == len(mails)

    def _is_told(self, domain: str) -> bool:
        states = self.query("SELECT state FROM deliveries WHERE key LIKE ?", f"%{domain}/%")
        return bool(states) and all(state == "SENT" for (state,) in states)

    # -- behind the scenes ---------------------------------------------------------------------
    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into the SQLite file, or change it, past all of our code."""
        with (
            contextlib.closing(sqlite3.connect(self.database, timeout=20)) as connection,
            connection,
        ):
            return connection.execute(sql, values).fetchall()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep everybody else from writing into the SQLite file."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def a_quarter_of_an_hour_passes(self) -> None:
        """In the outbox: no delivery is taken by a worker any more, and each may be tried again."""
        self.query(
            "UPDATE deliveries SET next_try_at = NULL, leased_until = NULL WHERE state = 'PENDING'"
        )

    def asked(self, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Ask Temporal something, past the command line."""

        async def connected() -> T:
            return await ask(await connect(load_settings()))

        with environment(self.settings):
            return in_a_thread(lambda: asyncio.run(connected()))

    def fast_forward(self, domain: str, **time: float) -> None:
        """Let time pass for one transfer, on the real server."""

        async def skip(client: Client) -> None:
            handle = client.get_workflow_handle(f"transfer-{domain}")
            await TimeSkipper(client).fast_forward(handle, timedelta(**time))

        self.asked(skip)

    def running_activities(self, domain: str) -> set[str]:
        """The activities of a transfer that a worker is busy with."""

        async def look(client: Client) -> set[str]:
            described = await client.get_workflow_handle(f"transfer-{domain}").describe()
            pending = described.raw_description.pending_activities
            return {one.activity_type.name for one in pending if one.HasField("last_started_time")}

        return self.asked(look)

    def history_evidence(self, domain: str) -> list[dict[str, Any]]:
        """The evidence that the workflow itself has."""

        async def look(client: Client) -> Any:
            return await client.get_workflow_handle(f"transfer-{domain}").query("evidence")

        events: list[dict[str, Any]] = self.asked(look)["events"]
        return events

    def attempt_is_given_up(self, domain: str) -> None:
        """Let the server give up on what a killed worker was busy with: it would in a while."""

        async def give_up(client: Client) -> None:
            described = await client.get_workflow_handle(f"transfer-{domain}").describe()
            for one in described.raw_description.pending_activities:
                if one.state != PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
                    continue
                handle = client.get_async_activity_handle(
                    workflow_id=described.id, run_id=described.run_id, activity_id=one.activity_id
                )
                await handle.fail(TimeoutError("the worker is gone"))

        self.asked(give_up)

    def close(self) -> None:
        """End every program that was begun here and still runs, and the sink."""
        for program in self._programs:
            with contextlib.suppress(AssertionError):
                program.stop()
        self.sink.stop()


def customer_of(domain: str) -> str:
    """The id of a domain's customer."""
    return "C-" + domain.encode("idna").decode().replace(".", "-")


def accounts_file(
    folder: Path, domains: Iterable[str], by: Mapping[str, str] | None = None
) -> Path:
    """Write an accounts file: resellers of every kind, and a customer of Acme for each domain."""
    parts = [
        _reseller("acme", "Acme Hosting", "ann", aliases=["ACME"]),
        _reseller("globex", "Globex", "gina", aliases=["Globex Corporation"]),
        _reseller("initech", "Initech", "ian"),
        _reseller("asleep", "Asleep", "amy", status="suspended"),
        _reseller("penniless", "Penniless", "pat", billing=""),
        *(_customer(domain, (by or {}).get(domain, "carl")) for domain in domains),
    ]
    path = folder / "accounts.toml"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def _reseller(
    id_: str,
    name: str,
    admin: str,
    *,
    aliases: Sequence[str] = (),
    status: str = "active",
    billing: str | None = None,
) -> str:
    account = f"BA-{id_}" if billing is None else billing
    return (
        f'[[resellers]]\nid = "{id_}"\nname = "{name}"\naliases = {json.dumps(aliases)}\n'
        f'status = "{status}"\nbilling_account = "{account}"\n'
        f'administrators = [{{id = "{admin}", name = "{admin.title()}",'
        f' email = "{admin}@{id_}.example"}}]\n'
    )


def _customer(domain: str, administrator: str) -> str:
    return (
        f'[[customers]]\nid = "{customer_of(domain)}"\nname = "The people of {domain}"\n'
        f'domains = ["{domain}"]\nreseller = "acme"\nstatus = "active"\nplan = "business"\n'
        'price = "12.50"\ncurrency = "EUR"\nbilled_from = 2026-01-01T00:00:00Z\n'
        f'administrators = [{{id = "{administrator}", name = "{administrator.title()}",'
        f' email = "{administrator}@customer.example"}}]\n'
    )
