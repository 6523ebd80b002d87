"""What the tracking page reads, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from transfer.adapters.memory.ledger import MemoryLedger
from transfer.adapters.memory.neighbour import Neighbour
from transfer.parties import Party
from transfer.ports import Tracked


class MemoryTracking(Neighbour):
    """``transfer.ports.Tracking``. The cases lie in the ledger, which is told of them."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__()
        self.revoked: dict[tuple[str, Party], datetime] = {}
        self._ledger = ledger

    async def tracked(self, key: str, party: Party) -> Tracked:
        """See ``Tracking.tracked``."""
        self.reach()
        told = self._ledger.tracked.get(key)
        revoked = self.revoked.get((key, party))
        if told is None:
            return Tracked(case=None, at=None, revoked_before=revoked)
        return Tracked(case=told.case, at=told.events[-1].at, revoked_before=revoked)

    async def revoke(self, keys: Sequence[str], parties: Sequence[Party], before: datetime) -> None:
        """See ``Tracking.revoke``."""
        self.reach()
        for key in keys:
            for party in parties:
                known = self.revoked.get((key, party), before)
                self.revoked[key, party] = max(known, before)

    async def forget(self, before: datetime) -> None:
        """See ``Tracking.forget``."""
        self.reach()
        self.revoked = {one: at for one, at in self.revoked.items() if at >= before}
        for key in [k for k, told in self._ledger.tracked.items() if told.events[-1].at < before]:
            del self._ledger.tracked[key]
