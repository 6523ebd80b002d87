"""The update for senders that can wait: an answer for each ticket, once."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.conftest import assert_eventually
from tests.workflows.world import World
from transfer.case import State


async def test_an_accepted_ticket_is_answered_with_its_slot(world: World) -> None:
    await world.start()
    answer = await world.submit("release", await world.file("release"))
    assert answer.accepted
    assert (answer.slot, answer.state) == ("release", "AUTHORIZED")
    assert answer.code is None


async def test_a_rejected_ticket_is_answered_with_a_code_and_the_fix(world: World) -> None:
    await world.start()
    ticket = await world.file("release", domain="elsewhere.example")
    answer = await world.submit("release", ticket)
    assert not answer.accepted
    assert answer.code == "DOMAIN_MISMATCH"
    assert answer.fix
    assert world.domain in answer.fix


async def test_the_same_update_id_gets_the_first_answer_again(world: World) -> None:
    await world.start()
    ticket = await world.file("release", domain="elsewhere.example")
    first = await world.submit("release", ticket, "hook-7")
    world.town.now = await world.now()
    await world.town.desk.close(ticket)
    again = await world.submit("release", ticket, "hook-7")
    assert again == first
    assert (await world.counts())["WORKFLOW_EXECUTION_UPDATE_ACCEPTED"] == 1


async def test_many_callers_of_one_ticket_get_the_same_answer(real_world: World) -> None:
    await real_world.start()
    ticket = await real_world.file("accept")
    answers = await asyncio.gather(*(real_world.submit("accept", ticket) for _ in range(8)))
    assert all(answer.accepted for answer in answers)
    await real_world.until_told("AUTHORIZED")
    assert real_world.codes().count("AUTHORIZED") == 1


async def test_a_ticket_that_does_not_exist_is_answered_after_looking_again(
    real_world: World,
) -> None:
    await real_world.start()
    await real_world.until(State.AWAITING)
    asking = asyncio.create_task(real_world.submit("release", "404404"))
    for look in range(1, 4):

        async def looked(times: int = look) -> None:
            assert real_world.calls("read_tickets") >= times

        await assert_eventually(looked)
        assert not asking.done()
        await real_world.ring("release", "404404")  # another ring means: look now
    assert (await asking).code == "TICKET_UNKNOWN"


async def test_the_last_ticket_is_answered_before_the_transfer_ends(real_world: World) -> None:
    await real_world.start(grace="0s")
    for slot in ("release", "authorize"):
        assert (await real_world.submit(slot, await real_world.file(slot))).accepted
    answer = await real_world.submit("accept", await real_world.file("accept"))
    assert answer.accepted
    await real_world.ends(State.COMPLETED)


async def test_a_caller_who_comes_while_the_outcome_is_told_is_answered_late(
    real_world: World,
) -> None:
    calling: list[asyncio.Task[object]] = []

    async def call() -> None:
        real_world.undisturbed("publish")
        calling.append(asyncio.create_task(real_world.submit("accept", ticket)))
        await asyncio.wait(calling, timeout=0.5)

    await real_world.start()
    await real_world.until_told("OPENED")
    ticket = await real_world.file("accept")
    real_world.before("publish", call)
    await real_world.says("refuse", of="authorize")
    await real_world.ends(State.REFUSED)
    answer = await calling[0]
    assert getattr(answer, "code", None) == "LATE"


async def test_what_is_no_submission_is_refused_without_a_trace(real_world: World) -> None:
    await real_world.start()
    bodies: list[object] = [
        {},
        {"what": "release"},
        {"what": "steal", "ticket_id": "7"},
        {"what": "release", "ticket_id": ""},
        {"what": "release", "ticket_id": "a b"},
        {"what": "release", "ticket_id": "7" * 65},
        {"what": "release", "ticket_id": 7},
        ["release", "7"],
        None,
    ]
    for body in bodies:
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await real_world.handle.execute_update("submit", body)
        assert isinstance(refusal.value.cause, ApplicationError)
        assert refusal.value.cause.type == "InputInvalid", body
    assert not (await real_world.counts())["WORKFLOW_EXECUTION_UPDATE_ACCEPTED"]
