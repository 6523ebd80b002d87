"""What came in from outside: answered webhooks, and tickets that wait for their transfer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, func, select, update

from transfer.adapters.sql.engine import Database, insert_new, replace
from transfer.adapters.sql.ledger import put_out
from transfer.adapters.sql.schema import parked_tickets, watermarks, webhook_events
from transfer.adapters.tools import MAX_PARKED
from transfer.messages import Delivery, ParkedTicket, WebhookAnswer

_RECONCILED = "tickets"
"""The watermark's name."""


class SqlArrivals:
    """``transfer.ports.Arrivals`` in our own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answered(self, webhook_id: str) -> WebhookAnswer | None:
        """See ``Arrivals.answered``."""
        wanted = select(webhook_events).where(webhook_events.c.webhook_id == webhook_id)
        rows = await self._database.rows(wanted)
        return WebhookAnswer.model_validate(dict(rows[0])) if rows else None

    async def answer(self, answer: WebhookAnswer) -> WebhookAnswer:
        """See ``Arrivals.answer``."""
        wanted = select(webhook_events).where(webhook_events.c.webhook_id == answer.webhook_id)

        def first(connection: Connection) -> RowMapping:
            insert_new(connection, webhook_events, [answer.model_dump()])
            return connection.execute(wanted).mappings().one()

        return WebhookAnswer.model_validate(dict(await self._database.write(first)))

    async def heard_of(self, ticket_ids: Sequence[str]) -> dict[str, datetime]:
        """See ``Arrivals.heard_of``."""
        table = webhook_events.c
        wanted = (
            select(table.ticket_id, func.max(table.ticket_updated_at).label("at"))
            .where(table.ticket_id.in_(ticket_ids), table.ticket_updated_at.is_not(None))
            .group_by(table.ticket_id)
        )
        return {row["ticket_id"]: row["at"] for row in await self._database.rows(wanted)}

    async def read_up_to(self) -> datetime | None:
        """See ``Arrivals.read_up_to``."""
        wanted = select(watermarks.c.at).where(watermarks.c.name == _RECONCILED)
        return await self._database.read(lambda c: c.scalar(wanted))

    async def reconciled(self, up_to: datetime) -> None:
        """See ``Arrivals.reconciled``."""
        row = {"name": _RECONCILED, "at": up_to}
        await self._database.write(replace, watermarks, row, "at")

    async def park(self, ticket: ParkedTicket, reply: Delivery | None = None) -> None:
        """See ``Arrivals.park``."""

        def both(connection: Connection) -> None:
            replace(connection, parked_tickets, ticket.model_dump())
            put_out(connection, [reply] if reply else [])

        await self._database.write(both)

    async def picked_up(self, ticket_id: str, at: datetime) -> None:
        """See ``Arrivals.picked_up``."""
        table = parked_tickets.c
        await self._database.execute(
            update(parked_tickets)
            .where(table.ticket_id == ticket_id, table.picked_up_at.is_(None))
            .values(picked_up_at=at)
        )

    async def parked(self) -> tuple[ParkedTicket, ...]:
        """See ``Arrivals.parked``."""
        table = parked_tickets.c
        wanted = (
            select(parked_tickets)
            .where(table.picked_up_at.is_(None))
            .order_by(table.parked_at.desc(), table.ticket_id)
            .limit(MAX_PARKED)
        )
        rows = await self._database.rows(wanted)
        return tuple(ParkedTicket.model_validate(dict(row)) for row in rows)

    async def forget(self, before: datetime) -> None:
        """See ``Arrivals.forget``."""
        await self._database.execute(
            delete(webhook_events).where(webhook_events.c.received_at < before),
            delete(parked_tickets).where(parked_tickets.c.parked_at < before),
        )
