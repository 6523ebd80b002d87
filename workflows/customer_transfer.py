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
from transfer import briefing, clocks, commit, levers, mediation, opening, submissions, views
from transfer.attributes import search_attribute_changes
from transfer.case import Case, Publication, State
from transfer.commit import Commit
from transfer.details import happened
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
from transfer.temporal import COMMIT, COMMIT_WINDOW, MAX_SUMMARY, do, look, note
from transfer.tickets import Intent
from transfer.values import Value
from workflows.doorbells import Doorbells
from workflows.levers import Levers

MUCH_TO_TELL = 50
"""Pieces of evidence after which they are told: the case keeps the newest few hundred only."""


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
        self._paging: asyncio.Task[None] | None = None
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
                if workflow.cancellation_reason() is None:
                    raise  # nobody asked: the worker lets go of this run to take it up later
                self._cancel_was_requested()
        await life
        return views.outcome(self._case)

    async def _live(self) -> None:
        self._show_details()
        if self._case.state is State.VALIDATING:
            await self._open()
        looked = False
        while not self._case.is_terminal:
            self._begin_anew_if_long()
            rung = clocks.rung(self._case, workflow.now())
            if clocks.takes_silence(self._case, rung) and not looked:
                looked = True  # a ticket may be there that nobody announced, or that waits here
                await self._look_for_lost_tickets()
                continue
            self._case, looked, seen = rung, False, rung
            if rung.is_terminal:
                break
            if self._case.evidence_count - self._told >= MUCH_TO_TELL:
                await self._tell()
            elif bells := self._inbox.take(workflow.now()):
                await self._read(bells)
            elif self._inbox.overflowed:
                await self._look_for_lost_tickets()
            elif self._commit_is_due():
                await self._commit()
            else:
                await self._tell()
                await self._wait(seen)
        await self._conclude()

    # -- the steps, in the order in which they happen ------------------------------------------
    async def _open(self) -> None:
        survey = await self._survey(f"Look at {self._case.shown_domain} and its tickets")
        if self._case.is_terminal:
            return
        self._case = opening.opened(self._case, survey.facts, workflow.now())
        if not self._case.is_terminal:
            self._case = submissions.found(self._case, survey.readings, workflow.now())

    async def _read(self, bells: list[Bell]) -> None:
        """Read the tickets behind doorbells, and let the core judge them."""
        ids = tuple(bell.ticket_id for bell in bells)
        owed = mediation.owed(self._case)
        read = await look(
            TicketActivities.read_tickets,
            TicketsWanted(ticket_ids=ids, owed=owed),
            summary=f"Read ticket{'s' if ids[1:] else ''} {', '.join(ids)}",
        )
        now = workflow.now()
        for bell, reading in zip(bells, read.readings, strict=False):
            if reading.ticket is not None or not self._inbox.look_again(bell, now):
                self._submit(bell, reading)
        self._case = submissions.cleared(self._case, read.paid, now)
        if (owes := mediation.owed(self._case)) and owes != owed:  # it may be paid already
            self._inbox.put(Intent.REFUSE, owes.ticket_id, now)
        for bell in bells[len(read.readings) :]:  # together they were too long
            self._inbox.put(bell.what, bell.ticket_id, now, awaited=bell.awaited)

    async def _look_for_lost_tickets(self) -> None:
        """Find the tickets that nobody kept: the inbox was full, or nobody ever rang for them."""
        self._inbox.overflowed = False
        survey = await self._survey(f"Look for lost tickets about {self._case.shown_domain}")
        self._case = submissions.found(self._case, survey.readings, workflow.now())

    async def _commit(self) -> None:
        """Read everything once more; move billing if all of it still stands."""
        if self._case.committing_since is None:
            domain = self._case.shown_domain
            survey = await self._survey(f"Read everything about {domain} once more")
            now = workflow.now()
            if self._inbox.is_due(now) or not clocks.commit_is_due(self._case, now):
                return
            self._case = commit.rechecked(self._case, survey, now)
        if self._case.committing_since is None:
            return
        self._case = self._case.having(stuck=None)
        done = commit.committed(self._case, workflow.now())
        self._show_details()
        try:
            await do(
                AccountActivities.move_billing,
                Commit(order=commit.order(self._case), tell=self._publication(done)),
                summary=f"Move billing of {done.shown_domain} from {done.old} to {done.new}",
                retry=COMMIT,
                within=COMMIT_WINDOW,
            )
        except ActivityError as error:
            self._case = commit.stuck(self._case, str(error.cause or error), workflow.now())
            return
        self._case, self._told = done, done.evidence_count

    async def _conclude(self) -> None:
        """Tell the outcome, answer all that still rings, and let every caller have its answer."""
        await self._tell()
        while self._inbox or not self._all_have_heard():
            for bell in self._inbox.take_any():
                self._submit(bell, TicketReading(ticket_id=bell.ticket_id))
            await self._tell()
            await workflow.wait_condition(lambda: bool(self._inbox) or self._all_have_heard())

    # -- telling and waiting -------------------------------------------------------------------
    async def _tell(self) -> None:
        """Show what changed: in the list, to staff, in the evidence, to everybody concerned."""
        changes = search_attribute_changes(
            workflow.info().typed_search_attributes, views.attributes(self._case)
        )
        if changes:
            workflow.upsert_search_attributes(changes)
        self._show_details()
        if self._page() is not None and (self._paging is None or self._paging.done()):
            self._paging = asyncio.create_task(self._page_staff())
        if self._told < self._case.evidence_count:
            publication = self._publication(self._case)
            tell = do if self._case.is_terminal or self._is_long else note
            await tell(
                NoticeActivities.publish,
                publication,
                summary=f"Tell whom it concerns: {happened(self._case, publication.events)}",
            )
            self._told = publication.events[-1].seq

    async def _page_staff(self) -> None:
        """Keep the staff queue as the case is. If it is away, nothing else waits for it."""
        while (page := self._page()) is not None:
            await do(
                StaffActivities.escalate,
                briefing.briefed(self._case, page, workflow.now()),
                summary=_to_staff(page),
            )
            self._escalation = None if page.state is EscalationState.CLOSED else page

    def _page(self) -> EscalationUpdate | None:
        """What the staff queue does not show yet: opened, taken, raised to second level, closed."""
        before, now = self._escalation, workflow.now()
        after = mediation.escalation(self._case, now)
        if before and (after is None or after.key != before.key):
            after = before.model_copy(update={"state": EscalationState.CLOSED, "at": now})
        return None if after is None or _same(before, after) else after

    async def _wait(self, seen: Case) -> None:
        """Wait for a doorbell, a lever, or the next clock, whichever is first."""
        if self._case is not seen or self._inbox.is_due(workflow.now()):
            return
        clock = clocks.next_clock(seen)
        at = clock and (self._commit_at() or clock.at)
        times = [instant for instant in (at, self._inbox.next_at) if instant]
        first = min(times, default=None)
        what = clock.what if clock and first == at else "look again for a ticket that is not there"
        self._set_alarm(first, f"{what[:1].upper()}{what[1:]}")
        await workflow.wait_condition(
            lambda: (
                self._case is not seen
                or (self._alarm is not None and self._alarm.done())
                or self._inbox.is_due(workflow.now())
                or self._begins_anew()
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
            self._alarm = asyncio.create_task(workflow.sleep(length, summary=what[:MAX_SUMMARY]))

    def _begin_anew_if_long(self) -> None:
        """Begin a new run well before the server refuses signals."""
        if not self._begins_anew():
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
    def _commit_at(self) -> datetime | None:
        """When billing may move, if all that it waits for now are doorbells."""
        clock = clocks.next_clock(self._case)
        if clock is None or not clocks.commit_is_due(self._case, workflow.now()):
            return None
        return clock.at if self._case.committing_since else self._inbox.holds_up(clock.at)

    def _commit_is_due(self) -> bool:
        at = self._commit_at()
        return at is not None and at <= workflow.now()

    def _begins_anew(self) -> bool:
        return self._is_long and workflow.all_handlers_finished()

    def _all_have_heard(self) -> bool:
        paged = self._paging is None or self._paging.done()
        return paged and workflow.all_handlers_finished()

    def _submit(self, bell: Bell, reading: TicketReading) -> None:
        self._case, answer = submissions.submitted(
            self._case, reading, workflow.now(), rung=bell.what
        )
        self._answer(bell.ticket_id, answer)

    async def _survey(self, summary: str) -> Survey:
        case = self._case
        known = tuple(record.ticket_id for record in case.slots if record.ticket_id)
        since = case.received_at - timedelta(days=30)
        return await look(
            TicketActivities.survey,
            SurveyWanted(
                domain=case.domain,
                new_reseller=case.new.id,
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


def _to_staff(page: EscalationUpdate) -> str:
    """What the staff queue is told, for the timeline."""
    match page.state:
        case EscalationState.OPEN:
            level = " at second level" if page.level > 1 else ""
            return f"Page staff{level}: {page.detail}"
        case EscalationState.TAKEN:
            return f"Tell the staff queue that {page.owner} has taken the case"
        case EscalationState.CLOSED:
            return "Tell the staff queue that this is settled"


def _same(before: EscalationUpdate | None, after: EscalationUpdate) -> bool:
    return before is not None and before.model_copy(update={"at": after.at}) == after
