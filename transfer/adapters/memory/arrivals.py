"""What came in from outside, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from transfer.adapters.memory.ledger import MemoryLedger
from transfer.adapters.memory.neighbour import Neighbour
from transfer.adapters.tools import MAX_PARKED
from transfer.messages import Delivery, ParkedTicket, WebhookAnswer


class MemoryArrivals(Neighbour):
    """``transfer.ports.Arrivals``. Parked tickets lie in the ledger, which picks them up."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__()
        self.answers: dict[str, WebhookAnswer] = {}
        self.watermark: datetime | None = None
        self._ledger = ledger

    async def answered(self, webhook_id: str) -> WebhookAnswer | None:
        """See ``Arrivals.answered``."""
        self.reach()
        return self.answers.get(webhook_id)

    async def answer(self, answer: WebhookAnswer) -> WebhookAnswer:
        """See ``Arrivals.answer``."""
        self.reach()
        return self.answers.setdefault(answer.webhook_id, answer)

    async def heard_of(self, ticket_ids: Sequence[str]) -> dict[str, datetime]:
        """See ``Arrivals.heard_of``."""
        self.reach()
        found: dict[str, datetime] = {}
        for one in self.answers.values():
            if one.ticket_id in ticket_ids and one.ticket_updated_at is not None:
                newest = found.get(one.ticket_id, one.ticket_updated_at)
                found[one.ticket_id] = max(newest, one.ticket_updated_at)
        return found

    async def read_up_to(self) -> datetime | None:
        """See ``Arrivals.read_up_to``."""
        self.reach()
        return self.watermark

    async def reconciled(self, up_to: datetime) -> None:
        """See ``Arrivals.reconciled``."""
        self.reach()
        self.watermark = max(up_to, self.watermark or up_to)

    async def park(self, ticket: ParkedTicket, reply: Delivery | None = None) -> None:
        """See ``Arrivals.park``."""
        self.reach()
        if reply is not None:
            self._ledger.outbox.setdefault(reply.id, reply)
        self._ledger.parked[ticket.ticket_id] = ticket

    async def picked_up(self, ticket_id: str, at: datetime) -> None:
        """See ``Arrivals.picked_up``."""
        self.reach()
        known = self._ledger.parked.get(ticket_id)
        if known is not None and known.picked_up_at is None:
            self._ledger.parked[ticket_id] = known.model_copy(update={"picked_up_at": at})

    async def parked(self) -> tuple[ParkedTicket, ...]:
        """See ``Arrivals.parked``."""
        self.reach()
        waiting = [one for one in self._ledger.parked.values() if one.picked_up_at is None]
        waiting.sort(key=lambda one: one.ticket_id)
        return tuple(sorted(waiting, key=lambda one: one.parked_at, reverse=True)[:MAX_PARKED])

    async def forget(self, before: datetime) -> None:
        """See ``Arrivals.forget``."""
        self.reach()
        parked = self._ledger.parked
        self.answers = {k: one for k, one in self.answers.items() if one.received_at >= before}
        for old in [one for one in parked.values() if one.parked_at < before]:
            del parked[old.ticket_id]
