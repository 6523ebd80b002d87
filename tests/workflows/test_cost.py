"""What a transfer costs: events of its history, and actions that a provider bills.

Temporal Cloud bills every command that these events tell of, but the local activities of one
workflow task as one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.workflows.world import World
from transfer.attributes import KEYS
from transfer.case import State

BILLED = {
    "WORKFLOW_EXECUTION_STARTED",
    "ACTIVITY_TASK_SCHEDULED",
    "TIMER_STARTED",
    "WORKFLOW_EXECUTION_SIGNALED",
    "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
}
MAX_EVENTS = 45
MAX_ACTIONS = 16


async def _assert_cheap(world: World) -> None:
    counts = await world.counts()
    tasks_with_markers = {
        event.marker_recorded_event_attributes.workflow_task_completed_event_id
        for history in [history async for history in world.histories()]
        for event in history.events
        if event.HasField("marker_recorded_event_attributes")
    }
    actions = sum(counts[kind] for kind in BILLED) + len(tasks_with_markers)
    told = f"{counts.total()} events, {actions} actions: {dict(counts)}"
    assert counts.total() <= MAX_EVENTS, told
    assert actions <= MAX_ACTIONS, told


async def _one_after_the_other(world: World) -> None:
    for slot in ("authorize", "release", "accept"):
        await world.says(slot)
        await world.until_slot(slot, "AUTHORIZED")


async def test_a_happy_transfer_costs_at_most_45_events_and_16_actions(world: World) -> None:
    await world.start()
    await world.until(State.AWAITING)
    await _one_after_the_other(world)
    await world.ends(State.COMPLETED)
    await _assert_cheap(world)


async def test_on_the_real_server_it_costs_the_same(real_world: World) -> None:
    await real_world.start(grace="2s")
    await real_world.until(State.AWAITING)
    await _one_after_the_other(real_world)
    await real_world.ends(State.COMPLETED)
    await _assert_cheap(real_world)


async def test_no_activity_runs_whose_result_is_known(world: World) -> None:
    await world.start()
    await world.until(State.AWAITING)
    await _one_after_the_other(world)
    await world.ends(State.COMPLETED)
    calls = Counter(name for workflow, name in world.town.watch.calls if workflow == world.id)
    assert calls == {"survey": 2, "read_tickets": 3, "publish": 4, "move_billing": 1}


async def test_search_attributes_are_upserted_once_a_change(world: World) -> None:
    await world.start()
    await world.until(State.AWAITING)
    assert not (await world.counts())["UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"], "the start had them"
    await _one_after_the_other(world)
    assert (await world.counts())["UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"] == 3
    for _ in range(3):
        await world.ring("release", "404404")
    await world.settled()
    await world.handle.signal("nonsense")
    await world.settled()
    assert (await world.counts())["UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"] == 3, "nothing changed"


async def test_the_list_shows_what_the_status_says(real_world: World) -> None:
    await real_world.start()
    await real_world.says("authorize")
    await real_world.until_slot("authorize", "AUTHORIZED")
    attributes = (await real_world.handle.describe()).typed_search_attributes
    shown: dict[str, Any] = {key.name: attributes.get(key) for key in KEYS}
    assert shown["TransferState"] == "AWAITING"
    assert sorted(shown["WaitingOn"]) == ["accept", "release"]
    assert shown["CustomerDomain"] == real_world.domain
    assert (shown["OldReseller"], shown["NewReseller"]) == ("acme", "globex")
    assert shown["Escalated"] is False
    assert shown["NextDeadline"] is not None
