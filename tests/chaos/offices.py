"""Where people file tickets: the built-in desk, or a Request Tracker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.chaos.plan import File
from tests.rt.instance import OURS, PANEL, RequestTracker, start
from transfer.adapters.desk import STAFF_AUTHOR
from transfer.adapters.rt import RtClient, RtTickets
from transfer.adapters.rt.mapping import Mapping, Source
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.errors import Unreachable
from transfer.ports import Tickets
from transfer.tickets import Channel, Ticket

ALL = timedelta(days=1)
"""As long as no run takes."""


class Office(Protocol):
    """A ticket system, as people use it. Each method raises ``Unreachable`` where it is away."""

    announces: bool
    """Whether it announces tickets by itself."""

    @property
    def tickets(self) -> Tickets:
        """What it has."""
        ...

    async def file(self, step: File, account: str, person: str, subject: str, body: str) -> Ticket:
        """File a ticket, as a step says."""
        ...

    async def edit(self, ticket_id: str, body: str) -> Ticket:
        """Change what a ticket says."""
        ...


class OwnDesk:
    """The built-in desk."""

    announces = False

    def __init__(self, database: Database) -> None:
        self.tickets = SqlDesk(database)

    async def file(self, step: File, account: str, person: str, subject: str, body: str) -> Ticket:
        """See ``Office.file``."""
        return await self.tickets.file(
            account, person, subject, body, channel=step.channel, delegated=step.delegated
        )

    async def edit(self, ticket_id: str, body: str) -> Ticket:
        """See ``Office.edit``."""
        return await self.tickets.edit(ticket_id, body=body)


class Tracker:
    """A Request Tracker that can be killed; it tells the gateway by its own hook, once."""

    announces = True

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.running: RequestTracker = start(folder)
        self.port = self.running.port
        self._command = self.running.server.args
        client = RtClient(f"rt+{self.running.url}", self.running.token)
        mapping = Mapping(delegated=Source("field", "Delegated"), panels=frozenset({PANEL}))
        self.tickets = RtTickets(client, mapping, own=[OURS])

    def settings(self, port: int) -> dict[str, str]:
        """What a program needs to reach it by a link."""
        return {
            "TRANSFER_TICKETS_URL": f"rt+http://127.0.0.1:{port}/",
            "TRANSFER_RT_TOKEN": self.running.token,
            "TRANSFER_RT_HOOK_SECRET": self.running.secret,
            "TRANSFER_RT_PANELS": PANEL,
            "TRANSFER_RT_DELEGATED": "field:Delegated",
            "TRANSFER_OWN_AUTHORS": OURS,
        }

    def add(self, account: str, administrator: str) -> None:
        """Add an account's people: its administrator, and Mallory, who is none."""
        self.running.add_person(administrator, account)
        self.running.add_person(f"mallory-{account}", account, administrator=False)

    async def file(self, step: File, account: str, person: str, subject: str, body: str) -> Ticket:
        """See ``Office.file``. What was mailed is found by who looks again."""
        try:
            if step.channel is Channel.MAIL:
                sender = f"{person}@people.example"
                await asyncio.to_thread(self.running.mail, sender, subject, body)
                raise Unreachable("It was mailed. Look for it.")
            ticket_id = await asyncio.to_thread(self._file, step, person, subject, body)
        except (httpx.HTTPError, subprocess.SubprocessError, AssertionError, LookupError) as error:
            raise Unreachable(f"Request Tracker: {error}") from error
        return (await self.tickets.read([ticket_id]))[ticket_id]

    async def edit(self, ticket_id: str, body: str) -> Ticket:
        """See ``Office.edit``; the plan for a tracker has none."""
        raise AssertionError(f"nobody can change what was said in ticket {ticket_id}")

    def _file(self, step: File, person: str, subject: str, body: str) -> str:
        """As a panel does, which names whose ticket it is: without that, no search finds it."""
        more: dict[str, Any] = {"Requestor": f"{person}@people.example"}
        if step.delegated:
            more["CustomFields"] = {"Delegated": "1"}
        by = PANEL if step.delegated else person
        return self.running.file(by, subject, body, via="rest", **more)

    # -- as a program --------------------------------------------------------------------------
    def start(self) -> None:
        """See ``Body.start``. The first time it runs already."""
        if self.running.server.poll() is None:
            return
        folder = self.running.folder
        with (folder / "server.log").open("ab") as log:
            self.running.server = subprocess.Popen(
                self._command,
                env=os.environ
                | {
                    "RT_SITE_CONFIG": str(folder / "RT_SiteConfig.pm"),
                    "RT_SITE_CONFIG_DIR": str(folder / "etc"),
                    "TRANSFER_WEBHOOK_SECRET": self.running.secret,
                    "PERL5LIB": str(folder / "lib"),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """See ``Body.kill``. Its processes are a group that it leads."""
        self.send(signal.SIGKILL)
        self.running.server.wait()

    def send(self, what: signal.Signals) -> None:
        """See ``Body.send``."""
        if self.running.server.poll() is None:
            os.killpg(self.running.server.pid, what)

    def ended(self) -> int | None:
        """See ``Body.ended``. Killed is not ended."""
        code = self.running.server.poll()
        return None if code == -signal.SIGKILL else code


async def filed_by_people(office: Office) -> Sequence[Ticket]:
    """All tickets of a ticket system but those of the staff's queue."""
    since, found = datetime.now(UTC) - ALL, list[Ticket]()
    after = ""
    while page := await office.tickets.changed(since, after):
        after = page[-1].ticket_id
        read = await office.tickets.read([change.ticket_id for change in page])
        found += [ticket for ticket in read.values() if ticket.author.id != STAFF_AUTHOR]
    return found
