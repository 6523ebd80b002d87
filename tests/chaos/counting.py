"""Counting: what came of it all, and what of that should not be.

Nothing here is told by the code under test alone: the desk's tickets, the billing table and the
mail server's own file are read as they are; what a transfer says of itself is held against them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row
from temporalio.api.common.v1 import WorkflowExecution as CommonExecution
from temporalio.api.enums.v1 import EventType, PendingActivityState, WorkflowTaskFailedCause
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import ResetActivityRequest
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError

from tests.chaos.people import NEW, OLD, Filed, Lived, People
from tests.chaos.plan import PROGRAMS, WORKERS, Says
from tests.chaos.sink import Kept, arrived
from tests.chaos.town import GAVE_UP, Failed, Town
from tests.e2e.installation import customer_of
from transfer.attributes import TRANSFER_STATE
from transfer.case import TERMINAL, Evidence, State
from transfer.parties import Party
from transfer.policy import Policy
from transfer.tickets import Ticket
from transfer.views import EvidenceView, Status

Row = dict[str, Any]

SLOT = frozenset({"AUTHORIZED", "SLOT_REFUSED", "SLOT_WITHDRAWN"})
REJECTED = frozenset({"REJECTED", "FOREIGN_TICKET"})
LATE = frozenset({"LATE", "TOO_LATE"})
MENDED_BY_TIME = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
    }
)
"""Why a workflow task may fail though nobody made a mistake: a signal came in, a server began."""
_NO_MISTAKES = (
    "transfer.errors.Unreachable: ",
    "CancelledError: Activity cancelled",
    "'NoneType' object has no attribute 'getpeername'",  # anyio, of one reset as soon as it is made
)
"""Errors of activities while a neighbour is away, or takes longer than a look may."""
ANSWERS_IN = timedelta(seconds=20)
UNRECORDED_FOR = 20.0
"""Seconds that may pass from a mail's arrival until the fault that kept it from being noted."""


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


@dataclass
class Count:
    """What was counted, and a story for everything that is wrong."""

    found: Found
    wrong: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def say(self, what: str) -> None:
        """Something is wrong."""
        self.wrong.append(what)


# -- until all is quiet ----------------------------------------------------------------------------
async def unsettled(town: Town, client: Client, lived: Sequence[Lived]) -> list[str]:
    """What still has to happen, in a few words each; nothing when all is quiet."""
    waiting = [f"{one.story.domain} is not lived to its end" for one in lived if not one.done]
    states: dict[str, State] = {}
    async for run in client.list_workflows('WorkflowType="CustomerTransfer"'):
        state = run.typed_search_attributes.get(TRANSFER_STATE)
        if state and (run.id not in states or run.status is WorkflowExecutionStatus.RUNNING):
            states[run.id] = State(state)
    for one in lived:
        state = states.get(f"transfer-{one.story.domain}")
        if state not in one.story.ends:
            waiting.append(f"{one.story.domain} ({one.story.kind}) is {state}")
    async with await _database(town) as opened:
        known = {
            row["ticket_id"] for row in await _rows(opened, "SELECT ticket_id FROM webhook_events")
        }
        pending = await _rows(opened, "SELECT id FROM deliveries WHERE state <> 'SENT'")
    for one in lived:
        late = one.tickets.keys() - known
        waiting += [f"ticket {ticket} of {one.story.domain} has not come in" for ticket in late]
    waiting += [f"{len(pending)} notices have not been delivered"] if pending else []
    return waiting


