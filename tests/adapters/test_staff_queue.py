"""The staff queue: on every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.adapters.stores import NOW, Stores
from transfer.messages import EscalationState, EscalationUpdate

OPENED = EscalationUpdate(
    key="k1",
    transfer_id="transfer-example.com",
    state=EscalationState.OPEN,
    level=1,
    why="NO_RESPONSE",
    detail="acme is silent since Monday.",
    opened_at=NOW,
    touch_by=NOW + timedelta(days=1),
    at=NOW,
)
HOUR = timedelta(hours=1)


def _then(state: EscalationState, hours: int, **values: object) -> EscalationUpdate:
    update = {"state": state, "at": NOW + hours * HOUR, **values}
    return OPENED.model_copy(update=update)


async def test_an_escalation_waits_in_the_queue_and_has_a_ticket_for_staff(stores: Stores) -> None:
    """Its reference is the id of that ticket."""
    reference = await stores.staff_queue.update(OPENED)
    assert await stores.staff_queue.escalations() == (OPENED,)
    ticket = await stores.desk.show(reference)
    assert ticket.account == "staff"
    assert ticket.subject == "transfer-example.com: NO_RESPONSE"
    assert "acme is silent since Monday." in ticket.body
    assert "First touch by 2026-03-03T09:30Z." in ticket.body
    assert ticket.open
    assert not ticket.administrator
    assert await stores.desk.list_tickets("staff") == (ticket,)


async def test_the_same_escalation_again_changes_nothing(stores: Stores) -> None:
    """One ticket, no reply."""
    reference = await stores.staff_queue.update(OPENED)
    assert await stores.staff_queue.update(OPENED) == reference
    assert len(await stores.desk.list_tickets("staff")) == 1
    assert await stores.desk.replies(reference) == ()


async def test_a_change_is_a_reply_on_the_ticket(stores: Stores) -> None:
    """Staff read the story on one page."""
    reference = await stores.staff_queue.update(OPENED)
    raised = _then(EscalationState.OPEN, 1, level=2)
    taken = _then(EscalationState.TAKEN, 2, level=2, owner="sam")
    for update in (raised, taken, taken):
        assert await stores.staff_queue.update(update) == reference
    assert await stores.staff_queue.escalations() == (taken,)
    assert [(reply.at, reply.text) for reply in await stores.desk.replies(reference)] == [
        (raised.at, "OPEN, level 2: NO_RESPONSE. First touch by 2026-03-03T09:30Z."),
        (taken.at, "TAKEN, level 2: NO_RESPONSE. Owner: sam."),
    ]


async def test_a_closed_escalation_leaves_the_queue_and_closes_its_ticket(stores: Stores) -> None:
    """Until it is opened again: then the old ticket is, too."""
    reference = await stores.staff_queue.update(OPENED)
    await stores.staff_queue.update(_then(EscalationState.CLOSED, 1))
    assert await stores.staff_queue.escalations() == ()
    assert not (await stores.desk.show(reference)).open
    assert await stores.staff_queue.update(_then(EscalationState.OPEN, 2)) == reference
    assert (await stores.desk.show(reference)).open


async def test_an_update_that_arrives_late_does_not_undo_a_newer_one(stores: Stores) -> None:
    """Retries come in any order."""
    newer = _then(EscalationState.TAKEN, 2, owner="sam")
    reference = await stores.staff_queue.update(newer)
    assert await stores.staff_queue.update(OPENED) == reference
    assert await stores.staff_queue.escalations() == (newer,)


async def test_an_escalation_that_is_closed_when_first_heard_of_needs_nobody(
    stores: Stores,
) -> None:
    """Its ticket is there for the record, and closed."""
    reference = await stores.staff_queue.update(_then(EscalationState.CLOSED, 1))
    assert not (await stores.desk.show(reference)).open
    assert await stores.staff_queue.escalations() == ()


async def test_two_workers_open_one_escalation(stores: Stores) -> None:
    """An activity that runs twice at a time files one ticket."""
    workers = stores, stores.another()
    first, second = await asyncio.gather(*(w.staff_queue.update(OPENED) for w in workers))
    assert first == second
    assert len(await stores.desk.list_tickets("staff")) == 1
    assert await stores.desk.replies(first) == ()


async def test_escalations_wait_oldest_first(stores: Stores) -> None:
    """Who waits longest comes first."""
    younger = OPENED.model_copy(update={"key": "k0", "opened_at": NOW + HOUR})
    for update in (younger, OPENED):
        await stores.staff_queue.update(update)
    assert await stores.staff_queue.escalations() == (OPENED, younger)
