"""The staff queue in Request Tracker, without one. ``tests/rt`` has a real one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from transfer.adapters.memory import MemoryAccounts, MemoryDesk, MemoryStaffQueue
from transfer.adapters.rt import RtClient, RtStaffQueue, RtTickets
from transfer.adapters.rt import staff_queue as rt_staff_queue
from transfer.adapters.rt.mapping import Mapping
from transfer.adapters.rt.staff_queue import mark_of
from transfer.adapters.sql.staff_queue import SqlStaffQueue
from transfer.adapters.wiring import neighbours
from transfer.errors import Unreachable
from transfer.messages import EscalationState, EscalationUpdate
from transfer.settings import Settings

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
OPENED = EscalationUpdate(
    key="k1",
    transfer_id="transfer-example.com",
    state=EscalationState.OPEN,
    level=1,
    why="NO_RESPONSE",
    detail="Acme is silent.",
    opened_at=NOW,
    at=NOW,
)
CLOSED = OPENED.model_copy(update={"state": EscalationState.CLOSED, "at": NOW.replace(hour=11)})


@dataclass
class FakeRt:
    """As much of RT as tickets of the staff queue need. ``answers`` replaces one, by its path."""

    tickets: list[dict[str, Any]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[tuple[str, str], httpx.Response] = field(default_factory=dict)

    def file(self, subject: str, creator: str = "transfer") -> str:
        """Have a ticket."""
        number = str(len(self.tickets) + 1)
        made_by = {"id": creator, "Name": creator}
        self.tickets.append({"id": number, "Subject": subject, "Status": "new", "Creator": made_by})
        return number

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        path = request.url.path.removeprefix("/REST/2.0/")
        if (prepared := self.answers.get((request.method, path))) is not None:
            return prepared
        said: Any = json.loads(request.content) if request.content else {}
        if path == "tickets":
            return self._found(request.url.params["query"])
        if path == "ticket":
            number = self.file(said["Subject"])
            self.texts.append((number, said["Content"]))
            return httpx.Response(201, json={"id": number})
        _, number, *verb = path.split("/")
        ticket = self.tickets[int(number) - 1]
        if verb == ["attachments"]:
            wanted = said[0]["value"]
            there = [text for of, text in self.texts if of == number and wanted in text]
            return httpx.Response(200, json={"items": [{"id": "1"} for _ in there]})
        if verb == ["correspond"]:
            self.texts.append((number, said["Content"]))
            return httpx.Response(201, json=["Correspondence added"])
        if request.method == "PUT":
            ticket |= said
        return httpx.Response(200, json=ticket)

    def _found(self, query: str) -> httpx.Response:
        subject, number = re.search("LIKE '(.*)'", query), re.search(r"id = (\d+)", query)
        found = [
            one
            for one in self.tickets
            if (subject and subject[1] in one["Subject"]) or (number and number[1] == one["id"])
        ]
        return httpx.Response(200, json={"items": found})


@pytest.fixture
def rt() -> FakeRt:
    """A Request Tracker without tickets."""
    return FakeRt()


@pytest.fixture
def rows() -> MemoryStaffQueue:
    """What we keep ourselves."""
    return MemoryStaffQueue(MemoryDesk(MemoryAccounts()))


@pytest.fixture
async def queue(rt: FakeRt, rows: MemoryStaffQueue) -> AsyncGenerator[RtStaffQueue]:
    """The adapter over both."""
    client = RtClient("rt+https://rt.example", "t", transport=httpx.MockTransport(rt))
    tickets = RtTickets(client, Mapping(), own=["transfer"])
    yield RtStaffQueue(rows, tickets, queue="Transfers", own=["Transfer"])
    await tickets.close()


async def test_an_update_is_a_row_and_a_ticket(
    queue: RtStaffQueue, rows: MemoryStaffQueue, rt: FakeRt
) -> None:
    """The same again, neither."""
    for _ in range(2):
        assert await queue.update(OPENED) == "1"
    assert await rows.escalations() == (OPENED,)
    ((_, text),) = rt.texts
    assert text.startswith("Acme is silent.\n\nOPEN, level 1: NO_RESPONSE.\n\nReference: ")


async def test_a_ticket_that_was_filed_twice_is_closed(queue: RtStaffQueue, rt: FakeRt) -> None:
    """The older one is worked on; one of somebody else with the same mark is left alone."""
    stranger = rt.file(f"Mine [{mark_of('k1')}]", creator="mallory")
    ours, double = (rt.file(f"S [{mark_of('k1')}]") for _ in range(2))
    for _ in range(2):
        assert await queue.update(OPENED) == ours
    states = {one["id"]: one["Status"] for one in rt.tickets}
    assert states == {stranger: "new", ours: "new", double: "resolved"}
    (told,) = (text for number, text in rt.texts if number == double)
    assert told.startswith(f"Filed twice by mistake: ticket {ours} is the one to work on.")


REFUSED = [httpx.Response(status) for status in (401, 403, 422, 500)]


@pytest.mark.parametrize("answer", REFUSED, ids=lambda answer: str(answer.status_code))
@pytest.mark.parametrize(
    "where",
    [("GET", "tickets"), ("POST", "ticket"), ("POST", "ticket/1/correspond"), ("PUT", "ticket/1")],
    ids=" ".join,
)
async def test_what_request_tracker_refuses_is_tried_again(
    queue: RtStaffQueue, rt: FakeRt, where: tuple[str, str], answer: httpx.Response
) -> None:
    """Until it takes it; then there is one ticket, and what was said is said once."""
    rt.answers[where] = answer

    async def open_and_close() -> None:
        await queue.update(OPENED)
        await queue.update(CLOSED)

    with pytest.raises(Unreachable):
        await open_and_close()
    rt.answers.clear()
    await queue.update(OPENED)
    await queue.update(CLOSED)
    assert [one["Status"] for one in rt.tickets] == ["resolved"]
    assert len(rt.texts) == 2


async def test_a_status_that_is_not_taken_is_said(queue: RtStaffQueue, rt: FakeRt) -> None:
    """RT answers 200 all the same."""
    said = ["Ticket 1: Permission Denied"]
    rt.answers["PUT", "ticket/1"] = httpx.Response(200, json=said)
    await queue.update(OPENED)
    with pytest.raises(Unreachable, match="Permission Denied"):
        await queue.update(CLOSED)


async def test_a_ticket_that_we_may_not_see_is_said(queue: RtStaffQueue, rt: FakeRt) -> None:
    """Rather than filed again at each try."""
    rt.answers["GET", "tickets"] = httpx.Response(200, json={"items": []})
    rt.answers["GET", "ticket/1"] = httpx.Response(404)
    for _ in range(2):
        with pytest.raises(Unreachable, match="ShowTicket"):
            await queue.update(OPENED)
    assert len(rt.tickets) == 1


async def test_a_ticket_that_staff_deleted_is_filed_anew(queue: RtStaffQueue, rt: FakeRt) -> None:
    """At the next change: the escalation is still there."""
    await queue.update(OPENED)
    rt.tickets[0] |= {"Subject": "", "Status": "deleted"}
    assert await queue.update(CLOSED) == "2"


async def test_an_update_ends_before_its_activity_does(
    queue: RtStaffQueue, rows: MemoryStaffQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its retry would meet it."""
    monkeypatch.setattr(rt_staff_queue, "WITHIN", 0)

    async def never(_escalation: EscalationUpdate) -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(rows, "update", never)
    with pytest.raises(Unreachable, match="did not answer within"):
        await queue.update(OPENED)


@pytest.mark.parametrize(("name", "kind"), [("Transfers", RtStaffQueue), ("", SqlStaffQueue)])
async def test_the_queue_is_in_request_tracker_where_it_is_named(name: str, kind: type) -> None:
    """Without a name there, a row and a mail are all there is."""
    settings = Settings.model_validate(
        {"tickets_url": "rt+https://rt.example", "rt_token": "t", "own_authors": ("us",)}
        | {"rt_staff_queue": name}
    )
    async with neighbours(settings) as near:
        assert isinstance(near.staff_queue, kind)
