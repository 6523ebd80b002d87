"""How many transfers, notices and tickets are where: counted alike on every store."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from tests.adapters.stores import NOW, Stores, delivery, row, sql_only
from tests.adapters.test_arrivals import parked
from tests.adapters.test_tracking import told
from tests.core import stories
from tests.core.acts import Act
from tests.core.histories import HISTORIES, play
from tests.core.stories import CHANGES, MONDAY
from transfer import commit, levers
from transfer.case import Case, State
from transfer.figures import FAILED_WITHIN, OPEN_STATES, Reading, commit_due_since, standing
from transfer.messages import Hold, StopCode
from transfer.parties import Slot

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


async def tell(stores: Stores, *cases: Case) -> None:
    """Tell of these cases, each as a transfer of its own."""
    for number, case in enumerate(cases):
        await stores.ledger.publish([], [], told(case.having(key=f"key-{number}")))


def every_case() -> list[Case]:
    """The cases of all stories, before and after."""
    return [case for change in CHANGES.values() for case in change()]


async def test_where_there_is_nothing_every_figure_is_zero(empty: Stores) -> None:
    assert await empty.figures.read(NOW) == Reading(at=NOW, of_state=dict.fromkeys(OPEN_STATES, 0))


async def test_open_transfers_are_counted_by_the_state_that_the_core_derives(
    stores: Stores,
) -> None:
    """Every story, and every open state among them."""
    cases = every_case()
    await tell(stores, *cases)
    read = await stores.figures.read(MONDAY)
    assert read.of_state == Counter(one.state for one in cases if not one.is_terminal)
    assert min(read.of_state.values()) > 0
    assert read.escalated == standing(cases, MONDAY).escalated > 0


async def test_a_transfer_counts_as_it_was_told_of_last(stores: Stores) -> None:
    moving = stories.committing()
    moved = commit.committed(moving, moving.evidence[-1].at)
    for case in (stories.started(), stories.ready(), moved):
        await stores.ledger.publish([row(1)], [], told(case))
        read = await stores.figures.read(MONDAY)
        assert sum(read.of_state.values()) == (not case.is_terminal)
        assert read.of_state.get(case.state, 0) == (not case.is_terminal)


@sql_only
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(history=HISTORIES)
async def test_whatever_happened_the_database_counts_as_the_core_does(
    stores: Stores, history: list[Act]
) -> None:
    world = play(history)
    cases = list({id(step.after): step.after for step in world.steps}.values())
    await stores.tracking.forget(MONDAY + 1000 * DAY)
    await tell(stores, *cases)
    for at in (MONDAY, world.now, world.now + 2 * DAY):
        assert await stores.figures.read(at) == standing(cases, at)


async def test_a_commit_is_due_from_its_instant_until_billing_moved(stores: Stores) -> None:
    ready = stories.ready()
    at = ready.commit_at
    assert at is not None
    moving = stories.committing()
    stuck = commit.stuck(moving, "another reseller is on record", at + HOUR)
    expected = [
        (ready, at - HOUR / 3600, None),
        (ready, at, at),
        (ready, at + DAY, at),
        (moving, at + HOUR, at),
        (stuck, at + HOUR, at),
        (commit.committed(stuck, at + DAY), at + DAY, None),
    ]
    for number, (case, now, since) in enumerate(expected):
        changed = case.having(evidence_count=case.evidence_count + number)
        await stores.ledger.publish([], [], told(changed.noting("TOLD", "test", now)))
        assert (await stores.figures.read(now)).commit_due_since == since, number


async def test_what_stops_a_commit_makes_it_not_due(stores: Stores) -> None:
    """A hold, a ticket that nobody has read yet, a clock that rings before it."""
    ready = stories.ready()
    hold = Hold(staff="mira", reason="two owners", code=StopCode.OWNERSHIP_DISPUTED)
    doubts = stories.ambiguous().doubts
    stopped = [
        levers.hold(ready, hold, MONDAY + 4 * HOUR),
        ready.having(doubts=doubts),
        ready.having(expires_at=MONDAY + 5 * HOUR),
    ]
    await tell(stores, *stopped)
    assert (await stores.figures.read(MONDAY + 30 * DAY)).commit_due_since is None


async def test_the_commit_that_is_due_for_longest_is_found_among_many(stores: Stores) -> None:
    """Also where others, of which more are read than there is room for, are not due at all."""
    ready = stories.ready()
    at = ready.commit_at
    assert at is not None
    held_up = [
        ready.having(commit_at=at - DAY, doubts=stories.ambiguous().doubts) for _ in range(60)
    ]
    later = [ready.having(commit_at=at + n * HOUR) for n in range(1, 60)]
    exactly = at + timedelta(microseconds=1)
    await tell(stores, *held_up, *later, ready.having(commit_at=exactly))
    assert (await stores.figures.read(at + 100 * HOUR)).commit_due_since == exactly


async def test_what_no_database_can_hold_is_in_no_ones_way(stores: Stores) -> None:
    """A ticket with NUL in it, and one that reads like our own JSON."""
    body = 'Hello \0 \\u0000 "outcome":null, "slots":[], \\"stuck\\":{}'
    case = stories.file(stories.started(), Slot.AUTHORIZE, "9", body=body)
    assert body in case.doubts[0].ticket.body
    await tell(stores, case, CHANGES["REFUSED"]()[1].having(doubts=case.doubts))
    read = await stores.figures.read(MONDAY)
    assert {state: n for state, n in read.of_state.items() if n} == {State.AWAITING: 1}


async def test_notices_that_wait_are_counted_and_the_oldest_is_known(stores: Stores) -> None:
    for number in range(4):
        await stores.ledger.publish([], [delivery(f"d{number}", created_at=NOW + number * HOUR)])
    await stores.ledger.delivered(["d0"], NOW + HOUR)
    await stores.ledger.failed("d1", "away", NOW + DAY)
    await stores.ledger.failed("d2", "no such address", None)
    read = await stores.figures.read(NOW + DAY)
    assert (read.notices_waiting, read.waiting_since) == (2, NOW + HOUR)


async def test_notices_that_were_given_up_count_for_a_week(stores: Stores) -> None:
    for number in range(3):
        await stores.ledger.publish([], [delivery(f"d{number}", created_at=NOW + number * DAY)])
        await stores.ledger.failed(f"d{number}", "no such address", None)
    counted = [
        (await stores.figures.read(NOW + FAILED_WITHIN + late)).notices_failed
        for late in (-HOUR, HOUR, DAY + HOUR, 3 * DAY)
    ]
    assert counted == [3, 2, 1, 0]


async def test_tickets_are_parked_until_they_are_picked_up(stores: Stores) -> None:
    for number in range(3):
        await stores.arrivals.park(parked(f"{number}"))
    await stores.arrivals.picked_up("1", NOW)
    assert (await stores.figures.read(NOW)).tickets_parked == 2


@pytest.mark.parametrize("minutes", [0, 14, 15, 1000])
def test_a_stuck_commit_is_due_between_its_tries_too(minutes: int) -> None:
    case = stories.committing()
    at = case.commit_at or MONDAY
    stuck = commit.stuck(case, "away", at)
    assert commit_due_since(stuck, at + timedelta(minutes=minutes)) == at
