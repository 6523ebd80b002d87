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
"""A hook can be faster than the ticket system's commit: "not there" is asked again for a minute."""
HOLDS_UP_FOR = sum(_LOOK_AGAIN_AFTER, timedelta())
"""How long at most a commit waits for tickets that were rung for and are not there."""


class Bell(Value):
    """One doorbell: what it says the ticket is, when to look (again), and if a caller waits."""

    what: Intent
    ticket_id: str
    due_at: Instant
    looked: int = 0
    awaited: bool = False


class Inbox:
    """The doorbells of one transfer, in the order in which they rang. A ticket waits only once."""

    def __init__(self, bells: tuple[Bell, ...] = (), *, overflowed: bool = False) -> None:
        self._bells: dict[str, Bell] = {}
        self._missed: dict[str, None] = {}
        for bell in bells:
            self._keep(bell)
        self.overflowed = overflowed

    def __len__(self) -> int:
        return len(self._bells)

    @property
    def is_full(self) -> bool:
        """Whether one more ticket would not be kept."""
        return len(self._bells) >= MAX_BELLS and not self._missed

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

    def holds_up(self, commit_at: datetime) -> datetime:
        """When a commit may start: a ticket that is not there yet may be a withdrawal."""
        return commit_at + HOLDS_UP_FOR if self._bells else commit_at

    def put(self, what: Intent, ticket_id: str, now: datetime, *, awaited: bool = False) -> bool:
        """Take a doorbell in. False when the inbox is full: it is only remembered that it was."""
        bell = self._bells.get(ticket_id)
        if bell is None and len(self._bells) >= MAX_BELLS:
            self.overflowed = True
            if not self._missed:
                return False
            self._drop(next(iter(self._missed)))
        # A second ring for a ticket that waits to be looked at again means: look now.
        self._keep(
            Bell(
                what=what,
                ticket_id=ticket_id,
                due_at=now,
                looked=bell.looked if bell else 0,
                awaited=awaited or (bell is not None and bell.awaited),
            )
        )
        return True

    def take(self, now: datetime) -> list[Bell]:
        """Take out at most one batch that is due; those that a caller waits for go first."""
        return self._take_out([bell for bell in self._bells.values() if bell.due_at <= now])

    def take_any(self) -> list[Bell]:
        """Take out at most one batch, due or not: the transfer is over."""
        self.overflowed = False
        return self._take_out(list(self._bells.values()))

    def look_again(self, bell: Bell, now: datetime) -> bool:
        """Put a doorbell back whose ticket is not there yet. False when that was the last time."""
        if bell.looked >= len(_LOOK_AGAIN_AFTER) or bell.ticket_id in self._bells:
            return bell.ticket_id in self._bells
        due_at = now + _LOOK_AGAIN_AFTER[bell.looked]
        again = bell.model_copy(update={"due_at": due_at, "looked": bell.looked + 1})
        self._keep(again)
        return True

    def _take_out(self, bells: list[Bell]) -> list[Bell]:
        batch = sorted(bells, key=lambda bell: not bell.awaited)[:BATCH]
        for bell in batch:
            self._drop(bell.ticket_id)
        return batch

    def _keep(self, bell: Bell) -> None:
        self._bells[bell.ticket_id] = bell
        self._missed.pop(bell.ticket_id, None)
        if bell.looked and not bell.awaited:
            # It was not there when it was looked for: the first to go when there is no room.
            self._missed[bell.ticket_id] = None

    def _drop(self, ticket_id: str) -> None:
        del self._bells[ticket_id]
        self._missed.pop(ticket_id, None)
