"""Request Tracker's adapter without one: settings, errors, bounds. ``tests/rt`` has a real one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from transfer.adapters.rt import RtClient, RtTickets, mapping
from transfer.adapters.rt.client import MAX_ANSWER
from transfer.adapters.rt.mapping import Filed, Mapping, Source, User
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.wiring import neighbours
from transfer.errors import InputInvalid, TicketNotFound, Unreachable
from transfer.settings import Settings
from transfer.tickets import Channel

AT = "2026-03-02T09:30:00Z"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
Handler = Callable[[httpx.Request], httpx.Response]


def user(name: str) -> dict[str, str]:
    """A user, as RT shows it."""
    return {"id": name, "Name": name, "EmailAddress": f"{name}@x.example", "RealName": name.title()}


@dataclass
class FakeRt:
    """As much of RT's answers as one ticket needs; anything of it may be replaced."""

    head: dict[str, Any] = field(
        default_factory=lambda: {
            "id": "7",
            "Subject": "S",
            "Status": "new",
            "Created": AT,
            "LastUpdated": AT,
            "Creator": user("ann"),
            "Requestor": [user("ann")],
            "CustomFields": [{"name": "Account", "values": ["C-1", 3]}, "nonsense"],
        }
    )
    history: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"id": "70", "Type": "Create", "Creator": user("ann"), "Created": AT}
        ]
    )
    parts: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {
                "id": "700",
                "ContentType": "text/plain",
                "Filename": "",
                "ContentLength": "7",
                "Headers": "Subject: S\nX-RT-Interface: Web\nContent-Length: 7",
            }
        ]
    )
    groups: Any = field(default_factory=lambda: ["account acme", "administrators of acme"])
    text: str = "of example.com"
    replies: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        path = request.url.path.removeprefix("/rt/REST/2.0/")
        query = request.url.params.get("query", "")
        if path == "tickets":
            asked = re.search(rf"\bid = {self.head['id']}\b", query) or " LIKE " in query
            behind = re.match(r"id > (\d+)", query)
            there = asked or (behind and int(behind[1]) < 7)
            return httpx.Response(200, json={"items": [self.head] if there else []})
        answers: dict[str, Any] = {
            "ticket/7/history": {"items": self.history},
            "transaction/70/attachments": {"items": self.parts},
            "attachment/700": {"Content": base64.b64encode(self.text.encode()).decode()},
            "transfer/memberships": {"groups": self.groups},
        }
        if path == "ticket/7/attachments":
            return httpx.Response(200, json={"items": self._with(request)})
        if path == "ticket/7/correspond":
            self.replies.append(json.loads(request.content))
            return httpx.Response(201, json=["Correspondence added"])
        if path not in answers:
            return httpx.Response(404, json={"message": "Not Found"})
        return httpx.Response(200, json=answers[path])

    def _with(self, request: httpx.Request) -> list[dict[str, Any]]:
        (wanted,) = json.loads(request.content)
        return [{"id": "1"} for one in self.replies if wanted["value"] in one["Content"]]


def adapter(rt: Handler, who: Mapping | None = None) -> RtTickets:
    """The adapter over what answers in RT's place."""
    client = RtClient("rt+https://rt.example/rt", "secret", transport=httpx.MockTransport(rt))
    return RtTickets(client, who or Mapping(), own=["transfer"], clock=lambda: NOW)


@pytest.fixture
def rt() -> FakeRt:
    """A Request Tracker that has ticket 7."""
    return FakeRt()


@pytest.fixture
async def tickets(rt: FakeRt) -> AsyncGenerator[RtTickets]:
    """The adapter over it."""
    found = adapter(rt)
    yield found
    await found.close()


async def test_a_ticket_is_put_together(tickets: RtTickets) -> None:
    """Of its head, its history, its parts and its author's groups."""
    ticket = (await tickets.read(["7", "8", "x", "9" * 12]))["7"]
    assert (ticket.account, ticket.administrator, ticket.delegated) == ("acme", True, False)
    assert (ticket.subject, ticket.body, ticket.channel) == ("S", "of example.com", Channel.PANEL)
    assert (ticket.created_at, ticket.updated_at, ticket.revision) == (NOW, NOW, 70)
    assert ticket.url == "https://rt.example/rt/Ticket/Display.html?id=7"
    assert await tickets.about("example.com", ["acme"], NOW) == (ticket,)
    assert await tickets.about("example.org", ["acme"], NOW) == ()
    (changed,) = await tickets.changed(NOW)
    assert (changed.ticket_id, changed.at) == ("7", NOW)
    assert await tickets.changed(NOW, after="7") == ()
    assert await tickets.changed(NOW.replace(day=3)) == ()
    await tickets.check()


