"""Saved views: the questions that staff ask of the list again and again, one filter each.

The command line knows them by name; the README has their filters to paste into the Temporal UI.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

WEEK = timedelta(days=7)
_OPEN = 'WorkflowType="CustomerTransfer" AND ExecutionStatus="Running"'


class SavedView(NamedTuple):
    """A question, and the filter that answers it.

    ``until`` is the attribute that has to be before the end of a week: a filter knows no "today".
    ``by_mediator`` tells that the list cannot know the answer: each transfer found is asked.
    """

    what: str
    filter: str
    until: str = ""
    by_mediator: bool = False

    def query(self, now: datetime) -> str:
        """The filter as Temporal takes it."""
        if not self.until:
            return self.filter
        return f'{self.filter} AND {self.until} < "{now + WEEK:%Y-%m-%dT%H:%M:%SZ}"'


SAVED_VIEWS: Mapping[str, SavedView] = {
    "needs-a-person": SavedView("staff have to do something", f'{_OPEN} AND WaitingOn="staff"'),
    "escalated": SavedView("in the staff queue", f"{_OPEN} AND Escalated=true"),
    "mine-to-mediate": SavedView(
        "you have taken it: `--by NAME`", f"{_OPEN} AND Escalated=true", by_mediator=True
    ),
    "waiting-for-old-reseller": SavedView("not released yet", f'{_OPEN} AND WaitingOn="release"'),
    "due-this-week": SavedView("something happens within seven days", _OPEN, until="NextDeadline"),
    "on-hold": SavedView("every clock is stopped", f'{_OPEN} AND TransferState="ON_HOLD"'),
    "stuck-commits": SavedView(
        "billing could not be moved yet", f'{_OPEN} AND TransferState="COMMIT_STUCK"'
    ),
}
"""Every saved view, by its name."""
