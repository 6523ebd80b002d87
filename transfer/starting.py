"""Starting a transfer: the one place where a workflow begins, for operators and for tickets."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from transfer import opening, views
from transfer.case import Case
from transfer.messages import TransferRequest
from transfer.parties import Facts
from transfer.temporal import RPC_TIMEOUT, TASK_QUEUE, search_attributes
from workflows.customer_transfer import CustomerTransfer, Start


class Begun(NamedTuple):
    """A transfer that was started just now: its workflow's ids, and the case as it is expected."""

    transfer_id: str
    run_id: str | None
    case: Case


async def begin(
    client: Client, request: TransferRequest, facts: Facts, transfer_id: str, now: datetime
) -> Begun:
    """Start the transfer that ``transfer_id`` names, with the search attributes it will have.

    The caller has seen to it that the preflight finds nothing; the workflow looks again.

    Raises:
        WorkflowAlreadyStartedError: it is open already.
        RPCError: Temporal is away, or refuses.
    """
    expected = opening.opened(Case.received(request, transfer_id, transfer_id, now), facts, now)
    started = await client.start_workflow(
        CustomerTransfer.run,
        Start(**request.model_dump()),
        id=transfer_id,
        task_queue=TASK_QUEUE,
        search_attributes=search_attributes(views.attributes(expected)),
        static_summary=f"{expected.shown_domain}: {expected.old} to {expected.new}",
        static_details=f"Asked for by {request.requested_by}. Charges: {expected.charges}.",
        rpc_timeout=RPC_TIMEOUT,
    )
    return Begun(transfer_id, started.result_run_id, expected)


async def described(client: Client, transfer_id: str) -> WorkflowExecutionDescription | None:
    """What Temporal knows of a transfer, without a worker; ``None`` where there is none.

    Raises:
        RPCError: Temporal is away, or refuses.
    """
    try:
        return await client.get_workflow_handle(transfer_id).describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
