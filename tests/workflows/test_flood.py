"""Ten thousand signals, and new runs that carry everything over."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import assert_eventually
from tests.workflows.town import Town
from tests.workflows.world import World
from transfer.case import State
from transfer.parties import Slot

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
    worker = lonely_town.worker(lonely_world.client, task_queue=lonely_world.task_queue)
    # A second of CPU, and a machine that runs other tests: more than the two seconds of the SDK.
    assert worker._workflow_worker is not None
    worker._workflow_worker._deadlock_timeout_seconds = 15
    async with worker:

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
    real_world: World,
) -> None:
    await real_world.start(grace="1s")
    await real_world.says("release")
    await real_world.until_slot("release", "AUTHORIZED")
    await real_world.says("refuse", of="release")
    await real_world.until(State.MEDIATION)
    await real_world.staff("take_case", who="mia")
    hidden = await real_world.file("release")
    ticket = real_world.town.desk.tickets.pop(hidden)
    await real_world.ring("release", hidden)
    before = await real_world.settled()
    await asyncio.gather(*(real_world.handle.signal("nonsense", number) for number in range(2_000)))

    async def anew() -> None:
        assert len([h async for h in real_world.histories()]) == 2

    await assert_eventually(anew)
    after = await real_world.settled()
    assert after.ignored_signals == 2_000
    assert after.model_dump(exclude={"ignored_signals", "summary"}) == before.model_dump(
        exclude={"ignored_signals", "summary"}
    )
    real_world.town.desk.tickets[hidden] = ticket
    await real_world.until_slot("release", "AUTHORIZED")
    await real_world.says("authorize")
    await real_world.says("accept")
    await real_world.ends(State.COMPLETED)
    codes = real_world.codes()
    assert [row.seq for row in real_world.evidence()] == list(range(1, len(codes) + 1))


async def test_a_caller_who_waits_while_a_new_run_is_due_gets_the_answer_first(
    real_world: World,
) -> None:
    await real_world.start()
    await real_world.until(State.AWAITING)
    asking = asyncio.create_task(real_world.submit("release", "404404"))

    async def asked() -> None:
        assert (await real_world.counts())["WORKFLOW_EXECUTION_UPDATE_ACCEPTED"] == 1

    await assert_eventually(asked)
    await asyncio.gather(*(real_world.handle.signal("nonsense", number) for number in range(2_000)))
    with pytest.raises(Exception, match="Workflow update failed"):
        await real_world.submit("accept", "404405")
    assert len([h async for h in real_world.histories()]) == 1, "a caller waits"
    for look in range(2, 5):
        await real_world.ring("release", "404404")

        async def looked(times: int = look) -> None:
            assert real_world.calls("read_tickets") >= times

        await assert_eventually(looked)
    assert (await asking).code == "TICKET_UNKNOWN"

    async def anew() -> None:
        assert len([h async for h in real_world.histories()]) == 2

    await assert_eventually(anew)
    assert (await real_world.submit("accept", await real_world.file("accept"))).accepted
