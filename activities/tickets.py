"""Reading tickets back: the evidence behind every doorbell."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import activity

from transfer.messages import Survey, SurveyWanted, TicketReading, TicketsRead, TicketsWanted
from transfer.ports import Accounts, Ledger, Tickets
from transfer.tickets import Ticket


class TicketActivities:
    """Reads tickets, and beside each what our own records say of its author and its past."""

    def __init__(self, tickets: Tickets, accounts: Accounts, ledger: Ledger) -> None:
        self._tickets = tickets
        self._accounts = accounts
        self._ledger = ledger

    @activity.defn(name="read_tickets")
    async def read_tickets(self, wanted: TicketsWanted) -> TicketsRead:
        """Read tickets by id; a ticket that does not exist (yet) is a reading without one.

        Raises:
            Unreachable: the ticket system or the database is away.
        """
        found = await self._tickets.read(wanted.ticket_ids)
        return TicketsRead(readings=await self._readings(wanted.ticket_ids, found))

    @activity.defn(name="survey")
    async def survey(self, wanted: SurveyWanted) -> Survey:
        """Look at everything that bears on a transfer: accounts on record, and all its tickets.

        Raises:
            Unreachable: the ticket system or the database is away.
        """
        facts = await self._accounts.facts(wanted.domain, wanted.new_reseller)
        parties = [party.id for party in (facts.old, facts.customer, facts.new) if party]
        found = await self._tickets.read(wanted.ticket_ids)
        if facts.customer is not None:
            for domain in facts.customer.domains:
                about = await self._tickets.about(domain, parties, wanted.since)
                found |= {ticket.id: ticket for ticket in about}
        ids = list(dict.fromkeys([*wanted.ticket_ids, *found]))
        return Survey(facts=facts, readings=await self._readings(ids, found))

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
