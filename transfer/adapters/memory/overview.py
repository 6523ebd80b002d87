"""The list of open transfers in memory."""

from __future__ import annotations

from datetime import datetime

from transfer.adapters.memory.neighbour import Neighbour
from transfer.overview import Need, Needing, OpenTransfer


class MemoryOverview(Neighbour):
    """``transfer.ports.Overview``: ``listed`` are the open transfers."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[OpenTransfer] = []

    async def open_transfers(self, need: Need, *, due_before: datetime, limit: int) -> Needing:
        """See ``Overview.open_transfers``."""
        self.reach()
        found = [one for one in self.listed if _has(one, need, due_before)]
        return Needing(need=need, transfers=tuple(found[:limit]), more=len(found) > limit)


def _has(transfer: OpenTransfer, need: Need, due_before: datetime) -> bool:
    match need:
        case Need.STUCK:
            return transfer.state == "COMMIT_STUCK"
        case Need.ESCALATED:
            return transfer.escalated
        case Need.WAITING:
            return "staff" in transfer.waiting_on
        case Need.DUE:
            at = transfer.next_deadline
            return at is not None and at < due_before
