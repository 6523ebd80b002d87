"""Starting workflows: the one place where one begins, for operators, tickets and the clock."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import NamedTuple

from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Schedule,
    ScheduleAction,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    WorkflowExecutionDescription,
)
from temporalio.service import RPCError, RPCStatusCode

from transfer import opening, views
from transfer.attributes import NEW_RESELLER, search_attributes
from transfer.case import Case
from transfer.codec import KEY_ID, EncryptionCodec
from transfer.details import asked_for, escaped
from transfer.messages import Reconciliation, TransferRequest
from transfer.overview import DigestWanted
from transfer.parties import Facts
from transfer.temporal import DIGEST_WINDOW, RPC_TIMEOUT, TASK_QUEUE
from workflows.customer_transfer import CustomerTransfer, Start
from workflows.digest import StaffDigest
from workflows.reconciliation import TicketReconciliation

RECONCILIATION = "ticket-reconciliation"
"""The id of the schedule, and the beginning of the ids of its workflows."""
DIGEST = "staff-digest"
"""Likewise, of the daily digest."""


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
    attributes = views.attributes(expected)
    started = await client.start_workflow(
        CustomerTransfer.run,
        Start(**request.model_dump()),
        id=transfer_id,
        task_queue=TASK_QUEUE,
        search_attributes=search_attributes(attributes),
        static_summary=(
            f"{escaped(expected.shown_domain)}: {escaped(expected.old)} to {escaped(expected.new)}"
        ),
        static_details=asked_for(expected),
        memo={NEW_RESELLER.name: expected.new.id} if attributes.NewReseller is None else None,
        rpc_timeout=RPC_TIMEOUT,
    )
    return Begun(transfer_id, started.result_run_id, expected)


async def going_to(present: WorkflowExecutionDescription) -> str | None:
    """The id of the new reseller of a transfer, whether or not that is private."""
    shown = present.typed_search_attributes.get(NEW_RESELLER)
    return shown or await present.memo_value(NEW_RESELLER.name, None, type_hint=str)


async def schedule_reconciliation(client: Client, every: timedelta) -> bool:
    """Have tickets reconciled again and again; ``False`` where that is scheduled just so.

    Raises:
        RPCError: Temporal is away, or refuses.
    """
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            TicketReconciliation.run,
            Reconciliation(),
            id=RECONCILIATION,
            task_queue=TASK_QUEUE,
            static_summary="Tickets that nobody announced are looked for, and delivered",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        # One that takes longer than the interval is waited for; one missed is none missed.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=every),
    )
    return await _schedule(client, RECONCILIATION, schedule)


async def schedule_digest(client: Client, at: time, time_zone: str) -> bool:
    """Have staff told every day at that time; ``False`` where that is scheduled just so.

    Raises:
        RPCError: Temporal is away, or refuses.
    """
    once = ScheduleCalendarSpec(
        hour=[ScheduleRange(at.hour)], minute=[ScheduleRange(at.minute)], comment="daily"
    )
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            StaffDigest.run,
            DigestWanted(time_zone=time_zone),
            id=DIGEST,
            task_queue=TASK_QUEUE,
            static_summary="Staff are told which open transfers need them",
        ),
        spec=ScheduleSpec(calendars=[once], time_zone_name=time_zone),
        # Temporal back after a while: the digest of this morning is still worth reading.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=DIGEST_WINDOW),
    )
    return await _schedule(client, DIGEST, schedule)


async def unschedule(client: Client, schedule_id: str) -> bool:
    """End a schedule; ``False`` where there is none.

    Raises:
        RPCError: Temporal is away, or refuses.
    """
    try:
        await client.get_schedule_handle(schedule_id).delete(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def why_not_scheduled(client: Client, schedule_id: str) -> str | None:
    """Why a schedule would start nothing; ``None`` where it does.

    Raises:
        RPCError: Temporal is away, or refuses.
    """
    handle = client.get_schedule_handle(schedule_id)
    try:
        described = await handle.describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return "not scheduled"
        raise
    return "paused" if described.schedule.state.paused else None


async def _schedule(client: Client, schedule_id: str, schedule: Schedule) -> bool:
    """Have a schedule as it is given. One that is there keeps its state: paused stays paused."""
    handle = client.get_schedule_handle(schedule_id)
    try:
        await client.create_schedule(schedule_id, schedule, rpc_timeout=RPC_TIMEOUT)
    except ScheduleAlreadyRunningError:
        present = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).schedule
        same_times = _times(present.spec) == _times(schedule.spec)
        if same_times and _is_encrypted_as_now(client, present.action):
            return False
        schedule.state = present.state
        await handle.update(lambda _: ScheduleUpdate(schedule), rpc_timeout=RPC_TIMEOUT)
    return True


def _is_encrypted_as_now(client: Client, action: ScheduleAction) -> bool:
    """Whether a schedule's input is by our newest key: it would need an old one for ever."""
    codec = client.data_converter.payload_codec
    newest = codec.key_ids[0].encode() if isinstance(codec, EncryptionCodec) else None
    kept = action.args if isinstance(action, ScheduleActionStartWorkflow) else ()
    return all(one.metadata.get(KEY_ID) == newest for one in kept if isinstance(one, Payload))


def _times(spec: ScheduleSpec) -> tuple[object, ...]:
    """When a schedule starts something, as far as we set it: the server fills in the rest."""
    days = [
        ([one.start for one in calendar.hour], [one.start for one in calendar.minute])
        for calendar in spec.calendars
    ]
    zone = (spec.time_zone_name or "UTC") if days else ""
    return [one.every for one in spec.intervals], days, zone


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
