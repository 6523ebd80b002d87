"""What there is at the end, read from Temporal, the database, the desk and the mails' file."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowExecution, WorkflowQueryFailedError
from temporalio.service import RPCError

from tests.chaos.people import Lived, People
from tests.chaos.sink import Kept, arrived
from tests.chaos.town import Row, Town
from transfer.case import Evidence, State
from transfer.tickets import Ticket
from transfer.views import EvidenceView, Status

MENDED_BY_TIME = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
    }
)
"""Why a workflow task may fail though nobody made a mistake: a signal came in, a server began."""
ANSWERS_IN = timedelta(seconds=20)


@dataclass
class Transfer:
    """One run of a transfer: what it says of itself, and of what happened."""

    run: WorkflowExecution
    status: Status
    events: tuple[Evidence, ...]

    @property
    def state(self) -> State:
        """Where it is."""
        return State(self.status.state)

    @property
    def key(self) -> str:
        """Unique for ever."""
        return f"{self.run.id}/{self.run.run_id}"


@dataclass
class Found:
    """All that there is at the end, read once."""

    transfers: dict[str, list[Transfer]] = field(default_factory=lambda: defaultdict(list))
    mute: list[str] = field(default_factory=list)
    in_vain: list[Transfer] = field(default_factory=list)
    """Begun by who had looked before a transfer that was over then: the preflight ended them."""
    tickets: Sequence[Ticket] = ()
    parked: dict[str, Row] = field(default_factory=dict)
    billing: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    evidence: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    deliveries: list[Row] = field(default_factory=list)
    mails: list[Kept] = field(default_factory=list)
    task_failures: Counter[str] = field(default_factory=Counter)
    histories: int = 0

    def of(self, lived: Lived) -> list[Transfer]:
        """The transfers of a story; there should be one."""
        return self.transfers.get(f"transfer-{lived.story.domain}", [])


async def found(town: Town, client: Client, people: People) -> Found:
    """Read all that there is."""
    all_of_it = Found(mails=arrived(town.mails), tickets=await people.filed())
    runs = [run async for run in client.list_workflows('WorkflowType="CustomerTransfer"')]
    asked = asyncio.Semaphore(8)

    async def told(run: WorkflowExecution) -> Transfer | None:
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            async with asked:
                status = await handle.query("status", result_type=Status, rpc_timeout=ANSWERS_IN)
                evidence = await handle.query(
                    "evidence", result_type=EvidenceView, rpc_timeout=ANSWERS_IN
                )
        except (RPCError, WorkflowQueryFailedError) as error:
            all_of_it.mute.append(f"{run.id} cannot be asked: {error}")
            return None
        return Transfer(run, status, evidence.events)

    answers = await asyncio.gather(*map(told, sorted(runs, key=lambda run: run.start_time)))
    for transfer in filter(None, answers):
        before = all_of_it.transfers[transfer.run.id]
        in_vain = before and before[-1].state is State.COMPLETED and not transfer.status.slots
        (all_of_it.in_vain if in_vain else before).append(transfer)
    others = [run async for run in client.list_workflows('WorkflowType!="CustomerTransfer"')]
    for run in [*runs, *others]:
        all_of_it.task_failures.update(await _task_failures(client, run))
        all_of_it.histories += 1
    rows = town.database.rows
    for row in await rows("SELECT * FROM parked_tickets"):
        all_of_it.parked[row["ticket_id"]] = row
    for row in await rows(
        "SELECT c.id AS customer, b.* FROM billing_assignments b"
        " JOIN customers c ON c.no = b.customer_no ORDER BY b.starts_at, b.no"
    ):
        all_of_it.billing[row["customer"]].append(row)
    for row in await rows("SELECT * FROM evidence ORDER BY seq"):
        all_of_it.evidence[row["key"]].append(row)
    all_of_it.deliveries = await rows("SELECT * FROM deliveries ORDER BY no")
    return all_of_it


async def _task_failures(client: Client, run: WorkflowExecution) -> list[str]:
    """Why workflow tasks of a run failed; with a message where somebody made a mistake."""
    history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    why = list[str]()
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            message = "" if failed.cause in MENDED_BY_TIME else f": {failed.failure.message[:300]}"
            why.append(f"{WorkflowTaskFailedCause.Name(failed.cause)}{message}")
    return why
