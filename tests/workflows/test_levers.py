"""Staff's levers: what each does, and where it is refused without a trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.workflows.world import World
from transfer.case import State
from transfer.errors import RuleBroken
from transfer.parties import Slot
from transfer.tickets import Channel

AMBIGUOUS = "Please do what is needed about the transfer we talked about."


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


async def _stuck(world: World) -> None:
    await world.start(grace="0s")
    accounts = world.town.accounts
    before = accounts.billed[world.customer]
    accounts.billed[world.customer] = (before[0].model_copy(update={"reseller": "broke"}),)
    await world.all_agree()
    await world.until(State.COMMIT_STUCK)


ARRIVE: dict[State, Callable[[World], Awaitable[None]]] = {
    State.AWAITING: _awaiting,
    State.READY: _ready,
    State.MEDIATION: _mediation,
    State.ON_HOLD: _on_hold,
    State.COMMIT_STUCK: _stuck,
}

REFUSED = [
    (State.AWAITING, "resume", {}, "NotAllowedInState"),
    (State.AWAITING, "take_case", {}, "NotAllowedInState"),
    (State.AWAITING, "retry_commit", {}, "NotAllowedInState"),
    (State.AWAITING, "release_on_behalf", {}, "StaffReleaseForbidden"),
    (State.AWAITING, "admit_ticket", {"ticket_id": "7", "what": "release"}, "NothingToDecide"),
    (State.AWAITING, "reject_ticket", {"ticket_id": "7"}, "NothingToDecide"),
    (State.AWAITING, "extend_deadline", {"until": "2001-01-01T00:00:00Z"}, "DeadlineNotAllowed"),
    (State.READY, "retry_commit", {}, "NotAllowedInState"),
    (
        State.READY,
        "extend_deadline",
        {"until": "2100-01-01T00:00:00Z", "which": "accept"},
        "NotAllowedInState",
    ),
    (State.MEDIATION, "release_on_behalf", {}, "StaffReleaseForbidden"),
    (State.ON_HOLD, "hold", {}, "NotAllowedInState"),
    (State.COMMIT_STUCK, "hold", {}, "NotAllowedInState"),
    (State.COMMIT_STUCK, "cancel", {}, "NotAllowedInState"),
    (State.COMMIT_STUCK, "take_case", {}, "NotAllowedInState"),
    (State.COMMIT_STUCK, "extend_deadline", {"until": "2100-01-01T00:00:00Z"}, "NotAllowedInState"),
]


@pytest.mark.parametrize(
    ("state", "lever", "fields", "rule"), REFUSED, ids=[f"{s}-{lever}" for s, lever, *_ in REFUSED]
)
async def test_a_lever_that_does_not_work_there_is_refused_by_its_rule_without_a_trace(
    world: World, state: State, lever: str, fields: dict[str, str], rule: str
) -> None:
    await ARRIVE[state](world)
    assert await world.staff_may_not(lever, **fields) == rule
    assert any(cls.__name__ == rule for cls in RuleBroken.__subclasses__())
    assert (await world.settled()).state is state


@pytest.mark.parametrize(
    "fields",
    [{"who": ""}, {"reason": ""}, {"reason": None}, {"code": "BECAUSE"}],
    ids=["nobody", "no reason", "null for a reason", "unknown code"],
)
async def test_a_lever_without_who_and_why_is_refused(world: World, fields: dict[str, str]) -> None:
    await _awaiting(world)
    assert await world.staff_may_not("hold", **fields) == "InputInvalid"


@pytest.mark.parametrize("state", [State.AWAITING, State.READY, State.MEDIATION, State.ON_HOLD])
async def test_staff_cancel_an_open_transfer(world: World, state: State) -> None:
    await ARRIVE[state](world)
    await world.staff("cancel", code="FRAUD_SUSPECTED")
    result = await world.ends(State.CANCELLED)
    assert result.code == "FRAUD_SUSPECTED"
    assert world.moves() == 0


async def test_a_lever_is_evidence_with_who_and_why(world: World) -> None:
    await _awaiting(world)
    await world.staff("hold", who="sam", reason="the owner called", code="CUSTOMER_OBJECTS")
    await world.until_told("HELD")
    row = next(row for row in world.evidence() if row.code == "HELD")
    assert row.who == "sam"
    assert "the owner called" in row.detail


@pytest.mark.parametrize(
    ("what", "ends"), [("authorize", State.COMPLETED), ("refuse", State.REFUSED)]
)
async def test_staff_admit_an_ambiguous_ticket_as_what_it_means(
    world: World, what: str, ends: State
) -> None:
    await world.start()
    await world.says("release")
    await world.says("accept")
    ticket = await world.says("authorize", body=AMBIGUOUS)
    await world.until_rejected("authorize", "TEXT_AMBIGUOUS")
    status = await world.settled()
    assert [doubt.ticket_id for doubt in status.ambiguous] == [ticket]
    assert "staff" in status.waiting_on
    await world.staff("admit_ticket", ticket_id=ticket, what=what)
    await world.ends(ends)


async def test_staff_reject_an_ambiguous_ticket(world: World) -> None:
    await _awaiting(world)
    ticket = await world.says("authorize", body=AMBIGUOUS)
    await world.until_rejected("authorize", "TEXT_AMBIGUOUS")
    status = await world.staff("reject_ticket", ticket_id=ticket)
    assert status.ambiguous == ()
    assert await world.staff_may_not("reject_ticket", ticket_id=ticket) == "NothingToDecide"
    await world.all_agree()
    await world.ends(State.COMPLETED)


async def test_staff_cannot_admit_a_ticket_that_may_not_speak(world: World) -> None:
    await _awaiting(world)
    ticket = await world.says("authorize", body=AMBIGUOUS, channel=Channel.MAIL)
    await world.until_rejected("authorize", "WRONG_CHANNEL")
    refused = await world.staff_may_not("admit_ticket", ticket_id=ticket, what="authorize")
    assert refused == "NothingToDecide"


async def test_two_staff_members_release_in_mediation_where_the_policy_allows_it(
    world: World,
) -> None:
    await world.start(staff_release="two_person")
    assert await world.staff_may_not("release_on_behalf") == "NotAllowedInState"
    await world.says("authorize")
    await world.says("accept")
    await world.says("refuse", of="release")
    await world.until(State.MEDIATION)
    await world.staff("release_on_behalf", who="sam")
    assert (await world.settled()).state is State.MEDIATION, "one person is not enough"
    assert await world.staff_may_not("release_on_behalf", who="Sam ") == "SecondPersonNeeded"
    await world.staff("release_on_behalf", who="mia")
    status = await world.until(State.READY)
    assert "staff" in (status.slots[Slot.RELEASE].by or "")
    await world.ends(State.COMPLETED)
    assert world.billed() == ["acme", "globex"]
