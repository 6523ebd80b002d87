"""When billing may move, and whether it did. Pure, so that no fake differs from the database."""

from __future__ import annotations

from collections.abc import Sequence

from transfer.messages import BillingOrder
from transfer.parties import Assignment, CustomerRecord, ResellerRecord
from transfer.values import Instant, Value


class PanelAccess(Value):
    """A reseller reaches the customer's control panel from ``since`` up to, not with, ``until``."""

    reseller: str
    since: Instant
    until: Instant | None = None


def conflict(
    order: BillingOrder,
    customer: CustomerRecord | None,
    current: Assignment | None,
    new: ResellerRecord | None,
) -> str | None:
    """Say in one line why billing must not move now; ``None`` if it may.

    ``current`` is the customer's open assignment, ``new`` the reseller on record by ``order.new``.
    """
    who = order.customer
    if customer is None or current is None:
        return f"{who} is not on record, or nobody is billed for it."
    if order.old == order.new:
        return f"{who} is to be moved from {order.old} to itself."
    if current.reseller != order.old or customer.reseller != order.old:
        owner = current.reseller if current.reseller != order.old else customer.reseller
        return f"{who} is with {owner}, not with {order.old}."
    if current.charges != order.charges:
        return f"{who} is billed {current.charges}; what was accepted is {order.charges}."
    if new is None:
        return f"The reseller {order.new} is not on record."
    if new.suspended or not new.billing_account:
        lack = "is suspended" if new.suspended else "has no billing account"
        return f"The reseller {order.new} {lack}: it cannot take {who}."
    if customer.terminating or customer.legal_hold:
        return f"{who} is {'terminating' if customer.terminating else 'under legal hold'}."
    if customer.locked_until is not None and customer.locked_until > order.at:
        return (
            f"{who} was moved before, and is locked until {customer.locked_until:%Y-%m-%dT%H:%MZ}."
        )
    if current.starts_at >= order.at:
        return (
            f"{who} is with {order.old} from {current.starts_at.isoformat()} on: too late to move."
        )
    return None


def difference(
    order: BillingOrder,
    customer: CustomerRecord | None,
    assignments: Sequence[Assignment],
    panel: Sequence[PanelAccess],
) -> str | None:
    """Say how what was read back differs from ``order``; ``None`` if it was carried out.

    It holds later as well, when the price has changed or the customer has moved on: whatever only
    this order could have written is compared. ``assignments`` are the customer's, oldest first.
    """
    who = order.customer
    if customer is None:
        return f"{who} is not on record."
    mine = [index for index, one in enumerate(assignments) if one.transfer == order.key]
    if not mine:
        return f"{who} was not moved by {order.key}."
    index = mine[0]
    new, old = assignments[index], assignments[index - 1] if index else None
    if (new.reseller, new.starts_at, new.charges) != (order.new, order.at, order.charges):
        return f"{order.key} moved {who} to {new.reseller} at {new.starts_at.isoformat()}."
    if old is None or (old.reseller, old.ends_at) != (order.old, order.at):
        return f"Billing of {order.old} for {who} did not end at {order.at.isoformat()}."
    if customer.reseller != assignments[-1].reseller or assignments[-1].ends_at is not None:
        return f"{who} is with {customer.reseller}, but {assignments[-1].reseller} is billed."
    ended = any(one.reseller == order.old and one.until == order.at for one in panel)
    begun = any(one.reseller == order.new and one.since == order.at for one in panel)
    if not (ended and begun):
        return f"Access to the panel of {who} did not move with billing."
    return None
