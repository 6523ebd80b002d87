"""In front of everything: how much is read, and whether it is signed.

Signatures are those of Standard Webhooks, and of Request Tracker's hook. A request that is one too
many is refused before it is read, one that is too large before it is read whole, and one that is
not signed before it is looked at.
"""

from __future__ import annotations

import asyncio
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Protocol

from fastapi.responses import JSONResponse
from pydantic import SecretStr
from standardwebhooks.webhooks import (
    EmptyWebhookSecretError,
    Webhook,
    WebhookVerificationError,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import request_ids
from gateway.limits import TOO_MANY, Limits, address_of
from gateway.wire import Problem
from transfer.adapters.tools import utc_now
from transfer.errors import InputInvalid

MAX_BODY = 256 * 1024
"""Bytes of a webhook's body."""
MAX_ID, MAX_SIGNATURE = 200, 2000
"""Characters of the headers ``webhook-id`` and ``webhook-signature``."""
MIN_SECRET = 24
"""Bytes of a secret, by the standard."""
TOLERANCE = timedelta(minutes=5)
"""How far a signature's time may be off."""
_RT_SIGNATURE = re.compile(r"t=(?P<at>\d{1,12}),v1=(?P<hex>[0-9a-f]{64})")
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


class Signatures:
    """The secrets with which senders sign: more than one while a secret is being replaced.

    Raises:
        InputInvalid: there is no secret, or one of them is none; it is not repeated.
    """

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        if not secrets:
            raise InputInvalid(
                "TRANSFER_WEBHOOK_SECRET is not set. Give it the secret that the ticket system"
                " signs with; make one with: echo whsec_$(openssl rand -base64 32)"
            )
        self._keys = [_key(secret.get_secret_value()) for secret in secrets]

    def verify(self, headers: dict[str, str], body: bytes) -> bool:
        """Tell whether one of the secrets signed this, in the last or next 5 minutes.

        Every secret is tried, each in constant time.
        """
        if len(headers.get("webhook-id", "")) > MAX_ID:
            return False
        if len(headers.get("webhook-signature", "")) > MAX_SIGNATURE:
            return False
        signed = [_signed(key, headers, body) for key in self._keys]
        return any(signed)


class RtSignatures:
    """The secrets with which Request Tracker signs its hooks: ``X-RT-Signature: t=…,v1=…``.

    ``t`` is the time in Unix seconds, ``v1`` the HMAC-SHA256 of time, a dot and the body, in hex.

    Raises:
        InputInvalid: a secret is too short; it is not repeated.
    """

    def __init__(
        self, secrets: Sequence[SecretStr], *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._keys = [secret.get_secret_value().encode() for secret in secrets]
        self._clock = clock
        if any(len(key) < MIN_SECRET for key in self._keys):
            raise InputInvalid(
                f"TRANSFER_RT_HOOK_SECRET: each secret has at least {MIN_SECRET} characters;"
                " separate several by commas. Make one with: openssl rand -hex 24"
            )

    def verify(self, headers: dict[str, str], body: bytes) -> bool:
        """Tell whether one of the secrets signed this, in the last or next 5 minutes."""
        signed = _RT_SIGNATURE.fullmatch(headers.get("x-rt-signature", ""))
        if signed is None:
            return False
        if abs(self._clock().timestamp() - int(signed["at"])) > TOLERANCE.total_seconds():
            return False
        said = b"%s.%s" % (signed["at"].encode(), body)
        given = signed["hex"].encode()
        right = [
            hmac.compare_digest(hmac.new(key, said, "sha256").hexdigest().encode(), given)
            for key in self._keys
        ]
        return any(right)


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


def _key(secret: str) -> Webhook:
    try:
        key = Webhook(secret)
        long_enough = len(secret.removeprefix("whsec_")) * 3 // 4 >= MIN_SECRET
    except (EmptyWebhookSecretError, binascii.Error, ValueError):
        long_enough = False
        key = None
    if key is None or not long_enough:
        raise InputInvalid(
            f"TRANSFER_WEBHOOK_SECRET: each secret is whsec_ and at least {MIN_SECRET} bytes in"
            " base64; separate several by commas."
        )
    return key


def _signed(key: Webhook, headers: dict[str, str], body: bytes) -> bool:
    try:
        key.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: not base64, not UTF-8, no comma
        return False
    return True


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
