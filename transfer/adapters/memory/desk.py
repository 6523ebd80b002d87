"""The built-in desk in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from transfer.adapters.desk import (
    MAX_FOUND,
    MAX_LISTED,
    Reply,
    check_texts,
    names_of,
    searchable,
)
from transfer.adapters.memory.accounts import MemoryAccounts
from transfer.adapters.memory.neighbour import Neighbour
from transfer.adapters.tools import holdable, utc_now
from transfer.errors import TicketNotFound, UnknownAccount
from transfer.messages import Changed
from transfer.parties import Person
from transfer.tickets import Channel, Ticket

_FIRST_TICKET = 1001


class MemoryDesk(Neighbour):
    """``transfer.adapters.desk.Desk``."""

    def __init__(
        self, accounts: MemoryAccounts, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__()
        self.tickets: dict[str, Ticket] = {}
        self.all_replies: dict[str, tuple[str, Reply]] = {}
        self._accounts = accounts
        self._clock = clock

    async def read(self, ids: Sequence[str]) -> dict[str, Ticket]:
        """See ``Tickets.read``."""
        self.reach()
        return {one: self.tickets[one] for one in ids if one in self.tickets}

    async def about(
        self, domain: str, accounts: Sequence[str], since: datetime
    ) -> tuple[Ticket, ...]:
        """See ``Tickets.about``."""
        self.reach()
        found = [
            ticket
            for ticket in self.tickets.values()
            if ticket.account in accounts
            and ticket.created_at >= since
            and any(name in searchable(ticket.subject, ticket.body) for name in names_of(domain))
        ]
        newest_first = sorted(found, key=lambda t: (t.created_at, int(t.id)), reverse=True)
        return tuple(newest_first[:MAX_FOUND])

    async def changed(self, since: datetime, after: str = "") -> tuple[Changed, ...]:
        """See ``Tickets.changed``."""
        self.reach()
        found = [
            Changed(ticket_id=ticket.id, at=ticket.updated_at)
            for ticket in self.tickets.values()
            if ticket.updated_at >= since and int(ticket.id) > int(after or 0)
        ]
        return tuple(sorted(found, key=lambda one: int(one.ticket_id))[:MAX_FOUND])

    async def reply(self, ticket_id: str, key: str, text: str) -> None:
        """See ``Tickets.reply``."""
        self.reach()
        self._one(ticket_id)
        self.add_reply(ticket_id, Reply(key=key, at=self._clock(), text=text))

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
        self.reach()
        by, subject, body = holdable(by), holdable(subject), holdable(body)
        check_texts(by=by, subject=subject, body=body)
        record = self._accounts.resellers.get(account) or self._accounts.customers.get(account)
        if record is None:
            raise UnknownAccount(f'"{account[:60]}" is no reseller and no customer.')
        known = {person.id: person for person in record.administrators}
        ticket = self.add(account, Person(id=by), (subject, body), self._clock())
        return self._put(
            ticket.model_copy(
                update={
                    "author": known.get(ticket.author.id, ticket.author),
                    "administrator": ticket.author.id in known,
                    "channel": channel,
                    "delegated": delegated,
                }
            )
        )

    async def edit(
        self, ticket_id: str, *, subject: str | None = None, body: str | None = None
    ) -> Ticket:
        """See ``Desk.edit``."""
        self.reach()
        check_texts(subject=subject, body=body)
        given = {"subject": subject, "body": body}
        texts = {name: holdable(text) for name, text in given.items() if text is not None}
        return self._put(self._one(ticket_id).model_copy(update={**texts, **self._now(ticket_id)}))

    async def close(self, ticket_id: str) -> Ticket:
        """See ``Desk.close``."""
        self.reach()
        return self.set_open(ticket_id, self._clock(), is_open=False)

    async def reopen(self, ticket_id: str) -> Ticket:
        """See ``Desk.reopen``."""
        self.reach()
        return self.set_open(ticket_id, self._clock(), is_open=True)

    async def show(self, ticket_id: str) -> Ticket:
        """See ``Desk.show``."""
        self.reach()
        return self._one(ticket_id)

    async def list_tickets(self, account: str | None = None) -> tuple[Ticket, ...]:
        """See ``Desk.list_tickets``."""
        self.reach()
        found = [one for one in self.tickets.values() if account in (None, one.account)]
        return tuple(reversed(found[-MAX_LISTED:]))

    async def replies(self, ticket_id: str) -> tuple[Reply, ...]:
        """See ``Desk.replies``."""
        self.reach()
        self._one(ticket_id)
        return tuple(reply for owner, reply in self.all_replies.values() if owner == ticket_id)

    def add(self, account: str, author: Person, texts: tuple[str, str], at: datetime) -> Ticket:
        """Add a ticket, without any check."""
        return self._put(
            Ticket(
                id=str(_FIRST_TICKET + len(self.tickets)),
                account=account,
                author=author,
                subject=texts[0],
                body=texts[1],
                created_at=at,
                updated_at=at,
            )
        )

    def add_reply(self, ticket_id: str, reply: Reply) -> None:
        """Add a reply, unless there is one by its key."""
        self.all_replies.setdefault(reply.key, (ticket_id, reply))

    def set_open(self, ticket_id: str, at: datetime, *, is_open: bool) -> Ticket:
        """Close or open a ticket."""
        ticket = self._one(ticket_id)
        if ticket.open is is_open:
            return ticket
        return self._put(ticket.model_copy(update={**self._now(ticket_id, at), "open": is_open}))

    def _now(self, ticket_id: str, at: datetime | None = None) -> dict[str, object]:
        ticket = self._one(ticket_id)
        latest = max(at or self._clock(), ticket.updated_at)
        return {"revision": ticket.revision + 1, "updated_at": latest}

    def _one(self, ticket_id: str) -> Ticket:
        if ticket_id not in self.tickets:
            raise TicketNotFound(f'There is no ticket "{ticket_id[:60]}" at the desk.')
        return self.tickets[ticket_id]

    def _put(self, ticket: Ticket) -> Ticket:
        self.tickets[ticket.id] = ticket
        return ticket
