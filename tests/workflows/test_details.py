"""What staff see in Temporal: details that are true at every moment, a timeline in sentences."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator

from pydantic import BaseModel
from temporalio import workflow
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.converter import DataConverter

from tests.workflows.world import World
from transfer import levers
from transfer.case import State
from transfer.errors import Unreachable
from transfer.messages import Doorbell, Submission
from workflows.customer_transfer import CustomerTransfer


async def told(world: World) -> str:
    """The current details, as the UI asks for them."""
    query = world.handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    metadata: WorkflowMetadata = await asyncio.wait_for(query, 20)
    return metadata.current_details


async def summaries(world: World) -> AsyncIterator[str]:
    """What the timeline says of activities and timers."""
    async for history in world.histories():
        for event in history.events:
            if event.user_metadata.HasField("summary"):
                data = [event.user_metadata.summary]
                yield (await DataConverter.default.decode(data, [str]))[0]


async def test_details_are_true_while_an_activity_takes_its_time(real_world: World) -> None:
    """Telling everybody is being tried; a lever is shown all the same."""
    world = real_world
    trying = asyncio.Event()

    async def away() -> None:
        trying.set()
        raise Unreachable("the database is away")

    world.before("publish", away)
    await world.start()
    await asyncio.wait_for(trying.wait(), 20)
    assert (await told(world)).startswith("## AWAITING: ")
    message = {"staff": "sam", "reason": "two *owners*", "code": "OWNERSHIP_DISPUTED"}
    await asyncio.wait_for(world.handle.execute_update("hold", message), 20)
    held = await told(world)
    assert held.startswith("## ON_HOLD: ")
    assert "by sam, OWNERSHIP_DISPUTED: two &#42;owners&#42;" in held
    world.undisturbed("publish")
    await world.settled()
    assert "- **resume**: " in await told(world)


async def test_details_say_that_billing_is_being_moved_and_how_it_ended(real_world: World) -> None:
    """Also to somebody who looks right then."""
    world = real_world
    seen: list[str] = []

    async def look() -> None:
        seen.append(await told(world))

    world.before("move_billing", look)
    await world.start(grace="0s")
    await world.all_agree()
    await world.ends(State.COMPLETED)
    assert [text.split(":")[0] for text in seen] == ["## COMMITTING"]
    assert "**It is over**" in await told(world)


async def test_the_timeline_is_in_sentences(real_world: World) -> None:
    """For staff, who know neither activities nor codes."""
    world = real_world
    await world.start()
    await world.until(State.AWAITING)
    await world.settled()
    first = await world.says("refuse", of="release")
    await world.until(State.MEDIATION)
    await world.staff("take_case")
    await world.says("withdraw", of="accept")
    await world.ends(State.WITHDRAWN)
    said = [text async for text in summaries(world)]
    assert f"Look at {world.domain} and its tickets" in said
    assert f"Read ticket {first}" in said
    assert any(text.startswith("Tell whom it concerns: the transfer was asked") for text in said)
    assert any(text.startswith("Remind Acme to release ") for text in said), said
    assert any(text.startswith("Page staff: Acme has not released ") for text in said)
    assert "Tell the staff queue that sam has taken the case" in said
    assert "Tell the staff queue that this is settled" in said
    assert all(text[0].isupper() for text in said), said
    assert not any("SLOT_" in text or "_" in text for text in said), said


def test_every_handler_says_what_it_takes_with_json_to_paste() -> None:
    """The dialogs of the UI show the description, and take one JSON object."""
    definition = workflow._Definition.must_from_class(CustomerTransfer)
    for name, update in definition.updates.items():
        rule = getattr(levers, name or "", None)
        kind = (
            inspect.signature(rule, eval_str=True).parameters["action"].annotation
            if rule
            else Submission
        )
        assert fits(update.description, kind), name
    for name, signal in definition.signals.items():
        assert name is None or fits(signal.description, Doorbell), name
    for query in definition.queries.values():
        assert query.description


def fits(description: str | None, kind: type[BaseModel]) -> bool:
    """Whether a description ends in an object with every field of a message."""
    says, _, example = (description or "").partition(": {")
    sent = json.loads("{" + example)
    return bool(says) and sent.keys() == kind.model_fields.keys() and bool(kind(**sent))
