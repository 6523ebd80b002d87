"""Bills around a transfer: the two halves of a month always add up to the whole."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

_CENT = Decimal("0.01")


class Split(NamedTuple):
    """A month's price, split at the commit: the old reseller's last bill, the new one's first."""

    last: Decimal
    first: Decimal


def split_month(price: Decimal, at: datetime) -> Split:
    """Split the price of the UTC calendar month around ``at`` by elapsed time.

    ``last`` is rounded to the cent, and ``first`` is what remains, so that nothing is lost or won.
    """
    at = at.astimezone(UTC)
    start = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    december = 12
    following = (
        start.replace(year=start.year + 1, month=1)
        if start.month == december
        else start.replace(month=start.month + 1)
    )
    share = Decimal((at - start).total_seconds()) / Decimal((following - start).total_seconds())
    last = (price * share).quantize(_CENT, ROUND_HALF_UP)
    return Split(last=last, first=price - last)
