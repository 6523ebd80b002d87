"""Cancelling in Temporal itself: a clean CANCELLED, wherever the transfer is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import assert_eventually
from tests.workflows.town import Town
from tests.workflows.world import World
from transfer.case import State
from transfer.messages import EscalationState


async def _awaiting(world: World) -> None:
    await world.start()
    await world.until(State.AWAITING)


async def _ready(world: World) -> None:
    await world.start()
    await world.all_agree()
    await world.until(State.READY)


async def _mediation(world: World) -> None:
    await world.start()
    await world.says("refuse", of="release")
    await world.until(State.MEDIATION)


async def _on_hold(world: World) -> None:
    await _awaiting(world)
    await world.staff("hold")


@pytest.mark.parametrize("arrive", [_awaiting, _ready, _mediation, _on_hold])
async def test_a_cancellation_in_temporal_ends_cancelled_and_everybody_is_told(
    world: World, arrive: Callable[[World], Awaitable[None]]
) -> None:
    await arrive(world)
    await world.handle.cancel()
    result = await world.ends(State.CANCELLED)
    assert "Temporal" in result.reason
    assert world.codes()[-1] == "CANCELLED"
    assert world.moves() == 0
    left = [one for one in world.town.queue.known.values() if one.transfer_id == world.id]
    assert all(one.state is EscalationState.CLOSED for one in left)


async def test_a_cancellation_during_the_first_look_ends_cancelled(real_world: World) -> None:
    looking, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        looking.set()
        await asyncio.wait_for(go_on.wait(), 3)

    real_world.before("survey", wait)
    await real_world.start()
    await looking.wait()
    await real_world.handle.cancel()
    go_on.set()
    await real_world.ends(State.CANCELLED)


async def test_a_cancellation_before_any_worker_saw_the_transfer_ends_cancelled(
    lonely_world: World, lonely_town: Town
) -> None:
    await lonely_world.start()
    await lonely_world.handle.cancel()
    async with lonely_town.worker(lonely_world.client, task_queue=lonely_world.task_queue):
        await lonely_world.ends(State.CANCELLED)


async def test_a_cancellation_while_billing_moves_is_refused(real_world: World) -> None:
    moving, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        moving.set()
        await asyncio.wait_for(go_on.wait(), 10)

    real_world.before("move_billing", wait)
    await real_world.start(grace="0s")
    await real_world.all_agree()
    await moving.wait()
    await real_world.handle.cancel()

    async def requested() -> None:
        counts = await real_world.counts()
        assert counts["WORKFLOW_EXECUTION_CANCEL_REQUESTED"] == 1
        assert counts["WORKFLOW_TASK_SCHEDULED"] == counts["WORKFLOW_TASK_COMPLETED"]

    await assert_eventually(requested)
    go_on.set()
    await real_world.ends(State.COMPLETED)
    assert real_world.moves() == 1


async def test_a_cancellation_while_the_outcome_is_told_changes_nothing(
    real_world: World,
) -> None:
    telling, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        if real_world.town.ledger.rows and "AUTHORIZED" in real_world.codes():
            telling.set()
            await asyncio.wait_for(go_on.wait(), 10)

    await real_world.start()
    await real_world.says("authorize")
    await real_world.until_told("AUTHORIZED")
    real_world.before("publish", wait)
    await real_world.says("refuse", of="accept")
    await telling.wait()
    await real_world.handle.cancel()
    go_on.set()
    await real_world.ends(State.REFUSED)
