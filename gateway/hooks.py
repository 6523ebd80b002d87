"""Hooks that only name a ticket, as Request Tracker's do: it is fetched beside the request.

A ticket system that calls from inside its own transaction waits for the answer, and what it
announces cannot be read back before it has it. So the answer comes at once, and the ticket is
fetched afterwards, in memory: such a system never calls a second time, and what is lost here is
found by the reconciliation, which is what makes it sure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, ConfigDict, Field

from transfer.errors import Unreachable
from transfer.messages import TicketId
from transfer.ports import Intake, Tickets

MAX_WAITING = 5000
"""Tickets that wait to be fetched; beyond, the caller is refused."""
AT_ONCE = 8
"""Tickets fetched at the same time: a ticket system has people to serve too."""
PAUSES = (0.5, 2.0, 5.0, 15.0, 40.0)
"""Seconds before a ticket is looked for again that is not there yet: a minute in all."""
FETCH_SECONDS = 60.0
"""How long one attempt may take: a ticket system under load is slow, not away."""
NEW = timedelta(days=1)
"""A ticket filed within this time, of which nobody has heard, is a new one."""

EXAMPLE: dict[str, Any] = {"event": "ticket.create", "transaction_id": 4711, "ticket_id": 1002}

log = structlog.get_logger("gateway")


class Hook(BaseModel):
    """A hook of Request Tracker. Whatever else it says is not read: the ticket is."""

    ticket_id: Annotated[int, Field(ge=1, lt=2**63, strict=True)] | TicketId
    event: Annotated[str, Field(max_length=100)] = ""
    transaction_id: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"examples": [EXAMPLE]},
    )


class Noted(BaseModel):
    """The hook was understood. Its ticket is fetched now, or at the latest when reconciling."""

    outcome: Annotated[str, Field(pattern="^noted$")] = "noted"

    model_config = ConfigDict(json_schema_extra={"examples": [{"outcome": "noted"}]})


class Porter:
    """Fetches tickets that were named, and hands them in."""

    def __init__(
        self,
        tickets: Tickets,
        intake: Intake,
        *,
        clock: Callable[[], datetime],
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._tickets = tickets
        self._intake = intake
        self._clock = clock
        self._pauses = pauses
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting: set[str] = set()
        self._fetching: set[asyncio.Task[None]] = set()

    def note(self, ticket_id: str) -> bool:
        """Fetch a ticket soon; ``False`` where too many wait already.

        One that waits already is fetched once: what has changed by then is what is read.
        """
        if ticket_id in self._waiting:
            return True
        if len(self._fetching) >= MAX_WAITING:
            return False
        self._waiting.add(ticket_id)
        task = asyncio.create_task(self._fetch(ticket_id))
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)
        return True

    async def close(self) -> None:
        """Stop fetching: the reconciliation finds what is left."""
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)

    async def _fetch(self, ticket_id: str) -> None:
        why = ""
        for number, pause in enumerate((*self._pauses, 0.0)):
            async with self._turn:
                self._waiting.discard(ticket_id)
                try:
                    async with asyncio.timeout(FETCH_SECONDS):
                        is_news = await self._handed_in(ticket_id)
                except (Unreachable, TimeoutError) as error:
                    is_news, why = None, str(error) or "No answer in time."
                except Exception:  # one ticket's trouble is its own
                    log.exception("ticket_not_fetched", ticket_id=ticket_id)
                    return
            # What is no news may not be committed yet: it is looked at once more.
            if is_news or (is_news is False and number > 0):
                return
            await asyncio.sleep(pause)
        log.warning("ticket_left_to_reconciliation", ticket_id=ticket_id, why=why)

    async def _handed_in(self, ticket_id: str) -> bool:
        """Whether the ticket was news.

        Raises:
            Unreachable: it is not there yet, or somebody is away.
        """
        ticket = (await self._tickets.read([ticket_id])).get(ticket_id)
        if ticket is None:
            raise Unreachable("It is not there yet.")
        return await self._intake.catch_up(ticket, new_since=self._clock() - NEW)
