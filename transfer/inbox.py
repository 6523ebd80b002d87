"""The inbox: doorbells that rang and were not answered yet. Bounded, whatever a stranger sends."""

from __future__ import annotations

from datetime import datetime, timedelta

from transfer.tickets import Intent
from transfer.values import Instant, Value

MAX_BELLS = 1000
"""Doorbells kept. Beyond, the inbox only remembers that more rang: a survey finds their tickets."""
BATCH = 50
"""Tickets read at a time."""
_LOOK_AGAIN_AFTER = (timedelta(seconds=2), timedelta(seconds=8), timedelta(seconds=50))
"""A hook can be faster than the ticket system's own commit: "not there" is asked again for a minute."""


class Bell(Value):
    """One doorbell: what it says the ticket is, and when to look (again)."""

    what: Intent
    ticket_id: str
    due_at: Instant
    looked: int = 0


class Inbox:
    """The doorbells of one transfer, in the order in which they rang. A ticket waits only once."""

    def __init__(self, bells: tuple[Bell, ...] = (), *, overflowed: bool = False) -> None:
        self._bells: dict[str, Bell] = {bell.ticket_id: bell for bell in bells}
        self.overflowed = overflowed

    def __len__(self) -> int:
        return len(self._bells)

    @property
    def is_full(self) -> bool:
        """Whether one more ticket would not be kept."""
        return len(self._bells) >= MAX_BELLS

    @property
    def bells(self) -> tuple[Bell, ...]:
        """All doorbells, to be carried over into the next run."""
        return tuple(self._bells.values())

    @property
    def next_at(self) -> datetime | None:
        """When the next doorbell is due."""
        return min((bell.due_at for bell in self._bells.values()), default=None)

    def is_due(self, now: datetime) -> bool:
        """Whether a doorbell is to be answered now."""
        return self.next_at is not None and self.next_at <= now

    def put(self, what: Intent, ticket_id: str, now: datetime) -> bool:
        """Take a doorbell in. False when the inbox is full; then it is only remembered that it was."""
        bell = self._bells.get(ticket_id)
        if bell is None and self.is_full:
            self.overflowed = True
            return False
        # A second ring for a ticket that waits to be looked at again means: look now.
        looked = bell.looked if bell else 0
        self._bells[ticket_id] = Bell(what=what, ticket_id=ticket_id, due_at=now, looked=looked)
        return True

    def take(self, now: datetime, *, first: frozenset[str] = frozenset()) -> list[Bell]:
        """Take out at most one batch that is due; those in ``first`` go first."""
        due = [bell for bell in self._bells.values() if bell.due_at <= now]
        due.sort(key=lambda bell: bell.ticket_id not in first)
        batch = due[:BATCH]
        for bell in batch:
            del self._bells[bell.ticket_id]
        return batch

    def look_again(self, bell: Bell, now: datetime) -> bool:
        """Put a doorbell back whose ticket is not there yet. False when that was the last time."""
        if bell.looked >= len(_LOOK_AGAIN_AFTER) or bell.ticket_id in self._bells:
            return bell.ticket_id in self._bells
        due_at = now + _LOOK_AGAIN_AFTER[bell.looked]
        again = bell.model_copy(update={"due_at": due_at, "looked": bell.looked + 1})
        self._bells[bell.ticket_id] = again
        return True

    def take_all(self) -> tuple[Bell, ...]:
        """Take everything out: the transfer is over, and each gets its answer."""
        bells = self.bells
        self._bells.clear()
        self.overflowed = False
        return bells
