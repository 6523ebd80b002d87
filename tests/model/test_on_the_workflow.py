"""The same histories on the real workflow: worker, activities, timers and signals, and crashes.

Each history is lived twice at once: by the core alone, and by a workflow on the server whose clock
jumps. Its worker remembers nothing and replays at every task, as if it had crashed after each.
After each act both must be in the same state, with the same evidence; at the end with the same
bills.

A history fits where the workflow can be made to see what the core was shown: it reads tickets as
they are, and never as they were, and looks for lost ones when it wants to. Outages at the commit
are in ``tests/workflows/test_commit.py``, workers that are away for days in ``test_crash.py``.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.conftest import assert_eventually
from tests.core import histories
from tests.core.acts import STRANGER, Act, Step
from tests.core.builders import ACME, EXAMPLE, GLOBEX, PERSON_OF
from tests.core.histories import begin, orders, story
from tests.model.machine import reading_each_text_once
from tests.workflows.town import Town
from tests.workflows.world import World
from transfer import clocks
from transfer.adapters.moves import PanelAccess
from transfer.case import Case
from transfer.inbox import HOLDS_UP_FOR
from transfer.parties import Assignment, Facts, Person
from transfer.plugin import plugin
from transfer.tickets import Intent, Ticket
from workflows.customer_transfer import CustomerTransfer

BY_ITSELF = ("clock", "survey", "re-check", "commit")
GAP = timedelta(minutes=3)
"""Between two acts, so that no deadline of one falls on the instant of another."""
UPDATE = {
    "take": "take_case",
    "admit": "admit_ticket",
    "reject": "reject_ticket",
    "extend": "extend_deadline",
    "release": "release_on_behalf",
    "retry": "retry_commit",
}
CHUNK, CHUNKS = 4, 8
STEPS, STEPS_WHEN_FUZZED = 12, 30
"""Of one history at most: a worker without memory replays all of them at each."""
ZOE = Person(id="zoe", name="Zoe", email="zoe@people.example")


# -- which histories ----------------------------------------------------------------------------
@functools.cache
def chosen() -> list[list[Act]]:
    """Short histories that fit, each with something that none before it has shown."""
    found: list[list[Act]] = []
    seen: set[tuple[str, ...]] = set()
    longest = STEPS if settings().derandomize else STEPS_WHEN_FUZZED

    @settings(
        max_examples=400,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(st.lists(histories.ACTS, min_size=3, max_size=7))
    def choose(history: list[Act]) -> None:
        world = begin()
        for act in history:
            world.now += GAP
            world.let(act)
        if len(found) == CHUNK * CHUNKS or len(world.steps) > longest or not fits(world.steps):
            return
        shown = set(features(world.steps))
        if shown - seen:
            seen.update(shown)
            found.append(history)

    with reading_each_text_once():
        choose()
    return found


def fits(steps: list[Step]) -> bool:
    """Whether the workflow can be made to see the same."""
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        was_asked_for = step.cause == "survey" and not (after and after.cause.startswith("clock"))
        is_missed = step.heard and step.heard[0].ticket is None and step.rung is None
        if was_asked_for or (step.cause.startswith("a doorbell") and is_missed):
            return False
        is_due = clocks.commit_is_due(step.after, step.now)
        happens_at_once = is_due or clocks.rung(step.after, step.now) != step.after
        if happens_at_once and not (after and after.cause.startswith(BY_ITSELF)):
            return False
        if step.cause.startswith(("a late", "commit fails", "clocks, late")):
            return False
    return not rings_twice(steps)


def rings_twice(steps: list[Step]) -> bool:
    """Whether doorbells for a ticket that is not there come so soon that the inbox takes one."""
    rings = [
        (step.heard[0].ticket_id, step.now)
        for step in steps
        if step.cause.startswith("a doorbell") and step.heard[0].ticket is None
    ]
    return any(
        one == other and then - at < HOLDS_UP_FOR
        for (one, at), (other, then) in combinations(rings, 2)
    )


def features(steps: list[Step]) -> Iterator[tuple[str, ...]]:
    """What a history shows: which event came from what, and led where."""
    for step in steps:
        what = " ".join(step.cause.split()[:2])
        yield (what, step.before.state, step.after.state)
        for event in step.after.evidence:
            if event.seq > step.before.evidence_count:
                yield (what, event.code, event.detail.partition(".")[0][:20])


# -- living them --------------------------------------------------------------------------------
@pytest.mark.timeout(180)
@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_the_workflow_lives_a_history_as_the_core_does(
    skipping_server: WorkflowEnvironment, chunk: int
) -> None:
    for history in chosen()[chunk::CHUNKS]:
        await Twin(skipping_server).live(history)


class Twin:
    """A transfer that is lived twice: by the core alone, and by the workflow."""

    def __init__(self, env: WorkflowEnvironment) -> None:
        self.town = Town()
        self.world = World(env, self.town, "example.com")
        self.world.customer = EXAMPLE.id
        self.core = begin()
        begun = EXAMPLE.billed_from
        self.town.accounts.billed[EXAMPLE.id] = (
            Assignment(reseller=ACME.id, charges=EXAMPLE.charges, starts_at=begun),
        )
        self.town.accounts.panels[EXAMPLE.id] = (PanelAccess(reseller=ACME.id, since=begun),)

    async def live(self, history: list[Act]) -> None:
        """Let both live a history, from a Monday morning on, as those who chose it."""
        now = await self.world.now()
        monday = now + timedelta(days=7 - now.weekday())
        await self.world.pass_until(monday.replace(hour=9, minute=0, second=0, microsecond=0))
        self.core = begin(now=await self.world.now())
        self._show(self.core.facts, (), frozenset())
        acts: list[Act | None] = [None, *history]
        # As in production: our modules are not imported anew at each task.
        address = self.world.client.service_client.config.target_host
        client = await Client.connect(address, plugins=[plugin()])
        try:
            async with self.town.worker(client, max_cached_workflows=0):
                for act in acts:
                    await self._let(act)
            await self._compare_bills()
        except Exception as error:
            error.add_note("\n" + story(self.core))
            raise
        finally:
            await self.world.leave()

    async def _let(self, act: Act | None) -> None:
        """Let an act happen to both, and compare."""
        if act is None:
            await self.world.start(staff_release="two_person")
            await self.world.settled()
        elif self.core.case.is_terminal:
            return
        else:
            first = len(self.core.steps)
            self.core.let(act)
            for step in self.core.steps[first:]:
                if step.before.is_terminal:
                    break
                await self._happens(step)
            left = frozenset(self.core.left)
            self._show(self.core.facts, self.core.tickets.values(), left)
            if not self.core.case.is_terminal:
                await self.world.pass_until(self.core.now)
        if not self.core.case.is_terminal:
            await self.world.pass_until(self.core.now + GAP - timedelta(minutes=1))
        await assert_eventually(self._agree)
        self.core.now += GAP

    async def _happens(self, step: Step) -> None:
        """Make the workflow see what a step showed to the core; clocks need only their time."""
        assert step.known is not None
        is_by_itself = not (step.pulled or step.cause.startswith("a doorbell"))
        if is_by_itself:
            self._show(step.known, step.tickets, step.left)
        if step.now > await self.world.now():
            await self.world.pass_until(step.now)
        self._show(step.known, step.tickets, step.left)
        if step.cause.startswith("a doorbell"):
            number, rung = step.heard[0].ticket_id, step.rung or Intent.REFUSE
            await self.world.ring(rung.value, number)
            await self.world.settled()
        elif step.pulled is not None:
            name, action = step.pulled.name, step.pulled.action
            update = {
                "who": action.staff,
                **action.model_dump(mode="json", exclude={"staff"}),
            }
            if step.pulled.refused:
                refused = await self.world.staff_may_not(UPDATE.get(name, name), **update)
                assert refused == step.pulled.refused
            else:
                await self.world.staff(UPDATE.get(name, name), **update)

    def _show(self, known: Facts, tickets: Iterable[Ticket], left: frozenset[str]) -> None:
        """Let the neighbours have what the core was shown."""
        town, accounts = self.town, self.town.accounts
        town.desk.tickets = {ticket.id: ticket for ticket in tickets}
        people = (*(p for p in PERSON_OF.values() if p.id not in left), ZOE)
        customer = known.customer or EXAMPLE
        reseller = known.old.id if known.old else ""
        new = known.new or GLOBEX
        for record in (ACME, new, ACME.model_copy(update={"id": STRANGER, "name": "Initech"})):
            one = record.model_copy(update={"administrators": people})
            accounts.resellers[record.id] = one
        accounts.customers[EXAMPLE.id] = customer.model_copy(
            update={"administrators": people, "reseller": reseller}
        )
        if len(accounts.billed[EXAMPLE.id]) == 1:
            (billed,) = accounts.billed[EXAMPLE.id]
            charged = billed.model_copy(update={"charges": customer.charges})
            accounts.billed[EXAMPLE.id] = (charged,)
        for invoice in self.core.paid:
            accounts.paid_invoices[ACME.id, invoice] = self.core.now

    @property
    def _case(self) -> Case:
        """What the core knows, up to the end: what comes later finds no workflow any more."""
        ends = (step.after for step in self.core.steps if step.after.is_terminal)
        return next(ends, self.core.case)

    async def _agree(self) -> None:
        status, case = await self.world.settled(), self._case
        assert status.state is case.state
        assert {slot: view.state for slot, view in status.slots.items()} == {
            record.slot: record.state for record in case.slots
        }
        told = await self.world.handle.query(CustomerTransfer.evidence)
        assert Counter(e.code for e in told.events) == Counter(e.code for e in case.evidence)

    async def _compare_bills(self) -> None:
        """Who is billed, and from when: as the core ordered it."""
        ordered = [order for _, order in orders(self.core)]
        if not ordered:
            assert self.world.billed() == [ACME.id]
            return
        before, after = self.town.accounts.billed[EXAMPLE.id]
        assert (before.reseller, before.ends_at) == (ACME.id, after.starts_at)
        assert (after.reseller, after.charges) == (GLOBEX.id, ordered[-1].charges)
        assert after.starts_at - ordered[-1].at < timedelta(minutes=2)
        written = Counter(self.world.codes())
        assert written == Counter(event.code for event in self._case.evidence)
