"""A world for one transfer: its parties file tickets and ring, staff pull levers, time passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.testservice.v1 import UnlockTimeSkippingRequest
from temporalio.client import WorkflowHandle, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.conftest import PATIENCE, assert_eventually
from tests.workflows.town import Hook, Town
from transfer import opening, views
from transfer.attributes import search_attributes
from transfer.case import Case, State
from transfer.messages import EvidenceRow, SubmissionAnswer, TransferRequest
from transfer.parties import Slot
from transfer.policy import Policy
from transfer.temporal import TASK_QUEUE
from transfer.tickets import Channel, Intent, text_to_file
from workflows.customer_transfer import CustomerTransfer, Start

_T = TypeVar("_T")
NUDGES = 2
"""How often a server whose clock stands still is told to go on."""

Handle = WorkflowHandle[CustomerTransfer, views.Outcome]

ADMINISTRATOR = {Slot.RELEASE: "ann", Slot.AUTHORIZE: "carl", Slot.ACCEPT: "gina"}

BY_THE_SERVER = {
    # Signals came in while the run was about to end: it looks at them first.
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    # More signals wait than the server likes to keep aside: it writes them down at once.
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
}


class World:
    """One transfer, and everybody around it. Its domain is nobody else's."""

    def __init__(
        self,
        env: WorkflowEnvironment,
        town: Town,
        domain: str,
        *,
        task_queue: str = TASK_QUEUE,
    ) -> None:
        self.env, self.town, self.domain = env, town, domain
        self.task_queue = task_queue
        self.client = env.client
        self.id = opening.transfer_id(domain)
        self.customer = domain
        self._handle: Handle | None = None

    # -- starting and ending -------------------------------------------------------------------
    async def settle(self, reseller: str = "acme") -> None:
        """Let the customer move in, unless it has."""
        self.town.now = await self.now()
        if self.customer == self.domain:
            self.customer = self.town.settle(self.domain, reseller).id

    async def start(
        self, *, to: str = "globex", from_: str | None = None, old: str = "acme", **policy: Any
    ) -> Handle:
        """Start the transfer the way the starter does."""
        await self.settle(old)
        request = TransferRequest(
            domain=self.domain, new_reseller=to, old_reseller=from_, policy=Policy(**policy)
        )
        facts = await self.town.accounts.facts(self.domain, to)
        now = self.town.now
        expected = opening.opened(Case.received(request, self.id, self.id, now), facts, now)
        self._handle = await self.client.start_workflow(
            CustomerTransfer.run,
            Start(**request.model_dump()),
            id=self.id,
            task_queue=self.task_queue,
            search_attributes=search_attributes(views.attributes(expected)),
        )
        return self._handle

    @property
    def was_started(self) -> bool:
        """Whether there is a transfer."""
        return self._handle is not None

    @property
    def handle(self) -> Handle:
        """The transfer that was started."""
        assert self._handle is not None, "start it first"
        return self._handle

    async def result(self, within: float = PATIENCE) -> views.Outcome:
        """How the transfer ends. On the skipping server, time flies until then."""
        return await self._while_time_flies(self.handle.result(), within)

    async def ends(self, outcome: State, within: float = PATIENCE) -> views.Outcome:
        """Assert how the transfer ends."""
        result = await self.result(within)
        assert result.outcome is outcome, result
        return result

    async def leave(self) -> None:
        """Leave nothing running, nobody away, and nobody listening."""
        self.town.all_are_back()
        watch = self.town.watch
        for hooks in (watch.before, watch.after):
            for call in [call for call in hooks if call[0] == self.id]:
                del hooks[call]
        with contextlib.suppress(RPCError):  # it is over
            await self.client.get_workflow_handle(self.id).terminate()

    # -- what the parties do -------------------------------------------------------------------
    async def file(
        self,
        what: str,
        *,
        of: str | None = None,
        by: str | None = None,
        account: str | None = None,
        domain: str | None = None,
        body: str | None = None,
        channel: Channel = Channel.PANEL,
        delegated: bool = False,
    ) -> str:
        """File the ticket that says ``what``, for the party of the slot ``of``; return its id."""
        self.town.now = await self.now()
        slot = Slot(of or what)
        accounts = self.town.accounts
        customer = accounts.customers[self.customer]
        old, new = accounts.resellers["acme"].account, accounts.resellers["globex"].account
        subject, text = text_to_file(Intent(what), domain or self.domain, old, new)
        owner = {Slot.RELEASE: old.id, Slot.AUTHORIZE: customer.id, Slot.ACCEPT: new.id}[slot]
        ticket = await self.town.desk.file(
            account or owner,
            by or ADMINISTRATOR[slot],
            subject,
            text if body is None else body,
            channel=channel,
            delegated=delegated,
        )
        return ticket.id

    async def ring(self, what: str, ticket_id: str) -> None:
        """Ring the doorbell: tell the transfer that there is a ticket."""
        await self.handle.signal(what, {"ticket_id": ticket_id})

    async def says(self, what: str, **ticket: Any) -> str:
        """File a ticket and ring for it."""
        ticket_id = await self.file(what, **ticket)
        await self.ring(what, ticket_id)
        return ticket_id

    async def all_agree(self) -> None:
        """All three parties file their tickets, and ring."""
        for slot in Slot:
            await self.says(slot.value)

    async def submit(
        self, what: str, ticket_id: str, update_id: str | None = None
    ) -> SubmissionAnswer:
        """Hand in a ticket and wait for the answer."""
        return await asyncio.wait_for(
            self.handle.execute_update(
                "submit",
                {"what": what, "ticket_id": ticket_id},
                id=update_id,
                result_type=SubmissionAnswer,
            ),
            PATIENCE,
        )

    # -- what staff do -------------------------------------------------------------------------
    async def staff(self, lever: str, *, who: str = "sam", **fields: Any) -> views.Status:
        """Pull a lever."""
        await self.settled()
        message = {"staff": who, "reason": "because", **fields}
        return await asyncio.wait_for(
            self.handle.execute_update(lever, message, result_type=views.Status), PATIENCE
        )

    async def staff_may_not(self, lever: str, **fields: Any) -> str:
        """Assert that a lever is refused and leaves no trace; return the rule's name."""
        await self.settled()
        before = await self.counts()
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await self.staff(lever, **fields)
        after = await self.counts()
        for name in ("ACCEPTED", "COMPLETED"):
            event = f"WORKFLOW_EXECUTION_UPDATE_{name}"
            assert after[event] == before[event], f"{lever} was refused, and is in the history"
        cause = refusal.value.cause
        assert isinstance(cause, ApplicationError), cause
        return cause.type or ""

    # -- time ----------------------------------------------------------------------------------
    async def now(self) -> datetime:
        """The server's time."""
        return (await self.env.get_current_time()).astimezone(UTC)

    async def pass_time(self, **length: float) -> None:
        """Let time fly (on the skipping server)."""
        await self._while_time_flies(self.env.sleep(timedelta(**length)), PATIENCE)

    async def _while_time_flies(self, waiting: Awaitable[_T], within: float) -> _T:
        """Wait for what only time brings.

        The skipping server counts a query that comes while a workflow task runs as work without
        end, and lets no time pass any more. Where nothing has happened for long, one such count
        is taken back.
        """
        task = asyncio.ensure_future(waiting)
        for _ in range(NUDGES):
            done, _rest = await asyncio.wait({task}, timeout=within / 2)
            if done or not self.env.supports_time_skipping:
                break
            with contextlib.suppress(RPCError):
                await self.client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest())
        return await asyncio.wait_for(task, within)

    async def pass_until(self, instant: datetime) -> None:
        """Let time fly up to a second after an instant."""
        await self.pass_time(seconds=max(0.0, (instant - await self.now()).total_seconds()) + 1)

    # -- what can be seen ----------------------------------------------------------------------
    async def status(self) -> views.Status:
        """The ``status`` query."""
        return await asyncio.wait_for(self.handle.query(CustomerTransfer.status), PATIENCE)

    async def settled(self) -> views.Status:
        """The ``status`` as soon as the transfer has done all it can do now.

        The skipping server never skips again if it is asked while a workflow task runs.
        """

        async def quiet() -> None:
            history = await self.handle.fetch_history()
            kinds = Counter(EventType.Name(event.event_type) for event in history.events)
            for task in ("WORKFLOW_TASK", "ACTIVITY_TASK"):
                ended = ("COMPLETED", "FAILED", "TIMED_OUT", "CANCELED")
                ends = sum(kinds[f"EVENT_TYPE_{task}_{end}"] for end in ended)
                assert kinds[f"EVENT_TYPE_{task}_SCHEDULED"] == ends, kinds

        await assert_eventually(quiet)
        return await self.status()

    async def until(self, state: State) -> views.Status:
        """Wait until the transfer is in a state."""
        found: list[views.Status] = []

        async def reached() -> None:
            found.append(await self.settled())
            assert found[-1].state is state, found[-1].summary

        await assert_eventually(reached)
        return found[-1]

    async def until_slot(self, slot: str, state: str) -> views.SlotView:
        """Wait until a slot is in a state."""
        found: list[views.SlotView | None] = []

        async def reached() -> None:
            view = (await self.settled()).slots.get(Slot(slot))
            found.append(view)
            assert view is not None
            assert view.state.value == state, view

        await assert_eventually(reached)
        assert found[-1] is not None
        return found[-1]

    async def until_rejected(self, slot: str, code: str) -> views.RejectionView:
        """Wait until the newest rejection of a slot has a code."""
        found: list[views.RejectionView] = []

        async def reached() -> None:
            view = (await self.settled()).slots.get(Slot(slot))
            assert view is not None
            assert view.rejected, view
            found.append(view.rejected[-1])
            assert found[-1].code == code, view.rejected

        await assert_eventually(reached)
        return found[-1]

    def codes(self) -> list[str]:
        """The codes of the evidence in the database, in order."""
        return [row.code for row in self.evidence()]

    def evidence(self) -> list[EvidenceRow]:
        """All evidence in the database, in order."""
        rows = [r for r in self.town.ledger.rows.values() if r.transfer_id == self.id]
        return sorted(rows, key=lambda row: row.seq)

    async def until_told(self, code: str, times: int = 1) -> None:
        """Wait until the database has evidence of a code."""

        async def told() -> None:
            assert self.codes().count(code) >= times, self.codes()

        await assert_eventually(told)

    def billed(self) -> list[str]:
        """Who is and was billed for the customer, oldest first."""
        return [one.reseller for one in self.town.accounts.billed[self.customer]]

    def moves(self) -> int:
        """How often billing moved."""
        return len(self.billed()) - 1

    # -- stepping in ---------------------------------------------------------------------------
    def before(self, activity: str, hook: Hook) -> None:
        """Do something whenever an activity of this transfer begins."""
        self.town.watch.before[self.id, activity] = hook

    def after(self, activity: str, hook: Hook) -> None:
        """Do something whenever an activity of this transfer has had its effect."""
        self.town.watch.after[self.id, activity] = hook

    def undisturbed(self, activity: str) -> None:
        """Take both hooks away."""
        self.town.watch.before.pop((self.id, activity), None)
        self.town.watch.after.pop((self.id, activity), None)

    def calls(self, activity: str) -> int:
        """How often an activity of this transfer began."""
        return self.town.watch.calls.count((self.id, activity))

    # -- the history ---------------------------------------------------------------------------
    async def histories(self) -> AsyncIterator[WorkflowHistory]:
        """The history of every run of the transfer, oldest first."""
        run_id = self.handle.first_execution_run_id
        while run_id:
            history = await self.client.get_workflow_handle(self.id, run_id=run_id).fetch_history()
            yield history
            anew = history.events[-1].workflow_execution_continued_as_new_event_attributes
            run_id = anew.new_execution_run_id

    async def counts(self) -> Counter[str]:
        """How many events of each kind there are, in all runs."""
        counts: Counter[str] = Counter()
        async for history in self.histories():
            counts.update(
                EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
                for event in history.events
            )
        return counts

    async def assert_unharmed(self) -> None:
        """Assert that no workflow task failed of itself, and that the transfer did not fail."""
        async for history in self.histories():
            for event in history.events:
                assert event.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, event
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                    failed = event.workflow_task_failed_event_attributes
                    assert failed.cause in BY_THE_SERVER, failed
