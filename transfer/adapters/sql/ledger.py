"""The ledger: evidence, the outbox of notices, and which ticket served which transfer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, or_, select, update

from transfer import tracing
from transfer.adapters.sql.engine import Database, insert_new
from transfer.adapters.sql.schema import deliveries, evidence, parked_tickets, ticket_uses
from transfer.adapters.sql.tracking import track
from transfer.adapters.tools import LEASE, one_line, opened_in, use_of
from transfer.case import Publication
from transfer.messages import Delivery, DeliveryState, EvidenceRow, Mail


class SqlLedger:
    """``transfer.ports.Ledger`` in our own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(
        self,
        evidence: Sequence[EvidenceRow],
        mails: Sequence[Delivery],
        told: Publication | None = None,
    ) -> None:
        """See ``Ledger.publish``."""
        await self._database.write(_publish, evidence, mails, told)

    async def uses(self, ticket_ids: Sequence[str]) -> dict[str, str]:
        """See ``Ledger.uses``."""
        if not ticket_ids:
            return {}
        wanted = select(ticket_uses).where(ticket_uses.c.ticket_id.in_(ticket_ids))
        return {row["ticket_id"]: row["key"] for row in await self._database.rows(wanted)}

    async def keys(self, transfer_id: str) -> tuple[str, ...]:
        """See ``Ledger.keys``."""
        first = func.min(_evidence.c.at)
        wanted = (
            select(_evidence.c.key)
            .where(_evidence.c.transfer_id == transfer_id)
            .group_by(_evidence.c.key)
            .order_by(first)
        )
        return tuple(await self._database.read(lambda c: c.scalars(wanted).all()))

    async def evidence(self, key: str) -> tuple[EvidenceRow, ...]:
        """See ``Ledger.evidence``."""
        wanted = (
            select(_evidence)
            .where(_evidence.c.key == key)
            .order_by(_evidence.c.at, _evidence.c.seq)
        )
        found = await self._database.rows(wanted)
        return tuple(EvidenceRow.model_validate(dict(row)) for row in found)

    async def due(self, now: datetime, limit: int) -> tuple[Delivery, ...]:
        """See ``Ledger.due``."""
        table = deliveries.c
        wanted = (
            select(deliveries)
            .where(
                table.state == DeliveryState.PENDING,
                or_(table.next_try_at.is_(None), table.next_try_at <= now),
                or_(table.leased_until.is_(None), table.leased_until <= now),
            )
            .order_by(table.created_at, table.no)
            .limit(limit)
            # PostgreSQL: who comes second passes over these. SQLite has one writer at a time.
            .with_for_update(skip_locked=True)
        )

        def lease(connection: Connection) -> Sequence[RowMapping]:
            rows = connection.execute(wanted).mappings().all()
            if rows:
                leased = table.no.in_([row["no"] for row in rows])
                connection.execute(
                    update(deliveries).where(leased).values(leased_until=now + LEASE)
                )
            return rows

        return tuple(_delivery(row) for row in await self._database.write(lease))

    async def delivered(self, delivery_ids: Sequence[str], at: datetime) -> None:
        """See ``Ledger.delivered``. It counts even if it had been given up; twice counts once."""
        await self._database.execute(
            update(deliveries)
            .where(deliveries.c.id.in_(delivery_ids), deliveries.c.state != DeliveryState.SENT)
            .values(
                state=DeliveryState.SENT,
                attempts=deliveries.c.attempts + 1,
                last_error="",
                next_try_at=None,
                sent_at=at,
                leased_until=None,
            )
        )

    async def failed(self, delivery_id: str, error: str, retry_at: datetime | None) -> None:
        """See ``Ledger.failed``. What has arrived or was given up stays so."""
        state = DeliveryState.FAILED if retry_at is None else DeliveryState.PENDING
        await self._database.execute(
            update(deliveries)
            .where(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.PENDING)
            .values(
                state=state,
                attempts=deliveries.c.attempts + 1,
                last_error=one_line(error),
                next_try_at=retry_at,
                leased_until=None,
            )
        )

    async def deliveries(self, key: str) -> tuple[Delivery, ...]:
        """See ``Ledger.deliveries``."""
        table = deliveries.c
        wanted = select(deliveries).where(table.key == key).order_by(table.created_at, table.no)
        return tuple(_delivery(row) for row in await self._database.rows(wanted))


_evidence = evidence  # the class has a method of this name


def _publish(
    connection: Connection,
    rows: Sequence[EvidenceRow],
    notices: Sequence[Delivery],
    told: Publication | None,
) -> None:
    if told is not None and told.events:
        track(connection, told)
    insert_new(connection, evidence, [row.model_dump() for row in rows])
    insert_new(connection, ticket_uses, use_of(rows))
    put_out(connection, notices)
    for transfer_id, at in opened_in(rows):
        connection.execute(
            update(parked_tickets)
            .where(
                parked_tickets.c.transfer_id == transfer_id,
                parked_tickets.c.picked_up_at.is_(None),
                parked_tickets.c.parked_at <= at,
            )
            .values(picked_up_at=at)
        )


def _delivery(row: RowMapping) -> Delivery:
    mail = None if row["mail"] is None else Mail.model_validate_json(row["mail"])
    return Delivery.model_validate({**row, "mail": mail})


# -- what arrivals use, too ----------------------------------------------------------------------
def put_out(connection: Connection, notices: Sequence[Delivery]) -> None:
    """Put notices into the outbox; those that are there already stay as they are."""
    rows = [
        {
            **notice.model_dump(exclude={"mail"}),
            "mail": notice.mail.model_dump_json() if notice.mail else None,
            "trace": tracing.here() or None,
        }
        for notice in notices
    ]
    insert_new(connection, deliveries, rows)