async def test_a_reply_ends_in_its_reference_and_is_sent_once(
    tickets: RtTickets, rt: FakeRt
) -> None:
    """On a closed ticket, it stays closed."""
    await tickets.reply("7", "k", "Text\0\n")
    await tickets.reply("7", "k", "Text")
    (reply,) = rt.replies
    assert re.fullmatch(r"Text\ufffd\n\nReference: [0-9a-f]{24}\n", reply["Content"])
    assert "Status" not in reply
    rt.head["Status"] = "resolved"
    await tickets.reply("7", "k2", "Text")
    assert rt.replies[1]["Status"] == "resolved"
    with pytest.raises(TicketNotFound):
        await tickets.reply("8", "k", "Text")


@pytest.mark.parametrize(
    "headers", ["", "X-RT-Interface: Email", "X-RT-Interface: Web\nx-rt-interface: Web", "Web"]
)
async def test_what_is_not_known_to_be_of_the_panel_is_mail(
    tickets: RtTickets, rt: FakeRt, headers: str
) -> None:
    """Which proves nobody."""
    rt.parts[0]["Headers"] = headers
    assert (await tickets.read(["7"]))["7"].channel is Channel.MAIL


async def test_of_alternatives_the_plain_one_is_read(tickets: RtTickets, rt: FakeRt) -> None:
    """And without one, whatever there is, at most three parts."""
    whole = {"id": "699", "ContentType": "multipart/alternative", "Headers": ""}
    html = {"id": "701", "ContentType": "text/html", "Headers": ""}
    rt.parts = [whole, *rt.parts, html]
    assert (await tickets.read(["7"]))["7"].body == "of example.com"
    rt.parts = [{**rt.parts[1], "Headers": "X-RT-Interface: REST"}] * 5
    assert (await tickets.read(["7"]))["7"].body == "\n\n".join(["of example.com"] * 3)


async def test_what_is_huge_is_not_fetched(tickets: RtTickets, rt: FakeRt) -> None:
    """And said to be."""
    rt.parts[0]["ContentLength"] = "10000000"
    assert (await tickets.read(["7"]))["7"].body == "[a text of 10000000 bytes is not read]"


async def test_a_ticket_without_a_word_of_its_filer_is_nobodys(
    tickets: RtTickets, rt: FakeRt
) -> None:
    """As if it were a mail."""
    rt.history[0]["Creator"] = user("sam")
    ticket = (await tickets.read(["7"]))["7"]
    assert (ticket.body, ticket.channel) == ("", Channel.MAIL)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401), "TRANSFER_RT_TOKEN"),
        (httpx.Response(403), "rights"),
        (httpx.Response(500, text="ou\nch"), "answered 500 to tickets: ou ch"),
        (httpx.Response(302, headers={"Location": "/"}), "answered 302"),
        (httpx.Response(404), "answered 404"),
        (httpx.Response(200, text="<html>Log in"), "TRANSFER_TICKETS_URL"),
        (httpx.Response(200, json=[]), "TRANSFER_TICKETS_URL"),
        (httpx.Response(200, json={"items": 3}), "TRANSFER_TICKETS_URL"),
        (httpx.Response(200, content=b"x" * (MAX_ANSWER + 1)), "more than"),
        (httpx.Response(200, json={"items": [{"id": "7", "LastUpdated": "soon"}]}), "LastUpdated"),
    ],
)
async def test_what_no_request_tracker_says_is_unreachable(
    answer: httpx.Response, told: str
) -> None:
    """In one line that says what to do, and never the token."""
    tickets = adapter(lambda _: answer)
    with pytest.raises(Unreachable) as raised:
        await tickets.changed(NOW)
    assert told in str(raised.value)
    assert "secret" not in f"{raised.value}{tickets}"
    assert "\n" not in str(raised.value)
    await tickets.close()


async def test_a_missing_part_of_our_own_is_named(rt: FakeRt, tickets: RtTickets) -> None:
    """What an administrator of RT forgot to install."""
    rt.groups = None
    with pytest.raises(Unreachable, match="deploy/request-tracker"):
        await tickets.check()
    with pytest.raises(Unreachable, match="deploy/request-tracker"):
        await tickets.read(["7"])


