"""Moving one customer from one reseller to another, from the first look to the last notice."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.accounts import AccountActivities
from activities.notices import NoticeActivities
from activities.staff import StaffActivities
from activities.tickets import TicketActivities
from transfer import clocks, commit, levers, mediation, opening, submissions, views
from transfer.case import Case, Publication, State
from transfer.commit import Commit
from transfer.errors import RuleBroken
from transfer.inbox import Bell, Inbox
from transfer.messages import (
    Cancel,
    EscalationState,
    EscalationUpdate,
    Survey,
    SurveyWanted,
    TicketReading,
    TicketsWanted,
    TransferRequest,
)
from transfer.temporal import (
    COMMIT_WINDOW,
    PATIENT,
    PATIENT_TIMEOUT,
    nearby,
    search_attribute_changes,
)
from transfer.values import Value
from workflows.doorbells import Doorbells
from workflows.levers import Levers

MAX_SIGNALS_PER_RUN = 2_000
"""Doorbells after which a new run begins: a server refuses the 10,001st of one run."""


class Carried(Value):
    """What a run hands over to the next one of the same transfer."""

    case: Case
    bells: tuple[Bell, ...] = ()
    overflowed: bool = False
    told: int = 0
    ignored: int = 0
    escalation: EscalationUpdate | None = None


class Start(TransferRequest):
    """What a run begins with: the request and, in a later run, what the run before handed over."""

    carried: Carried | None = None

    @property
    def request(self) -> TransferRequest:
        """The request alone, as the case keeps it."""
        return TransferRequest.model_validate(self.model_dump(exclude={"carried"}))


@workflow.defn(name="CustomerTransfer")
class CustomerTransfer(Doorbells, Levers):
    """One transfer of one customer. Waits for three tickets, moves billing, and tells everybody."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        """Begin, or go on where the last run stopped."""
        super().__init__()
        info = workflow.info()
        carried = start.carried or Carried(
            case=Case.received(start.request, info.workflow_id, _key(info), workflow.now())
        )
        self._case = carried.case
        self._inbox = Inbox(carried.bells, overflowed=carried.overflowed)
        self._told = carried.told
        self._ignored = carried.ignored
        self._escalation = carried.escalation
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = workflow.now()

    @workflow.run
    async def run(self, start: Start) -> views.Outcome:
        """Live the transfer to its end. A business outcome is a result, never a failed workflow."""
        life = asyncio.create_task(self._live())
        while not life.done():
            try:
                await asyncio.shield(life)
            except asyncio.CancelledError:
                self._cancel_was_requested()
        await life
        return views.outcome(self._case)

    async def _live(self) -> None:
        if self._case.state is State.VALIDATING:
            await self._open()
        while not self._case.is_terminal:
            self._case = clocks.rung(self._case, workflow.now())
            if bells := self._inbox.take(workflow.now(), first=frozenset(self._callers)):
                await self._read(bells)
            elif self._inbox.overflowed and not self._inbox:
                await self._look_for_lost_tickets()
            elif clocks.commit_is_due(self._case, workflow.now()):
                await self._commit()
            else:
                await self._tell()
                await self._wait()
            await self._continue_as_new_if_long()
        await self._conclude()

    # -- the steps, in the order in which they happen ------------------------------------------
    async def _open(self) -> None:
        survey = await self._survey(f"Look at {self._case.request.domain} and its tickets")
        if self._case.is_terminal:
            return
        self._case = opening.opened(self._case, survey.facts, workflow.now())
        if not self._case.is_terminal:
            self._case = submissions.found(self._case, survey.readings, workflow.now())

    async def _read(self, bells: list[Bell]) -> None:
        """Read the tickets behind doorbells, and let the core judge them."""
        ids = tuple(bell.ticket_id for bell in bells)
        read = await nearby(
            TicketActivities.read_tickets,
            TicketsWanted(ticket_ids=ids),
            summary=f"Read ticket {', '.join(ids)[:180]}",
        )
        now = workflow.now()
        for bell, reading in zip(bells, read.readings, strict=True):
            if reading.ticket is not None or not self._inbox.look_again(bell, now):
                self._submit(bell, reading)

    async def _look_for_lost_tickets(self) -> None:
        """After more doorbells than the inbox holds: find the tickets that nobody kept."""
        self._inbox.overflowed = False
        survey = await self._survey(f"Look for tickets about {self._case.shown_domain}")
        self._case = submissions.found(self._case, survey.readings, workflow.now())

    async def _commit(self) -> None:
        """Read everything once more; move billing if all of it still stands."""
        if self._case.committing_since is None:
            survey = await self._survey(f"Check {self._case.shown_domain} once more")
            if self._inbox.next_at is not None or not clocks.commit_is_due(
                self._case, workflow.now()
            ):
                return
            self._case = commit.rechecked(self._case, survey, workflow.now())
        if self._case.committing_since is None:
            return
        self._case = self._case.having(stuck=None)
        done = commit.committed(self._case, workflow.now())
        try:
            await nearby(
                AccountActivities.move_billing,
                Commit(order=commit.order(self._case), tell=self._publication(done)),
                summary=f"Move billing of {done.shown_domain} from {done.old} to {done.new}",
                within=COMMIT_WINDOW,
            )
        except ActivityError as error:
            self._case = commit.stuck(self._case, str(error.cause or error), workflow.now())
            return
        self._case, self._told = done, done.evidence_count

    async def _conclude(self) -> None:
        """Answer what still rings, tell the outcome, and let every caller have its answer."""
        for bell in self._inbox.take_all():
            self._submit(bell, TicketReading(ticket_id=bell.ticket_id))
        await self._tell()
        await workflow.wait_condition(workflow.all_handlers_finished)

    # -- telling and waiting -------------------------------------------------------------------
    async def _tell(self) -> None:
        """Show a change in the list, the staff queue and the evidence, and to all concerned."""
        changes = search_attribute_changes(
            workflow.info().typed_search_attributes, views.attributes(self._case)
        )
        if changes:
            workflow.upsert_search_attributes(changes)
        workflow.set_current_details(views.summary(self._case))
        await self._escalate()
        if self._told < self._case.evidence_count:
            publication = self._publication(self._case)
            await nearby(
                NoticeActivities.publish,
                publication,
                summary="Tell of " + ", ".join(event.code for event in publication.events)[:180],
            )
            self._told = publication.events[-1].seq

    async def _escalate(self) -> None:
        """Keep the staff queue as the case is: opened, taken, raised to second level, closed."""
        before, now = self._escalation, workflow.now()
        after = mediation.escalation(self._case, now)
        if before and (after is None or after.key != before.key):
            after = before.model_copy(update={"state": EscalationState.CLOSED, "at": now})
        if after is None or _same(before, after):
            return
        await workflow.execute_activity_method(
            StaffActivities.escalate,
            after,
            start_to_close_timeout=PATIENT_TIMEOUT,
            retry_policy=PATIENT,
            summary=f"Staff queue: {after.why} is {after.state.value}",
        )
        self._escalation = None if after.state is EscalationState.CLOSED else after

    async def _wait(self) -> None:
        """Wait for a doorbell, a lever, or the next clock, whichever is first."""
        seen = self._case
        clock = clocks.next_clock(seen)
        times = [at for at in (clock.at if clock else None, self._inbox.next_at) if at]
        self._set_alarm(min(times, default=None), clock.what if clock else "")
        await workflow.wait_condition(
            lambda: (
                self._case is not seen
                or (self._alarm is not None and self._alarm.done())
                or self._inbox.is_due(workflow.now())
            )
        )

    def _set_alarm(self, at: datetime | None, what: str) -> None:
        """Keep one timer, and start another only when the instant changes."""
        if self._alarm is not None and not self._alarm.done():
            if at == self._alarm_at:
                return
            self._alarm.cancel()
        self._alarm = None
        if at is not None:
            length = max(at - workflow.now(), timedelta(milliseconds=1))
            self._alarm_at = at
            self._alarm = asyncio.create_task(workflow.sleep(length, summary=what[:180]))

    async def _continue_as_new_if_long(self) -> None:
        """Begin a new run well before the server refuses signals, callers answered first."""
        info = workflow.info()
        if self._rings < MAX_SIGNALS_PER_RUN and not info.is_continue_as_new_suggested():
            return
        if self._case.is_terminal or not workflow.all_handlers_finished():
            return
        carried = Carried(
            case=self._case,
            bells=self._inbox.bells,
            overflowed=self._inbox.overflowed,
            told=self._told,
            ignored=self._ignored,
            escalation=self._escalation,
        )
        workflow.continue_as_new(Start(**self._case.request.model_dump(), carried=carried))

    # -- what staff and senders ask ------------------------------------------------------------
    @workflow.query(description="Where the transfer is, who is waited for, and what happens next")
    def status(self) -> views.Status:
        """Where the transfer is, who is waited for, and what happens next."""
        return views.status(self._case, ignored_signals=self._ignored)

    @workflow.query(description="What happened so far: who, when, code, ticket")
    def evidence(self) -> views.EvidenceView:
        """What happened so far; the database keeps it longer, and all of it."""
        return views.evidence(self._case)

    # -- small print ---------------------------------------------------------------------------
    def _submit(self, bell: Bell, reading: TicketReading) -> None:
        self._case, answer = submissions.submitted(
            self._case, reading, workflow.now(), rung=bell.what
        )
        self._answer(bell.ticket_id, answer)

    async def _survey(self, summary: str) -> Survey:
        case = self._case
        known = tuple(record.ticket_id for record in case.slots if record.ticket_id)
        since = case.received_at - timedelta(days=30)
        return await nearby(
            TicketActivities.survey,
            SurveyWanted(
                domain=case.domain,
                new_reseller=case.request.new_reseller,
                since=since,
                ticket_ids=known,
            ),
            summary=summary,
        )

    def _publication(self, case: Case) -> Publication:
        events = tuple(event for event in case.evidence if event.seq > self._told)
        return Publication(case=case.having(evidence=()), events=events)

    def _cancel_was_requested(self) -> None:
        request = Cancel(staff="Temporal", reason="cancellation was requested in Temporal")
        try:
            self._case = levers.cancel(self._case, request, workflow.now())
        except RuleBroken as refusal:
            workflow.logger.warning("cancellation_refused", extra={"why": str(refusal)})


def _key(info: workflow.Info) -> str:
    """Unique for ever: the workflow id of a domain is used again and again."""
    return f"{info.workflow_id}/{info.first_execution_run_id}"


def _same(before: EscalationUpdate | None, after: EscalationUpdate) -> bool:
    return before is not None and before.model_copy(update={"at": after.at}) == after
