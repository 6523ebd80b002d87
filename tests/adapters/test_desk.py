"""The built-in desk: on every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.adapters.stores import NOW, Stores
from transfer.adapters.desk import MAX_FOUND
from transfer.errors import InputInvalid, TicketNotFound, UnknownAccount
from transfer.parties import Person
from transfer.tickets import MAX_BODY, MAX_SUBJECT, Channel


async def test_a_ticket_is_filed_with_what_is_on_record_about_its_author(stores: Stores) -> None:
    """Name, address and authority come from the accounts, not from the filer."""
    filed = await stores.desk.file("acme", "acme-admin", "Transfer Customer", "Body\nof it")
    assert filed.id == "1001"
    assert filed.author == Person(id="acme-admin", name="Ann", email="ann@acme.example")
    assert (filed.account, filed.subject, filed.body) == (
        "acme",
        "Transfer Customer",
        "Body\nof it",
    )
    assert filed.administrator
    assert filed.open
    assert not filed.delegated
    assert filed.channel is Channel.PANEL
    assert filed.created_at == filed.updated_at == NOW
    assert filed.revision == 1
    assert await stores.desk.read([filed.id]) == {filed.id: filed}
    assert await stores.desk.show(filed.id) == filed


async def test_a_stranger_may_file_and_is_no_administrator(stores: Stores) -> None:
    """The rules judge; the desk only notes."""
    filed = await stores.desk.file(
        "C-1", " mallory ", "S", "B", channel=Channel.MAIL, delegated=True
    )
    assert filed.author == Person(id="mallory")
    assert not filed.administrator
    assert filed.delegated
    assert filed.channel is Channel.MAIL


async def test_an_administrator_of_one_account_is_none_of_another(stores: Stores) -> None:
    """Authority is by account."""
    assert not (await stores.desk.file("globex", "acme-admin", "S", "B")).administrator


async def test_authority_is_noted_as_it_is_at_filing(stores: Stores) -> None:
    """Ids count up, and each ticket keeps what was on record when it was filed."""
    filed = [await stores.desk.file("acme", who, "S", "B") for who in ("acme-admin", "ann")]
    assert [(one.id, one.administrator) for one in filed] == [("1001", True), ("1002", False)]


@pytest.mark.parametrize("account", ["nobody", "", "Acme Hosting", "example.com", "staff"])
async def test_a_ticket_needs_an_account_that_exists(stores: Stores, account: str) -> None:
    """Only an id of a reseller or customer will do."""
    with pytest.raises(UnknownAccount):
        await stores.desk.file(account, "ann", "S", "B")


@pytest.mark.parametrize(
    ("by", "subject", "body"),
    [
        ("", "S", "B"),
        ("a" * 201, "S", "B"),
        ("ann", "S" * (MAX_SUBJECT + 1), "B"),
        ("ann", "S", "B" * (MAX_BODY + 1)),
    ],
)
async def test_what_a_ticket_cannot_hold_is_refused_rather_than_cut(
    stores: Stores, by: str, subject: str, body: str
) -> None:
    """What is cut off could have taken back the rest."""
    with pytest.raises(InputInvalid):
        await stores.desk.file("acme", by, subject, body)
    assert await stores.desk.list_tickets() == ()


async def test_an_edit_is_a_new_revision(stores: Stores) -> None:
    """Who reads the ticket back sees that it was changed, and when."""
    filed = await stores.desk.file("acme", "acme-admin", "S", "B")
    later = stores.clock.pass_by(timedelta(minutes=5))
    edited = await stores.desk.edit(filed.id, body="about example.com")
    assert edited == filed.model_copy(
        update={"body": "about example.com", "revision": 2, "updated_at": later}
    )
    assert await stores.desk.about("example.com", ["acme"], NOW) == (edited,)
    assert (await stores.desk.edit(filed.id, subject="T")).revision == 3
    with pytest.raises(InputInvalid):
        await stores.desk.edit(filed.id, body="B" * (MAX_BODY + 1))


async def test_a_clock_set_back_makes_no_ticket_older(stores: Stores) -> None:
    """The order of revisions is the order of their times."""
    filed = await stores.desk.file("acme", "acme-admin", "S", "B")
    stores.clock.pass_by(timedelta(hours=-1))
    assert (await stores.desk.edit(filed.id, body="C")).updated_at == filed.updated_at


async def test_closing_and_reopening_are_revisions_too_and_once_is_enough(stores: Stores) -> None:
    """A closed ticket says something else than an open one."""
    filed = await stores.desk.file("acme", "acme-admin", "S", "B")
    later = stores.clock.pass_by(timedelta(minutes=1))
    closed = await stores.desk.close(filed.id)
    assert (closed.open, closed.revision, closed.updated_at) == (False, 2, later)
    stores.clock.pass_by(timedelta(minutes=1))
    assert await stores.desk.close(filed.id) == closed
    reopened = await stores.desk.reopen(filed.id)
    assert (reopened.open, reopened.revision, reopened.updated_at) == (True, 3, stores.clock.now)


async def test_the_same_reply_twice_is_one_reply_and_no_revision(stores: Stores) -> None:
    """A retried activity does not repeat itself to the filer."""
    filed = await stores.desk.file("acme", "acme-admin", "S", "B")
    later = stores.clock.pass_by(timedelta(minutes=1))
    for key, text in (("k1", "One"), ("k1", "One again"), ("k2", "Two\0")):
        await stores.desk.reply(filed.id, key, text)
    one, two = await stores.desk.replies(filed.id)
    assert (one.key, one.text, one.at) == ("k1", "One", later)
    assert two.key == "k2"
    assert await stores.desk.show(filed.id) == filed


async def test_one_reply_from_two_workers_is_one_reply(stores: Stores) -> None:
    """The key decides, not who was first."""
    filed = await stores.desk.file("acme", "acme-admin", "S", "B")
    workers = stores, stores.another()
    await asyncio.gather(*(w.desk.reply(filed.id, "k1", "One") for w in workers))
    assert len(await stores.desk.replies(filed.id)) == 1


@pytest.mark.parametrize(
    "ticket_id", ["1001", "", "01001", "x", "²", "-1", "9" * 30, "1001\0", "٣", "1e3"]
)
async def test_a_ticket_that_does_not_exist_is_missing_or_not_found(
    stores: Stores, ticket_id: str
) -> None:
    """Whatever a doorbell names, it is looked up, and at worst not there."""
    assert await stores.desk.read([ticket_id]) == {}
    with pytest.raises(TicketNotFound):
        await stores.desk.reply(ticket_id, "k", "text")
    with pytest.raises(TicketNotFound):
        await stores.desk.edit(ticket_id, body="B")
    with pytest.raises(TicketNotFound):
        await stores.desk.close(ticket_id)
    with pytest.raises(TicketNotFound):
        await stores.desk.show(ticket_id)
    with pytest.raises(TicketNotFound):
        await stores.desk.replies(ticket_id)


async def test_reading_finds_what_there_is(stores: Stores) -> None:
    """Tickets that do not exist (yet) are missing in the answer, the others are there."""
    filed = await stores.desk.file("acme", "acme-admin", "S", "B")
    assert await stores.desk.read(["7", filed.id, "1002", filed.id]) == {filed.id: filed}
    assert await stores.desk.read([]) == {}


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("", "We, exämple.example, authorize"),
        ("", "We, EXÄMPLE.Example, authorize"),
        ("", "xn--exmple-cua.example"),
        ("XN--EXMPLE-CUA.EXAMPLE", ""),
        ("", "withdraw www.exämple.example!"),
    ],
)
async def test_tickets_about_a_domain_name_it_as_a_label_or_u_label(
    stores: Stores, subject: str, body: str
) -> None:
    """In subject or body, in any case."""
    filed = await stores.desk.file("C-1", "carl", subject, body)
    assert await stores.desk.about("xn--exmple-cua.example", ["C-1"], NOW) == (filed,)


async def test_tickets_about_a_domain_are_bounded_by_account_time_and_text(stores: Stores) -> None:
    """Newest first; open and closed ones; wildcards are plain letters."""
    too_old = await stores.desk.file("C-1", "carl", "S", "example.com")
    since = stores.clock.pass_by(timedelta(seconds=1))
    first = await stores.desk.file("C-1", "carl", "S", "example.com")
    stores.clock.pass_by(timedelta(seconds=1))
    second = await stores.desk.file("acme", "ann", "S", "about example.com.")
    second = await stores.desk.close(second.id)
    await stores.desk.file("acme", "ann", "S", "examplexcom")
    await stores.desk.file("globex", "gus", "S", "example.com")
    about = stores.desk.about
    assert await about("example.com", ["C-1", "acme"], since) == (second, first)
    assert too_old in await about("example.com", ["C-1"], NOW)
    assert await about("example.com", [], since) == ()
    assert await about("exam%.com", ["C-1", "acme"], NOW) == ()
    assert await about("example_com", ["C-1", "acme"], NOW) == ()


async def test_at_most_a_hundred_tickets_about_a_domain_are_found(stores: Stores) -> None:
    """The newest ones: a flood of tickets does not grow the answer."""
    filed = [await stores.desk.file("C-1", "carl", "S", "example.com") for _ in range(102)]
    found = await stores.desk.about("example.com", ["C-1"], NOW)
    assert found == tuple(reversed(filed[2:]))


async def test_the_list_shows_the_newest_tickets_of_an_account_or_of_all(stores: Stores) -> None:
    """For people: newest first."""
    ann = await stores.desk.file("acme", "ann", "S", "B")
    carl = await stores.desk.file("C-1", "carl", "S", "B")
    assert await stores.desk.list_tickets() == (carl, ann)
    assert await stores.desk.list_tickets("acme") == (ann,)
    assert await stores.desk.list_tickets("nobody") == ()


async def test_text_that_no_database_can_hold_is_no_obstacle(stores: Stores) -> None:
    """NUL bytes and half characters from strangers wedge nothing."""
    filed = await stores.desk.file("C-1", "c\ud800", "S\0", "example.com \ud83d \0")
    assert len(await stores.desk.about("example.com", ["C-1"], NOW)) == 1
    assert len((await stores.desk.show(filed.id)).body) == len("example.com ? ?")


async def test_changed_tickets_are_found_page_by_page(stores: Stores) -> None:
    """In the order of their ids, each once, from the given instant on."""
    early = await stores.desk.file("acme", "acme-admin", "S", "B")
    edited = await stores.desk.file("acme", "acme-admin", "S", "B")
    stores.clock.now += timedelta(minutes=1)
    since = stores.clock.now
    filed = [await stores.desk.file("C-1", "carl", "S", "B") for _ in range(MAX_FOUND)]
    stores.clock.now += timedelta(minutes=1)
    await stores.desk.edit(edited.id, body="Else")
    first = await stores.desk.changed(since)
    assert (first[0].ticket_id, first[0].at) == (edited.id, stores.clock.now)
    second = await stores.desk.changed(since, after=first[-1].ticket_id)
    assert [one.ticket_id for one in (*first[1:], *second)] == [one.id for one in filed]
    assert await stores.desk.changed(since, after=second[-1].ticket_id) == ()
    assert early.id not in {one.ticket_id for one in first}
