"""What a real Request Tracker does, and what the adapter makes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
import pytest

from tests.rt.instance import OURS, PANEL, PASSWORD, STAFF, RequestTracker, Via
from transfer.adapters.rt import RtClient, RtTickets, mapping
from transfer.adapters.rt import tickets as rt_tickets
from transfer.adapters.rt.mapping import Mapping
from transfer.adapters.rt.tickets import CUT, MAX_TEXT_BYTES, MAX_TEXTS
from transfer.errors import Unreachable
from transfer.reading import read
from transfer.tickets import MAX_BODY, MAX_SUBJECT, Channel, Intent, Ticket

YES = "We, example.com, authorize the transfer of our account from Acme to Globex.\nThank you"
NO = "We withdraw our authorization to transfer example.com from Acme to Globex."
_numbers = count(1)


def somebody(tracker: RequestTracker, *, administrator: bool = True) -> tuple[str, str]:
    """A new person and the account of it."""
    number = next(_numbers)
    account = f"R-{number}"
    tracker.add_person(f"person{number}", account, administrator=administrator)
    return f"person{number}", account


@asynccontextmanager
async def adapter(
    tracker: RequestTracker, who: Mapping | None = None, *, patience: float = 20
) -> AsyncGenerator[RtTickets]:
    """An adapter that is set up in another way."""
    opened = RtTickets(
        RtClient(f"rt+{tracker.url}", tracker.token, timeout=patience), who or Mapping(), own=[OURS]
    )
    yield opened
    await opened.close()


async def one(tickets: RtTickets, ticket_id: str) -> Ticket:
    """Read one ticket that is there."""
    return (await tickets.read([ticket_id]))[ticket_id]


# -- the channel ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("via", "channel"),
    [("web", Channel.PANEL), ("rest", Channel.PANEL), ("mail", Channel.MAIL)],
)
async def test_how_a_ticket_was_filed_is_what_request_tracker_noted(
    tickets: RtTickets, request_tracker: RequestTracker, via: Via, channel: Channel
) -> None:
    """Web and REST know who logged in; a mail proves nobody."""
    person, account = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES, via=via)
    ticket = await one(tickets, filed)
    assert (ticket.channel, ticket.account, ticket.author.id) == (channel, account, person)


async def test_a_mail_that_claims_to_be_of_the_web_stays_a_mail(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Request Tracker overwrites what a mail says of itself."""
    person, _ = somebody(request_tracker)
    address = f"{person}@people.example"
    before = await tickets.changed(datetime.now(UTC) - timedelta(hours=1))
    request_tracker.mail(address, "Forged", YES, X_RT_Interface="Web")
    after = await tickets.changed(datetime.now(UTC) - timedelta(hours=1))
    (filed,) = {c.ticket_id for c in after} - {c.ticket_id for c in before}
    ticket = await one(tickets, filed)
    assert (ticket.author.id, ticket.channel) == (person, Channel.MAIL)


# -- the conversation ----------------------------------------------------------------------------
async def test_what_its_filer_says_last_is_what_a_ticket_says(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """A yes, and then a no on the same ticket: it is a no."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "Authorize transfer of account", YES)
    first = await one(tickets, filed)
    assert (claim := read(first)) is not None
    assert claim.intent is Intent.AUTHORIZE
    request_tracker.reply_as(person, filed, NO, via="web")
    second = await one(tickets, filed)
    assert (claim := read(second)) is not None
    assert claim.intent is Intent.WITHDRAW
    assert (second.updated_at, second.revision) > (first.updated_at, first.revision)
    assert second.created_at == first.created_at


async def test_nobody_elses_words_and_no_courtesy_change_a_ticket(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Staff, comments, our own replies, thanks: not even its revision."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)
    before = await one(tickets, filed)
    request_tracker.reply_as(STAFF, filed, NO)
    request_tracker.comment(filed, NO)
    await tickets.reply(filed, "k", "It came in.")
    request_tracker.reply_as(person, filed, "Thanks!", via="web")
    request_tracker.reply_as(person, filed, "Thank you very much.", via="mail")
    assert await one(tickets, filed) == before


async def test_a_forged_reply_by_mail_makes_it_a_ticket_by_mail(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """It may stop something, and never authorizes anything."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", "A question about example.com")
    request_tracker.reply_as(person, filed, YES, via="mail")
    ticket = await one(tickets, filed)
    assert (ticket.channel, ticket.body.strip()) == (Channel.MAIL, YES)
    request_tracker.reply_as(person, filed, YES, via="web")
    assert (await one(tickets, filed)).channel is Channel.PANEL


