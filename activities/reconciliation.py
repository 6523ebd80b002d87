"""Reconciling: tickets that changed, and that nobody announced."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import activity

from transfer.errors import Unreachable
from transfer.measures import RECONCILED, Measure
from transfer.messages import Reconciliation
from transfer.ports import Arrivals, Intake, Meter, Tickets

OVERLAP = timedelta(minutes=5)
"""How far behind the last reconciliation the next one looks: clocks differ, and what a ticket
system has not committed yet is not found, but carries the time at which it was written."""
AT_A_TIME = 20
"""Tickets read before they are delivered: what was delivered is not read again by a retry."""
FIRST_LOOK = timedelta(days=1)
"""How far the very first reconciliation looks back: older tickets are found by their transfers."""


class ReconciliationActivities:
    """Compares what the ticket system has with what came in, and delivers the difference."""

    def __init__(
        self,
        tickets: Tickets,
        arrivals: Arrivals,
        intake: Intake,
        *,
        clock: Callable[[], datetime],
        meter: Meter,
    ) -> None:
        self._tickets = tickets
        self._arrivals = arrivals
        self._intake = intake
        self._clock = clock
        self._meter = meter

    @activity.defn(name="reconcile")
    async def reconcile(self, progress: Reconciliation) -> Reconciliation:
        """Deliver what is new on the next page of changed tickets. Twice is the same as once.

        A ticket that cannot be delivered holds up no other one; the watermark stays behind it.

        Raises:
            Unreachable: the ticket system, Temporal or the database is away.
        """
        began = progress.began or self._clock()
        since = progress.since or await self._since(began)
        page = await self._tickets.changed(since, progress.after)
        if not page:
            if not progress.failed:
                await self._arrivals.reconciled(began)
            return progress.model_copy(update={"began": began, "since": since, "done": True})
        known = await self._arrivals.heard_of([change.ticket_id for change in page])
        news = [c.ticket_id for c in page if c.ticket_id not in known or known[c.ticket_id] < c.at]
        delivered = failed = 0
        for start in range(0, len(news), AT_A_TIME):
            some = await self._tickets.read(news[start : start + AT_A_TIME])
            for ticket in some.values():
                try:
                    delivered += await self._intake.catch_up(ticket, new_since=since)
                except Unreachable:
                    raise
                except Exception:  # noqa: BLE001 - logged; the other tickets shall not wait for it
                    keys = {"ticket_id": ticket.id}
                    activity.logger.exception("ticket_not_reconciled", extra=keys)
                    failed += 1
        counts = {"found": len(page), "delivered": delivered, "failed": failed}
        self._meter.record(Measure(RECONCILED, {"outcome": k}, n) for k, n in counts.items())
        return Reconciliation(
            since=since,
            began=began,
            after=page[-1].ticket_id,
            found=progress.found + len(page),
            delivered=progress.delivered + delivered,
            failed=progress.failed + failed,
        )

    async def _since(self, now: datetime) -> datetime:
        up_to = await self._arrivals.read_up_to()
        return now - FIRST_LOOK if up_to is None else up_to - OVERLAP
