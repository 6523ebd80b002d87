"""The staff queue: a person is needed."""

from __future__ import annotations

from temporalio import activity

from transfer.messages import EscalationUpdate
from transfer.ports import StaffQueue


class StaffActivities:
    """Keeps a transfer's escalation in the staff queue up to date."""

    def __init__(self, queue: StaffQueue) -> None:
        self._queue = queue

    @activity.defn(name="escalate")
    async def escalate(self, escalation: EscalationUpdate) -> None:
        """Open the escalation, or bring it up to date. Twice is the same as once.

        Raises:
            Unreachable: the staff queue is away.
        """
        await self._queue.update(escalation)