async def test_a_reply_that_is_refused_is_tried_again(rt: FakeRt) -> None:
    """By whoever asked for it."""

    def refusing(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("correspond"):
            return httpx.Response(400, json={"message": "No"})
        return rt(request)

    tickets = adapter(refusing)
    with pytest.raises(Unreachable, match="answered 400"):
        await tickets.reply("7", "k", "Text")
    await tickets.close()


async def test_a_request_has_an_end(rt: FakeRt) -> None:
    """Though nobody answers."""

    def hanging(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late", request=request)

    tickets = adapter(hanging)
    with pytest.raises(Unreachable, match="did not answer within 20 s"):
        await tickets.read(["7"])
    await tickets.close()


# -- who is who ----------------------------------------------------------------------------------
ANN = User("ann", "Ann@X.example", "Ann Old", "Org")
BOB = User("bob", "", "", "")


def test_one_account_is_an_account_and_two_are_none() -> None:
    """Groups are compared as RT compares their names."""
    who = Mapping()
    filed = Filed(ANN, (ANN,), {})
    filer = who.filer(filed)
    assert who.standing(filed, filer, ["Account acme"]) == ("acme", False)
    assert who.standing(filed, filer, ["ADMINISTRATORS OF acme"]) == ("acme", True)
    both = ["account acme", "administrators of globex"]
    assert who.standing(filed, filer, both) == ("", False)
    assert who.standing(filed, filer, ["account ", "else", "accounts x"]) == ("", False)
    assert who.standing(filed, filer, [f"account {'x' * 300}"]) == ("", False)


def test_a_field_may_say_whose_administrator_files_it() -> None:
    """Where the panel alone writes it."""
    who = mapping("field: Account ", "field:Is Admin", "", "name", [])
    filed = Filed(ANN, (ANN,), {"account": (" C-1 ",), "is admin": ("No", "yes")})
    assert who.standing(filed, who.filer(filed), []) == ("C-1", True)
    assert who.query("C-1") == "CF.{Account} = 'C-1'"
    assert not who.needs_groups


def test_a_person_is_named_by_name_or_mail_address() -> None:
    """Who has none is nobody."""
    by_mail = Mapping(person="email")
    assert by_mail.author(ANN).id == "ann@x.example"
    assert by_mail.author(BOB).id == "(nobody)"
    assert Mapping().author(BOB).id == Mapping().author(BOB).name == "bob"


def test_who_is_not_among_the_requestors_is_a_delegate() -> None:
    """Nor is a panel that names nobody, or several."""
    assert Mapping().filer(Filed(ANN, (BOB,), {})).delegated
    assert not Mapping().filer(Filed(ANN, (), {})).delegated
    assert not Mapping().filer(Filed(ANN, (BOB, ANN), {})).delegated
    panel = Mapping(panels=frozenset({"bob"}))
    assert panel.filer(Filed(BOB, (ANN,), {})).user == ANN
    assert panel.filer(Filed(BOB, (), {})).delegated
    assert panel.filer(Filed(BOB, (ANN, BOB), {})).delegated


def test_what_is_asked_for_is_quoted() -> None:
    """An account's id is no part of the query."""
    assert Mapping().query("a' OR id > '0").count("\\'") == 4
    assert Mapping(account=Source("organization")).query("x\\") == (
        "Requestor.Organization = 'x\\\\'"
    )


# -- the settings --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"tickets_url": "http://rt.example"}, "TRANSFER_TICKETS_URL"),
        ({"tickets_url": "rt+https://"}, "TRANSFER_TICKETS_URL"),
        ({"tickets_url": "rt+https://a:b@rt.example"}, "TRANSFER_TICKETS_URL"),
        ({"tickets_url": "rt+https://rt.example:port"}, "TRANSFER_TICKETS_URL"),
        ({"rt_token": None}, "TRANSFER_RT_TOKEN"),
        ({"rt_token": " "}, "TRANSFER_RT_TOKEN"),
        ({"own_authors": ()}, "TRANSFER_OWN_AUTHORS"),
        ({"rt_account": "group:account"}, "TRANSFER_RT_ACCOUNT"),
        ({"rt_account": "group:*"}, "TRANSFER_RT_ACCOUNT"),
        ({"rt_account": "all"}, "TRANSFER_RT_ACCOUNT"),
        ({"rt_account": "field:It's"}, "TRANSFER_RT_ACCOUNT"),
        ({"rt_administrators": "organization"}, "TRANSFER_RT_ADMINISTRATORS"),
        ({"rt_delegated": "Delegated"}, "TRANSFER_RT_DELEGATED"),
    ],
)
async def test_a_setting_that_cannot_be_read_is_named(values: dict[str, Any], told: str) -> None:
    """Before anything is connected."""
    with pytest.raises(InputInvalid, match=told):
        async with neighbours(_settings(**values)):
            pytest.fail("opened")


async def test_with_a_request_tracker_there_is_no_desk() -> None:
    """And a command of the desk says so."""
    async with neighbours(_settings()) as near:
        assert isinstance(near.tickets, RtTickets)
        with pytest.raises(InputInvalid, match="database:"):
            _ = near.desk
    async with neighbours(_settings(tickets_url="database:")) as near:
        assert isinstance(near.desk, SqlDesk)


def _settings(**values: object) -> Settings:
    given = {"tickets_url": "rt+https://rt.example", "rt_token": "t", "own_authors": ("us",)}
    return Settings.model_validate({**given, **values})
