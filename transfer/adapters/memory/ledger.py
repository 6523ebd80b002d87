"""The ledger in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from transfer.adapters.memory.neighbour import Neighbour
from transfer.adapters.tools import LEASE, one_line, opened_in, use_of
from transfer.case import Publication
from transfer.messages import Delivery, DeliveryState, EvidenceRow, ParkedTicket


class MemoryLedger(Neighbour):
    """``transfer.ports.Ledger``."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[str, int, str], EvidenceRow] = {}
        self.used: dict[str, str] = {}
        self.outbox: dict[str, Delivery] = {}
        self.leases: dict[str, datetime] = {}
        self.parked: dict[str, ParkedTicket] = {}
        self.tracked: dict[str, Publication] = {}

    async def publish(
        self,
        evidence: Sequence[EvidenceRow],
        mails: Sequence[Delivery],
        told: Publication | None = None,
    ) -> None:
        """See ``Ledger.publish``."""
        self.reach()
        if told is not None and told.events:
            known = self.tracked.get(told.case.key)
            if known is None or _told(known) < _told(told):
                self.tracked[told.case.key] = told
        for row in evidence:
            self.rows.setdefault((row.key, row.seq, row.mark), row)
        for use in use_of(evidence):
            self.used.setdefault(use["ticket_id"], use["key"])
        for delivery in mails:
            self.outbox.setdefault(delivery.id, delivery)
        for transfer_id, at in opened_in(evidence):
            for one in list(self.parked.values()):
                waits = one.picked_up_at is None and one.parked_at <= at
                if one.transfer_id == transfer_id and waits:
                    picked_up = one.model_copy(update={"picked_up_at": at})
                    self.parked[one.ticket_id] = picked_up

    async def uses(self, ticket_ids: Sequence[str]) -> dict[str, str]:
        """See ``Ledger.uses``."""
        self.reach()
        return {one: self.used[one] for one in ticket_ids if one in self.used}

    async def keys(self, transfer_id: str) -> tuple[str, ...]:
        """See ``Ledger.keys``."""
        self.reach()
        rows = sorted(self.rows.values(), key=lambda row: row.at)
        return tuple(dict.fromkeys(row.key for row in rows if row.transfer_id == transfer_id))

    async def evidence(self, key: str) -> tuple[EvidenceRow, ...]:
        """See ``Ledger.evidence``."""
        self.reach()
        rows = [row for row in self.rows.values() if row.key == key]
        return tuple(sorted(rows, key=lambda row: (row.at, row.seq)))

    async def due(self, now: datetime, limit: int) -> tuple[Delivery, ...]:
        """See ``Ledger.due``."""
        self.reach()
        due = [
            one
            for one in self._oldest_first()
            if one.state is DeliveryState.PENDING
            and (one.next_try_at is None or one.next_try_at <= now)
            and (one.id not in self.leases or self.leases[one.id] <= now)
        ][:limit]
        self.leases |= {one.id: now + LEASE for one in due}
        return tuple(due)

    async def delivered(self, delivery_ids: Sequence[str], at: datetime) -> None:
        """See ``Ledger.delivered``."""
        self.reach()
        for known in filter(None, map(self.outbox.get, delivery_ids)):
            if known.state is not DeliveryState.SENT:
                arrived = {"state": DeliveryState.SENT, "sent_at": at, "last_error": ""}
                self._settle(known, {**arrived, "next_try_at": None})

    async def failed(self, delivery_id: str, error: str, retry_at: datetime | None) -> None:
        """See ``Ledger.failed``."""
        self.reach()
        known = self.outbox.get(delivery_id)
        if known is not None and known.state is DeliveryState.PENDING:
            state = DeliveryState.FAILED if retry_at is None else DeliveryState.PENDING
            failed = {"state": state, "last_error": one_line(error), "next_try_at": retry_at}
            self._settle(known, failed)

    async def deliveries(self, key: str) -> tuple[Delivery, ...]:
        """See ``Ledger.deliveries``."""
        self.reach()
        return tuple(one for one in self._oldest_first() if one.key == key)

    def _oldest_first(self) -> list[Delivery]:
        return sorted(self.outbox.values(), key=lambda one: one.created_at)

    def _settle(self, known: Delivery, values: Mapping[str, object]) -> None:
        tried = {**values, "attempts": known.attempts + 1}
        self.outbox[known.id] = known.model_copy(update=tried)
        self.leases.pop(known.id, None)


def _told(told: Publication) -> tuple[datetime, int]:
    return told.events[-1].at, told.events[-1].seq
