"""What came in from outside: answered webhooks, and tickets that wait for their transfer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update

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
        async with self._database.read() as connection:
            row = (await connection.execute(wanted)).mappings().first()
            return None if row is None else WebhookAnswer.model_validate(dict(row))

    async def answer(self, answer: WebhookAnswer) -> WebhookAnswer:
        """See ``Arrivals.answer``."""
        wanted = select(webhook_events).where(webhook_events.c.webhook_id == answer.webhook_id)
        async with self._database.write() as connection:
            await insert_new(connection, webhook_events, [answer.model_dump()])
            row = (await connection.execute(wanted)).mappings().one()
            return WebhookAnswer.model_validate(dict(row))

    async def heard_of(self, ticket_ids: Sequence[str]) -> dict[str, datetime]:
        """See ``Arrivals.heard_of``."""
        table = webhook_events.c
        wanted = (
            select(table.ticket_id, func.max(table.ticket_updated_at))
            .where(table.ticket_id.in_(ticket_ids), table.ticket_updated_at.is_not(None))
            .group_by(table.ticket_id)
        )
        async with self._database.read() as connection:
            return dict((await connection.execute(wanted)).all())

    async def read_up_to(self) -> datetime | None:
        """See ``Arrivals.read_up_to``."""
        wanted = select(watermarks.c.at).where(watermarks.c.name == _RECONCILED)
        async with self._database.read() as connection:
            return (await connection.execute(wanted)).scalar_one_or_none()

    async def reconciled(self, up_to: datetime) -> None:
        """See ``Arrivals.reconciled``."""
        async with self._database.write() as connection:
            await insert_new(connection, watermarks, [{"name": _RECONCILED, "at": up_to}])
            await connection.execute(
                update(watermarks)
                .where(watermarks.c.name == _RECONCILED, watermarks.c.at < up_to)
                .values(at=up_to)
            )

    async def park(self, ticket: ParkedTicket, reply: Delivery | None = None) -> None:
        """See ``Arrivals.park``."""
        async with self._database.write() as connection:
            await replace(connection, parked_tickets, ticket.model_dump())
            await put_out(connection, [reply] if reply else [])

    async def picked_up(self, ticket_id: str, at: datetime) -> None:
        """See ``Arrivals.picked_up``."""
        table = parked_tickets.c
        async with self._database.write() as connection:
            await connection.execute(
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
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings()
            return tuple(ParkedTicket.model_validate(dict(row)) for row in rows)

    async def forget(self, before: datetime) -> None:
        """See ``Arrivals.forget``."""
        async with self._database.write() as connection:
            await connection.execute(
                delete(webhook_events).where(webhook_events.c.received_at < before)
            )
            await connection.execute(
                delete(parked_tickets).where(parked_tickets.c.parked_at < before)
            )
