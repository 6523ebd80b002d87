"""The staff queue in Request Tracker: a ticket for each escalation, in a queue of its staff."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Protocol, cast

from transfer.adapters.rt.client import Item
from transfer.adapters.rt.mapping import quoted
from transfer.adapters.rt.tickets import DEFAULT_CLOSED, RtTickets, referring
from transfer.adapters.tools import holdable, staff_reply, staff_reply_key, staff_ticket
from transfer.errors import Unreachable
from transfer.messages import EscalationState, EscalationUpdate

WITHIN = 25.0
"""Seconds for all of one update: an activity has 30, and a retry must not meet its forerunner."""
MAX_SUBJECT = 160
"""Characters before the mark: RT keeps 200 of a subject."""
OPEN = "open"
"""What RT calls a ticket that somebody works on, in the lifecycle that it comes with."""
_FIELDS = {"fields": "Status,Creator", "fields[Creator]": "Name,EmailAddress"}


class Rows(Protocol):
    """Where escalations are kept beside RT."""

    async def update(self, escalation: EscalationUpdate) -> str:
        """See ``StaffQueue.update``."""
        ...

    async def newest(self, key: str) -> EscalationUpdate | None:
        """The escalation as it was updated last."""
        ...


class RtStaffQueue:
    """``transfer.ports.StaffQueue``: a row of our own, and a ticket in RT that shows what it says.

    RT knows no repeated request, so a subject ends in a mark made of the escalation's key, and a
    ticket is filed only where no ticket of ours has that. If two are filed all the same, because RT
    carried out a request that it had not answered in time, the first one stays and the other is
    closed. ``own`` are our user's names, ``closed`` the statuses of a closed ticket: the first one
    is given to what is settled.
    """

    def __init__(
        self,
        rows: Rows,
        tickets: RtTickets,
        *,
        queue: str,
        own: Iterable[str],
        closed: Iterable[str] = DEFAULT_CLOSED,
    ) -> None:
        self._rows = rows
        self._rt = tickets.client
        self._tickets = tickets
        self._queue = queue
        self._own = frozenset(one.lower() for one in own)
        self._closed = tuple(closed) or DEFAULT_CLOSED
        self._unseen: dict[str, str] = {}

    async def update(self, escalation: EscalationUpdate) -> str:
        """See ``StaffQueue.update``. The reference is the id of the ticket in RT."""
        try:
            async with asyncio.timeout(WITHIN):
                await self._rows.update(escalation)
                # One that comes late shows what is true by now.
                newest = await self._rows.newest(escalation.key)
                return await self._shown(newest or escalation)
        except TimeoutError:
            raise Unreachable(f"{self._rt} did not answer within {WITHIN:g} s.") from None

    async def _shown(self, escalation: EscalationUpdate) -> str:
        mark = mark_of(escalation.key)
        found = await self._ours(mark)
        if not found:
            await self._file(escalation, mark)
            found = await self._ours(mark)
        if not found:
            raise self._not_shown()
        self._unseen.pop(mark, None)
        first, *others = found
        ticket_id = str(first["id"])
        await self._tickets.reply(ticket_id, staff_reply_key(escalation), staff_reply(escalation))
        await self._set_open(ticket_id, is_open=escalation.state is not EscalationState.CLOSED)
        for other in others:
            if other.get("Status") not in self._closed:
                double = str(other["id"])
                text = f"Filed twice by mistake: ticket {ticket_id} is the one to work on."
                await self._tickets.reply(double, f"{escalation.key}:double", text)
                await self._set_open(double, is_open=False)
        return ticket_id

    async def _ours(self, mark: str) -> list[Item]:
        """Our tickets with this mark, in whatever queue they are by now, oldest first."""
        in_order = {"orderby": "id", "order": "ASC", "per_page": "20"}
        params = {"query": f"Subject LIKE {quoted(mark)}", **in_order, **_FIELDS}
        found = await self._rt.items("tickets", params)
        return [one for one in found if self._is_ours(one)]

    def _is_ours(self, ticket: Item) -> bool:
        """Whether we filed it: anybody may write a mark into a subject."""
        given = ticket.get("Creator")
        creator = cast("Item", given) if isinstance(given, dict) else {}
        names = {str(creator.get(field, "")).lower() for field in ("id", "Name", "EmailAddress")}
        return not self._own.isdisjoint(names)

    async def _file(self, escalation: EscalationUpdate, mark: str) -> None:
        if (filed := self._unseen.get(mark)) and await self._rt.get(f"ticket/{filed}") is None:
            raise self._not_shown()  # or each retry would file another one
        subject, body = staff_ticket(escalation)
        ticket: dict[str, object] = {
            "Queue": self._queue,
            "Subject": f"{holdable(subject)[:MAX_SUBJECT]} [{mark}]",
            # It says already what the first reply would: that one finds its reference here.
            "Content": referring(body, staff_reply_key(escalation)),
            "ContentType": "text/plain",
        }
        self._unseen[mark] = await self._rt.post("ticket", ticket)

    def _not_shown(self) -> Unreachable:
        return Unreachable(
            f"{self._rt} does not show our user the ticket that it filed in {self._queue}. Give it"
            " ShowTicket there."
        )

    async def _set_open(self, ticket_id: str, *, is_open: bool) -> None:
        status = await self._status(ticket_id)
        if (status not in self._closed) is is_open:
            return
        wanted = OPEN if is_open else self._closed[0]
        said = await self._rt.put(f"ticket/{ticket_id}", {"Status": wanted})
        if await self._status(ticket_id) != wanted:
            raise Unreachable(f"{self._rt} did not make ticket {ticket_id} {wanted}: {said}.")

    async def _status(self, ticket_id: str) -> str:
        ticket = await self._rt.get(f"ticket/{ticket_id}", {"fields": "Status"})
        return str((ticket or {}).get("Status", ""))


def mark_of(key: str) -> str:
    """The word in a subject by which an escalation's ticket is found again."""
    return f"E-{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:16]}"
