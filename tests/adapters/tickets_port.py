"""What the port ``Tickets`` promises, for every ticket system that fulfils it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import pytest

from transfer.errors import TicketNotFound
from transfer.messages import Changed
from transfer.ports import Tickets
from transfer.tickets import Channel

NO_IDS = ["", "01", "x", "²", "-1", "9" * 30, "1\0", "٣", "1e3", "999999999", "99999999999"]


class TicketSystem(Protocol):
    """A ticket system with the accounts acme (acme-admin) and C-1 (carl); clerk is none's."""

    @property
    def tickets(self) -> Tickets:
        """The adapter."""
        ...

    @property
    def now(self) -> datetime:
        """Its clock, in the precision that it has."""
        ...

    async def pass_by(self) -> None:
        """Let its clock go on."""
        ...

    async def file(self, account: str, by: str, subject: str, body: str) -> str:
        """File a ticket in the panel."""
        ...

    async def close(self, ticket_id: str) -> None:
        """Close a ticket."""
        ...

    async def replies(self, ticket_id: str) -> list[str]:
        """The texts of its replies."""
        ...


Promise = Callable[[TicketSystem, str], Awaitable[None]]


async def a_ticket_is_read_with_who_filed_it_and_when(system: TicketSystem, domain: str) -> None:
    """Account, author and authority are the ticket system's own knowledge."""
    before = system.now
    filed = await system.file("acme", "acme-admin", "Transfer Customer", f"Body\nof {domain}")
    ticket = (await system.tickets.read([filed]))[filed]
    assert (ticket.id, ticket.account, ticket.author.id) == (filed, "acme", "acme-admin")
    assert ticket.author.email.endswith(".example")
    assert (ticket.subject, ticket.body) == ("Transfer Customer", f"Body\nof {domain}")
    assert (ticket.administrator, ticket.delegated, ticket.open) == (True, False, True)
    assert ticket.channel is Channel.PANEL
    assert before <= ticket.created_at == ticket.updated_at <= system.now
    assert ticket.created_at.tzinfo is UTC


async def who_is_no_administrator_is_none(system: TicketSystem, domain: str) -> None:
    """Anybody may file; the rules judge."""
    filed = await system.file("C-1", "clerk", "S", "B")
    assert not (await system.tickets.read([filed]))[filed].administrator


async def reading_finds_what_there_is(system: TicketSystem, domain: str) -> None:
    """Tickets that do not exist (yet) are missing in the answer, whatever is asked for."""
    one = await system.file("acme", "acme-admin", "One", "B")
    two = await system.file("C-1", "carl", "Two", "B")
    found = await system.tickets.read([two, *NO_IDS, one, two])
    assert {key: ticket.subject for key, ticket in found.items()} == {one: "One", two: "Two"}
    assert await system.tickets.read([]) == {}
    assert await system.tickets.read(NO_IDS) == {}


async def a_closed_ticket_is_a_new_revision(system: TicketSystem, domain: str) -> None:
    """It says something else than an open one."""
    filed = await system.file("acme", "acme-admin", "S", "B")
    before = (await system.tickets.read([filed]))[filed]
    await system.close(filed)
    after = (await system.tickets.read([filed]))[filed]
    assert not after.open
    assert after.revision > before.revision
    assert after.body == before.body


async def the_same_reply_twice_is_one_reply_and_no_revision(
    system: TicketSystem, domain: str
) -> None:
    """A retried activity does not repeat itself to the filer, and is no word of the filer's."""
    filed = await system.file("acme", "acme-admin", "S", "B")
    before = await system.tickets.read([filed])
    for key, text in (("k1", "One"), ("k1", "One again"), ("k2", "Two, naïvely\0")):
        await system.tickets.reply(filed, key, text)
    one, two = await system.replies(filed)
    assert one.startswith("One")
    assert "again" not in one
    assert two.startswith("Two, naïvely")
    assert await system.tickets.read([filed]) == before


async def a_reply_opens_no_closed_ticket(system: TicketSystem, domain: str) -> None:
    """What we say must not make anything count that did not."""
    filed = await system.file("acme", "acme-admin", "S", "B")
    await system.close(filed)
    before = await system.tickets.read([filed])
    await system.tickets.reply(filed, "k", "It is closed.")
    assert await system.tickets.read([filed]) == before


