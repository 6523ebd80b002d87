"""The reception: an announced ticket finds its transfer, and is answered when that is durable.

Every step may be done again: a sender that got no answer announces its ticket once more, and one
webhook stays one signal, one transfer, one parked ticket.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog

from gateway.transfers import Transfers
from transfer import opening, routing
from transfer.adapters.tools import utc_now
from transfer.adapters.wiring import Neighbours
from transfer.case import TERMINAL
from transfer.errors import Unreachable
from transfer.messages import (
    Delivery,
    ParkedTicket,
    Reception,
    TicketReading,
    TransferRequest,
    WebhookAnswer,
)
from transfer.parties import CustomerRecord
from transfer.policy import Policy
from transfer.ports import Accounts, Arrivals, Ledger, Tickets
from transfer.routing import Heard, Known, Otherwise, Route
from transfer.settings import Settings
from transfer.tickets import Ticket

log = structlog.get_logger("gateway")


class Stores(NamedTuple):
    """The neighbours that the reception asks."""

    accounts: Accounts
    tickets: Tickets
    ledger: Ledger
    arrivals: Arrivals


def reception(settings: Settings, near: Neighbours, transfers: Transfers) -> Desk:
    """The reception of an installation.

    Raises:
        InputInvalid: the policy file cannot be read.
    """
    return Desk(
        Stores(near.accounts, near.tickets, near.ledger, near.arrivals),
        transfers,
        policy=settings.policy(),
        clock=utc_now,
        own_authors=frozenset(settings.own_authors),
    )


class _Done(NamedTuple):
    """What became of a ticket, and the code of why."""

    outcome: Reception
    why: str


class Desk:
    """Where tickets arrive. ``own_authors`` are the ids under which our own replies are written."""

    def __init__(
        self,
        stores: Stores,
        transfers: Transfers,
        *,
        policy: Policy,
        clock: Callable[[], datetime],
        own_authors: frozenset[str] = frozenset(),
    ) -> None:
        self._stores = stores
        self._transfers = transfers
        self._policy = policy
        self._clock = clock
        self._own = own_authors
        self._tell: Callable[[Reception], None] = lambda _: None

    def watch(self, tell: Callable[[Reception], None]) -> None:
        """Let somebody count what becomes of tickets."""
        self._tell = tell

    async def receive(self, webhook_id: str, heard: Heard) -> WebhookAnswer:
        """Deliver an announced ticket, and return what became of it: durable, and once.

        Raises:
            Unreachable: Temporal, the database or the ticket system is away. Try again: what was
                done so far is not done twice.
        """
        arrivals = self._stores.arrivals
        if (before := await arrivals.answered(webhook_id)) is not None:
            return before
        route = await self._route(heard)
        if await self._rung(webhook_id, heard, route):
            outcome, why = _Done(Reception.SIGNALLED, "RUNG")
        else:
            if route.transfer_id is not None:  # it may have served there, and that is over now
                route = await self._route(heard)
            outcome, why = await self._deliver(webhook_id, heard, route)
        answer = WebhookAnswer(
            webhook_id=webhook_id,
            ticket_id=heard.ticket.id,
            outcome=outcome,
            transfer_id=None if outcome is Reception.IGNORED else route.transfer_id,
            received_at=self._clock(),
            ticket_updated_at=heard.ticket.updated_at,
        )
        kept = await arrivals.answer(answer)
        self._tell(kept.outcome)
        log.info("ticket_received", why=why, **kept.model_dump(exclude={"received_at"}))
        return kept

    async def catch_up(self, ticket: Ticket, *, new_since: datetime) -> bool:
        """See ``Intake.catch_up``. The same revision of a ticket is one event, whoever tells it."""
        arrivals = self._stores.arrivals
        revision = f"read-back/{ticket.id}/{ticket.revision}/{ticket.updated_at.isoformat()}"
        known = (await arrivals.heard_of([ticket.id])).get(ticket.id)
        # Who closes a ticket says nothing new on it, and still it does not count any more.
        said_before = known is not None and known >= ticket.updated_at
        if said_before and (ticket.open or await arrivals.answered(revision) is not None):
            return False
        is_new = known is None and ticket.created_at >= new_since
        await self.receive(revision, Heard(ticket=ticket, created=is_new))
        return True

    async def _route(self, heard: Heard) -> Route:
        ticket, accounts = heard.ticket, self._stores.accounts
        if ticket.author.id in self._own:
            return Route(why="OUR_OWN")
        holder = await accounts.holder(ticket.account)
        if holder is None:
            return routing.route(heard, Known(), self._policy)
        used = await self._stores.ledger.uses([ticket.id])
        named: dict[str, CustomerRecord] = {}
        for domain in routing.domains_named(ticket):
            customer = await accounts.owner(domain)
            if customer is not None:
                named.setdefault(customer.id, customer)
        served = used[ticket.id].rpartition("/")[0] if ticket.id in used else None
        known = Known(holder=holder, named=tuple(named.values()), served=served)
        return routing.route(heard, known, self._policy)

    async def _deliver(self, webhook_id: str, heard: Heard, route: Route) -> _Done:
        """Nobody is there: open, park or ignore."""
        match route.otherwise:
            case Otherwise.IGNORE:
                return _Done(Reception.IGNORED, route.why)
            case Otherwise.PARK:
                return await self._park(webhook_id, heard, route, route.why)
            case Otherwise.OPEN:
                return await self._open(webhook_id, heard, route)

    async def _rung(self, webhook_id: str, heard: Heard, route: Route) -> bool:
        if route.transfer_id is None:
            return False
        return await self._transfers.ring(
            route.transfer_id, route.what, heard.ticket.id, key=webhook_id
        )

    async def _park(self, webhook_id: str, heard: Heard, route: Route, why: str) -> _Done:
        """Let the ticket wait, then ring once more: its transfer may have begun meanwhile."""
        ticket, arrivals = heard.ticket, self._stores.arrivals
        parked = ParkedTicket(
            ticket_id=ticket.id,
            account=ticket.account,
            transfer_id=route.transfer_id,
            why=why,
            subject=ticket.subject,
            url=ticket.url,
            parked_at=self._clock(),
        )
        await arrivals.park(parked, self._reply(heard, why))
        if await self._rung(webhook_id, heard, route):
            await arrivals.picked_up(ticket.id, self._clock())
            return _Done(Reception.SIGNALLED, "RUNG")
        return _Done(Reception.PARKED, why)

    def _reply(self, heard: Heard, why: str) -> Delivery | None:
        """What the filer of a parked ticket is told: once for each reason why it waits."""
        text = routing.told_parked(heard, why)
        if text is None:
            return None
        return Delivery(
            id=f"parked/{heard.ticket.id}/{why}"[:200],
            key=f"parked/{heard.ticket.id}",
            event="PARKED",
            reader="filer",
            ticket_id=heard.ticket.id,
            reply=text,
            created_at=self._clock(),
        )

    async def _open(self, webhook_id: str, heard: Heard, route: Route) -> _Done:
        """Open a transfer, on the word of the ticket as the ticket system has it, not as told."""
        ticket = await self._read_back(heard.ticket.id)
        if why := routing.may_not_open(ticket, self._policy, self._clock()):
            return await self._park(webhook_id, heard, route, why)
        request = await self._request_of(ticket)
        if request is None or request != route.request or route.transfer_id is None:
            return await self._park(webhook_id, heard, route, "READS_DIFFERENTLY")
        facts = await self._stores.accounts.facts(request.domain, request.new_reseller)
        findings = opening.preflight(request, facts, self._clock())
        if errors := [finding.code for finding in findings if not finding.warning]:
            return await self._park(webhook_id, heard, route, ", ".join(errors))
        if await self._has_ended_since(route.transfer_id, ticket):
            return await self._park(webhook_id, heard, route, "FILED_BEFORE_THE_END")
        is_new = await self._transfers.open(route.transfer_id, request, facts, self._clock())
        # Its survey finds the ticket by its text; the bell makes sure.
        await self._rung(webhook_id, heard, route)
        return _Done(Reception.OPENED if is_new else Reception.SIGNALLED, route.why)

    async def _has_ended_since(self, transfer_id: str, reading: TicketReading) -> bool:
        """Whether a transfer of this customer has ended since the ticket was filed or changed.

        It came too late for that one, and nobody who filed it asked for another.
        """
        keys = await self._stores.ledger.keys(transfer_id)
        rows = await self._stores.ledger.evidence(keys[-1]) if keys else ()
        filed = reading.ticket.updated_at if reading.ticket else None
        return any(filed and row.code in TERMINAL and row.at >= filed for row in rows)

    async def _read_back(self, ticket_id: str) -> TicketReading:
        """Read a ticket as it is on record.

        Raises:
            Unreachable: it is not there yet: a hook can be faster than its own commit.
        """
        ticket = (await self._stores.tickets.read([ticket_id])).get(ticket_id)
        if ticket is None:
            raise Unreachable(f"Ticket {ticket_id} cannot be read back yet. Try again.")
        account = ticket.account
        administrators = (await self._stores.accounts.administrators([account]))[account]
        used = await self._stores.ledger.uses([ticket_id])
        return TicketReading(
            ticket_id=ticket_id,
            ticket=ticket,
            on_record=ticket.author.id in {person.id for person in administrators},
            used_by=used.get(ticket_id),
        )

    async def _request_of(self, reading: TicketReading) -> TransferRequest | None:
        """What the ticket itself asks for, read back."""
        if reading.ticket is None:
            return None
        return (await self._route(Heard(ticket=reading.ticket, created=True))).request
