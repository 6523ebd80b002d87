"""Tickets arrive though no webhook does: nobody runs a gateway here at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from tests.e2e.installation import Installation, Program, eventually
from transfer.starting import RECONCILIATION

ROAD, LATER = "road.example", "later.example"


@pytest.fixture(scope="module")
def alone(install: Callable[..., Installation]) -> Installation:
    """An installation whose schedule is left to the tests."""
    installed = install()
    installed.sink.start()
    installed.settings |= installed.policy(grace="1s")
    return installed.set_up([ROAD, LATER])


@pytest.fixture(scope="module")
def worker(alone: Installation) -> Program:
    """Works until the end."""
    return alone.working()


def _reconcile(installed: Installation) -> None:
    """Let the schedule's time come, and wait for the end."""

    async def ended(client: Client) -> int:
        handle = client.get_schedule_handle(RECONCILIATION)
        return (await handle.describe()).info.num_actions

    async def trigger(client: Client) -> None:
        await client.get_schedule_handle(RECONCILIATION).trigger()

    async def running(client: Client) -> int:
        query = 'WorkflowType="TicketReconciliation"'
        found = [one async for one in client.list_workflows(query)]
        assert all(one.status is not WorkflowExecutionStatus.FAILED for one in found)
        return sum(one.status is WorkflowExecutionStatus.COMPLETED for one in found)

    before, done = installed.asked(ended), installed.asked(running)
    installed.asked(trigger)
    eventually(lambda: installed.asked(ended) > before, "the schedule has started it")
    eventually(lambda: installed.asked(running) > done, "it has ended")


def test_tickets_filed_while_nothing_announces_them_move_a_customer(
    alone: Installation, worker: Program
) -> None:
    """Three tickets in; one opens the transfer, and all three count."""
    filed = [alone.file(ROAD, what) for what in ("accept", "authorize", "release")]
    _reconcile(alone)
    alone.reaches("COMPLETED", ROAD)
    alone.moved_once(ROAD)
    rows = alone.done("evidence", ROAD, "--json").document
    counted = sorted(row["ticket_id"] for row in rows if row["code"] == "AUTHORIZED")
    assert counted == sorted(filed)
    _reconcile(alone)
    received = alone.query("SELECT ticket_id FROM webhook_events")
    assert sorted(ticket for (ticket,) in received) == sorted(filed), "each came in once"


def test_tickets_filed_while_no_worker_is_there_come_in_later(
    alone: Installation, worker: Program
) -> None:
    """The schedule waits for a worker, and nothing is skipped."""
    assert worker.stop() == 0
    ticket = alone.file(LATER, "accept")
    again = alone.working()
    _reconcile(alone)
    waiting = alone.done("tickets", "parked", "--json").document
    assert [row["ticket_id"] for row in waiting] == [ticket]
    assert again.stop() == 0
