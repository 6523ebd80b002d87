"""Bills: the two halves of a month add up to the whole."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.billing import Split, split_month


@pytest.mark.parametrize(
    ("price", "at", "last", "first"),
    [
        ("30.00", "2026-04-16T00:00Z", "15.00", "15.00"),
        ("12.50", "2026-03-01T00:00Z", "0.00", "12.50"),
        ("10.00", "2026-12-11T08:00Z", "3.33", "6.67"),
        ("28.00", "2028-02-29T00:00Z", "27.03", "0.97"),
        ("0.01", "2026-04-16T00:00Z", "0.01", "0.00"),
        ("0.00", "2026-04-16T00:00Z", "0.00", "0.00"),
        ("31.00", "2026-08-01T01:00+02:00", "30.96", "0.04"),
        ("2678400.00", "2026-03-01T01:02:03.500000Z", "3723.50", "2674676.50"),
    ],
)
def test_a_month_is_split_by_elapsed_time_in_utc(
    price: str, at: str, last: str, first: str
) -> None:
    """Long months, short ones, December, and another time zone."""
    split = split_month(Decimal(price), datetime.fromisoformat(at))
    assert split == Split(Decimal(last), Decimal(first))


def test_a_machine_in_another_time_zone_bills_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The month is UTC's, where the clock on the wall has a new one already as well."""
    at = datetime(2026, 7, 31, 23, tzinfo=UTC)
    split = split_month(Decimal("31.00"), at)
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "EAST-14")
        time.tzset()
        there = split_month(Decimal("31.00"), at)
    time.tzset()
    assert there == split == Split(Decimal("30.96"), Decimal("0.04"))


@settings(max_examples=300)
@given(
    st.decimals(0, 10**7, places=2),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-12, 14),
)
def test_nothing_is_lost_or_won(price: Decimal, at: datetime, hours: int) -> None:
    """Invariant 11: whatever the price, the instant and the zone it is written in."""
    split = split_month(price, at)
    assert split.last + split.first == price
    assert 0 <= split.last <= price
    assert split_month(price, at.astimezone(timezone(timedelta(hours=hours)))) == split
