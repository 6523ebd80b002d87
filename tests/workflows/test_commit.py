"""The commit: billing moves exactly once, whatever happens around it."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import assert_eventually
from tests.workflows.world import World
from transfer.case import State
from transfer.errors import InputInvalid, Unreachable
from transfer.messages import EscalationState


async def _ready(world: World, **policy: str) -> None:
    await world.start(**policy)
    await world.all_agree()
    await world.until(State.READY)


async def test_a_conflict_is_stuck_until_staff_mend_it_and_retry(world: World) -> None:
    await _ready(world)
    accounts = world.town.accounts
    billed = accounts.billed[world.customer]
    accounts.billed[world.customer] = (billed[0].model_copy(update={"reseller": "broke"}),)
    await world.pass_time(hours=24, seconds=5)
    status = await world.until(State.COMMIT_STUCK)
    assert status.waiting_on == ("staff",)
    assert status.escalated
    await world.until_told("COMMIT_STUCK")
    await world.says("withdraw", of="authorize")
    await world.until_told("TOO_LATE")

    accounts.billed[world.customer] = billed
    await world.staff("retry_commit")
    await world.ends(State.COMPLETED)
    assert world.billed() == ["acme", "globex"]
    (page,) = (one for one in world.town.queue.known.values() if one.transfer_id == world.id)
    assert page.state is EscalationState.CLOSED


async def test_a_stuck_commit_is_tried_again_by_itself_and_staff_are_paged_once(
    world: World,
) -> None:
    await _ready(world)
    accounts = world.town.accounts
    billed = accounts.billed[world.customer]
    accounts.billed[world.customer] = (billed[0].model_copy(update={"reseller": "broke"}),)
    await world.pass_time(hours=25)
    await world.until(State.COMMIT_STUCK)
    assert world.calls("move_billing") >= 3
    assert world.codes().count("COMMIT_STUCK") == 1
    accounts.billed[world.customer] = billed
    await world.ends(State.COMPLETED)
    assert world.moves() == 1


async def test_a_database_that_is_away_at_the_commit_delays_it_and_nothing_else(
    world: World,
) -> None:
    await _ready(world)
    tries = 0

    async def away() -> None:
        nonlocal tries
        tries += 1
        if tries < 30:
            raise Unreachable("the database is away")

    world.before("move_billing", away)
    await world.ends(State.COMPLETED)
    assert world.moves() == 1
    assert "COMMIT_STUCK" in world.codes(), "thirty tries take longer than staff should not know"


async def test_a_short_outage_at_the_commit_pages_nobody(world: World) -> None:
    await _ready(world)
    tries = 0

    async def away() -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise Unreachable("the database is away")

    world.before("move_billing", away)
    await world.ends(State.COMPLETED)
    assert world.moves() == 1
    assert "COMMIT_STUCK" not in world.codes()


async def test_a_failure_after_success_moves_billing_once(world: World) -> None:
    await _ready(world)

    async def fail_once() -> None:
        world.undisturbed("move_billing")
        assert world.moves() == 1
        raise RuntimeError("the answer got lost")

    world.after("move_billing", fail_once)
    await world.ends(State.COMPLETED)
    assert world.calls("move_billing") == 2
    assert world.moves() == 1
    assert world.codes().count("COMPLETED") == 1


async def test_a_signal_that_rings_while_billing_moves_does_not_undo_it(real_world: World) -> None:
    """The server refuses to close a workflow that has unread signals, and its task runs again."""

    async def ring() -> None:
        real_world.undisturbed("move_billing")
        await real_world.says("withdraw", of="authorize")

    real_world.after("move_billing", ring)
    await real_world.start(grace="0s")
    await real_world.all_agree()
    await real_world.ends(State.COMPLETED)
    assert real_world.moves() == 1
    assert real_world.codes().count("COMPLETED") == 1
    assert "LATE" in real_world.codes()


async def test_a_withdrawal_while_the_re_check_looks_stops_the_commit(real_world: World) -> None:
    async def withdraw() -> None:
        real_world.undisturbed("survey")
        await real_world.says("withdraw", of="authorize")

    await real_world.start(grace="1s")
    await real_world.until(State.AWAITING)  # the first look is over; the next is the re-check
    real_world.before("survey", withdraw)
    await real_world.all_agree()
    await real_world.ends(State.WITHDRAWN)
    assert real_world.moves() == 0


async def test_a_hold_while_the_re_check_looks_stops_the_commit(real_world: World) -> None:
    async def hold() -> None:
        real_world.undisturbed("survey")
        real_world.undisturbed("survey")
        real_world.town.accounts.away = True
        why = {"staff": "sam", "reason": "a dispute"}
        holding.append(asyncio.create_task(real_world.handle.execute_update("hold", why)))

    holding: list[asyncio.Task[object]] = []
    await real_world.start(grace="1s")
    await real_world.until(State.AWAITING)  # the first look is over; the next is the re-check
    real_world.before("survey", hold)
    await real_world.all_agree()

    async def held() -> None:
        assert holding
        assert holding[0].done()

    await assert_eventually(held)
    real_world.town.accounts.away = False
    await real_world.until(State.ON_HOLD)
    assert real_world.moves() == 0


async def test_a_staff_queue_that_is_away_holds_up_nothing_but_itself(real_world: World) -> None:
    real_world.town.queue.away = True
    await real_world.start(grace="1s")
    await real_world.says("refuse", of="release")
    await real_world.until_told("MEDIATION")
    await real_world.all_agree()
    await real_world.until_told("COMPLETED")
    assert real_world.moves() == 1
    real_world.town.queue.away = False
    await real_world.ends(State.COMPLETED)
    known = real_world.town.queue.known.values()
    (page,) = (one for one in known if one.transfer_id == real_world.id)
    assert page.state is EscalationState.CLOSED


@pytest.mark.parametrize("activity", ["survey", "read_tickets", "publish"])
async def test_a_neighbour_that_is_away_for_a_while_delays_and_loses_nothing(
    world: World, activity: str
) -> None:
    tries = 0

    async def away() -> None:
        nonlocal tries
        tries += 1
        if tries < 8:
            raise Unreachable("the database is away")

    if activity != "read_tickets":
        world.before(activity, away)
    await world.start(grace="0s")
    if activity == "read_tickets":
        await world.until(State.AWAITING)  # or the first survey finds the tickets
        world.before(activity, away)
    await world.all_agree()
    await world.ends(State.COMPLETED)
    assert tries >= 8
    assert world.billed() == ["acme", "globex"]


async def test_an_error_that_nobody_thought_of_is_tried_again_until_it_is_mended(
    world: World,
) -> None:
    tries = 0

    async def broken() -> None:
        nonlocal tries
        tries += 1
        if tries < 6:
            raise InputInvalid("an adapter has a bug")

    world.before("read_tickets", broken)
    await world.start(grace="0s")
    await world.until(State.AWAITING)
    await world.all_agree()
    await world.ends(State.COMPLETED)
    assert tries >= 6
