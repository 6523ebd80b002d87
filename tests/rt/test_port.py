"""A real Request Tracker keeps what the port ``Tickets`` promises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from tests.adapters.tickets_port import Promise, every_promise
from tests.rt.instance import OURS, RequestTracker
from transfer.adapters.rt import RtTickets

_numbers = count(1)


@dataclass
class RtSystem:
    """The adapter, and the Request Tracker that it reads."""

    tickets: RtTickets
    tracker: RequestTracker

    @property
    def now(self) -> datetime:
        """RT keeps whole seconds."""
        return datetime.now(UTC).replace(microsecond=0)

    async def pass_by(self) -> None:
        """Until the next second."""
        await asyncio.sleep(1.05 - datetime.now(UTC).microsecond / 1e6)

    async def file(self, account: str, by: str, subject: str, body: str) -> str:
        """In RT's own web pages."""
        administrator = by != "clerk"
        await asyncio.to_thread(self.tracker.add_person, by, account, administrator=administrator)
        return await asyncio.to_thread(self.tracker.file, by, subject, body)

    async def close(self, ticket_id: str) -> None:
        """As staff do."""
        await asyncio.to_thread(self.tracker.resolve, ticket_id)

    async def replies(self, ticket_id: str) -> list[str]:
        """Their texts; all of them are booked under our own user."""
        found = await asyncio.to_thread(self.tracker.replies, ticket_id)
        assert {reply["by"] for reply in found} == {OURS}
        return [reply["text"] for reply in found]


@every_promise
async def test_request_tracker_keeps_its_promises(
    tickets: RtTickets, request_tracker: RequestTracker, promise: Promise
) -> None:
    """Each about a domain of its own, since all have one Request Tracker."""
    await promise(RtSystem(tickets, request_tracker), f"some{next(_numbers)}.example")
