"""The bare versions, from outside: on Temporal, on DBOS, on Restate."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from dbos import DBOSClient
from temporalio.client import Client, WorkflowHandle

from bench.peers.bare_workflows import Transfer
from bench.peers.deeds import Deeds
from bench.peers.ours import still_running
from bench.processes import Program, free_ports, listens, running, until
from bench.servers import Postgres, Restate, Temporal

QUEUE = "transfers"


class _Bare:
    """What the bare versions have in common."""

    def __init__(self, name: str, worker: Program, server: int, deeds: Deeds) -> None:
        self.name = name
        self.worker = worker
        self.servers: Sequence[int] = (server,)
        self._deeds = deeds

    async def file(self, domain: str, slot: str) -> str:
        """File a party's ticket, and return its id."""
        ticket = f"{slot}-{domain}"
        await asyncio.to_thread(self._deeds.file, ticket, domain, slot)
        return ticket

    async def recorded(self) -> Mapping[str, int]:
        """See ``Peer.recorded``."""
        return await asyncio.to_thread(self._deeds.recorded)


class OnTemporal(_Bare):
    """A ``Peer``: ``Naive`` or ``Tuned``."""

    def __init__(
        self, name: str, worker: Program, server: int, deeds: Deeds, client: Client, kind: str
    ) -> None:
        super().__init__(name, worker, server, deeds)
        self.client = client
        self._kind = kind

    async def begin(self, domain: str) -> None:
        """See ``Peer.begin``."""
        await self.client.start_workflow(
            self._kind, Transfer(domain), id=self._id(domain), task_queue=self._kind
        )

    async def ring(self, domain: str, slot: str) -> None:
        """See ``Peer.ring``."""
        await self.signal(domain, slot, await self.file(domain, slot))

    async def signal(self, domain: str, slot: str, ticket: str) -> None:
        """Signal a ticket."""
        await self.handle(domain).signal(slot, ticket)

    async def shows(self, domain: str, slot: str) -> bool:
        """Whether the workflow says that a party has agreed."""
        authorized: list[str] = await self.handle(domain).query("authorized")
        return slot in authorized

    def handle(self, domain: str) -> WorkflowHandle[object, object]:
        """The workflow of a transfer."""
        return self.client.get_workflow_handle(self._id(domain))

    async def at_rest(self, still_open: int) -> bool:
        """See ``Peer.at_rest``: its mails are part of its workflows."""
        return await still_running(self.client, self._kind) <= still_open

    def _id(self, domain: str) -> str:
        return f"{self._kind}-{domain}"


class OnDbos(_Bare):
    """A ``Peer``. Its server is PostgreSQL itself."""

    def __init__(self, worker: Program, server: int, deeds: Deeds, client: DBOSClient) -> None:
        super().__init__("DBOS", worker, server, deeds)
        self._client = client

    async def begin(self, domain: str) -> None:
        """See ``Peer.begin``."""
        await self._client.enqueue_async(
            {
                "workflow_name": "transfer",
                "queue_name": QUEUE,
                "workflow_id": domain,
                "app_version": "bench",
            },
            domain,
        )

    async def ring(self, domain: str, slot: str) -> None:
        """See ``Peer.ring``."""
        ticket = await self.file(domain, slot)
        await self._client.send_async(domain, ticket, slot)

    async def at_rest(self, still_open: int) -> bool:
        """See ``Peer.at_rest``: its mails are part of its workflows."""
        pending = await self._client.list_workflows_async(
            status=["ENQUEUED", "PENDING"], load_input=False, load_output=False
        )
        return len(pending) <= still_open


class OnRestate(_Bare):
    """A ``Peer``."""

    def __init__(
        self, worker: Program, server: int, deeds: Deeds, ingress: httpx.AsyncClient
    ) -> None:
        super().__init__("Restate", worker, server, deeds)
        self._ingress = ingress
        self._begun: set[str] = set()

    async def begin(self, domain: str) -> None:
        """See ``Peer.begin``."""
        answer = await self._ingress.post(f"/Transfer/{domain}/run/send", json=domain)
        answer.raise_for_status()
        self._begun.add(domain)

    async def ring(self, domain: str, slot: str) -> None:
        """See ``Peer.ring``."""
        ticket = await self.file(domain, slot)
        answer = await self._ingress.post(f"/Transfer/{domain}/{slot}", json=ticket)
        answer.raise_for_status()

    async def at_rest(self, still_open: int) -> bool:
        """See ``Peer.at_rest``: its mails are part of its workflows."""
        for domain in tuple(self._begun):
            answer = await self._ingress.get(f"/restate/workflow/Transfer/{domain}/output")
            if answer.is_success:
                self._begun.discard(domain)
        return len(self._begun) <= still_open


@asynccontextmanager
async def on_temporal(
    folder: Path, server: Temporal, sink: int, domains: Sequence[str], kind: str
) -> AsyncGenerator[OnTemporal]:
    """A bare version on Temporal and SQLite, with its worker."""
    url = f"sqlite:///{folder / kind}.db"
    deeds = _deeds(url, sink, domains)
    program = Program(
        folder / f"{kind}.log",
        *(sys.executable, "-m", "bench.peers.bare_worker", kind),
        BENCH_DATABASE=url,
        BENCH_SMTP=str(sink),
        BENCH_TEMPORAL=server.address,
    )
    with running(program):
        program.says("worker is ready")
        client = await Client.connect(server.address)
        yield OnTemporal(f"bare, {kind.lower()}", program, server.program.pid, deeds, client, kind)
    deeds.close()


@asynccontextmanager
async def on_dbos(
    folder: Path, server: Postgres, sink: int, domains: Sequence[str]
) -> AsyncGenerator[OnDbos]:
    """The bare version on DBOS and PostgreSQL, with its worker."""
    url, system = server.database("bare_dbos"), server.database("dbos_system")
    deeds = _deeds(url, sink, domains)
    program = Program(
        folder / "dbos.log",
        *(sys.executable, "-m", "bench.peers.dbos_worker"),
        BENCH_DATABASE=url,
        BENCH_SYSTEM_DATABASE=system,
        BENCH_SMTP=str(sink),
    )
    with running(program):
        program.says("worker is ready")
        client = DBOSClient(system_database_url=system, system_database_pool_size=20)
        try:
            yield OnDbos(program, server.pid, deeds, client)
        finally:
            client.destroy()
    deeds.close()


@asynccontextmanager
async def on_restate(
    folder: Path, database: Postgres, server: Restate, sink: int, domains: Sequence[str]
) -> AsyncGenerator[OnRestate]:
    """The bare version on Restate, with PostgreSQL for its rows, and who serves it."""
    url = database.database("bare_restate")
    deeds = _deeds(url, sink, domains)
    (port,) = free_ports(1)
    program = Program(
        folder / "restate-worker.log",
        *(sys.executable, "-m", "bench.peers.restate_worker", str(port)),
        BENCH_DATABASE=url,
        BENCH_SMTP=str(sink),
    )
    with running(program):
        until(lambda: program.lives() and listens(port), f"nobody serves Restate: {program.log}")
        server.register(f"http://127.0.0.1:{port}")
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=server.ingress, limits=limits, timeout=30) as ingress:
            peer = OnRestate(program, server.program.pid, deeds, ingress)
            peer.servers = (server.program.pid, database.pid)
            yield peer
    deeds.close()


def _deeds(url: str, sink: int, domains: Sequence[str]) -> Deeds:
    deeds = Deeds(url, sink)
    deeds.set_up(list(domains))
    return deeds
