"""Clocks: silence reminds, escalates, or stops, and nothing else."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.core.builders import (
    ACME,
    REFUSE_TEXT,
    at,
    codes,
    committing,
    facts,
    opened,
    ready,
    received,
    silent_until,
    submit,
    ticket,
)
from transfer import commit, levers
from transfer.case import Case, SlotState, State
from transfer.clocks import RETRY_STUCK_COMMIT, Tick, commit_is_due, next_clock, rung
from transfer.messages import ExtendDeadline, Hold, Resume, TakeCase, Which
from transfer.parties import Slot


def what_rings(case: Case) -> tuple[Tick, datetime] | None:
    """The next clock, and when."""
    clock = next_clock(case)
    return (clock.tick, clock.at) if clock else None


def test_a_silent_transfer_reminds_mediates_and_expires() -> None:
    """The whole story of nobody answering, at the instants of the clock table."""
    story: list[tuple[str, datetime]] = []
    case = opened()
    while (clock := next_clock(case)) is not None:
        before = case.evidence_count
        case = rung(case, clock.at)
        fresh = [event for event in case.evidence if event.seq > before]
        story += [(f"{e.code} {e.slot.value if e.slot else ''}".strip(), e.at) for e in fresh]
    assert story == [
        ("REMINDED release", at(days=2)),
        ("REMINDED authorize", at(days=2)),
        ("REMINDED accept", at(days=2)),
        ("REMINDED release", at(days=4)),
        ("REMINDED authorize", at(days=4)),
        ("REMINDED accept", at(days=4)),
        ("REMINDED release", at(days=6)),
        ("MEDIATION", at(days=7)),
        ("FIRST_TOUCH_MISSED", at(days=8)),
        ("SECOND_LEVEL", at(days=10)),
        ("REMINDED authorize", at(days=11)),
        ("REMINDED accept", at(days=11)),
        ("REMINDED authorize", at(days=13)),
        ("REMINDED accept", at(days=13)),
        ("EXPIRED", at(days=14)),
    ]
    assert case.state is State.EXPIRED
    assert case.slot(Slot.RELEASE).state is SlotState.LAPSED


def test_who_has_answered_is_not_reminded() -> None:
    """Pending parties only."""
    case = submit(opened(), ticket(Slot.AUTHORIZE))
    case = silent_until(case, at(days=2))
    assert [e.slot for e in case.evidence if e.code == "REMINDED"] == [Slot.RELEASE, Slot.ACCEPT]


def test_nobody_is_reminded_twice_for_the_time_a_worker_was_away() -> None:
    """Two that are due become one."""
    case = silent_until(opened(), at(days=5))
    assert codes(case).count("REMINDED") == 3


def test_a_transfer_without_a_release_expires_after_thirty_days() -> None:
    """Customer and new reseller said yes; the old one, nothing."""
    case = submit(submit(opened(), ticket(Slot.AUTHORIZE)), ticket(Slot.ACCEPT))
    case = silent_until(case, at(days=29, hours=23))
    assert case.state is State.MEDIATION
    case = silent_until(case, at(days=30))
    assert (case.state, case.outcome_code) == (State.EXPIRED, "LIFETIME")


@pytest.mark.parametrize("slot", [Slot.AUTHORIZE, Slot.ACCEPT])
def test_the_deadline_of_customer_and_new_reseller_ends_the_transfer(slot: Slot) -> None:
    """The other two have said yes."""
    case = opened()
    for other in set(Slot) - {slot}:
        case = submit(case, ticket(other))
    case = silent_until(case, at(days=14))
    assert (case.state, case.outcome_code) == (State.EXPIRED, slot.value)


def test_the_first_touch_clock_stops_when_somebody_takes_the_case() -> None:
    """The second-level clock does not."""
    case = submit(opened(), ticket(Slot.RELEASE, body=REFUSE_TEXT))
    taken = levers.take_case(case, TakeCase(staff="sue", reason="mine"), at(hours=2))
    case = silent_until(taken, at(days=4))
    assert "FIRST_TOUCH_MISSED" not in codes(case)
    assert "SECOND_LEVEL" in codes(case)


def test_mediation_stops_the_old_resellers_clocks_only() -> None:
    """The other slots stay open, with their clocks."""
    case = opened(facts(old=ACME.model_copy(update={"suspended": True})))
    case = silent_until(case, at(days=2))
    assert {e.slot for e in case.evidence if e.code == "REMINDED"} == {Slot.AUTHORIZE, Slot.ACCEPT}


def test_grace_ends_in_a_commit_that_no_clock_performs() -> None:
    """Billing moves after a re-check, never by a timer alone."""
    case = ready()
    assert what_rings(case) == (Tick.COMMIT, at(hours=25))
    assert not commit_is_due(case, at(hours=24))
    assert commit_is_due(case, at(hours=25))
    assert rung(case, at(days=20)) == case


def test_grace_may_be_nothing() -> None:
    """Ready and due at once."""
    case = ready(opened(grace="0s"))
    assert commit_is_due(case, at(hours=1))


def test_an_unclear_ticket_stops_the_commit_until_staff_have_read_it() -> None:
    """Only the end of the transfer still rings."""
    case = submit(ready(), ticket(Slot.AUTHORIZE, "7", at(hours=2), body="hm"))
    assert case.state is State.READY
    assert what_rings(case) == (Tick.EXPIRE, at(days=30))


def test_a_hold_stops_every_clock_and_resuming_moves_them() -> None:
    """By the time held; nothing is lost, and nothing rings meanwhile."""
    case = submit(opened(), ticket(Slot.RELEASE, body=REFUSE_TEXT))
    held = levers.hold(case, Hold(staff="sue", reason="court"), at(days=1))
    assert next_clock(held) is None
    assert rung(held, at(days=500)) == held
    back = levers.resume(held, Resume(staff="sue", reason="over"), at(days=11))
    assert back.slot(Slot.ACCEPT).deadline == at(days=24)
    assert back.slot(Slot.ACCEPT).reminders[0] == at(days=12)
    assert back.expires_at == at(days=40)
    assert back.extendable_to == at(days=70)
    assert back.mediation is not None
    assert case.mediation is not None
    assert back.mediation.first_touch_by == at(days=11, hours=1)
    again = levers.hold(ready(), Hold(staff="sue", reason="court"), at(hours=2))
    again = levers.resume(again, Resume(staff="sue", reason="over"), at(hours=12))
    assert again.commit_at == at(hours=35)


def test_a_commit_goes_on_by_itself_and_a_stuck_one_is_tried_again() -> None:
    """Not only when staff ask for it."""
    case = committing()
    assert what_rings(case) == (Tick.COMMIT, at(days=2))
    assert commit_is_due(case, at(days=2))
    stuck = commit.stuck(case, "the database is away", at(days=2))
    assert what_rings(stuck) == (Tick.RETRY_COMMIT, at(days=2) + RETRY_STUCK_COMMIT)
    assert not commit_is_due(stuck, at(days=2))
    assert commit_is_due(stuck, at(days=3))


def test_nothing_rings_before_the_start_and_after_the_end() -> None:
    """VALIDATING has no clock, and terminal is terminal."""
    over = commit.committed(committing(), at(days=2))
    for case in (received(), over):
        assert next_clock(case) is None
        assert rung(case, at(days=99)) == case


def test_an_extended_deadline_brings_its_own_reminders_and_never_more_than_five() -> None:
    """Those before the old deadline are gone, and those that went out are counted."""
    case = silent_until(
        submit(opened(lifetime="60d"), ticket(Slot.RELEASE)), at(days=2), at(days=4)
    )
    action = ExtendDeadline(staff="sue", reason="ill", until=at(days=24), which=Which.ACCEPT)
    case = levers.extend_deadline(case, action, at(days=5))
    assert case.slot(Slot.ACCEPT).reminders == (at(days=21), at(days=23))
    case = submit(case, ticket(Slot.ACCEPT), at(days=5))
    for week in range(3, 8):
        until = at(days=7 * week + 4)
        action = action.model_copy(update={"until": until, "which": Which.AUTHORIZE})
        case = levers.extend_deadline(case, action, at(days=7 * week - 8))
        case = silent_until(case, at(days=7 * week + 1), at(days=7 * week + 3))
    sent = [e for e in case.evidence if e.code == "REMINDED" and e.slot is Slot.AUTHORIZE]
    assert len(sent) == 5