async def there_is_no_reply_on_what_does_not_exist(system: TicketSystem, domain: str) -> None:
    """Whatever is named."""
    for ticket_id in NO_IDS:
        with pytest.raises(TicketNotFound):
            await system.tickets.reply(ticket_id, "k", "text")


async def tickets_about_a_domain_name_it_in_any_spelling(system: TicketSystem, domain: str) -> None:
    """As A-label or U-label, in subject or body, in any case."""
    a_label, u_label = f"xn--exmple-cua.{domain}", f"exämple.{domain}"
    since = system.now
    filed = [
        await system.file("C-1", "carl", subject, body)
        for subject, body in (
            ("S", f"We, {u_label}, authorize"),
            ("S", f"We, {u_label.upper()}, authorize"),
            ("S", a_label),
            (a_label.upper(), "B"),
            ("S", f"withdraw www.{u_label}!"),
        )
    ]
    found = await system.tickets.about(a_label, ["C-1"], since)
    assert [ticket.id for ticket in found] == filed[::-1]


async def tickets_about_a_domain_are_bounded_by_account_time_and_text(
    system: TicketSystem, domain: str
) -> None:
    """Newest first; open and closed ones; wildcards are plain letters."""
    wild = domain.replace(".", "x", 1)
    too_old = await system.file("C-1", "carl", "S", domain)
    await system.pass_by()
    since = system.now
    first = await system.file("C-1", "carl", "S", domain)
    await system.pass_by()
    second = await system.file("acme", "acme-admin", "S", f"about {domain}.")
    await system.close(second)
    await system.file("acme", "acme-admin", "S", wild)
    about = system.tickets.about
    found = await about(domain, ["C-1", "acme"], since)
    assert [ticket.id for ticket in found] == [second, first]
    assert not found[0].open
    assert [ticket.id for ticket in await about(domain, ["C-1"], since)] == [first]
    assert too_old not in {ticket.id for ticket in await about(domain, ["acme", "C-1"], since)}
    assert await about(domain, [], since) == ()
    assert await about(domain, ["nobody", "it's"], since) == ()
    assert await about(domain.replace(".", "_"), ["C-1", "acme"], since) == ()
    assert await about(domain.replace(".", "%"), ["C-1", "acme"], since) == ()


async def changed_tickets_are_found_in_the_order_of_their_ids(
    system: TicketSystem, domain: str
) -> None:
    """Filed, closed or replied to since then, each once, and none from before."""
    early = await system.file("acme", "acme-admin", "S", "B")
    closed = await system.file("acme", "acme-admin", "S", "B")
    await system.pass_by()
    since = system.now
    filed = [await system.file("C-1", "carl", "S", "B") for _ in range(3)]
    await system.close(closed)
    found = await _all_changed(system, since)
    assert [one.ticket_id for one in found] == [closed, *filed]
    assert all(since <= one.at <= system.now for one in found)
    assert early not in {one.ticket_id for one in found}
    behind = await system.tickets.changed(since, after=filed[1])
    assert [one.ticket_id for one in behind] == [filed[2]]
    assert await system.tickets.changed(since, after=filed[2]) == ()


async def _all_changed(system: TicketSystem, since: datetime) -> list[Changed]:
    found: list[Changed] = []
    while page := await system.tickets.changed(since, after=found[-1].ticket_id if found else ""):
        found += page
    return found


PROMISES: tuple[Promise, ...] = (
    a_ticket_is_read_with_who_filed_it_and_when,
    who_is_no_administrator_is_none,
    reading_finds_what_there_is,
    a_closed_ticket_is_a_new_revision,
    the_same_reply_twice_is_one_reply_and_no_revision,
    a_reply_opens_no_closed_ticket,
    there_is_no_reply_on_what_does_not_exist,
    tickets_about_a_domain_name_it_in_any_spelling,
    tickets_about_a_domain_are_bounded_by_account_time_and_text,
    changed_tickets_are_found_in_the_order_of_their_ids,
)
every_promise = pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.__name__)
