"""The policy: every clock and choice of a transfer, pinned into it when it starts."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from transfer.calendar import Duration, WorkCalendar, parse_duration
from transfer.errors import DurationInvalid
from transfer.values import Value


def _checked(text: str) -> str:
    try:
        parse_duration(text)
    except DurationInvalid as error:
        raise ValueError(str(error)) from error  # so that it is reported with its key
    return text.strip()


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = "Write one like Europe/Berlin."
        raise ValueError(f"{name[:40]!r} is not a time zone. {hint}") from error


DurationText = Annotated[str, AfterValidator(_checked)]
"""A duration as people write it: ``90s``, ``15m``, ``24h``, ``14d``, ``5bd``."""


class StaffRelease(StrEnum):
    """Whether staff may release in the old reseller's place."""

    FORBIDDEN = "forbidden"
    TWO_PERSON = "two_person"


class PrivateAttribute(StrEnum):
    """A search attribute that tells who is concerned."""

    CUSTOMER_DOMAIN = "CustomerDomain"
    OLD_RESELLER = "OldReseller"
    NEW_RESELLER = "NewReseller"


class Policy(Value):
    """The clocks and choices of one transfer. Sources: the provider's procedure and its rules."""

    reminders_after: tuple[DurationText, ...] = ("2d", "4d")
    reminders_before_deadline: tuple[DurationText, ...] = ("3d", "1d")
    max_reminders: int = Field(default=5, ge=0, le=20)
    release_deadline: DurationText = "5bd"
    party_deadline: DurationText = "14d"
    first_touch: DurationText = "1bd"
    second_level: DurationText = "3bd"
    lifetime: DurationText = "30d"
    lifetime_cap: DurationText = "60d"
    ticket_freshness: DurationText = "30d"
    grace: DurationText = "24h"
    lock: DurationText = "30d"
    staff_release: StaffRelease = StaffRelease.FORBIDDEN
    ticket_opens_transfer: bool = True
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    holidays: tuple[date, ...] = ()
    private_attributes: Annotated[tuple[PrivateAttribute, ...], Field(max_length=3)] = ()
    """Search attributes that are never set: Temporal keeps them where no key protects them."""

    @property
    def calendar(self) -> WorkCalendar:
        """The business days of this policy."""
        return WorkCalendar(self.time_zone, frozenset(self.holidays))

    def after(self, start: datetime, duration: str) -> datetime:
        """The UTC instant ``duration`` after ``start``."""
        return self.calendar.after(start, parse_duration(duration))

    def before(self, end: datetime, duration: str) -> datetime:
        """The UTC instant ``duration`` before ``end``; business days count as days here."""
        length: Duration = parse_duration(duration)
        return end - length.elapsed - length.business_days * parse_duration("1d").elapsed

    def reminders(self, requested_at: datetime, deadline: datetime) -> tuple[datetime, ...]:
        """The instants at which a party that stays silent is reminded, in order."""
        instants = {self.after(requested_at, d) for d in self.reminders_after}
        instants |= {self.before(deadline, d) for d in self.reminders_before_deadline}
        due = sorted(i for i in instants if requested_at < i < deadline)
        return tuple(due[: self.max_reminders])