async def test_a_new_subject_counts_if_it_is_of_the_filer(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """It is read with the text."""
    filed = request_tracker.file(STAFF, "S", YES, via="rest")
    before = await one(tickets, filed)
    request_tracker.change(filed, by="root", Subject="Of somebody else")
    assert (await one(tickets, filed)).revision == before.revision
    await asyncio.sleep(1)
    request_tracker.change(filed, by=STAFF, Subject="Of mine")
    after = await one(tickets, filed)
    assert after.subject == "Of mine"
    assert (after.updated_at, after.revision) > (before.updated_at, before.revision)


async def test_a_closed_ticket_stays_closed_until_its_filer_says_it_again(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Request Tracker opens it at any reply, even at thanks by mail from whoever forges them."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)
    before = await one(tickets, filed)
    request_tracker.resolve(filed)
    closed = await one(tickets, filed)
    assert (closed.open, closed.body, closed.updated_at) == (False, YES, before.updated_at)
    assert closed.revision > before.revision
    request_tracker.reply_as(person, filed, "Thank you!", via="mail")
    assert request_tracker.status(filed) == "open"
    assert await one(tickets, filed) == closed
    request_tracker.reply_as(person, filed, YES, via="web")
    again = await one(tickets, filed)
    assert again.open
    assert again.revision > closed.revision


async def test_a_reply_of_staff_opens_a_new_ticket_and_changes_nothing(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """New or open: it is not closed."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)
    before = await one(tickets, filed)
    request_tracker.reply_as(STAFF, filed, "We look at it.")
    assert request_tracker.status(filed) == "open"
    assert await one(tickets, filed) == before


async def test_of_many_courtesies_the_newest_are_read_and_what_was_before_is_not_guessed(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Nothing that counts is made of what was not read."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)
    for _ in range(MAX_TEXTS):
        request_tracker.reply_as(person, filed, "Thanks!")
    ticket = await one(tickets, filed)
    assert ticket.body == "Thanks!"
    assert read(ticket) is None


async def test_a_long_conversation_is_read_from_its_end(
    tickets: RtTickets, request_tracker: RequestTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More transactions than a page holds, and then more than are read at all."""
    monkeypatch.setattr(rt_tickets, "PAGE", 5)
    monkeypatch.setattr(rt_tickets, "MAX_TRANSACTIONS", 10)
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)

    def staff_write() -> None:
        for number in range(6):
            request_tracker.reply_as(STAFF, filed, f"We look at it, {number}.")

    staff_write()
    assert (await one(tickets, filed)).body == YES
    request_tracker.reply_as(person, filed, "Thanks!")
    assert (await one(tickets, filed)).body == YES
    staff_write()
    assert (await one(tickets, filed)).body == "Thanks!"
    staff_write()
    unread = await one(tickets, filed)
    assert (unread.body, unread.channel) == ("", Channel.MAIL)


# -- texts ---------------------------------------------------------------------------------------
async def test_html_is_read_as_it_is_shown(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """As Request Tracker's own editor sends it."""
    person, _ = somebody(request_tracker)
    shown = YES.replace("\n", "<br />")
    filed = request_tracker.file(person, "S", f"<p>{shown}</p>", html=True)
    claim = read(await one(tickets, filed))
    assert claim is not None
    assert claim.intent is Intent.AUTHORIZE
    hidden = f"<p>{YES}</p><p style='display:none'>not</p>"
    filed = request_tracker.file(person, "S", hidden, html=True, via="rest")
    assert read(await one(tickets, filed)) is None


async def test_a_text_without_any_tag_is_html_still_where_it_is_said_to_be(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """What is shown counts: ``&#99;om`` is ``com``."""
    person, _ = somebody(request_tracker)
    body = YES.replace("example.com", "example.&#99;om")
    filed = request_tracker.file(person, "S", body, html=True, via="rest")
    claim = read(await one(tickets, filed))
    assert claim is not None
    assert claim.domain == "example.com"


async def test_files_that_come_with_a_ticket_are_not_its_text(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Neither another text nor a picture."""
    person, _ = somebody(request_tracker)
    files = [
        {"FileName": name, "FileType": kind, "FileContent": "bm8="}
        for name, kind in (("no.txt", "text/plain"), ("no.png", "image/png"))
    ]
    filed = request_tracker.file(person, "S", YES, via="rest", Attachments=files)
    ticket = await one(tickets, filed)
    assert (ticket.body, ticket.channel) == (YES, Channel.PANEL)


async def test_a_text_that_is_too_long_is_cut_and_no_yes(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """What was cut off could take back the rest; what is huge is not even fetched."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S" * 200, YES + "\n" * MAX_BODY, via="rest")
    ticket = await one(tickets, filed)
    assert len(ticket.body) == MAX_BODY
    assert ticket.body.endswith(CUT)
    assert len(ticket.subject) <= MAX_SUBJECT
    assert read(ticket) is None
    filed = request_tracker.file(person, "S", "x" * (MAX_TEXT_BYTES + 1), via="rest")
    assert "is not read" in (await one(tickets, filed)).body


async def test_letters_of_the_whole_world_arrive_as_they_were_written(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """In web, REST and mail."""
    person, _ = somebody(request_tracker)
    ways: tuple[Via, ...] = ("web", "rest", "mail")
    for via in ways:
        filed = request_tracker.file(person, "Ä – 漢字", "Grüße, 漢字 😊", via=via)
        ticket = await one(tickets, filed)
        assert (ticket.subject, ticket.body.strip()) == ("Ä – 漢字", "Grüße, 漢字 😊")


# -- who is who ----------------------------------------------------------------------------------
async def test_who_is_in_an_accounts_group_alone_is_no_administrator(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Administrators are in another one."""
    clerk, account = somebody(request_tracker, administrator=False)
    ticket = await one(tickets, request_tracker.file(clerk, "S", YES))
    assert (ticket.account, ticket.administrator) == (account, False)


async def test_who_is_in_no_account_or_in_several_has_none(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Then the ticket is nobody's, and authorizes nothing."""
    person, account = somebody(request_tracker)
    request_tracker.join(person, "account of-somebody-else")
    filed = request_tracker.file(person, "S", YES)
    ticket = await one(tickets, filed)
    assert (ticket.account, ticket.administrator) == ("", False)
    request_tracker.leave(person, "account of-somebody-else")
    ticket = await one(tickets, filed)
    assert (ticket.account, ticket.administrator) == (account, True)
    request_tracker.leave(person, f"account {account}")
    assert (await one(tickets, filed)).account == account  # its administrators are of it, too
    request_tracker.leave(person, f"administrators of {account}")
    assert (await one(tickets, filed)).account == ""


async def test_groups_are_told_to_nobody_without_the_right(
    request_tracker: RequestTracker,
) -> None:
    """Who may not see groups learns of nobody's, nor of its own; a stranger is asked who it is."""
    person, _ = somebody(request_tracker)
    url = f"{request_tracker.url}REST/2.0/transfer/memberships"
    async with httpx.AsyncClient(timeout=20) as client:
        assert (await client.get(url)).status_code == 401
        answer = await client.get(url, params={"user": person}, auth=(person, PASSWORD))
        assert answer.status_code == 403
        token = {"Authorization": f"token {request_tracker.token}"}
        for nobody in ("", "no such user", "1", "Ünknown/../x"):
            answer = await client.get(url, params={"user": nobody}, headers=token)
            assert answer.json()["groups"] == []


async def test_authority_is_what_it_is_now(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Who was removed cannot be spoken for by an old ticket."""
    person, account = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)
    assert (await one(tickets, filed)).administrator
    request_tracker.leave(person, f"administrators of {account}")
    assert not (await one(tickets, filed)).administrator


async def test_who_files_for_somebody_else_is_a_delegate(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Its author is who filed it."""
    person, _ = somebody(request_tracker)
    other, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES, via="rest", Requestor=f"{other}@people.example")
    ticket = await one(tickets, filed)
    assert (ticket.author.id, ticket.delegated) == (person, True)
    alone = request_tracker.file(person, "S", YES, via="rest", Requestor=f"{person}@people.example")
    assert not (await one(tickets, alone)).delegated


async def test_a_panel_files_for_its_users_and_marks_delegates(
    request_tracker: RequestTracker,
) -> None:
    """The account and the mark are in custom fields, which the panel alone may write."""
    person, _ = somebody(request_tracker)
    who = mapping("field:Account", "all", "field:Delegated", "name", [PANEL])

    def file(**fields: str) -> str:
        address = f"{person}@people.example"
        return request_tracker.file(
            PANEL, "S", YES, via="rest", Requestor=address, CustomFields=fields
        )

    async with adapter(request_tracker, who) as tickets:
        filed = file(Account="C-77")
        ticket = await one(tickets, filed)
        assert (ticket.author.id, ticket.account) == (person, "C-77")
        assert (ticket.administrator, ticket.delegated) == (True, False)
        request_tracker.reply_as(person, filed, NO, via="web")
        assert (await one(tickets, filed)).body == NO
        assert (await one(tickets, file(Account="C-77", Delegated="yes"))).delegated
        assert not (await one(tickets, file(Account="C-77", Delegated="0"))).delegated
        assert (await one(tickets, file())).account == ""
        by_itself = request_tracker.file(PANEL, "S", YES, via="rest")
        ticket = await one(tickets, by_itself)
        assert (ticket.author.id, ticket.delegated) == (PANEL, True)
        since = ticket.created_at - timedelta(hours=1)
        found = await tickets.about("example.com", ["C-77"], since)
        assert len(found) == 3
        assert filed in {one.id for one in found}


async def test_an_account_may_be_the_users_organization(request_tracker: RequestTracker) -> None:
    """With mail addresses for ids, in small letters."""
    person, _ = somebody(request_tracker)
    request_tracker.change_user(
        person, Organization="Org-1", EmailAddress=f"{person.title()}@Org.example"
    )
    who = mapping("organization", "group:administrators of *", "", "email", [])
    async with adapter(request_tracker, who) as tickets:
        filed = request_tracker.file(
            person, "S", YES, via="rest", Requestor=f"{person}@org.example"
        )
        ticket = await one(tickets, filed)
        assert (ticket.account, ticket.author.id) == ("Org-1", f"{person}@org.example")
        assert not ticket.administrator
        request_tracker.join(person, "administrators of Org-1")
        assert (await one(tickets, filed)).administrator
        found = await tickets.about(
            "example.com", ["Org-1"], ticket.created_at - timedelta(hours=1)
        )
        assert [t.id for t in found] == [filed]


# -- what is not there ---------------------------------------------------------------------------
async def test_deleted_and_merged_tickets_are_not_there(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """A merged one is a part of another one now."""
    person, _ = somebody(request_tracker)
    deleted, merged, into = (request_tracker.file(person, "S", YES, via="rest") for _ in range(3))
    request_tracker.change(deleted, Status="deleted")
    request_tracker.merge(merged, into)
    assert set(await tickets.read([deleted, merged, into])) == {into}


async def test_a_ticket_of_a_stranger_is_read_and_nobodys(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Request Tracker makes a user of whoever writes to it."""
    since = datetime.now(UTC)
    request_tracker.mail("stranger@else.example", "Hello", "Hello")
    newest = (await tickets.changed(since))[-1]
    ticket = await one(tickets, newest.ticket_id)
    assert (ticket.account, ticket.author.email) == ("", "stranger@else.example")


# -- when it is away -----------------------------------------------------------------------------
async def test_a_wrong_token_is_told_from_a_tracker_that_is_away(
    request_tracker: RequestTracker,
) -> None:
    """In one line that says what to do, without the token."""
    client = RtClient(f"rt+{request_tracker.url}", "1-2-wrong")
    tickets = RtTickets(client, Mapping())
    with pytest.raises(Unreachable, match="TRANSFER_RT_TOKEN") as raised:
        await tickets.read(["1"])
    assert "wrong" not in str(raised.value)
    with pytest.raises(Unreachable, match="TRANSFER_RT_TOKEN"):
        await tickets.check()
    await tickets.close()


async def test_nobody_at_its_address_is_unreachable(request_tracker: RequestTracker) -> None:
    """And names the address."""
    tickets = RtTickets(RtClient("rt+http://127.0.0.1:1/", "t"), Mapping())
    for asked in (
        tickets.read(["1"]),
        tickets.about("example.com", ["acme"], datetime.now(UTC)),
        tickets.changed(datetime.now(UTC)),
        tickets.reply("1", "k", "text"),
    ):
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1/ cannot be reached"):
            await asked
    await tickets.close()


async def test_a_tracker_that_hangs_is_unreachable_in_time_and_fine_afterwards(
    request_tracker: RequestTracker,
) -> None:
    """All of its workers stopped, and going on."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)
    async with adapter(request_tracker, patience=1.5) as tickets:
        before = await one(tickets, filed)
        request_tracker.stop()
        try:
            began = time.monotonic()
            with pytest.raises(Unreachable, match=r"did not answer within 1\.5 s"):
                await tickets.read([filed])
            assert time.monotonic() - began < 3
        finally:
            request_tracker.cont()
        assert await one(tickets, filed) == before


class _Deaf(httpx.AsyncHTTPTransport):
    """Hands on what is sent, and hears nothing of what became of a reply."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Lose the answer to a reply."""
        response = await super().handle_async_request(request)
        if request.url.path.endswith("/correspond"):
            await response.aread()
            raise httpx.ReadTimeout("lost", request=request)
        return response


async def test_a_reply_whose_answer_was_lost_is_not_sent_again(
    tickets: RtTickets, request_tracker: RequestTracker
) -> None:
    """Request Tracker wrote it down, and then nobody heard of that."""
    person, _ = somebody(request_tracker)
    filed = request_tracker.file(person, "S", YES)
    url, token = f"rt+{request_tracker.url}", request_tracker.token
    deaf = RtTickets(RtClient(url, token, transport=_Deaf()), Mapping())
    with pytest.raises(Unreachable, match="did not answer"):
        await deaf.reply(filed, "k", "Once")
    await deaf.reply(filed, "k", "Once")
    await tickets.reply(filed, "k", "Once")
    assert len(request_tracker.replies(filed)) == 1
    await deaf.close()


async def test_a_ticket_costs_few_requests(request_tracker: RequestTracker) -> None:
    """Heads together; then the groups of its author, its history, its parts and its text."""
    person, _ = somebody(request_tracker)
    filed = [request_tracker.file(person, "S", YES, via="rest") for _ in range(3)]
    counting = _Counting()
    url, token = f"rt+{request_tracker.url}", request_tracker.token
    tickets = RtTickets(RtClient(url, token, transport=counting), Mapping())
    await tickets.read(filed[:1])
    assert counting.requests == 5
    await tickets.read(filed)
    assert counting.requests - 5 == 1 + 1 + 3 * 3
    before = counting.requests
    await tickets.changed(datetime.now(UTC))
    assert counting.requests - before <= 2
    await tickets.close()


class _Counting(httpx.AsyncHTTPTransport):
    """Counts requests."""

    requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Count one more."""
        self.requests += 1
        return await super().handle_async_request(request)


async def test_the_check_says_that_all_is_well(tickets: RtTickets) -> None:
    """With what the mapping needs."""
    await tickets.check()
    assert "127.0.0.1" in str(tickets)
