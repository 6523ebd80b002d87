"""Staff's levers: what each does, and where it is refused without a trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.workflows.world import World
from transfer.case import State
from transfer.errors import RuleBroken
from transfer.parties import Slot
from transfer.tickets import Channel

AMBIGUOUS = "Please do what is needed about the transfer we talked about."


async def _awaiting(world: World, **policy: str) -> None:
    await world.start(**policy)
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

REFUSED: list[tuple[State, str, dict[str, str], str]] = [
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


@pytest.mark.parametrize("state", list(ARRIVE))
async def test_a_lever_that_does_not_work_there_is_refused_by_its_rule_without_a_trace(
    real_world: World, state: State
) -> None:
    await ARRIVE[state](real_world)
    for where, lever, fields, rule in REFUSED:
        if where is state:
            assert await real_world.staff_may_not(lever, **fields) == rule
            assert any(cls.__name__ == rule for cls in RuleBroken.__subclasses__())
    assert (await real_world.settled()).state is state


async def test_a_lever_without_who_and_why_is_refused(real_world: World) -> None:
    await _awaiting(real_world)
    wrong: list[dict[str, Any]] = [
        {"who": ""},
        {"reason": ""},
        {"reason": None},
        {"reason": "it has a \x00 in it"},
        {"code": "BECAUSE"},
    ]
    for fields in wrong:
        assert await real_world.staff_may_not("hold", **fields) == "InputInvalid"


@pytest.mark.parametrize("state", [State.AWAITING, State.READY, State.MEDIATION, State.ON_HOLD])
async def test_staff_cancel_an_open_transfer(real_world: World, state: State) -> None:
    await ARRIVE[state](real_world)
    await real_world.staff("cancel", code="FRAUD_SUSPECTED")
    result = await real_world.ends(State.CANCELLED)
    assert result.code == "FRAUD_SUSPECTED"
    assert real_world.moves() == 0


async def test_a_lever_is_evidence_with_who_and_why(real_world: World) -> None:
    await _awaiting(real_world)
    await real_world.staff("hold", who="sam", reason="the owner called", code="CUSTOMER_OBJECTS")
    await real_world.until_told("HELD")
    row = next(row for row in real_world.evidence() if row.code == "HELD")
    assert row.who == "sam"
    assert "the owner called" in row.detail


@pytest.mark.parametrize(
    ("what", "ends"), [("authorize", State.COMPLETED), ("refuse", State.REFUSED)]
)
async def test_staff_admit_an_ambiguous_ticket_as_what_it_means(
    real_world: World, what: str, ends: State
) -> None:
    await real_world.start(grace="1s")
    await real_world.says("release")
    await real_world.says("accept")
    ticket = await real_world.says("authorize", body=AMBIGUOUS)
    await real_world.until_rejected("authorize", "TEXT_AMBIGUOUS")
    status = await real_world.settled()
    assert [doubt.ticket_id for doubt in status.ambiguous] == [ticket]
    assert "staff" in status.waiting_on
    await real_world.staff("admit_ticket", ticket_id=ticket, what=what)
    await real_world.ends(ends)


async def test_staff_reject_an_ambiguous_ticket(real_world: World) -> None:
    await _awaiting(real_world, grace="1s")
    ticket = await real_world.says("authorize", body=AMBIGUOUS)
    await real_world.until_rejected("authorize", "TEXT_AMBIGUOUS")
    status = await real_world.staff("reject_ticket", ticket_id=ticket)
    assert status.ambiguous == ()
    assert await real_world.staff_may_not("reject_ticket", ticket_id=ticket) == "NothingToDecide"
    await real_world.all_agree()
    await real_world.ends(State.COMPLETED)


async def test_staff_cannot_admit_a_ticket_that_may_not_speak(real_world: World) -> None:
    await _awaiting(real_world)
    ticket = await real_world.says("authorize", body=AMBIGUOUS, channel=Channel.MAIL)
    await real_world.until_rejected("authorize", "WRONG_CHANNEL")
    refused = await real_world.staff_may_not("admit_ticket", ticket_id=ticket, what="authorize")
    assert refused == "NothingToDecide"


async def test_two_staff_members_release_in_mediation_where_the_policy_allows_it(
    real_world: World,
) -> None:
    await real_world.start(grace="1s", staff_release="two_person")
    assert await real_world.staff_may_not("release_on_behalf") == "NotAllowedInState"
    await real_world.says("authorize")
    await real_world.says("accept")
    await real_world.says("refuse", of="release")
    await real_world.until(State.MEDIATION)
    await real_world.staff("release_on_behalf", who="sam")
    assert (await real_world.settled()).state is State.MEDIATION, "one person is not enough"
    assert await real_world.staff_may_not("release_on_behalf", who="Sam ") == "SecondPersonNeeded"
    await real_world.staff("release_on_behalf", who="mia")
    status = await real_world.until(State.READY)
    assert "staff" in (status.slots[Slot.RELEASE].by or "")
    await real_world.ends(State.COMPLETED)
    assert real_world.billed() == ["acme", "globex"]
