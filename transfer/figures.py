"""Figures: how many transfers, notices and tickets are where, at one instant.

They are read from our own database and not counted by whoever works, so that they are right
whichever worker did the work, and after a restart, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import Field

from transfer.case import TERMINAL, Case, State
from transfer.clocks import commit_is_due
from transfer.values import Instant, Value
from transfer.views import escalated

OPEN_STATES = tuple(state for state in State if state not in TERMINAL)
"""The states of a transfer that is not over, in their order."""
FAILED_WITHIN = timedelta(days=7)
"""A notice that was given up counts this long, from when it was written."""
RECENT_NOTICES = 10_000
"""The newest notices, among which those that were given up are counted."""


class Reading(Value):
    """The figures as of an instant. ``of_state`` has every open state, also those at zero.

    ``commit_due_since`` is since when the oldest due commit has been due, ``waiting_since`` when
    the oldest notice was written that has not arrived yet; ``None`` where there is none.
    """

    at: Instant
    of_state: dict[State, int] = Field(default_factory=dict)
    escalated: int = 0
    commit_due_since: Instant | None = None
    notices_waiting: int = 0
    waiting_since: Instant | None = None
    notices_failed: int = 0
    tickets_parked: int = 0


def commit_due_since(case: Case, now: datetime) -> datetime | None:
    """Since when billing should have moved; ``None`` where that is not due.

    A commit that is stuck has been due since it began to be, whenever it is tried again.
    """
    if case.stuck is None and not commit_is_due(case, now):
        return None
    return None if case.is_terminal else case.commit_at or case.committing_since


def standing(cases: Iterable[Case], now: datetime) -> Reading:
    """What cases say of themselves; the rest of the reading is left at zero."""
    of_state = dict.fromkeys(OPEN_STATES, 0)
    in_queue, due = 0, list[datetime]()
    for case in cases:
        if not case.is_terminal:
            of_state[case.state] += 1
            in_queue += escalated(case)
            if since := commit_due_since(case, now):
                due.append(since)
    return Reading(
        at=now, of_state=of_state, escalated=in_queue, commit_due_since=min(due, default=None)
    )
