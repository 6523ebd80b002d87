"""The hook that we ship for Request Tracker: what it announces, when, and that it harms nothing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.rt.instance import HASTY, OURS, STAFF, RequestTracker
from transfer.adapters.rt import RtClient, RtTickets
from transfer.adapters.rt.mapping import Mapping

PERSON = "hooked"


@dataclass
class Heard:
    """One delivery: its headers, and the body as it came."""

    headers: dict[str, str]
    body: bytes
    seen: object = None

    @property
    def event(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Listens for hooks; ``answer`` is the status it gives, ``look`` what it does first."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answer: int = 202
    look: Callable[[Heard], object] = lambda _: None


@pytest.fixture
def receiver(request_tracker: RequestTracker) -> Generator[Receiver]:
    """A receiver that the hook posts to, for one test."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            one = Heard({key.lower(): value for key, value in self.headers.items()}, body)
            one.seen = found.look(one)
            found.heard.append(one)
            self.send_response(found.answer)
            if found.answer == 302:
                self.send_header("Location", f"{found.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/rt"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    request_tracker.add_person(PERSON, "hooked-account")
    request_tracker.hook_url = found.url
    yield found
    request_tracker.hook_url = ""
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_filed_ticket_is_announced_once_and_signed(
    request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """With HMAC-SHA256 over instant and body, by the shared secret."""
    filed = request_tracker.file(PERSON, "S", "B")
    (heard,) = receiver.heard
    assert heard.event["event"] == heard.headers["x-rt-event"] == "ticket.create"
    assert heard.event["ticket_id"] == int(filed)
    assert str(heard.event["transaction_id"]) == heard.headers["x-rt-delivery"]
    assert heard.event["creator"] == PERSON
    stamp, _, signature = heard.headers["x-rt-signature"].partition(",v1=")
    instant = stamp.removeprefix("t=")
    signed = f"{instant}.".encode() + heard.body
    expected = hmac.new(request_tracker.secret.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)
    assert abs(int(instant) - datetime.now(UTC).timestamp()) < 30


def test_replies_closings_and_new_subjects_are_announced_and_comments_are_not(
    request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """One event for what happened at once; each delivery is another transaction."""
    filed = request_tracker.file(PERSON, "S", "B")
    request_tracker.reply_as(PERSON, filed, "More", via="web")
    request_tracker.comment(filed, "Among us")
    request_tracker.resolve(filed)
    request_tracker.reply_as(PERSON, filed, "And more", via="mail")
    request_tracker.change(filed, Subject="T")
    request_tracker.change(filed, CustomFields={"Delegated": "1"})
    request_tracker.change(filed, Requestor=f"{STAFF}@panel.example")
    assert [heard.event["event"] for heard in receiver.heard] == [
        "ticket.create",
        "ticket.correspond",
        "ticket.status",
        "ticket.correspond",
        "ticket.subject",
        "ticket.customfield",
        "ticket.watchers",  # one leaves,
        "ticket.watchers",  # another one comes
    ]
    assert {heard.event["ticket_id"] for heard in receiver.heard} == {int(filed)}
    assert len({heard.headers["x-rt-delivery"] for heard in receiver.heard}) == 8


async def test_our_own_reply_is_announced_under_our_own_user(
    tickets: RtTickets, request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """By which its receiver knows it, and answers nothing to itself."""
    filed = await asyncio.to_thread(request_tracker.file, PERSON, "S", "B")
    await tickets.reply(filed, "k", "It came in.")
    assert [heard.event["creator"] for heard in receiver.heard] == [PERSON, OURS]


def test_an_announced_ticket_can_be_read_back_at_once(
    request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """Our scrip is in the stage "Batch", after Request Tracker's own transaction."""
    receiver.look = lambda heard: _read_back(request_tracker, heard)
    filed = request_tracker.file(PERSON, "S", "B")
    assert [heard.seen for heard in receiver.heard] == [{filed}]


def test_a_hook_inside_the_transaction_announces_what_is_not_there_yet(
    request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """As scrips are by default: the ticket reads back as missing, and a little later it is there.

    Asked with a password: with a token, Request Tracker notes when it was used, and on SQLite
    waits for the very transaction that waits for this hook.
    """
    receiver.look = lambda heard: request_tracker.has(str(heard.event["ticket_id"]))
    filed = request_tracker.file(PERSON, "S", "B", queue=HASTY, via="rest")
    assert [heard.seen for heard in receiver.heard] == [False, True]
    assert request_tracker.has(filed)


@pytest.mark.parametrize("answer", [500, 401, 302])
def test_a_receiver_that_refuses_costs_nobody_a_ticket(
    request_tracker: RequestTracker, receiver: Receiver, answer: int
) -> None:
    """Request Tracker never repeats it: whoever wants to know of it has to look for it."""
    receiver.answer = answer
    filed = request_tracker.file(PERSON, "S", "B")
    assert request_tracker.status(filed) == "new"
    assert len(receiver.heard) == 1
    assert f"of ticket {filed} was not taken: {answer}" in request_tracker.log


def test_a_receiver_that_is_away_costs_nobody_a_ticket(
    request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """Nobody listens there."""
    request_tracker.hook_url = "http://127.0.0.1:1/rt"
    filed = request_tracker.file(PERSON, "S", "B")
    assert request_tracker.status(filed) == "new"
    assert f"of ticket {filed} was not taken" in request_tracker.log


def test_a_receiver_that_hangs_is_left_after_five_seconds(
    request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """Whoever files waits that long, and not longer."""
    done = threading.Event()
    receiver.look = lambda _: done.wait(20)
    began = time.monotonic()
    filed = request_tracker.file(PERSON, "S", "B", via="rest")
    took = time.monotonic() - began
    done.set()
    assert 4 < took < 8
    assert request_tracker.status(filed) == "new"


def test_without_an_address_nothing_is_announced(
    request_tracker: RequestTracker, receiver: Receiver
) -> None:
    """And nothing is missed."""
    request_tracker.hook_url = ""
    assert request_tracker.status(request_tracker.file(PERSON, "S", "B")) == "new"
    assert receiver.heard == []


def _read_back(tracker: RequestTracker, heard: Heard) -> set[str]:
    async def read() -> set[str]:
        tickets = RtTickets(RtClient(f"rt+{tracker.url}", tracker.token), Mapping())
        try:
            return set(await tickets.read([str(heard.event["ticket_id"])]))
        finally:
            await tickets.close()

    return asyncio.run(read())
