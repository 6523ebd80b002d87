"""Reconciling tickets, on a schedule: no ticket is lost because nobody announced it."""

from __future__ import annotations

from temporalio import workflow

from activities.reconciliation import ReconciliationActivities
from transfer.messages import Reconciliation
from transfer.temporal import do


@workflow.defn(name="TicketReconciliation")
class TicketReconciliation:
    """Deliver every changed ticket that no webhook delivered, page by page."""

    @workflow.run
    async def run(self, progress: Reconciliation) -> Reconciliation:
        """Go through all that changed since the last time, and tell what was found."""
        while not progress.done:
            behind = f", behind ticket {progress.after}" if progress.after else ""
            progress = await do(
                ReconciliationActivities.reconcile,
                progress,
                summary=f"Look for changed tickets{behind}",
            )
            if workflow.info().is_continue_as_new_suggested() and not progress.done:
                workflow.continue_as_new(progress)
        return progress
