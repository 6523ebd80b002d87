"""Business days and durations, with python-dateutil's recurrence rules as the oracle."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import DAILY, FR, MO, TH, TU, WE, rrule, rruleset
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.calendar import Duration, WorkCalendar, parse_duration
from transfer.errors import DurationInvalid

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")


def business_days(count: int) -> Duration:
    return Duration(business_days=count)


def by_dateutil(start: datetime, count: int, zone: str, holidays: frozenset[date]) -> date:
    """The local date on which ``count`` business days after ``start`` are over."""
    day = start.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    midnight = day.replace(tzinfo=None)
    days = rruleset()
    days.rrule(rrule(DAILY, dtstart=midnight, count=400, byweekday=(MO, TU, WE, TH, FR)))
    for holiday in holidays:
        days.exdate(datetime(holiday.year, holiday.month, holiday.day))  # noqa: DTZ001 - naive days
    # A start outside business days counts from the beginning of the next one.
    first = days.after(midnight, inc=True)
    assert first is not None
    position = [d.date() for d in days].index(first.date())
    return [d.date() for d in days][position + count]


@settings(max_examples=150)
@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    count=st.integers(1, 15),
    zone=st.sampled_from(ZONES),
    holidays=st.frozensets(st.dates(date(2026, 1, 1), date(2027, 1, 31)), max_size=12),
)
def test_business_days_agree_with_dateutil(
    start: datetime, count: int, zone: str, holidays: frozenset[date]
) -> None:
    """Weekends and holidays are skipped, in the configured time zone."""
    calendar = WorkCalendar(zone, holidays)
    end = calendar.after(start, business_days(count))
    assert end.tzinfo is UTC
    assert end > start
    local = end.astimezone(ZoneInfo(zone))
    assert local.date() == by_dateutil(start, count, zone, holidays)
    assert calendar.is_business_day(local.date())


@settings(max_examples=100)
@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    later=st.timedeltas(timedelta(0), timedelta(days=5)),
    zone=st.sampled_from(ZONES),
)
def test_who_is_asked_later_never_has_to_answer_earlier(
    start: datetime, later: timedelta, zone: str
) -> None:
    """No weekend turns the order round; a change of the clocks, by its hour at most."""
    calendar = WorkCalendar(zone)
    five = business_days(5)
    slack = timedelta(hours=1)
    assert calendar.after(start, five) <= calendar.after(start + later, five) + slack


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        # Monday to Monday.
        ("UTC", "2026-03-02T09:00Z", "2026-03-09T09:00Z"),
        # Saturday and Sunday count from Monday, 0:00.
        ("UTC", "2026-03-07T15:00Z", "2026-03-16T00:00Z"),
        ("UTC", "2026-03-08T15:00Z", "2026-03-16T00:00Z"),
        # Friday evening in UTC is Saturday in Kathmandu already.
        ("Asia/Kathmandu", "2026-03-06T20:00Z", "2026-03-15T18:15Z"),
        # Wall time stays where clocks go forward (29 March) or back (25 October).
        ("Europe/Berlin", "2026-03-26T08:00Z", "2026-04-02T07:00Z"),
        ("Europe/Berlin", "2026-10-22T07:00Z", "2026-10-29T08:00Z"),
    ],
)
def test_five_business_days_end_where_people_expect_it(zone: str, start: str, end: str) -> None:
    """Weekends, time zones, and the two nights a year."""
    begin = datetime.fromisoformat(start)
    assert WorkCalendar(zone).after(begin, business_days(5)) == datetime.fromisoformat(end)


def test_a_start_on_a_holiday_counts_from_the_next_business_day() -> None:
    """Easter Monday gives nobody less time."""
    easter = WorkCalendar("UTC", frozenset({date(2026, 4, 3), date(2026, 4, 6)}))
    start = datetime(2026, 4, 6, 12, tzinfo=UTC)
    assert easter.after(start, business_days(1)) == datetime(2026, 4, 8, tzinfo=UTC)


def test_a_calendar_of_nothing_but_holidays_is_an_error_and_no_endless_loop() -> None:
    """Ten years without a business day are a mistake in the policy."""
    start = datetime(2026, 3, 2, tzinfo=UTC)
    closed = frozenset(start.date() + timedelta(days=n) for n in range(4000))
    with pytest.raises(DurationInvalid, match="no business day"):
        WorkCalendar("UTC", closed).after(start, business_days(1))


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        (" 14d ", timedelta(days=14)),
        ("0s", timedelta(0)),
        ("5bd", None),
    ],
)
def test_a_duration_is_read_as_it_is_written(text: str, length: timedelta | None) -> None:
    """Elapsed time, or business days."""
    expected = Duration(elapsed=length) if length is not None else business_days(5)
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "d", "-1d", "1.5h", "5 d", "5D", "1w", "1d2h", "9999999s", "9999d", "9999bd"]
)
def test_what_is_no_duration_or_longer_than_ten_years_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(DurationInvalid, match="Write"):
        parse_duration(text)
