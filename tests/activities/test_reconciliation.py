"""Tickets that nobody announced: each comes in once, and none is lost to another one's trouble."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from temporalio.testing import ActivityEnvironment

from activities.reconciliation import FIRST_LOOK, ReconciliationActivities
from tests.gateway.panel import HOME, Gateway
from transfer.adapters.desk import MAX_FOUND
from transfer.adapters.memory import MemoryMeter
from transfer.errors import Unreachable
from transfer.messages import Reconciliation
from transfer.parties import Slot
from transfer.routing import Heard


@pytest.fixture
async def gateway() -> AsyncGenerator[Gateway]:
    """Nobody announces anything to it but the test itself."""
    made = Gateway()
    async with made.client:
        yield made


async def _reconciled(gateway: Gateway) -> Reconciliation:
    """Reconcile to the end; each page twice, as a retry would."""
    activities = ReconciliationActivities(
        gateway.tickets,
        gateway.arrivals,
        gateway.desk,
        clock=lambda: datetime.now(UTC),
        meter=MemoryMeter(),
    )
    progress, environment = Reconciliation(), ActivityEnvironment()
    while not progress.done:
        again = await environment.run(activities.reconcile, progress)
        progress = await environment.run(activities.reconcile, progress)
        assert (again.after, again.found) == (progress.after, progress.found)
    return progress


async def test_tickets_that_nobody_announced_come_in(gateway: Gateway) -> None:
    """The new reseller's waits, the customer's opens the transfer, the old reseller's is told."""
    filed = [await gateway.file(slot) for slot in (Slot.ACCEPT, Slot.AUTHORIZE, Slot.RELEASE)]
    await _reconciled(gateway)
    accept, authorize, release = (one["ticket"]["id"] for one in filed)
    assert await gateway.waiting() == {accept: "WAITS_FOR_TRANSFER"}
    assert gateway.transfers.signals == [
        (HOME, "authorize", authorize),
        (HOME, "release", release),
    ]
    assert len(gateway.transfers.opened) == 1


async def test_what_was_announced_is_not_delivered_again(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    announced = await gateway.file(Slot.RELEASE)
    await gateway.send(announced)
    missed = await gateway.file(Slot.ACCEPT)
    await _reconciled(gateway)
    ids = [ticket for _, _, ticket in gateway.transfers.signals]
    assert ids == [announced["ticket"]["id"], missed["ticket"]["id"]]
    assert (await _reconciled(gateway)).delivered == 0


async def test_an_edit_that_nobody_announced_comes_in(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    body = await gateway.file(Slot.RELEASE)
    await gateway.send(body)
    ticket = body["ticket"]["id"]
    await gateway.tickets.edit(ticket, body="We refuse the transfer of example.com.")
    await _reconciled(gateway)
    assert gateway.transfers.signals == [(HOME, "release", ticket), (HOME, "refuse", ticket)]


async def test_a_ticket_older_than_the_first_look_opens_nothing(gateway: Gateway) -> None:
    """It is edited today; when its transfer starts, it is found."""
    body = await gateway.file(Slot.AUTHORIZE)
    known = gateway.tickets.tickets
    ticket = known[body["ticket"]["id"]]
    long_ago = ticket.created_at - FIRST_LOOK - timedelta(minutes=1)
    known[ticket.id] = ticket.model_copy(update={"created_at": long_ago})
    await _reconciled(gateway)
    assert gateway.transfers.opened == []
    assert await gateway.waiting() == {ticket.id: "NOT_A_NEW_TICKET"}


async def test_a_ticket_that_cannot_be_delivered_holds_up_no_other_one(gateway: Gateway) -> None:
    """The watermark stays behind it, so that it is tried again."""
    gateway.transfers.open_ones.add(HOME)
    broken, fine = [(await gateway.file(slot))["ticket"]["id"] for slot in list(Slot)[:2]]
    receive = gateway.desk.receive

    async def stumbles(webhook_id: str, heard: Heard) -> Any:
        if heard.ticket.id == broken:
            raise RuntimeError("a bug")
        return await receive(webhook_id, heard)

    with patch.object(gateway.desk, "receive", stumbles):
        assert (await _reconciled(gateway)).failed == 1
    assert [ticket for _, _, ticket in gateway.transfers.signals] == [fine]
    assert await gateway.arrivals.read_up_to() is None
    assert (await _reconciled(gateway)).delivered == 0, "the page came twice: it was first in it"
    assert [ticket for _, _, ticket in gateway.transfers.signals] == [fine, broken]
    assert await gateway.arrivals.read_up_to() is not None


@pytest.mark.parametrize("who", ["tickets", "arrivals", "transfers", "accounts"])
async def test_while_a_neighbour_is_away_nothing_counts_as_reconciled(
    gateway: Gateway, who: str
) -> None:
    gateway.transfers.open_ones.add(HOME)
    await gateway.file(Slot.RELEASE)
    getattr(gateway, who).away = True
    with pytest.raises(Unreachable):
        await _reconciled(gateway)
    getattr(gateway, who).away = False
    assert await gateway.arrivals.read_up_to() is None
    await _reconciled(gateway)
    assert len(gateway.transfers.signals) == 1


async def test_more_tickets_than_a_page_holds_come_in_page_by_page(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    for _ in range(MAX_FOUND + 5):
        await gateway.file(Slot.RELEASE)
    progress = await _reconciled(gateway)
    assert progress.found == MAX_FOUND + 5
    assert len(gateway.transfers.signals) == MAX_FOUND + 5
