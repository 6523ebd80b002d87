"""The built-in desk keeps what the port ``Tickets`` promises: on every store.

``tests/rt/`` holds a real Request Tracker to the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.adapters.stores import Stores
from tests.adapters.tickets_port import Promise, every_promise
from transfer.ports import Tickets


@dataclass
class DeskSystem:
    """The built-in desk of one store."""

    stores: Stores

    @property
    def tickets(self) -> Tickets:
        """The desk itself."""
        return self.stores.desk

    @property
    def now(self) -> datetime:
        """A clock that stands still."""
        return self.stores.clock.now

    async def pass_by(self) -> None:
        """A second."""
        self.stores.clock.pass_by(timedelta(seconds=1))

    async def file(self, account: str, by: str, subject: str, body: str) -> str:
        """At the desk."""
        return (await self.stores.desk.file(account, by, subject, body)).id

    async def close(self, ticket_id: str) -> None:
        """At the desk."""
        await self.stores.desk.close(ticket_id)

    async def replies(self, ticket_id: str) -> list[str]:
        """Their texts."""
        return [reply.text for reply in await self.stores.desk.replies(ticket_id)]


@every_promise
async def test_the_desk_keeps_its_promises(stores: Stores, promise: Promise) -> None:
    """Each on a store of its own."""
    await promise(DeskSystem(stores), "some.example")
