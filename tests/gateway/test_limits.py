"""How often an address may ask, and whose address it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.limits import SIGNED, UNSIGNED, Limits, Windows, address_of, trusted
from tests.core import stories
from tests.core.stories import MONDAY
from tests.gateway.listening import listening
from tests.gateway.panel import HOME, Gateway, announced
from tests.gateway.test_tracking import link, tell
from transfer.errors import InputInvalid

FORGED = "whsec_Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2VkIGZvcmdlZA=="


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    """The clock of the limits."""
    return Seconds()


@pytest.fixture
async def gateway(clock: Seconds) -> AsyncGenerator[Gateway]:
    """A gateway with small limits."""
    made = Gateway(limits=Limits(unsigned=3, signed=5, pages=4, clock=clock))
    made.transfers.open_ones.add(HOME)
    async with made.client:
        yield made
    await made.porter.close()


def elsewhere(gateway: Gateway, address: str) -> httpx.AsyncClient:
    """A client of the same gateway at another address."""
    transport = httpx.ASGITransport(gateway.app, client=(address, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway.test")


# -- webhooks ----------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/tickets", "/rt"])
async def test_a_stranger_is_refused_unread_after_a_few(
    gateway: Gateway, clock: Seconds, path: str
) -> None:
    """Unsigned or wrongly signed, too large or not: and until its minute is over."""
    read = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal read
        read += 1
        yield b"{}"

    for _ in range(3):
        assert (await gateway.client.post(path, content=body())).status_code == 401
    clock.now += 18.5
    refused = await gateway.client.post(path, content=body())
    assert (refused.status_code, refused.json()["error"]) == (429, "TOO_MANY")
    assert refused.headers["retry-after"] == "42"
    assert read == 3
    clock.now += 41.5
    assert (await gateway.client.post(path, content=body())).status_code == 401


async def test_what_is_wrongly_signed_or_too_large_counts_as_well(gateway: Gateway) -> None:
    answers = [
        await gateway.send(announced(), secret=FORGED),
        await gateway.send(b" " * 300_000, secret=FORGED),
        await gateway.client.post("/tickets"),
        await gateway.client.post("/tickets"),
    ]
    assert [one.status_code for one in answers] == [401, 413, 401, 429]


async def test_strangers_are_each_counted_for_themselves(gateway: Gateway) -> None:
    for _ in range(4):
        await gateway.client.post("/tickets")
    async with elsewhere(gateway, "192.0.2.7") as other:
        assert (await other.post("/tickets")).status_code == 401
    assert (await gateway.client.get("/healthz")).status_code == 200


async def test_a_stranger_cannot_keep_out_who_signs_at_the_same_address(
    gateway: Gateway, clock: Seconds
) -> None:
    """As behind a proxy that nobody told us of."""
    assert (await gateway.send(announced())).status_code == 202
    for _ in range(9):
        await gateway.client.post("/tickets")
    assert (await gateway.send(announced())).status_code == 202
    clock.now += 3601
    strangers = [await gateway.client.post("/tickets") for _ in range(9)]
    assert strangers[-1].status_code == 429
    assert (await gateway.send(announced())).status_code == 429
    clock.now += 60
    assert (await gateway.send(announced())).status_code == 202


async def test_even_who_signs_may_not_ask_without_end(gateway: Gateway, clock: Seconds) -> None:
    for _ in range(5):
        assert (await gateway.send(announced())).status_code == 202
    refused = await gateway.send(announced())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert (await gateway.hook({"ticket_id": 1})).status_code == 429
    clock.now += 60
    assert (await gateway.send(announced())).status_code == 202


async def test_a_thousand_signed_webhooks_at_once_pass() -> None:
    """With the limits as they are."""
    made = Gateway()
    made.transfers.open_ones.add(HOME)
    async with made.client:
        answers = await asyncio.gather(*(made.send(announced()) for _ in range(1_000)))
    await made.porter.close()
    assert {one.status_code for one in answers} == {202}
    assert UNSIGNED < 1_000 < SIGNED


# -- pages -------------------------------------------------------------------------------------
async def test_who_loads_page_after_page_is_asked_to_wait(gateway: Gateway, clock: Seconds) -> None:
    """Whatever they show; the files beside them are not counted."""
    gateway.now = MONDAY
    await tell(gateway, stories.started())
    pages = [link(gateway), "/track/none", link(gateway), link(gateway)]
    assert [(await gateway.client.get(one)).status_code for one in pages] == [200, 404, 200, 200]
    refused = await gateway.client.get(link(gateway))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.headers["content-type"] == "text/html; charset=utf-8"
    assert refused.headers["cache-control"] == "no-store"
    assert "Please wait a minute" in refused.text
    assert (await gateway.client.get("/track/style.css")).status_code == 200
    clock.now += 60
    assert (await gateway.client.get(link(gateway))).status_code == 200


# -- whose address -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.7", 80), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 80), "2001:db8:1:2::"),
        (("2001:db8:1:2:ffff::", 80), "2001:db8:1:2::"),
        (("2001:db8:1:3::1", 80), "2001:db8:1:3::"),
        (("::ffff:192.0.2.7", 80), "192.0.2.7"),
        (("fe80::1%eth0", 80), "fe80::"),
        (("no:address" * 20, 80), ("no:address" * 20)[:64]),
        (("x" * 100, 80), "x" * 64),
        (None, ""),
    ],
)
def test_an_address_is_one_of_ipv4_or_a_network_of_ipv6(
    client: tuple[str, int] | None, address: str
) -> None:
    """Who has one address in IPv6 has many more beside it."""
    assert address_of({"type": "http", "client": client}) == address


@pytest.mark.parametrize(
    ("proxies", "said", "heard"),
    [
        ((), "198.51.100.1", "127.0.0.1"),
        (("10.0.0.0/8",), "198.51.100.1", "127.0.0.1"),
        (("127.0.0.1",), "198.51.100.1", "198.51.100.1"),
        (("127.0.0.1",), "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (("127.0.0.0/8", "198.51.100.1"), "203.0.113.9, 198.51.100.1", "203.0.113.9"),
    ],
)
async def test_only_a_trusted_proxy_says_whom_it_speaks_for(
    proxies: tuple[str, ...], said: str, heard: str
) -> None:
    """And of what it passes on, only what it saw itself."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(address_of(scope))(scope, receive, send)

    more = {"proxy_headers": bool(proxies), "forwarded_allow_ips": trusted(proxies)}
    async with listening(app, **more) as port, httpx.AsyncClient() as client:
        headers = {"X-Forwarded-For": said}
        answer = await client.get(f"http://127.0.0.1:{port}", headers=headers)
    assert answer.text == heard


@pytest.mark.parametrize("proxy", ["*", "proxy.example", "10.0.0.0/99"])
def test_a_proxy_that_is_no_address_is_refused(proxy: str) -> None:
    with pytest.raises(InputInvalid, match="TRANSFER_TRUSTED_PROXIES"):
        trusted([proxy])


# -- memory ------------------------------------------------------------------------------------
async def test_many_addresses_take_no_more_room_than_there_is(clock: Seconds) -> None:
    """The oldest are forgotten first; one that is counted on is not counted twice."""
    windows = Windows(100, clock)
    for number in range(1_000):
        await windows.incr(f"{number}", 60)
        await windows.incr(f"{number}", 60)
        clock.now += 0.001
    assert len(windows) == 100
    assert await windows.get("999") == 2
    assert await windows.get("0") == 0
    clock.now += 60
    await windows.incr("new", 60)
    assert len(windows) == 1


async def test_a_window_begins_with_its_first_request_and_lasts_a_minute(clock: Seconds) -> None:
    windows = Windows(100, clock)
    await windows.incr("a", 60)
    clock.now += 59
    assert await windows.incr("a", 60) == 2
    clock.now += 1
    assert await windows.get("a") == 0
    assert await windows.incr("a", 60) == 1
