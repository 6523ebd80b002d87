"""Staff's channels, by apprise's own ``json://`` to a server of this test's own."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from transfer.adapters import channels as module
from transfer.adapters.channels import AppriseChannels
from transfer.adapters.wiring import channels
from transfer.errors import InputInvalid, Unreachable
from transfer.settings import Settings

# Some kinds of channels, all of which apprise imports, use modules that Python will drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@dataclass
class Receiver:
    """A chat: ``answer`` is what it answers, ``hangs`` lets it answer nothing until told to."""

    url: str = ""
    answer: int = 200
    hangs: bool = False
    heard: list[dict[str, Any]] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def receiver() -> Generator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.heard.append(json.loads(body))
            if found.hangs:
                found.goes_on.wait(30)
            self.send_response(found.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"json://us:secret@127.0.0.1:{server.server_port}/x"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.goes_on.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


def _dead() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"json://127.0.0.1:{probe.getsockname()[1]}"


async def test_a_message_arrives_with_its_title(receiver: Receiver) -> None:
    """As text: nothing in it is read as markup."""
    one = AppriseChannels([receiver.url])
    await one.tell(one.names[0], "example.com: stuck\n\nWhy: *see* <b>\nIt's \\n so")
    (heard,) = receiver.heard
    assert heard["title"] == "example.com: stuck"
    assert heard["message"] == "Why: *see* <b>\nIt's \\n so"


@pytest.mark.parametrize("answer", [301, 401, 404, 500, 503])
async def test_what_is_not_taken_is_tried_again(receiver: Receiver, answer: int) -> None:
    """Whatever the reason is: a token may be put right."""
    receiver.answer = answer
    one = AppriseChannels([receiver.url])
    with pytest.raises(Unreachable, match="did not take it"):
        await one.tell(one.names[0], "s\n\nt")
    receiver.answer = 200
    await one.tell(one.names[0], "s\n\nt")


async def test_a_dead_channel_is_told_so_quickly() -> None:
    one = AppriseChannels([_dead()])
    with pytest.raises(Unreachable, match="did not take it"):
        await one.tell(one.names[0], "s\n\nt")


async def test_a_channel_that_hangs_keeps_only_itself_waiting(receiver: Receiver) -> None:
    """It is left alone for a moment, and until its thread has ended; others are told."""
    receiver.hangs = True
    both = AppriseChannels([f"{receiver.url}?rto=20", receiver.url], timeout=0.3)
    hanging, well = both.names
    many = await asyncio.gather(
        *(both.tell(hanging, "s\n\nt") for _ in range(5)), return_exceptions=True
    )
    assert [type(one) for one in many] == [Unreachable] * 5
    assert "within 0.3 s" in str(many[0])
    assert len(receiver.heard) == 1, "the others were put off without being tried"
    receiver.hangs = False
    await both.tell(well, "s\n\nt")
    with pytest.raises(Unreachable, match="a moment ago"):
        await both.tell(hanging, "s\n\nt")


async def test_a_channel_that_hung_is_told_again_when_it_goes_on(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST", 0)
    receiver.hangs = True
    one = AppriseChannels([receiver.url], timeout=0.2)
    with pytest.raises(Unreachable):
        await one.tell(one.names[0], "s\n\nt")
    receiver.goes_on.set()
    async with asyncio.timeout(10):
        while len(receiver.heard) < 2:
            try:
                await one.tell(one.names[0], "again\n\nt")
            except Unreachable:
                await asyncio.sleep(0.02)


async def test_an_error_in_apprise_is_heard_of(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = AppriseChannels([receiver.url])

    def broken(_title: str, _body: str) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(one._channels[one.names[0]], "_notify", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        await one.tell(one.names[0], "s\n\nt")


async def test_a_channel_that_is_not_set_any_more_is_waited_for() -> None:
    """Another worker may have it."""
    with pytest.raises(Unreachable, match="TRANSFER_STAFF_CHANNELS"):
        await AppriseChannels([]).tell("json-000000", "s\n\nt")


def test_names_tell_channels_apart_and_no_secret() -> None:
    """They do not depend on the order; the same URL twice is one channel."""
    urls = ["json://us:secret@chat.example", "json://us:other@chat.example", "pover://u@t"]
    names = AppriseChannels([*urls, urls[0]]).names
    assert [name.partition("-")[0] for name in names] == ["json", "json", "pover"]
    assert len(set(names)) == 3
    assert set(AppriseChannels(reversed(urls)).names) == set(names)
    assert not any("secret" in name for name in names)


def test_a_url_that_apprise_does_not_know_is_named_and_hidden() -> None:
    """Before anything is sent."""
    settings = Settings.model_validate({"staff_channels": "json://a, nothing://us:secret@x"})
    with pytest.raises(InputInvalid, match="TRANSFER_STAFF_CHANNELS: number 2 is no") as caught:
        channels(settings)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("", []),
        ("json://a", ["json://a"]),
        (
            "json://a,b/c , pover://u@t\nslack://x/y/z,",
            ["json://a,b/c", "pover://u@t", "slack://x/y/z"],
        ),
    ],
)
def test_urls_may_have_commas_of_their_own(text: str, urls: list[str]) -> None:
    settings = Settings.model_validate({"staff_channels": text})
    assert [one.get_secret_value() for one in settings.staff_channels] == urls
    assert "pover" not in repr(settings)


def test_apprise_is_imported_by_who_has_a_channel() -> None:
    """It takes time, and most installations have none. It does not log what it sends."""
    program = (
        "import sys, worker; from transfer.adapters.channels import AppriseChannels as A;"
        "A([]); print('apprise' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False"]
    AppriseChannels(["json://a"])
    assert not logging.getLogger("apprise").isEnabledFor(logging.INFO)
