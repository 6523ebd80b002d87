"""Escalations as tickets in a real Request Tracker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest

from tests.rt.instance import OURS, STAFF, STAFF_QUEUE, RequestTracker
from transfer.adapters.memory import MemoryAccounts, MemoryDesk, MemoryStaffQueue
from transfer.adapters.rt import RtClient, RtStaffQueue, RtTickets
from transfer.adapters.rt.mapping import Mapping
from transfer.adapters.rt.staff_queue import mark_of
from transfer.errors import Unreachable
from transfer.messages import EscalationState, EscalationUpdate

NOW = datetime.now(UTC).replace(microsecond=0)
_numbers = count(1)


def _rows() -> MemoryStaffQueue:
    return MemoryStaffQueue(MemoryDesk(MemoryAccounts()))


def _queue(tickets: RtTickets, name: str = STAFF_QUEUE) -> RtStaffQueue:
    return RtStaffQueue(_rows(), tickets, queue=name, own=[OURS])


@pytest.fixture
async def queue(tickets: RtTickets) -> RtStaffQueue:
    """The queue that our staff work on."""
    return _queue(tickets)


@pytest.fixture
def opened() -> EscalationUpdate:
    """An escalation of a transfer of its own."""
    domain = f"escalated{next(_numbers)}.example"
    return EscalationUpdate(
        key=f"transfer-{domain}/run@{NOW:%Y%m%d}",
        transfer_id=f"transfer-{domain}",
        state=EscalationState.OPEN,
        level=1,
        why="NO_RESPONSE",
        detail=f"Acme has not released {domain}.\n\nIt is silent.\n\ntransfer staff take {domain}",
        opened_at=NOW,
        touch_by=NOW + timedelta(days=1),
        at=NOW,
    )


def _then(opened: EscalationUpdate, hours: int, **values: object) -> EscalationUpdate:
    return opened.model_copy(update={"at": NOW + timedelta(hours=hours), **values})


def _in_rt(tracker: RequestTracker, escalation: EscalationUpdate) -> list[dict[str, Any]]:
    """The tickets of an escalation, as RT's administrator finds them."""
    found = httpx.get(
        f"{tracker.url}REST/2.0/tickets",
        params={
            "query": f"Subject LIKE '{mark_of(escalation.key)}'",
            "fields": "Subject,Status,Queue,Requestor,Creator",
            "fields[Queue]": "Name",
            "orderby": "id",
        },
        headers={"Authorization": f"token {tracker.token}"},
        timeout=20,
    )
    items: list[dict[str, Any]] = found.json()["items"]
    return items


async def test_an_escalation_is_one_ticket_from_opening_to_closing(
    queue: RtStaffQueue, request_tracker: RequestTracker, opened: EscalationUpdate
) -> None:
    """Every update twice, as a retry would: one ticket, and each change is one reply."""
    taken = _then(opened, 1, state=EscalationState.TAKEN, owner="sam", touch_by=None)
    raised = _then(taken, 2, level=2)
    closed = _then(raised, 3, state=EscalationState.CLOSED)
    references = set[str]()
    for update in (opened, taken, raised, closed):
        for _ in range(2):
            references.add(await queue.update(update))
    (ticket,) = _in_rt(request_tracker, opened)
    assert references == {str(ticket["id"])}
    assert ticket["Queue"]["Name"] == STAFF_QUEUE
    assert ticket["Subject"] == f"{opened.transfer_id}: NO_RESPONSE [{mark_of(opened.key)}]"
    assert ticket["Status"] == "resolved"
    assert ticket["Requestor"] == [], "nobody is mailed but those who watch the queue"
    replies = request_tracker.replies(ticket["id"])
    assert [reply["by"] for reply in replies] == [OURS] * 3
    assert [reply["text"].partition("\n\nReference: ")[0] for reply in replies] == [
        "TAKEN, level 1: NO_RESPONSE. Owner: sam.\n\nIt is silent.",
        "TAKEN, level 2: NO_RESPONSE. Owner: sam.\n\nIt is silent.",
        "CLOSED, level 2: NO_RESPONSE. Owner: sam.",
    ]


