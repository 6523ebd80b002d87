"""The built-in desk in our own database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    and_,
    insert,
    or_,
    select,
    union_all,
    update,
)

from transfer.adapters.desk import (
    MAX_FOUND,
    MAX_LISTED,
    Reply,
    check_texts,
    names_of,
    searchable,
    ticket_number,
)
from transfer.adapters.sql.engine import Database, insert_new
from transfer.adapters.sql.records import read_people
from transfer.adapters.sql.schema import customers, resellers, ticket_replies, tickets
from transfer.adapters.tools import holdable, utc_now
from transfer.errors import TicketNotFound, UnknownAccount
from transfer.messages import Changed
from transfer.parties import Person
from transfer.tickets import Channel, Ticket


class SqlDesk:
    """``transfer.adapters.desk.Desk``. ``clock`` dates tickets and replies."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def read(self, ids: Sequence[str]) -> dict[str, Ticket]:
        """See ``Tickets.read``."""
        numbers = [number for number in map(ticket_number, ids) if number is not None]
        if not numbers:
            return {}
        found = await self._database.read(_read, select(tickets).where(tickets.c.no.in_(numbers)))
        return {ticket.id: ticket for ticket in found}

    async def about(
        self, domain: str, accounts: Sequence[str], since: datetime
    ) -> tuple[Ticket, ...]:
        """See ``Tickets.about``."""
        named = [tickets.c.search.contains(name, autoescape=True) for name in names_of(domain)]
        return await self._database.read(
            _read,
            select(tickets)
            .where(
                and_(tickets.c.account.in_(accounts), tickets.c.created_at >= since, or_(*named))
            )
            .order_by(tickets.c.created_at.desc(), tickets.c.no.desc())
            .limit(MAX_FOUND),
        )

    async def changed(self, since: datetime, after: str = "") -> tuple[Changed, ...]:
        """See ``Tickets.changed``."""
        wanted = (
            select(tickets.c.no, tickets.c.updated_at)
            .where(tickets.c.updated_at >= since, tickets.c.no > (ticket_number(after) or 0))
            .order_by(tickets.c.no)
            .limit(MAX_FOUND)
        )
        rows = await self._database.rows(wanted)
        return tuple(Changed(ticket_id=str(row["no"]), at=row["updated_at"]) for row in rows)

    async def reply(self, ticket_id: str, key: str, text: str) -> None:
        """See ``Tickets.reply``."""
        said = Reply(key=key, at=self._clock(), text=text)

        def add(connection: Connection) -> None:
            add_reply(connection, int(read_ticket(connection, ticket_id).id), said)

        await self._database.write(add)

    async def file(
        self,
        account: str,
        by: str,
        subject: str,
        body: str,
        *,
        channel: Channel = Channel.PANEL,
        delegated: bool = False,
    ) -> Ticket:
        """See ``Desk.file``."""
        by, subject, body = holdable(by), holdable(subject), holdable(body)
        check_texts(by=by, subject=subject, body=body)
        person = by.strip()

        def add(connection: Connection) -> Ticket:
            if not _is_account(connection, account):
                raise UnknownAccount(
                    f'"{account[:60]}" is no reseller and no customer. Give the id of one.'
                )
            known = {one.id: one for one in read_people(connection, [account])[account]}
            number = add_ticket(
                connection,
                account,
                known.get(person, Person(id=person)),
                (subject, body),
                self._clock(),
                administrator=person in known,
                delegated=delegated,
                channel=channel,
            )
            return read_ticket(connection, str(number))

        return await self._database.write(add)

    async def edit(
        self, ticket_id: str, *, subject: str | None = None, body: str | None = None
    ) -> Ticket:
        """See ``Desk.edit``."""
        check_texts(subject=subject, body=body)

        def changes(ticket: Ticket) -> Mapping[str, object]:
            now = (
                ticket.subject if subject is None else holdable(subject),
                ticket.body if body is None else holdable(body),
            )
            return {"subject": now[0], "body": now[1], "search": searchable(*now)}

        return await self._database.write(self._revise, ticket_id, changes)

    async def close(self, ticket_id: str) -> Ticket:
        """See ``Desk.close``."""
        return await self._set_open(ticket_id, is_open=False)

    async def reopen(self, ticket_id: str) -> Ticket:
        """See ``Desk.reopen``."""
        return await self._set_open(ticket_id, is_open=True)

    async def show(self, ticket_id: str) -> Ticket:
        """See ``Desk.show``."""
        return await self._database.read(read_ticket, ticket_id)

    async def list_tickets(self, account: str | None = None) -> tuple[Ticket, ...]:
        """See ``Desk.list_tickets``."""
        wanted = select(tickets).order_by(tickets.c.no.desc()).limit(MAX_LISTED)
        if account is not None:
            wanted = wanted.where(tickets.c.account == account)
        return await self._database.read(_read, wanted)

    async def replies(self, ticket_id: str) -> tuple[Reply, ...]:
        """See ``Desk.replies``."""

        def read(connection: Connection) -> Sequence[RowMapping]:
            ticket = read_ticket(connection, ticket_id)
            wanted = (
                select(ticket_replies)
                .where(ticket_replies.c.ticket_no == int(ticket.id))
                .order_by(ticket_replies.c.no)
            )
            return connection.execute(wanted).mappings().all()

        return tuple(Reply.model_validate(dict(row)) for row in await self._database.read(read))

    async def _set_open(self, ticket_id: str, *, is_open: bool) -> Ticket:

        def changes(ticket: Ticket) -> Mapping[str, object]:
            return {} if ticket.open is is_open else {"open": is_open}

        return await self._database.write(self._revise, ticket_id, changes)

    def _revise(
        self,
        connection: Connection,
        ticket_id: str,
        changes: Callable[[Ticket], Mapping[str, object]],
    ) -> Ticket:
        ticket = read_ticket(connection, ticket_id, lock=True)
        if values := changes(ticket):
            revise_ticket(connection, ticket, self._clock(), values)
        return read_ticket(connection, ticket_id)


