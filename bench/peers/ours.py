"""The service itself: its worker as it is run, its desk, and signals as its gateway sends them."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select
from temporalio.client import Client, WorkflowHandle

from bench.processes import Program
from bench.servers import Temporal
from gateway.transfers import TemporalTransfers
from tests.e2e.installation import Installation, customer_of, environment
from transfer import starting
from transfer.adapters.sql.accounts import SqlAccounts
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.schema import deliveries, evidence
from transfer.adapters.tools import utc_now
from transfer.connection import connect
from transfer.messages import TransferRequest
from transfer.opening import transfer_id
from transfer.parties import Facts, Slot
from transfer.policy import Policy
from transfer.settings import load_settings
from transfer.tickets import Intent, text_to_file
from transfer.views import Status
from workflows.customer_transfer import CustomerTransfer

AT_ONCE = Policy(grace="0s")
FILERS = {"release": ("acme", "ann"), "accept": ("globex", "gina")}


class Ours:
    """A ``Peer``."""

    def __init__(
        self,
        name: str,
        settings: Mapping[str, str],
        server: int,
        client: Client,
        database: Database,
        folder: Path,
    ) -> None:
        self.name = name
        self._settings = settings
        self._folder = folder
        self._workers = 0
        self.worker = self.work()
        self.servers: Sequence[int] = (server,)
        self.client = client
        self._database = database
        self._accounts = SqlAccounts(database)
        self._desk = SqlDesk(database)
        self._transfers = TemporalTransfers(client)
        self._facts: dict[str, Facts] = {}
        self._since = utc_now()

    def work(self) -> Program:
        """Begin a worker. It takes some seconds until it works."""
        self._workers += 1
        self.worker = Program(
            self._folder / f"{self.name}-worker-{self._workers}.log",
            *(sys.executable, "-m", "worker"),
            **self._settings,
        )
        return self.worker

    async def begin(self, domain: str) -> None:
        """See ``Peer.begin``."""
        facts = await self._accounts.facts(domain, "globex")
        self._facts[domain] = facts
        request = TransferRequest(domain=domain, new_reseller="globex", policy=AT_ONCE)
        await starting.begin(self.client, request, facts, transfer_id(domain), utc_now())

    async def ring(self, domain: str, slot: str) -> None:
        """See ``Peer.ring``."""
        await self.signal(domain, slot, await self.file(domain, slot))

    async def file(self, domain: str, slot: str) -> str:
        """File a party's ticket, and return its id."""
        facts = self._facts[domain]
        assert facts.old is not None
        assert facts.new is not None
        texts = text_to_file(Intent(slot), domain, facts.old.account, facts.new.account)
        account, person = FILERS.get(slot, (customer_of(domain), "carl"))
        return (await self._desk.file(account, person, *texts)).id

    async def ask(self, domain: str, subject: str, body: str) -> str:
        """File a ticket of the customer that asks something, and return its id."""
        return (await self._desk.file(customer_of(domain), "carl", subject, body)).id

    async def signal(self, domain: str, slot: str, ticket: str) -> None:
        """Ring for a ticket, as the gateway does."""
        await self._transfers.ring(
            transfer_id(domain), Intent(slot), ticket, key=f"{slot} {ticket}"
        )

    async def shows(self, domain: str, slot: str) -> bool:
        """Whether the transfer says that a party has agreed."""
        status: Status = await self.handle(domain).query(CustomerTransfer.status)
        shown = status.slots.get(Slot(slot))  # none before the preflight is over
        return shown is not None and shown.state == "AUTHORIZED"

    def handle(self, domain: str) -> WorkflowHandle[CustomerTransfer, object]:
        """The workflow of a transfer."""
        return self.client.get_workflow_handle_for(CustomerTransfer.run, transfer_id(domain))

    def watch_from(self, now: datetime) -> None:
        """Leave out of ``recorded`` what was before: there may be thousands."""
        self._since = now

    async def recorded(self) -> Mapping[str, int]:
        """See ``Peer.recorded``."""
        wanted = (
            select(evidence.c.transfer_id, func.count())
            .where(evidence.c.at >= self._since)
            .where(evidence.c.code.in_(("AUTHORIZED", "COMPLETED")))
            .group_by(evidence.c.transfer_id)
        )
        rows = await self._database.read(lambda connection: connection.execute(wanted).all())
        return {str(one).removeprefix("transfer-"): int(count) for one, count in rows}

    async def at_rest(self, still_open: int) -> bool:
        """See ``Peer.at_rest``."""
        waiting = select(func.count()).where(deliveries.c.state == "PENDING")
        if await self._database.read(lambda connection: connection.scalar(waiting)):
            return False
        return await still_running(self.client, "CustomerTransfer") <= still_open


async def still_running(client: Client, kind: str) -> int:
    """How many workflows of a kind are open."""
    query = f"WorkflowType='{kind}' AND ExecutionStatus='Running'"
    return (await client.count_workflows(query)).count


@asynccontextmanager
async def ours(
    folder: Path,
    server: Temporal,
    sink: int,
    domains: Sequence[str],
    *,
    name: str = "ours",
    database: str = "",
    cached: int = 1000,
) -> AsyncGenerator[Ours]:
    """An installation with its worker, and a customer for each domain."""
    installed = Installation(folder, server.address, database=database)
    installed.settings |= {
        "TRANSFER_SMTP_URL": f"smtp://127.0.0.1:{sink}",
        "TRANSFER_STAFF_NOTIFY": "",
        "TRANSFER_MAX_CACHED_WORKFLOWS": str(cached),
    }
    installed.set_up(domains)
    with environment(installed.settings):
        client = await connect(load_settings())
    # A thousand tickets are filed at once here, one after the other.
    opened = Database(installed.settings["TRANSFER_DATABASE_URL"], timeout=timedelta(minutes=5))
    peer = None
    try:
        peer = Ours(name, installed.settings, server.program.pid, client, opened, folder)
        peer.worker.says("worker_started")
        yield peer
    finally:
        if peer is not None:
            peer.worker.stop()
        await opened.close()
