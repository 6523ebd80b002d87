"""Workers that stop at every stage, hang, share the work, or remember nothing.

A real ``kill -9`` is in ``tests/e2e``; here a worker stops at an exact point.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from tests.conftest import assert_eventually
from tests.workflows.town import Town
from tests.workflows.world import World
from transfer.case import State
from transfer.parties import Slot
from transfer.plugin import plugin


async def test_a_worker_that_stops_between_any_two_steps_is_taken_over_by_the_next(
    lonely_world: World, lonely_town: Town
) -> None:
    world = lonely_world
    await world.start(grace="1s")
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.until(State.AWAITING)
    for slot in Slot:
        await world.says(slot.value)
        async with lonely_town.worker(world.client, task_queue=world.task_queue):
            await world.until_slot(slot.value, "AUTHORIZED")
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.ends(State.COMPLETED)
    assert world.codes().count("AUTHORIZED") == 3
    assert world.billed() == ["acme", "globex"]


async def test_a_worker_that_stops_while_billing_moves_has_it_moved_once_by_the_next(
    lonely_world: World, lonely_town: Town
) -> None:
    world, moved = lonely_world, asyncio.Event()

    async def hang() -> None:
        world.undisturbed("move_billing")
        moved.set()
        await asyncio.sleep(3600)

    world.after("move_billing", hang)
    await world.start(grace="0s")
    await world.all_agree()
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await asyncio.wait_for(moved.wait(), 20)
        assert world.moves() == 1
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.ends(State.COMPLETED)
    assert world.calls("move_billing") == 2
    assert world.moves() == 1
    assert world.codes().count("COMPLETED") == 1


async def test_what_was_published_is_what_was_decided_though_the_worker_stopped_in_between(
    lonely_world: World, lonely_town: Town
) -> None:
    """A decision is in the history before it has an effect: no number stands for two events."""
    world, published = lonely_world, asyncio.Event()

    async def hang() -> None:
        if "AUTHORIZED" in world.codes():
            world.undisturbed("publish")
            published.set()
            await asyncio.sleep(3600)

    world.after("publish", hang)
    await world.start()
    ticket = await world.says("release")
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await asyncio.wait_for(published.wait(), 20)
        await world.town.desk.edit(ticket, body="Not any more.")
        why = {"staff": "sam", "reason": "a dispute"}
        await world.handle.execute_update("hold", why)
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.until_told("HELD")
        inside = (await world.handle.query("evidence"))["events"]
    assert [(row.seq, row.code) for row in world.evidence()] == [
        (event["seq"], event["code"]) for event in inside
    ]


async def test_two_workers_share_a_transfer_and_billing_moves_once(
    lonely_world: World, lonely_town: Town
) -> None:
    world = lonely_world
    another = await Client.connect(
        world.client.service_client.config.target_host, plugins=[plugin(pass_ours_through=False)]
    )
    async with (
        lonely_town.worker(world.client, task_queue=world.task_queue, max_cached_workflows=0),
        lonely_town.worker(another, task_queue=world.task_queue, max_cached_workflows=0),
    ):
        await world.start(grace="1s")
        await asyncio.gather(*(world.says(slot.value) for slot in Slot for _ in range(2)))
        await world.ends(State.COMPLETED)
    assert world.billed() == ["acme", "globex"]
    assert world.codes().count("AUTHORIZED") >= 3


async def test_a_worker_that_remembers_nothing_replays_at_every_task(
    lonely_world: World, lonely_town: Town
) -> None:
    world = lonely_world
    async with lonely_town.worker(
        world.client, task_queue=world.task_queue, max_cached_workflows=0
    ):
        await world.start(grace="1s")
        await world.says("refuse", of="release")
        await world.handle.signal("nonsense")
        assert (await world.submit("authorize", await world.file("authorize"))).accepted
        await world.staff("take_case", who="mia")
        await world.says("release")
        await world.says("accept")
        await world.ends(State.COMPLETED)
    assert world.billed() == ["acme", "globex"]


async def test_signals_sent_while_no_worker_is_there_are_not_lost(
    lonely_world: World, lonely_town: Town
) -> None:
    world = lonely_world
    await world.start(grace="0s")
    await world.handle.signal("nonsense")
    await world.all_agree()
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.ends(State.COMPLETED)

    async def told() -> None:
        assert world.codes()[-1] == "COMPLETED"

    await assert_eventually(told)


async def test_a_ticket_filed_in_time_counts_though_no_worker_was_there_until_the_deadline(
    lonely_world: World, lonely_town: Town
) -> None:
    """Announced or not: before silence ends a transfer, everything is read once more."""
    world = lonely_world
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.start(grace="30d", party_deadline="2s", release_deadline="2s")
        await world.until(State.AWAITING)
        asked = world.town.now
    await world.says("authorize")
    for slot in ("release", "accept"):
        await world.file(slot)

    async def all_deadlines_are_over() -> None:
        assert datetime.now(UTC) > asked + timedelta(seconds=4)

    await assert_eventually(all_deadlines_are_over)
    async with lonely_town.worker(world.client, task_queue=world.task_queue):
        await world.until(State.READY)
    assert not {"EXPIRED", "MEDIATION"} & set(world.codes())