async def time_passes(town: Town, client: Client) -> None:
    """Let what waits for time go on now. No worker is there: what is under way is nobody's.

    A minute would end the leases of deliveries that a dead worker had, half a minute its
    activities; and who found a neighbour away would wait up to a minute before trying again.
    """
    async with await _database(town) as opened:
        await opened.execute(
            "UPDATE deliveries SET next_try_at = NULL, leased_until = NULL WHERE state = 'PENDING'"
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


# -- what there is -------------------------------------------------------------------------------
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
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        all_of_it.histories += 1
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                failed = event.workflow_task_failed_event_attributes
                cause = WorkflowTaskFailedCause.Name(failed.cause)
                why = "" if failed.cause in MENDED_BY_TIME else f": {failed.failure.message[:300]}"
                all_of_it.task_failures[f"{cause}{why}"] += 1
    async with await _database(town) as opened:
        for row in await _rows(opened, "SELECT * FROM parked_tickets"):
            all_of_it.parked[row["ticket_id"]] = row
        for row in await _rows(
            opened,
            "SELECT c.id AS customer, b.* FROM billing_assignments b"
            " JOIN customers c ON c.no = b.customer_no ORDER BY b.starts_at, b.no",
        ):
            all_of_it.billing[row["customer"]].append(row)
        for row in await _rows(opened, "SELECT * FROM evidence ORDER BY seq"):
            all_of_it.evidence[row["key"]].append(row)
        all_of_it.deliveries = await _rows(opened, "SELECT * FROM deliveries ORDER BY no")
    return all_of_it


# -- and what of it is wrong ---------------------------------------------------------------------
def counted(town: Town, lived: Sequence[Lived], there: Found) -> Count:
    """Count everything, with a story for what is wrong."""
    count = Count(there)
    _nobody_made_a_mistake(count, town)
    for look in (_ends_as_it_should, _billing_is_whole, _tickets_are_somewhere):
        for one in sorted(lived, key=lambda one: (one.story.kind, one.story.domain)):
            look(count, one)
    known = {ticket for one in lived for ticket in one.tickets}
    for ticket in there.tickets:
        if ticket.id not in known:
            count.say(f"ticket {ticket.id} of {ticket.account} was filed by nobody")
    if lost := known - {ticket.id for ticket in there.tickets}:
        count.say(f"tickets {sorted(lost)} were filed, and are gone")
    for transfers in there.transfers.values():
        for transfer in transfers:
            _evidence_is_kept(count, transfer)
    count.counted["transfers begun in vain, and found INVALID"] = len(there.in_vain)
    _mails_arrived(count, town)
    return count


def _nobody_made_a_mistake(count: Count, town: Town) -> None:
    there = count.found
    for cause, times in there.task_failures.items():
        count.counted[f"workflow tasks failed: {cause}"] += times
        if ": " in cause:
            count.say(f"{times} workflow tasks failed by a mistake: {cause}")
    for file, text in town.logs().items():
        lines = () if GAVE_UP in text else text.splitlines()
        for line in filter(_is_mistake, lines):
            count.say(f"{file} speaks of a mistake: {line[:2500]}")
    count.wrong += there.mute


def _is_mistake(line: str) -> bool:
    """Whether a line of a log tells of more than a neighbour that is away."""
    if not line.startswith("{"):
        return line.startswith("Traceback")
    said = json.loads(line)
    error = str(said.get("exception", ""))
    foreseen = any(name in error for name in _NO_MISTAKES)
    return said["level"] in ("error", "critical") or bool(error and not foreseen)


def _ends_as_it_should(count: Count, lived: Lived) -> None:
    story = lived.story
    transfers = count.found.transfers.get(f"transfer-{story.domain}", [])
    count.counted["transfers"] += 1
    if len(transfers) != 1:
        count.say(f"{_told(lived)}: there are {len(transfers)} transfers: {_runs(transfers)}")
    if not transfers:
        return
    last = transfers[-1]
    state = last.state
    count.counted[f"  {story.kind}: {state.value}"] += 1
    if state not in story.ends:
        wanted = " or ".join(sorted(end.value for end in story.ends))
        count.say(f"{_told(lived)}: it should be {wanted}, and is {state.value}. {_happened(last)}")
        return
    if state not in TERMINAL and frozenset(last.status.waiting_on) != story.waits:
        count.say(
            f"{_told(lived)}: it should wait for {sorted(story.waits)}, and waits for"
            f" {sorted(last.status.waiting_on)}. {_happened(last)}"
        )
    shown = last.run.typed_search_attributes.get(TRANSFER_STATE)
    if shown != state.value:
        count.say(f"{_told(lived)}: it is {state.value}, and the list shows {shown}")
    is_over = last.run.status is WorkflowExecutionStatus.COMPLETED
    if is_over != (state in TERMINAL) or (
        not is_over and last.run.status is not WorkflowExecutionStatus.RUNNING
    ):
        count.say(f"{_told(lived)}: it is {state.value}, and its workflow {last.run.status}")
    if story.kind == "regretted":
        _is_regretted_in_time(count, lived, last)


def _is_regretted_in_time(count: Count, lived: Lived, transfer: Transfer) -> None:
    """A no that was on record before grace was over counts; one filed after the re-check cannot."""
    back = next(one for one in lived.tickets.values() if one.says is Says.BACK)
    ready = [event.at for event in transfer.events if event.code == "READY"]
    moving = [event.at for event in transfer.events if event.code == "COMMITTING"]
    policy = Policy.model_validate(lived.story.policy)
    if moving and ready and back.known_at < policy.after(ready[-1], policy.grace):
        count.say(
            f"{_told(lived)}: it was taken back at {back.known_at}, grace was over at"
            f" {policy.after(ready[-1], policy.grace)}, and billing moved. {_happened(transfer)}"
        )
    if not moving and transfer.state is State.COMPLETED:
        count.say(f"{_told(lived)}: COMPLETED without a re-check. {_happened(transfer)}")


def _billing_is_whole(count: Count, lived: Lived) -> None:
    """From the beginning to an open end without gap or overlap; moved once, or not at all."""
    domain = lived.story.domain
    rows = count.found.billing[customer_of(domain)]
    completed = [
        transfer
        for transfer in count.found.transfers.get(f"transfer-{domain}", [])
        if transfer.state is State.COMPLETED
    ]
    gaps = [
        (before["ends_at"], after["starts_at"])
        for before, after in itertools.pairwise(rows)
        if before["ends_at"] != after["starts_at"]
    ]
    if gaps or not rows or rows[-1]["ends_at"] is not None:
        count.say(f"{_told(lived)}: billing has gaps or overlaps: {rows}")
    resellers = [row["reseller"] for row in rows]
    if resellers != ([OLD.id, NEW.id] if completed else [OLD.id]):
        count.say(f"{_told(lived)}: billed are {resellers}, {len(completed)} were completed")
    elif completed:
        count.counted["billing moved"] += 1
        committing = [e.at for e in completed[0].events if e.code == "COMMITTING"]
        if rows[1]["transfer_key"] != completed[0].key or rows[1]["starts_at"] not in committing:
            count.say(f"{_told(lived)}: billing moved by {rows[1]}. {_happened(completed[0])}")


def _tickets_are_somewhere(count: Count, lived: Lived) -> None:
    """Each ticket that was filed is in one place, and in one only."""
    transfers = count.found.transfers.get(f"transfer-{lived.story.domain}", [])
    for ticket_id, filed in lived.tickets.items():
        count.counted["tickets"] += 1
        places = _places(count.found, transfers, lived, filed)
        for place in places:
            count.counted[f"  tickets {place}"] += 1
        if len(places) != 1:
            row = count.found.parked.get(ticket_id)
            told = " ".join(_happened(transfer) for transfer in transfers)
            count.say(
                f"{_told(lived)}: ticket {ticket_id} ({filed.step.slot.value}, {filed.says})"
                f" is in {places or 'no place'}; parked: {row}. {told}"
            )


def _places(there: Found, transfers: Sequence[Transfer], lived: Lived, filed: Filed) -> list[str]:
    ticket_id, places = filed.ticket.id, list[str]()
    said = [
        event.code
        for transfer in transfers
        for event in transfer.events
        if event.ticket_id == ticket_id
    ]
    for code in reversed(said):
        if code in SLOT:
            places.append("in a slot")
        elif code in REJECTED:
            places.append("rejected")
        elif code in LATE:
            places.append("answered late")
        elif code == "AMBIGUOUS":
            places.append("with staff")
        else:
            continue
        break
    parked = there.parked.get(ticket_id)
    # Who was answered has its answer; announced again after the end, it is parked beside.
    answered = places in (["answered late"], ["rejected"])
    if parked and parked["picked_up_at"] is None and not answered:
        places.append("parked")
    if not places and _is_overtaken(lived, filed):
        places.append("overtaken by a newer one")
    if not places and any(
        row["ticket_id"] == ticket_id and row["code"] in SLOT
        for transfer in transfers
        for row in there.evidence[transfer.key]
    ):
        places.append(
            "in a slot by a workflow task that was lost, and over before it was read again"
        )
    if not places and parked and any(_ended_as_it_began(one, parked) for one in transfers):
        places.append("picked up by a transfer that a no ended as it began")
    return places


def _is_overtaken(lived: Lived, filed: Filed) -> bool:
    """The same party says the same in a newer ticket: found together, only the last one is read."""
    ours = [one for one in lived.tickets.values() if one.step.slot is filed.step.slot]
    return any(one.ticket.created_at > filed.ticket.created_at for one in ours)


def _ended_as_it_began(transfer: Transfer, parked: Row) -> bool:
    """Whether a transfer picked up a parked ticket, and was over at that very instant."""
    opened = [event.at for event in transfer.events if event.code == "OPENED"]
    ended = [event.at for event in transfer.events if event.code in TERMINAL]
    return bool(opened) and opened == ended and parked["picked_up_at"] in opened


def _evidence_is_kept(count: Count, transfer: Transfer) -> None:
    """All that a transfer knows is in the database, too; more is what a lost task wrote."""
    kept = {(row["seq"], row["mark"]) for row in count.found.evidence[transfer.key]}
    told = {(event.seq, event.mark) for event in transfer.events}
    count.counted["pieces of evidence"] += len(told)
    count.counted["pieces of evidence by workflow tasks that were lost"] += len(kept - told)
    if missing := told - kept:
        count.say(f"{transfer.run.id}: of its evidence, {sorted(missing)} are not kept")


# -- mails ---------------------------------------------------------------------------------------
def _mails_arrived(count: Count, town: Town) -> None:
    """Each mail of the outbox arrived; one that came again could not be noted the first time."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for kept in count.found.mails:
        times[kept.id, kept.to.casefold()].append(kept.at)
    expected = set[tuple[str, str]]()
    for row in count.found.deliveries:
        if row["state"] != "SENT":
            count.say(
                f"a notice is {row['state']}: {row['event']} to {row['reader']} of {row['key']}:"
                f" {row['last_error']}"
            )
        if row["mail"]:
            mail = json.loads(row["mail"])
            expected.add((mail["message_id"], mail["to"].casefold()))
            count.counted["mails"] += 1
        else:
            count.counted["replies"] += 1
    for missing in expected - times.keys():
        count.say(f"a mail did not arrive: {missing}")
    for strange in times.keys() - expected:
        count.say(f"a mail arrived that was in no outbox: {strange}")
    not_noted = _not_noted(town)
    for (message_id, to), at in times.items():
        for first, again in itertools.pairwise(at):
            if any(_explains(fault, first, again) for fault in town.failed):
                count.counted["mails that came again, after a fault"] += 1
            elif message_id.strip("<").partition("@")[0] in not_noted:
                count.counted["mails that came again, as the database was too busy"] += 1
            else:
                count.say(f"mail {message_id} to {to} came at {first}, and at {again}: for nothing")
    _each_end_is_told_once(count)


def _each_end_is_told_once(count: Count) -> None:
    """Of how it ended, each party's administrators hear in one mail."""
    told: Counter[tuple[str, str, str]] = Counter()
    for row in count.found.deliveries:
        if row["mail"]:
            told[row["key"], row["event"], row["reader"]] += 1
    for transfers in count.found.transfers.values():
        for transfer in transfers:
            state = transfer.state
            if state in TERMINAL and not transfer.status.slots:
                # Cancelled before it was opened: it never asked anybody. A task that was lost may.
                asked = any(key == transfer.key for key, _, _ in told)
                count.counted["ends of transfers that only a lost task had told of"] += asked
                continue
            for party in Party if state in TERMINAL else ():
                mails = told[transfer.key, state.value, party.value]
                count.counted["ends told"] += mails
                if mails != 1:
                    count.say(
                        f"{transfer.run.id}: {party.value} got {mails} mails of {state.value}."
                        f" {_happened(transfer)}"
                    )


def _not_noted(town: Town) -> set[str]:
    """The deliveries of which a worker says itself that it could not note them."""
    lines = (line for text in town.logs().values() for line in text.splitlines())
    said = (json.loads(line) for line in lines if '"notice_not_recorded"' in line)
    return {line["delivery"] for line in said}


def _explains(failed: Failed, first: float, again: float) -> bool:
    """Whether a fault can have kept a worker from noting that a mail had arrived."""
    on_the_way = ("postgresql", "smtp", *WORKERS)
    target = failed.failure.target
    concerned = target in on_the_way or (
        target not in PROGRAMS and target.endswith(("to postgresql", "to smtp"))
    )
    return concerned and failed.began < first + UNRECORDED_FOR and failed.ended > first - 1


# -- how -----------------------------------------------------------------------------------------
async def _database(town: Town) -> psycopg.AsyncConnection[Row]:
    url = town.database.url(town.database.port)
    return await psycopg.AsyncConnection[Row].connect(
        url, autocommit=True, connect_timeout=10, row_factory=dict_row
    )


async def _rows(opened: psycopg.AsyncConnection[Row], sql: str) -> list[Row]:
    cursor = await opened.execute(sql.encode())
    return await cursor.fetchall()


def _told(lived: Lived) -> str:
    """What people did, for a story."""
    filed = ", ".join(
        f"{one.ticket.id} {one.step.slot.value} {one.says} ({one.step.told})"
        for one in lived.tickets.values()
    )
    story = lived.story
    levers = f"; levers {', '.join(lived.levers)}" if lived.levers else ""
    return f"{story.domain} ({story.kind}, begun by {story.begin}; filed {filed}{levers})"


def _happened(transfer: Transfer) -> str:
    """What happened, by the transfer itself."""
    events = " ".join(
        f"{event.code}{f'[{event.ticket_id}]' if event.ticket_id else ''}@{event.at:%M:%S.%f}"
        for event in transfer.events
    )
    return f"Run {transfer.run.run_id[:8]}: {events}."


def _runs(transfers: Sequence[Transfer]) -> str:
    return " ".join(_happened(transfer) for transfer in transfers)
