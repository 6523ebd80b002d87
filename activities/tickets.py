"""Reading tickets back: the evidence behind every doorbell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice

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
        parties = [party for party in (facts.old, facts.customer, facts.new) if party is not None]
        domains = facts.customer.domains if facts.customer else ()
        about = [await self._about(domains, party.id, wanted) for party in parties]
        for tickets in about:
            found |= tickets
        ids = [*wanted.ticket_ids, *chain(*about)]
        readings = iter(await self._readings(ids, found))
        known = tuple(islice(readings, len(wanted.ticket_ids)))
        for tickets in about:  # each by itself: no party's many tickets hide another's
            of_party = tuple(islice(readings, len(tickets)))
            known += _as_many_as_fit(of_party, MAX_ANSWER // len(Party))
        return Survey(facts=facts, readings=known)

    async def _about(
        self, domains: Sequence[str], account: str, wanted: SurveyWanted
    ) -> dict[str, Ticket]:
        found: dict[str, Ticket] = {}
        for domain in domains:
            about = await self._tickets.about(domain, [account], wanted.since)
            found |= {one.id: one for one in about if one.id not in wanted.ticket_ids}
        return found

    async def _readings(
        self, ids: Sequence[str], found: Mapping[str, Ticket]
    ) -> tuple[TicketReading, ...]:
        uses = await self._ledger.uses(list(found))
        accounts = {ticket.account for ticket in found.values()}
        administrators = {
            account: {person.id for person in people}
            for account, people in (await self._accounts.administrators(accounts)).items()
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