# -- what the staff queue uses, too --------------------------------------------------------------
def read_ticket(connection: Connection, ticket_id: str, *, lock: bool = False) -> Ticket:
    """Read one ticket, or raise ``TicketNotFound``."""
    number = ticket_number(ticket_id)
    wanted = select(tickets).where(tickets.c.no == number)
    found = _read(connection, wanted.with_for_update() if lock else wanted)
    if not found:
        raise TicketNotFound(f'There is no ticket "{ticket_id[:60]}" at the desk. Check its id.')
    return found[0]


def add_ticket(
    connection: Connection,
    account: str,
    author: Person,
    texts: tuple[str, str],
    at: datetime,
    *,
    administrator: bool = False,
    delegated: bool = False,
    channel: Channel = Channel.PANEL,
) -> int:
    """Insert a ticket with subject and body, and return its number."""
    row = connection.execute(
        insert(tickets)
        .values(
            account=account,
            author=author.id,
            author_name=author.name,
            author_email=author.email,
            administrator=administrator,
            delegated=delegated,
            channel=channel,
            subject=texts[0],
            body=texts[1],
            search=searchable(*texts),
            open=True,
            created_at=at,
            updated_at=at,
            revision=1,
        )
        .returning(tickets.c.no)
    )
    number: int = row.scalar_one()
    return number


def add_reply(connection: Connection, number: int, reply: Reply) -> None:
    """Insert a reply, unless there is one by its key."""
    insert_new(connection, ticket_replies, [{"ticket_no": number, **reply.model_dump()}])


def revise_ticket(
    connection: Connection, ticket: Ticket, at: datetime, values: Mapping[str, object]
) -> None:
    """Write a new revision. It is never older than the one before: clocks can be set back."""
    connection.execute(
        update(tickets)
        .where(tickets.c.no == int(ticket.id))
        .values(revision=ticket.revision + 1, updated_at=max(at, ticket.updated_at), **dict(values))
    )


def _read(connection: Connection, wanted: Select[*tuple[object, ...]]) -> tuple[Ticket, ...]:
    return tuple(_ticket(row) for row in connection.execute(wanted).mappings())


def _ticket(row: RowMapping) -> Ticket:
    author = Person(id=row["author"], name=row["author_name"], email=row["author_email"])
    return Ticket.model_validate({**row, "id": str(row["no"]), "author": author})


def _is_account(connection: Connection, account: str) -> bool:
    known = union_all(
        select(resellers.c.id).where(resellers.c.id == account),
        select(customers.c.id).where(customers.c.id == account),
    )
    return connection.execute(known).first() is not None
