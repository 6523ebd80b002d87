"""The staff queue: escalations, each with a ticket in the desk's staff account."""

from __future__ import annotations

from sqlalchemy import Connection, exc, insert, select, update

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
            return await self._database.write(_update, escalation)
        except exc.IntegrityError:
            # Somebody else opened it at the same instant: now it is there to be updated.
            return await self._database.write(_update, escalation)

    async def escalations(self) -> tuple[EscalationUpdate, ...]:
        """All escalations that are not closed, oldest first."""
        wanted = (
            select(escalations)
            .where(escalations.c.state != EscalationState.CLOSED)
            .order_by(escalations.c.opened_at, escalations.c.key)
        )
        rows = await self._database.rows(wanted)
        return tuple(EscalationUpdate.model_validate(dict(row)) for row in rows)

    async def newest(self, key: str) -> EscalationUpdate | None:
        """An escalation as it was updated last; ``None`` where there is none."""
        rows = await self._database.rows(select(escalations).where(escalations.c.key == key))
        return EscalationUpdate.model_validate(dict(rows[0])) if rows else None


def _update(connection: Connection, escalation: EscalationUpdate) -> str:
    wanted = select(escalations).where(escalations.c.key == escalation.key).with_for_update()
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        return _open(connection, escalation)
    known = EscalationUpdate.model_validate(dict(row))
    if known != escalation and known.at <= escalation.at:
        _bring_up_to_date(connection, str(row["ticket_no"]), escalation)
    return str(row["ticket_no"])


def _open(connection: Connection, escalation: EscalationUpdate) -> str:
    author = Person(id=STAFF_AUTHOR)
    number = add_ticket(connection, RESERVED, author, staff_ticket(escalation), escalation.at)
    connection.execute(insert(escalations).values(ticket_no=number, **escalation.model_dump()))
    _set_open(connection, str(number), escalation)
    return str(number)


def _bring_up_to_date(connection: Connection, ticket_id: str, escalation: EscalationUpdate) -> None:
    connection.execute(
        update(escalations)
        .where(escalations.c.key == escalation.key)
        .values(**escalation.model_dump(exclude={"key"}))
    )
    key, text = staff_reply_key(escalation), staff_reply(escalation)
    add_reply(connection, int(ticket_id), Reply(key=key, at=escalation.at, text=text))
    _set_open(connection, ticket_id, escalation)


def _set_open(connection: Connection, ticket_id: str, escalation: EscalationUpdate) -> None:
    ticket = read_ticket(connection, ticket_id, lock=True)
    is_open = escalation.state is not EscalationState.CLOSED
    if ticket.open is not is_open:
        revise_ticket(connection, ticket, escalation.at, {"open": is_open})
