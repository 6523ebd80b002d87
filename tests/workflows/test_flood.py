"""Ten thousand signals, and new runs that carry everything over."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError

from tests.conftest import assert_eventually
from tests.workflows.town import Town
from tests.workflows.world import World
from transfer.case import State
from transfer.parties import Slot
from workflows.doorbells import MAX_RINGS_PER_RUN

MANY = 10_000


async def _ring_all(world: World, tickets: list[str]) -> None:
    """Ring for all of them, a hundred at the same time, as hooks do that have gone mad."""
    gate = asyncio.Semaphore(100)

    async def ring(ticket: str) -> None:
        async with gate:
            await world.ring("release", ticket)

    await asyncio.gather(*(ring(ticket) for ticket in tickets))


@pytest.mark.timeout(120)
async def test_among_ten_thousand_signals_the_three_real_tickets_still_count(
    lonely_world: World, lonely_town: Town
) -> None:
    """As many as the server takes of one run, all at once: no worker is there to read them."""
    await lonely_world.start()
    rings = [f"bogus-{number}" for number in range(MANY - 3)]
    for position, slot in zip((2_500, 5_000, 9_000), Slot, strict=True):
        rings.insert(position, await lonely_world.file(slot.value))
    await _ring_all(lonely_world, rings)
    async with lonely_town.worker(lonely_world.client, task_queue=lonely_world.task_queue):

        async def ready() -> None:
            status = await lonely_world.status()
            assert status.state is State.READY, status.summary

        await assert_eventually(ready, within=40)
        runs = [len(history.events) async for history in lonely_world.histories()]
        assert len(runs) == 2, "a new run begins before the server refuses signals"
        assert runs[0] < MANY + 20
        await lonely_world.assert_unharmed()
        status = await lonely_world.status()
        assert max(len(view.rejected) for view in status.slots.values()) <= 20


async def test_a_new_run_carries_over_what_is_known_rung_for_and_counted(
    lonely_world: World, lonely_town: Town
) -> None:
    world = lonely_world
    await world.start(grace="1s")
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.says("release")
        await world.until_slot("release", "AUTHORIZED")
        await world.says("refuse", of="release")
        await world.until(State.MEDIATION)
        await world.staff("take_case", who="mia")
        hidden = await world.file("release")
        ticket = world.town.desk.tickets.pop(hidden)
        await world.ring("release", hidden)
        before = await world.settled()
    await _nonsense(world)
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await _begins_anew(world)
        after = await world.settled()
        assert after.ignored_signals == MAX_RINGS_PER_RUN
        assert after.model_copy(update={"ignored_signals": 0}) == before
        world.town.desk.tickets[hidden] = ticket
        await world.ring("release", hidden)
        await world.until_slot("release", "AUTHORIZED")
        await world.says("authorize")
        await world.says("accept")
        await world.ends(State.COMPLETED)
    numbers = [row.seq for row in world.evidence()]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_ticket_rung_for_in_one_run_is_looked_for_again_in_the_next(
    lonely_world: World, lonely_town: Town
) -> None:
    world = lonely_world
    await world.start()
    hidden = await world.file("release")
    ticket = world.town.desk.tickets.pop(hidden)
    await world.ring("release", hidden)
    await _nonsense(world)
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await _begins_anew(world)
        world.town.desk.tickets[hidden] = ticket
        await world.until_slot("release", "AUTHORIZED")


async def test_a_caller_who_waits_while_a_new_run_is_due_gets_the_answer_first(
    lonely_world: World, lonely_town: Town
) -> None:
    world = lonely_world
    await world.start()
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.until(State.AWAITING)
        asking = asyncio.create_task(world.submit("release", "404404"))

        async def asked() -> None:
            assert (await world.counts())["WORKFLOW_EXECUTION_UPDATE_ACCEPTED"] == 1

        await assert_eventually(asked)
    await _nonsense(world)
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        with pytest.raises(WorkflowUpdateFailedError):
            await world.submit("accept", "404405")
        assert len([h async for h in world.histories()]) == 1, "a caller waits"
        while not asking.done():  # each ring means: look now
            await world.ring("release", "404404")
            await asyncio.wait([asking], timeout=0.2)
        assert (await asking).code == "TICKET_UNKNOWN"
        await _begins_anew(world)
        assert (await world.submit("accept", await world.file("accept"))).accepted


async def _nonsense(world: World) -> None:
    """As many signals as one run takes, while no worker is there."""
    sent = (world.handle.signal("nonsense", number) for number in range(MAX_RINGS_PER_RUN))
    await asyncio.gather(*sent)


async def _begins_anew(world: World) -> None:
    async def anew() -> None:
        assert len([h async for h in world.histories()]) == 2

    await assert_eventually(anew)
