"""The figures, counted in memory."""

from __future__ import annotations

from datetime import datetime

from transfer.adapters.memory.ledger import MemoryLedger
from transfer.adapters.memory.neighbour import Neighbour
from transfer.figures import FAILED_WITHIN, RECENT_NOTICES, Reading, standing
from transfer.messages import DeliveryState


class MemoryFigures(Neighbour):
    """``transfer.ports.Figures``: everything that is counted lies in the ledger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__()
        self._ledger = ledger

    async def read(self, now: datetime) -> Reading:
        """See ``Figures.read``."""
        self.reach()
        outbox = list(self._ledger.outbox.values())
        waiting = [one.created_at for one in outbox if one.state is DeliveryState.PENDING]
        failed = [
            one.created_at
            for one in outbox[-RECENT_NOTICES:]
            if one.state is DeliveryState.FAILED and one.created_at > now - FAILED_WITHIN
        ]
        parked = [one for one in self._ledger.parked.values() if one.picked_up_at is None]
        cases = (told.case for told in self._ledger.tracked.values())
        return standing(cases, now).model_copy(
            update={
                "notices_waiting": len(waiting),
                "waiting_since": min(waiting, default=None),
                "notices_failed": len(failed),
                "tickets_parked": len(parked),
            }
        )
