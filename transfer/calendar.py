"""Durations of the policy, and business days in a configured time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from transfer.errors import DurationInvalid

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_DURATION = re.compile(r"(\d{1,6})(s|m|h|d|bd)")
_SATURDAY = 5
_TEN_YEARS_OF_DAYS = 3660


class Duration(NamedTuple):
    """A length of time: elapsed, in business days, or (never both) neither."""

    elapsed: timedelta = timedelta()
    business_days: int = 0


class WorkCalendar(NamedTuple):
    """Which days are business days, and in which time zone a day begins."""

    time_zone: str = "UTC"
    holidays: frozenset[date] = frozenset()

    def is_business_day(self, day: date) -> bool:
        """Tell whether staff and resellers work on ``day``."""
        return day.weekday() < _SATURDAY and day not in self.holidays

    def after(self, start: datetime, duration: Duration) -> datetime:
        """Return the UTC instant that lies ``duration`` after ``start``.

        Business days keep the local wall time of the start; a start outside business days counts
        from the beginning of the next one, so that a weekend gives nobody less time.
        """
        if not duration.business_days:
            return start + duration.elapsed
        local = start.astimezone(ZoneInfo(self.time_zone))
        if not self.is_business_day(local.date()):
            local = datetime.combine(self._next(local.date()), time(), local.tzinfo)
        day = local.date()
        for _ in range(duration.business_days):
            day = self._next(day)
        return datetime.combine(day, local.timetz()).astimezone(UTC)

    def _next(self, day: date) -> date:
        for _ in range(_TEN_YEARS_OF_DAYS):
            day += timedelta(days=1)
            if self.is_business_day(day):
                return day
        raise DurationInvalid("The holidays leave no business day in ten years. Mend the policy.")


def parse_duration(text: str) -> Duration:
    """Read ``90s``, ``15m``, ``24h``, ``14d`` or, for business days, ``5bd``.

    Raises:
        DurationInvalid: it is none of these, or longer than ten years.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise DurationInvalid(
            f'{text[:40]!r} is not a duration. Write "90s", "24h", "14d" or "5bd".'
        )
    number, unit = int(match[1]), match[2]
    length = (
        Duration(business_days=number) if unit == "bd" else Duration(elapsed=number * _UNITS[unit])
    )
    if max(length.business_days, length.elapsed.days) > _TEN_YEARS_OF_DAYS:
        raise DurationInvalid(f"{match[0]} is longer than ten years. Write a shorter duration.")
    return length