async def test_an_escalation_that_is_open_again_opens_its_ticket(
    queue: RtStaffQueue, request_tracker: RequestTracker, opened: EscalationUpdate
) -> None:
    """As does one that staff closed too early, at its next change."""
    ticket = await queue.update(opened)
    await queue.update(_then(opened, 1, state=EscalationState.CLOSED))
    await queue.update(_then(opened, 2))
    assert request_tracker.status(ticket) == "open"
    request_tracker.resolve(ticket)
    await queue.update(_then(opened, 3, level=2))
    assert request_tracker.status(ticket) == "open"


async def test_a_late_update_shows_what_is_true_by_now(
    queue: RtStaffQueue, request_tracker: RequestTracker, opened: EscalationUpdate
) -> None:
    ticket = await queue.update(_then(opened, 2, state=EscalationState.CLOSED))
    assert await queue.update(opened) == ticket
    assert request_tracker.status(ticket) == "resolved"
    assert request_tracker.replies(ticket) == []


async def test_a_ticket_is_found_again_wherever_staff_put_it(
    tickets: RtTickets, request_tracker: RequestTracker, opened: EscalationUpdate
) -> None:
    """By another worker, after staff moved it and wrote on its subject."""
    ticket = await _queue(tickets).update(opened)
    subject = f"URGENT {opened.transfer_id} [{mark_of(opened.key)}]"
    request_tracker.change(ticket, Queue="General", Subject=subject)
    assert await _queue(tickets).update(_then(opened, 1, level=2)) == ticket
    assert len(_in_rt(request_tracker, opened)) == 1


async def test_of_two_tickets_the_first_one_stays(
    queue: RtStaffQueue, request_tracker: RequestTracker, opened: EscalationUpdate
) -> None:
    """RT may carry out what it did not answer in time."""
    updates = (opened, opened)
    await asyncio.gather(*(queue.update(update) for update in updates))
    first = request_tracker.file(STAFF, f"Mine [{mark_of(opened.key)}]", "B", via="rest")
    mine = await queue.update(_then(opened, 1, level=2))
    assert mine != first, "anybody may write a mark"
    states = [one["Status"] for one in _in_rt(request_tracker, opened) if str(one["id"]) != first]
    assert [state for state in states if state != "resolved"] == ["open"]


async def test_our_own_ticket_is_nobodys_and_moves_nothing(
    queue: RtStaffQueue, tickets: RtTickets, opened: EscalationUpdate
) -> None:
    """Its hook rings, and it is read like any other: it has no account."""
    ticket = await queue.update(opened)
    read = (await tickets.read([ticket]))[ticket]
    assert (read.account, read.administrator) == ("", False)
    since = NOW - timedelta(days=1)
    domain = opened.transfer_id.removeprefix("transfer-")
    assert await tickets.about(domain, ["acme", "C-1"], since) == ()
    assert ticket in {change.ticket_id for change in await tickets.changed(since)}


async def test_a_queue_that_is_not_there_is_named(
    tickets: RtTickets, opened: EscalationUpdate
) -> None:
    await tickets.check(STAFF_QUEUE)
    with pytest.raises(Unreachable, match='no queue "Elsewhere"'):
        await tickets.check("Elsewhere")
    with pytest.raises(Unreachable):
        await _queue(tickets, "Elsewhere").update(opened)


@pytest.fixture
async def hasty(request_tracker: RequestTracker) -> AsyncGenerator[RtTickets]:
    """Our user, without patience."""
    client = RtClient(f"rt+{request_tracker.url}", request_tracker.token, timeout=0.5)
    yield RtTickets(client, Mapping(), own=[OURS])
    await client.close()


async def test_a_request_tracker_that_hangs_gets_its_ticket_once_it_goes_on(
    hasty: RtTickets,
    queue: RtStaffQueue,
    request_tracker: RequestTracker,
    opened: EscalationUpdate,
) -> None:
    request_tracker.stop()
    try:
        with pytest.raises(Unreachable):
            await _queue(hasty).update(opened)
    finally:
        request_tracker.cont()
    await queue.update(opened)
    waiting = [one for one in _in_rt(request_tracker, opened) if one["Status"] != "resolved"]
    assert len(waiting) == 1
