"""The staff queue: escalations, each with a ticket in the desk's staff account."""

from __future__ import annotations

from sqlalchemy import exc, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from transfer.accounts_file import RESERVED
from transfer.adapters.desk import STAFF_AUTHOR, Reply
from transfer.adapters.sql.desk import add_reply, add_ticket, read_ticket, revise_ticket
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.schema import escalations
from transfer.adapters.tools import staff_reply, staff_reply_key, staff_ticket
from transfer.messages import EscalationState, EscalationUpdate
from transfer.parties import Person


class SqlStaffQueue:
    """``transfer.ports.StaffQueue`` in our own database; a reference is the ticket's id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def update(self, escalation: EscalationUpdate) -> str:
        """See ``StaffQueue.update``. An update older than the last one changes nothing."""
        try:
            return await self._update(escalation)
        except exc.IntegrityError:
            # Somebody else opened it at the same instant: now it is there to be updated.
            return await self._update(escalation)

    async def escalations(self) -> tuple[EscalationUpdate, ...]:
        """All escalations that are not closed, oldest first."""
        wanted = (
            select(escalations)
            .where(escalations.c.state != EscalationState.CLOSED)
            .order_by(escalations.c.opened_at, escalations.c.key)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings()
            return tuple(EscalationUpdate.model_validate(dict(row)) for row in rows)

    async def newest(self, key: str) -> EscalationUpdate | None:
        """An escalation as it was updated last; ``None`` where there is none."""
        async with self._database.read() as connection:
            wanted = select(escalations).where(escalations.c.key == key)
            row = (await connection.execute(wanted)).mappings().one_or_none()
        return None if row is None else EscalationUpdate.model_validate(dict(row))

    async def _update(self, escalation: EscalationUpdate) -> str:
        wanted = select(escalations).where(escalations.c.key == escalation.key).with_for_update()
        async with self._database.write() as connection:
            row = (await connection.execute(wanted)).mappings().one_or_none()
            if row is None:
                return await _open(connection, escalation)
            known = EscalationUpdate.model_validate(dict(row))
            if known != escalation and known.at <= escalation.at:
                await _bring_up_to_date(connection, str(row["ticket_no"]), escalation)
            return str(row["ticket_no"])


async def _open(connection: AsyncConnection, escalation: EscalationUpdate) -> str:
    author = Person(id=STAFF_AUTHOR)
    number = await add_ticket(connection, RESERVED, author, staff_ticket(escalation), escalation.at)
    await connection.execute(
        insert(escalations).values(ticket_no=number, **escalation.model_dump())
    )
    await _set_open(connection, str(number), escalation)
    return str(number)


async def _bring_up_to_date(
    connection: AsyncConnection, ticket_id: str, escalation: EscalationUpdate
) -> None:
    await connection.execute(
        update(escalations)
        .where(escalations.c.key == escalation.key)
        .values(**escalation.model_dump(exclude={"key"}))
    )
    key, text = staff_reply_key(escalation), staff_reply(escalation)
    await add_reply(connection, int(ticket_id), Reply(key=key, at=escalation.at, text=text))
    await _set_open(connection, ticket_id, escalation)


async def _set_open(
    connection: AsyncConnection, ticket_id: str, escalation: EscalationUpdate
) -> None:
    ticket = await read_ticket(connection, ticket_id, lock=True)
    is_open = escalation.state is not EscalationState.CLOSED
    if ticket.open is not is_open:
        await revise_ticket(connection, ticket, escalation.at, {"open": is_open})
