"""In front of everything: how much is read, and whether it is signed.

A request that is one too many is refused before it is read, one that is too large before it is read
whole, and one that is not signed before it is looked at.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import request_ids
from gateway.limits import TOO_MANY, Limits, address_of
from gateway.wire import Problem

MAX_BODY = 256 * 1024
"""Bytes of a webhook's body."""
READ_SECONDS = 10.0
"""How long a sender may take to send its body."""

TOO_LARGE = Problem(error="TOO_LARGE", fix="Send at most 256 KB.")
UNSIGNED = Problem(
    error="UNSIGNED",
    fix="Sign id, timestamp and body by the Standard Webhooks scheme with the shared secret, not"
    " longer than 5 minutes ago.",
)
TOO_SLOW = Problem(error="TOO_SLOW", fix="Send the whole body within 10 seconds.")


class TooLarge(Exception):
    """The body is larger than is read."""


class Verifier(Protocol):
    """Who tells whether a request is signed."""

    def verify(self, headers: dict[str, str], body: bytes) -> bool:
        """Tell whether somebody who knows a secret signed this, just now."""
        ...


class SignedOnly:
    """ASGI middleware: lets through to ``path`` only what is small enough and signed.

    ``signs_id`` tells that the header ``webhook-id`` is signed, too.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str,
        signatures: Verifier,
        limits: Limits,
        signs_id: bool = False,
    ) -> None:
        self._app = app
        self._path = path
        self._signatures = signatures
        self._limits = limits
        self._signs_id = signs_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request to ``path``, and hand it on with the body that was checked."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        address = address_of(scope)
        if (wait := await self._limits.before_reading(address)) is not None:
            await _refuse_for(wait, scope, receive, send)
            return
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await _read(headers, receive)
        except TooLarge:
            await self._limits.was_unsigned(address)
            await _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE, scope, receive, send)
            return
        except TimeoutError:
            await self._limits.was_unsigned(address)
            await _refuse(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW, scope, receive, send)
            return
        if not self._signatures.verify(headers, body):
            await self._limits.was_unsigned(address)
            await _refuse(HTTPStatus.UNAUTHORIZED, UNSIGNED, scope, receive, send)
            return
        if self._signs_id:
            request_ids.is_webhook(scope, headers.get("webhook-id", ""))
        if (wait := await self._limits.was_signed(address)) is not None:
            await _refuse_for(wait, scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)


async def _read(headers: dict[str, str], receive: Receive) -> bytes:
    """Read the body.

    Raises:
        TooLarge: it says it is too large, or turns out to be.
    """
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:12]) > MAX_BODY:
        raise TooLarge
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":  # the sender is gone: nobody waits for an answer
            break
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise TooLarge
        more = message.get("more_body", False)
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Hand a body that was read on, once; then what else comes from the sender."""
    unread = [body]

    async def handed_on() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return handed_on


async def _refuse(
    status: HTTPStatus,
    problem: Problem,
    scope: Scope,
    receive: Receive,
    send: Send,
    **headers: str,
) -> None:
    # Closed, since a body that was not read whole is still on its way.
    closing = {"Connection": "close", **headers}
    await JSONResponse(problem.model_dump(), status, headers=closing)(scope, receive, send)


async def _refuse_for(wait: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse for so many seconds."""
    headers = {"Retry-After": str(wait)}
    await _refuse(HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY, scope, receive, send, **headers)
