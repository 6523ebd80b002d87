"""Clocks: what happens when nobody says anything.

Silence never authorizes: a clock can remind, escalate, or stop, and nothing else. Each one is an
absolute UTC instant kept in the case, so that no deploy moves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from transfer.case import Authorization, Case, Mediation, SlotState, State
from transfer.mediation import escalated
from transfer.parties import Slot

RETRY_STUCK_COMMIT = timedelta(minutes=15)
"""A stuck commit is tried again by itself this often, beside staff's ``retry_commit``."""


class Tick(StrEnum):
    """What a clock does. At the same instant, the one that stands first here goes first."""

    COMMIT = "COMMIT"
    RETRY_COMMIT = "RETRY_COMMIT"
    REMIND = "REMIND"
    LAPSE = "LAPSE"
    FIRST_TOUCH = "FIRST_TOUCH"
    SECOND_LEVEL = "SECOND_LEVEL"
    EXPIRE = "EXPIRE"


_ORDER = {tick: position for position, tick in enumerate(Tick)}


class Clock(NamedTuple):
    """An instant at which something happens unless somebody acts before."""

    at: datetime
    tick: Tick
    what: str
    slot: Slot | None = None


def next_clock(case: Case) -> Clock | None:
    """The clock that rings next; none while nothing is timed (on hold, committing, over)."""
    return min(_clocks(case), key=lambda clock: (clock.at, _ORDER[clock.tick]), default=None)


def takes_silence(before: Case, after: Case) -> bool:
    """Whether a party's silence has an effect between the two: an end, or staff who mediate."""
    return after.is_terminal or (after.mediation is not None and before.mediation is None)


def rung(case: Case, now: datetime) -> Case:
    """The case after every clock that is due, in the order of their instants.

    Stops before a due commit: whether billing moves is decided after a re-check.
    """
    while (clock := next_clock(case)) and clock.at <= now:
        if clock.tick in (Tick.COMMIT, Tick.RETRY_COMMIT):
            break
        case = _after(case, clock, now)
    return case


def commit_is_due(case: Case, now: datetime) -> bool:
    """Whether grace is over, or a stuck commit is to be tried again."""
    clock = next_clock(case)
    return clock is not None and clock.at <= now and clock.tick in (Tick.COMMIT, Tick.RETRY_COMMIT)


def _clocks(case: Case) -> Iterator[Clock]:
    if case.committing_since is not None and not case.is_terminal:
        if case.stuck is None:
            yield Clock(case.committing_since, Tick.COMMIT, f"move billing to {case.new}")
        else:
            at = case.stuck.at + RETRY_STUCK_COMMIT
            yield Clock(at, Tick.RETRY_COMMIT, "try the commit again")
    if not case.is_open_to_parties or case.hold is not None:
        return
    if case.expires_at is not None:
        yield Clock(case.expires_at, Tick.EXPIRE, "the transfer expires")
    if case.commit_at is not None and not case.doubts:
        yield Clock(case.commit_at, Tick.COMMIT, f"move billing to {case.new}")
    for record in case.slots:
        if record.state is SlotState.REQUESTED:
            yield from _party_clocks(case, record)
    if case.mediation is not None:
        if not case.mediation.owner and not case.mediation.reminded:
            what = "a staff member must have taken the case"
            yield Clock(case.mediation.first_touch_by, Tick.FIRST_TOUCH, what)
        if case.mediation.level == 1:
            what = "second-level staff take over"
            yield Clock(case.mediation.second_level_at, Tick.SECOND_LEVEL, what)


def _party_clocks(case: Case, record: Authorization) -> Iterator[Clock]:
    if record.slot is Slot.RELEASE and case.mediation is not None:
        return
    party, slot = case.account(record.slot.party), record.slot
    if record.reminders:
        what = f"remind {party} to {slot.value} {case.shown_domain}"
        yield Clock(record.reminders[0], Tick.REMIND, what, slot)
    after = "staff mediate" if slot is Slot.RELEASE else "the transfer expires"
    yield Clock(record.deadline, Tick.LAPSE, f"{party} did not {slot.value}: {after}", slot)


def _after(case: Case, clock: Clock, now: datetime) -> Case:
    """The case after one clock, which has stopped by that: ringing comes to an end."""
    match clock.tick, clock.slot, case.mediation:
        case Tick.REMIND, Slot() as slot, _:
            return _reminded(case, slot, now)
        case Tick.LAPSE, Slot() as slot, _:
            return _lapsed(case, slot, clock.what, now)
        case Tick.FIRST_TOUCH, _, Mediation() as mediation:
            told = mediation.model_copy(update={"reminded": True})
            return case.having(mediation=told).noting(
                "FIRST_TOUCH_MISSED", "clock", now, detail=clock.what
            )
        case Tick.SECOND_LEVEL, _, Mediation() as mediation:
            raised = mediation.model_copy(update={"level": 2})
            return case.having(mediation=raised).noting(
                "SECOND_LEVEL", "clock", now, detail=clock.what
            )
        case _:
            return case.ended(State.EXPIRED, "clock", now, code="LIFETIME", reason=clock.what)


def _reminded(case: Case, slot: Slot, now: datetime) -> Case:
    record = case.slot(slot)
    due = tuple(instant for instant in record.reminders if instant > now)
    update = {"reminders": due, "reminded": record.reminded + 1}
    return case.with_slot(record.model_copy(update=update)).noting(
        "REMINDED", "clock", now, detail=str(case.account(slot.party)), slot=slot
    )


def _lapsed(case: Case, slot: Slot, what: str, now: datetime) -> Case:
    record = case.slot(slot).model_copy(update={"state": SlotState.LAPSED, "reminders": ()})
    case = case.with_slot(record)
    if slot is Slot.RELEASE:
        return escalated(case, "NO_RESPONSE", now)
    return case.ended(State.EXPIRED, "clock", now, code=slot.value, reason=what)
