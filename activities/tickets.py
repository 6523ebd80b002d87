"""Reading tickets back: the evidence behind every doorbell."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import activity

from transfer.messages import Survey, SurveyWanted, TicketReading, TicketsRead, TicketsWanted
from transfer.parties import Party
from transfer.ports import Accounts, Ledger, Tickets
from transfer.tickets import Ticket

MAX_ANSWER = 1_000_000
"""Bytes of tickets in one answer: Temporal takes two megabytes, and a party may write much."""


class TicketActivities:
    """Reads tickets, and beside each what our own records say of its author and its past."""

    def __init__(self, tickets: Tickets, accounts: Accounts, ledger: Ledger) -> None:
        self._tickets = tickets
        self._accounts = accounts
        self._ledger = ledger

    @activity.defn(name="read_tickets")
    async def read_tickets(self, wanted: TicketsWanted) -> TicketsRead:
        """Read tickets by id; a ticket that does not exist (yet) is a reading without one.

        Where the texts are very long, the answer ends early: ask again for the rest.

        Raises:
            Unreachable: the ticket system or the database is away.
        """
        found = await self._tickets.read(wanted.ticket_ids)
        readings = await self._readings(wanted.ticket_ids, found)
        owed = wanted.owed
        paid = await self._accounts.paid(owed.reseller, owed.invoices) if owed else ()
        return TicketsRead(readings=_as_many_as_fit(readings, MAX_ANSWER), paid=paid)

    @activity.defn(name="survey")
    async def survey(self, wanted: SurveyWanted) -> Survey:
        """Look at everything that bears on a transfer: accounts on record, and all its tickets.

        Raises:
            Unreachable: the ticket system or the database is away.
        """
        facts = await self._accounts.facts(wanted.domain, wanted.new_reseller)
        found = await self._tickets.read(wanted.ticket_ids)
        readings = await self._readings(wanted.ticket_ids, found)
        domains = facts.customer.domains if facts.customer else ()
        for party in (facts.old, facts.customer, facts.new):
            if party is not None:  # each by itself: no party's many tickets hide another's
                about = await self._about(domains, party.id, wanted)
                readings += _as_many_as_fit(about, MAX_ANSWER // len(Party))
        return Survey(facts=facts, readings=readings)

    async def _about(
        self, domains: Sequence[str], account: str, wanted: SurveyWanted
    ) -> tuple[TicketReading, ...]:
        found: dict[str, Ticket] = {}
        for domain in domains:
            about = await self._tickets.about(domain, [account], wanted.since)
            found |= {ticket.id: ticket for ticket in about}
        ids = [ticket_id for ticket_id in found if ticket_id not in wanted.ticket_ids]
        return await self._readings(ids, found)

    async def _readings(
        self, ids: Sequence[str], found: dict[str, Ticket]
    ) -> tuple[TicketReading, ...]:
        uses = await self._ledger.uses(list(found))
        administrators = {
            account: {person.id for person in await self._accounts.administrators(account)}
            for account in {ticket.account for ticket in found.values()}
        }
        return tuple(
            TicketReading(
                ticket_id=ticket_id,
                ticket=(ticket := found.get(ticket_id)),
                on_record=ticket is not None and ticket.author.id in administrators[ticket.account],
                used_by=uses.get(ticket_id),
            )
            for ticket_id in ids
        )


def _as_many_as_fit(readings: Sequence[TicketReading], room: int) -> tuple[TicketReading, ...]:
    fitting: list[TicketReading] = []
    for reading in readings:
        room -= len(reading.model_dump_json().encode())
        if room < 0 and fitting:
            break
        fitting.append(reading)
    return tuple(fitting)
