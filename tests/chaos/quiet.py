"""When the faults are over: what is still to happen, and time that passes at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from temporalio.api.common.v1 import WorkflowExecution as CommonExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import ResetActivityRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from tests.chaos.people import Lived
from tests.chaos.town import Town
from transfer.attributes import TRANSFER_STATE
from transfer.case import TERMINAL, State


async def unsettled(town: Town, client: Client, lived: Sequence[Lived]) -> list[str]:
    """What still has to happen, in a few words each; nothing when all is quiet."""
    waiting = [f"{one.story.domain} is not lived to its end" for one in lived if not one.done]
    states: dict[str, State] = {}
    async for run in client.list_workflows('WorkflowType="CustomerTransfer"'):
        state = run.typed_search_attributes.get(TRANSFER_STATE)
        is_running = run.status is WorkflowExecutionStatus.RUNNING
        if state and (run.id not in states or is_running):
            states[run.id] = State(state)
        if state in TERMINAL and is_running:
            waiting.append(f"{run.id} is {state}, and still tells of it")
    for one in lived:
        state = states.get(f"transfer-{one.story.domain}")
        if state not in one.story.ends:
            waiting.append(f"{one.story.domain} ({one.story.kind}) is {state}")
    came_in = await town.database.rows("SELECT ticket_id FROM webhook_events")
    known = {row["ticket_id"] for row in came_in}
    for one in lived:
        late = one.tickets.keys() - known
        waiting += [f"ticket {ticket} of {one.story.domain} has not come in" for ticket in late]
    pending = await town.database.rows("SELECT id FROM deliveries WHERE state <> 'SENT'")
    waiting += [f"notice {row['id']} has not been delivered" for row in pending]
    return waiting


async def time_passes(town: Town, client: Client) -> None:
    """Let what waits for time go on now. No worker is there: what is under way is nobody's.

    A minute would end the leases of deliveries that a dead worker had, half a minute its
    activities; and who found a neighbour away would wait up to a minute before trying again.
    """
    await town.database.rows(
        "UPDATE deliveries SET next_try_at = NULL, leased_until = NULL WHERE state = 'PENDING'"
        " RETURNING id"
    )
    async for run in client.list_workflows('ExecutionStatus="Running"'):
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        for pending in (await handle.describe()).raw_description.pending_activities:
            with contextlib.suppress(RPCError):  # it was over just now
                await _tried_again(client, run, pending)


async def _tried_again(
    client: Client, run: WorkflowExecution, pending: PendingActivityInfo
) -> None:
    if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
        handle = client.get_async_activity_handle(
            workflow_id=run.id, run_id=run.run_id, activity_id=pending.activity_id
        )
        await handle.fail(TimeoutError("its worker is gone"))
    await client.workflow_service.reset_activity(
        ResetActivityRequest(
            namespace=client.namespace,
            execution=CommonExecution(workflow_id=run.id, run_id=run.run_id),
            id=pending.activity_id,
        )
    )
