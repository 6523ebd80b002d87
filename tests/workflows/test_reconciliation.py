"""Reconciling, as a workflow: page by page, patiently, and in a new run where it gets long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.reconciliation import ReconciliationActivities
from tests.gateway.panel import HOME, Gateway
from tests.workflows.conftest import scenario, write_histories
from transfer.adapters.desk import MAX_FOUND
from transfer.adapters.memory import MemoryMeter
from transfer.messages import Reconciliation
from transfer.parties import Slot
from transfer.starting import RECONCILIATION
from transfer.temporal import TASK_QUEUE
from workflows.reconciliation import TicketReconciliation


async def test_all_pages_are_reconciled_though_a_neighbour_is_away_for_a_while(
    skipping_server: WorkflowEnvironment, request: pytest.FixtureRequest
) -> None:
    gateway = Gateway()
    gateway.transfers.open_ones.add(HOME)
    for _ in range(MAX_FOUND + 1):
        await gateway.file(Slot.RELEASE)
    tries = 0

    def clock() -> datetime:
        nonlocal tries
        tries += 1
        gateway.tickets.away = tries < 3
        return datetime.now(UTC)

    activities = ReconciliationActivities(
        gateway.tickets, gateway.arrivals, gateway.desk, clock=clock, meter=MemoryMeter()
    )
    client = skipping_server.client
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[TicketReconciliation],
        activities=[activities.reconcile],
    ):
        handle = await client.start_workflow(
            TicketReconciliation.run,
            Reconciliation(),
            id=RECONCILIATION,
            task_queue=TASK_QUEUE,
            execution_timeout=timedelta(hours=1),
        )
        progress = await handle.result()
    assert (progress.found, progress.delivered, progress.done) == (MAX_FOUND + 1,) * 2 + (True,)
    assert len(gateway.transfers.signals) == MAX_FOUND + 1
    await gateway.client.aclose()
    if request.config.getoption("--write-histories"):
        write_histories(scenario(request.node.nodeid), [await handle.fetch_history()])
