"""What is bounded before a request is looked at: how much, and how slowly."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from gateway import serving
from gateway.serving import MAX_HEAD, MAX_URL
from tests.gateway.listening import line, listening
from tests.gateway.panel import Gateway

ASK = b"GET /healthz HTTP/1.1\r\nHost: gateway.test\r\n"


@pytest.fixture
async def port(gateway: Gateway) -> AsyncGenerator[int]:
    """A gateway that listens."""
    async with listening(gateway.app) as found:
        yield found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that waits for next to nothing."""
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)


async def test_requests_one_behind_another_are_all_answered(port: int) -> None:
    async with line(port) as asked:
        for _ in range(3):
            await asked.say(ASK + b"\r\n")
            assert await asked.answered() == 200
        await asked.say(ASK + b"\r\n" + ASK + b"\r\n" + ASK + b"Connection: close\r\n\r\n")
        assert (await asked.heard()).count(b"HTTP/1.1 200 OK") == 3


async def test_headers_that_are_too_long_are_refused(port: int) -> None:
    async with line(port) as asked:
        await asked.say(ASK + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 990) for n in range(40)))
        await asked.say(b"\r\n")
        assert (await asked.heard()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("piece", [b"X-More: more\r\n", b"more "])
async def test_headers_that_never_end_are_refused_while_they_come(port: int, piece: bytes) -> None:
    """Many small ones, and one that goes on and on: with the first byte that is too many."""
    async with line(port) as asked:
        await asked.say((ASK + b"X-Begin: " + piece * MAX_HEAD)[: MAX_HEAD + 1])
        assert (await asked.heard()).startswith(b"HTTP/1.1 431 ")


async def test_headers_of_many_words_below_the_limit_are_read(port: int) -> None:
    async with line(port) as asked:
        await asked.say(ASK + b"X-Long: " + b"x" * (MAX_HEAD - 100) + b"\r\n\r\n")
        assert await asked.answered() == 200


async def test_the_limit_is_one_requests_and_not_its_connections(port: int) -> None:
    async with line(port) as asked:
        for _ in range(4):
            await asked.say(ASK + b"X-Long: " + b"x" * (MAX_HEAD // 2) + b"\r\n\r\n")
            assert await asked.answered() == 200


async def test_an_address_that_is_too_long_is_refused(port: int) -> None:
    async with line(port) as asked:
        await asked.say(b"GET /track/%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * MAX_URL))
        assert (await asked.heard()).startswith(b"HTTP/1.1 414 ")
    async with line(port) as asked:
        await asked.say(b"GET /track/%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * (MAX_URL - 100)))
        assert await asked.answered() == 404


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("said", [b"", b"G", ASK, b"\r\n", ASK + b"X-Half: a header"])
async def test_who_is_too_slow_with_its_headers_is_hung_up_on(port: int, said: bytes) -> None:
    async with line(port) as asked:
        await asked.say(said)
        assert await asked.heard() == b""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("said", [b"G", ASK, b"\r\n"])
async def test_who_was_answered_once_may_be_no_slower(port: int, said: bytes) -> None:
    async with line(port) as asked:
        await asked.say(ASK + b"\r\n")
        assert await asked.answered() == 200
        await asked.say(said)
        assert await asked.heard() == b""


async def test_what_is_no_http_is_refused(port: int) -> None:
    async with line(port) as asked:
        await asked.say(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert (await asked.heard()).startswith(b"HTTP/1.1 400 ")


async def test_nobody_may_change_to_a_web_socket(port: int) -> None:
    async with line(port) as asked:
        await asked.say(ASK + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert await asked.answered() == 200
