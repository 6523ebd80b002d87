"""Overview: the open transfers that need somebody, as Temporal's list knows them.

The list has the search attributes and nothing else. That is enough to say where to look.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import Field

from transfer.values import Instant, Value


class Need(StrEnum):
    """Why somebody should look. What fits several is shown where it fits first."""

    STUCK = "STUCK"
    """Billing could not be moved."""
    ESCALATED = "ESCALATED"
    """In the staff queue."""
    WAITING = "WAITING"
    """It waits for staff for another reason: an unclear ticket, a hold."""
    DUE = "DUE"
    """Something happens soon unless somebody acts."""


class OpenTransfer(Value):
    """A transfer that is not over, by its search attributes."""

    transfer_id: str
    domain: str
    old: str = ""
    new: str = ""
    state: str = ""
    waiting_on: tuple[str, ...] = ()
    escalated: bool = False
    next_deadline: datetime | None = None


class Needing(Value):
    """Open transfers with one need; ``more`` tells that there are others."""

    need: Need
    transfers: tuple[OpenTransfer, ...] = ()
    more: bool = False


class DigestWanted(Value):
    """A digest, as of then; each day of the time zone has one. Without ``at``, it is now."""

    time_zone: str = "UTC"
    at: datetime | None = None


class DigestSent(Value):
    """What became of a digest: how many transfers it names, by need, and how many mails that is."""

    day: date
    named: dict[Need, int] = Field(default_factory=dict)
    mails: int = 0


class Digest(Value):
    """What a digest is written from. No transfer is in it twice."""

    at: Instant
    day: date
    needing: tuple[Needing, ...]

    @property
    def named(self) -> int:
        """How many transfers it names."""
        return sum(len(one.transfers) for one in self.needing)

    @property
    def more(self) -> bool:
        """Whether there are others that it does not name."""
        return any(one.more for one in self.needing)


def digest_of(found: tuple[Needing, ...], at: datetime, time_zone: str) -> Digest:
    """The digest of what was found: each transfer under its first need, the most urgent first."""
    seen = set[str]()
    needing: list[Needing] = []
    for one in sorted(found, key=lambda one: list(Need).index(one.need)):
        new = [transfer for transfer in one.transfers if transfer.transfer_id not in seen]
        seen |= {transfer.transfer_id for transfer in new}
        new.sort(key=lambda t: (t.next_deadline is None, t.next_deadline or at, t.transfer_id))
        if new:
            needing.append(one.model_copy(update={"transfers": tuple(new)}))
    day = at.astimezone(ZoneInfo(time_zone)).date()
    return Digest(at=at, day=day, needing=tuple(needing))
