"""What happens when nobody says anything, over days and weeks."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.workflows.world import World
from transfer.case import State
from transfer.messages import EscalationState, EscalationUpdate
from transfer.parties import Slot
from transfer.policy import Policy


def _instants(world: World, code: str, slot: Slot | None = None) -> list[datetime]:
    return [r.at for r in world.evidence() if r.code == code and slot in (None, r.slot)]


def _same(real: list[datetime], wanted: list[datetime]) -> bool:
    near = timedelta(seconds=30)
    return len(real) == len(wanted) and all(
        abs(a - b) < near for a, b in zip(real, wanted, strict=True)
    )


def _escalation(world: World) -> EscalationUpdate:
    (one,) = (e for e in world.town.queue.known.values() if e.transfer_id == world.id)
    return one


async def test_a_silent_old_reseller_is_reminded_then_mediated_then_released_afresh(
    world: World,
) -> None:
    await world.start()
    await world.says("authorize")
    await world.says("accept")
    await world.until_slot("accept", "AUTHORIZED")
    opened = _instants(world, "OPENED")[0]
    policy = Policy()
    deadline = policy.after(opened, "5bd")
    await world.pass_until(deadline)
    await world.until(State.MEDIATION)
    await world.until_told("MEDIATION")
    reminders = _instants(world, "REMINDED", Slot.RELEASE)
    assert _same(reminders, list(policy.reminders(opened, deadline)))
    assert len(reminders) <= policy.max_reminders
    assert _same(_instants(world, "MEDIATION"), [deadline])
    assert _escalation(world).state is EscalationState.OPEN

    await world.pass_until(policy.after(deadline, "1bd"))
    await world.until_told("FIRST_TOUCH_MISSED")
    await world.pass_until(policy.after(deadline, "3bd"))
    await world.until_told("SECOND_LEVEL")
    await world.settled()
    assert _escalation(world).level == 2

    await world.says("release")
    await world.ends(State.COMPLETED)
    assert _escalation(world).state is EscalationState.CLOSED
    assert world.billed() == ["acme", "globex"]


async def test_a_mediator_who_takes_the_case_stops_the_first_touch_clock(world: World) -> None:
    await world.start()
    await world.says("refuse", of="release")
    await world.until(State.MEDIATION)
    status = await world.staff("take_case", who="mia")
    assert status.mediator == "mia"
    await world.settled()
    assert _escalation(world).owner == "mia"
    await world.pass_time(days=9)
    await world.settled()
    assert "FIRST_TOUCH_MISSED" not in world.codes()
    assert "SECOND_LEVEL" in world.codes()


async def test_a_silent_customer_lets_the_transfer_expire_after_fourteen_days(
    world: World,
) -> None:
    await world.start()
    await world.says("release")
    await world.says("accept")
    result = await world.ends(State.EXPIRED)
    assert result.code == "authorize"
    opened = _instants(world, "OPENED")[0]
    assert _same(_instants(world, "EXPIRED"), [opened + timedelta(days=14)])
    days = [2, 4, 11, 13]
    wanted = [opened + timedelta(days=day) for day in days]
    assert _same(_instants(world, "REMINDED", Slot.AUTHORIZE), wanted)
    assert world.moves() == 0


async def test_reminders_are_no_more_than_the_policy_allows(world: World) -> None:
    await world.start(reminders_after=["1d", "2d", "3d", "4d", "5d", "6d", "7d"], max_reminders=5)
    await world.says("release")
    await world.says("accept")
    await world.ends(State.EXPIRED)
    assert len(_instants(world, "REMINDED", Slot.AUTHORIZE)) == 5


async def test_a_transfer_of_sixty_days_by_extensions_still_completes(world: World) -> None:
    await world.start()
    opened = (await world.until(State.AWAITING)).slots[Slot.RELEASE].deadline
    start = _instants(world, "OPENED")[0]
    assert opened > start
    await _extend(world, start + timedelta(days=45), "transfer")
    await _extend(world, start + timedelta(days=60), "transfer")
    for slot in ("authorize", "accept"):
        await _extend(world, start + timedelta(days=59), slot)
    await world.pass_until(start + timedelta(days=57))
    await world.until(State.MEDIATION)
    await world.all_agree()
    await world.ends(State.COMPLETED)


async def test_no_extension_goes_past_sixty_days_and_then_it_expires(world: World) -> None:
    await world.start()
    await world.until(State.AWAITING)
    start = _instants(world, "OPENED")[0]
    cap = start + timedelta(days=60)
    past = (cap + timedelta(minutes=1)).isoformat()
    assert await world.staff_may_not("extend_deadline", until=past) == "DeadlineNotAllowed"
    await _extend(world, cap, "transfer")
    for slot in ("authorize", "accept"):
        await _extend(world, cap, slot)
    result = await world.ends(State.EXPIRED)
    assert result.code in {"LIFETIME", "authorize"}
    assert _same(_instants(world, "EXPIRED"), [cap])


async def test_a_hold_stops_every_clock_and_a_resume_moves_them_all(world: World) -> None:
    await world.start()
    before = await world.until(State.AWAITING)
    await world.staff("hold", code="OWNERSHIP_DISPUTED")
    held = await world.until(State.ON_HOLD)
    assert held.next_deadline is None
    await world.pass_time(days=100)
    await world.says("release")
    await world.until_slot("release", "AUTHORIZED")
    assert (await world.settled()).state is State.ON_HOLD
    await world.staff("resume")
    after = await world.until(State.AWAITING)
    moved = after.slots[Slot.AUTHORIZE].deadline - before.slots[Slot.AUTHORIZE].deadline
    assert abs(moved - timedelta(days=100)) < timedelta(minutes=1)
    assert after.expires_at is not None
    assert before.expires_at is not None
    assert after.expires_at - before.expires_at == moved
    await world.ends(State.EXPIRED)


async def test_a_hold_during_grace_moves_the_commit(world: World) -> None:
    await world.start()
    await world.all_agree()
    ready = await world.until(State.READY)
    await world.staff("hold")
    await world.pass_time(days=3)
    assert (await world.settled()).state is State.ON_HOLD
    assert world.moves() == 0
    await world.staff("resume")
    again = await world.until(State.READY)
    assert ready.commit_at is not None
    assert again.commit_at is not None
    assert again.commit_at - ready.commit_at >= timedelta(days=3)
    done = await world.ends(State.COMPLETED)
    assert done.completed_at is not None
    assert done.completed_at >= again.commit_at


async def test_a_ticket_that_grew_old_in_mediation_is_confirmed_anew(world: World) -> None:
    await world.start(lifetime="50d")
    await world.says("authorize")
    await world.says("accept")
    await world.until_slot("accept", "AUTHORIZED")
    await world.pass_time(days=35)
    await world.says("release")
    await world.until(State.READY)
    await world.pass_time(hours=25)
    status = await world.until(State.AWAITING)
    assert set(status.waiting_on) == {"authorize", "accept"}
    assert world.moves() == 0
    await world.says("authorize")
    await world.says("accept")
    await world.ends(State.COMPLETED)


async def _extend(world: World, until: datetime, which: str) -> None:
    await world.staff("extend_deadline", until=until.isoformat(), which=which)
