"""The codec server: decrypts for the Temporal UI and CLI what Temporal keeps of transfers.

Whoever may ask it can read every transfer, so each question says who asks, and is in the log:
who, where, and how many payloads, never what is in them.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, NamedTuple, cast

import httpx
import structlog
import uvloop
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from google.protobuf import json_format
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from temporalio.api.common.v1 import Payload, Payloads

from gateway.bearers import PAUSE_SECONDS, Bearers, Issuer, Unauthorized
from gateway.limits import TOO_MANY, Limits, address_of, trusted
from gateway.serving import Server, configured
from gateway.wire import Problem
from transfer import logs
from transfer.codec import EncryptionCodec
from transfer.commands.console import leave
from transfer.connection import encryption
from transfer.errors import InputInvalid, Unreachable
from transfer.settings import Settings, load_settings

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a question: what Temporal itself hands over at once."""
MAX_PAYLOADS = 1000
READ_SECONDS = 10.0
"""How long a sender may take to send its body."""
MAX_CONNECTIONS = 200
GRACE_SECONDS = 10
"""How long running requests may take after a signal to stop."""
PREFLIGHT_SECONDS = 600
"""How long a browser may remember what it may ask."""

ASKED_WITH = ("Authorization", "Authorization-Extras", "Content-Type", "X-Namespace")
"""The headers that the Temporal UI sends; in the second one is the ID token."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

UNAUTHORIZED = Problem(
    error="UNAUTHORIZED",
    fix="Send a shared key or a token as Authorization: Bearer; see docs/encryption.md.",
)
TOO_LARGE = Problem(error="TOO_LARGE", fix=f"Send at most {MAX_BODY // 2**20} MB.")
TOO_SLOW = Problem(error="TOO_SLOW", fix=f"Send the whole body within {READ_SECONDS:g} seconds.")
INVALID = Problem(
    error="INVALID",
    fix=f"Send at most {MAX_PAYLOADS} payloads as Temporal's JSON of Payloads has them:"
    ' {"payloads": [{"metadata": {…}, "data": "…"}]}, metadata and data in base64.',
)
AWAY = Problem(error="AWAY", fix="The issuer of tokens does not answer. Send it again later.")

log = structlog.get_logger("codec")

Convert = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]


class _Refused(Exception):
    """A question that is not answered."""

    def __init__(self, status: int, problem: Problem, **headers: str) -> None:
        super().__init__(problem.error)
        self.status = status
        self.problem = problem
        # Closed, since a body that was not read whole is still on its way.
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()} | {
            "Connection": "close"
        }


class _Caller(NamedTuple):
    """Who a request says it is from."""

    authorization: str
    extras: str
    namespace: str
    address: str


def _caller(
    request: Request,
    authorization: Annotated[str, Header()] = "",
    authorization_extras: Annotated[str, Header()] = "",
    x_namespace: Annotated[str, Header()] = "",
) -> _Caller:
    address = address_of(request.scope)
    return _Caller(authorization, authorization_extras, x_namespace[:200], address)


Caller = Annotated[_Caller, Depends(_caller)]


def build(
    codec: EncryptionCodec, bearers: Bearers, origin: str = "", limits: Limits | None = None
) -> FastAPI:
    """The application. Building it does nothing else.

    ``origin`` is the one whose pages a browser lets ask; empty: no page's of another origin.
    """
    limits = limits or Limits()
    app = FastAPI(title="Codec server", docs_url=None, redoc_url=None, openapi_url=None)

    async def answered(
        request: Request, caller: _Caller, convert: Convert, happened: str
    ) -> Response:
        who = await _who(bearers, limits, caller)
        payloads = _payloads(await _body(request))
        answer = Payloads(payloads=await convert(payloads))
        log.info(happened, who=who, namespace=caller.namespace, payloads=len(payloads))
        return JSONResponse(json_format.MessageToDict(answer))

    @app.post("/decode")
    async def decode(request: Request, caller: Caller) -> Response:
        """Decrypt payloads. What cannot be decrypted comes back as it is."""
        return await answered(request, caller, codec.decode, "payloads_decoded")

    @app.post("/encode")
    async def encode(request: Request, caller: Caller) -> Response:
        """Encrypt payloads, for what is sent to a workflow."""
        return await answered(request, caller, codec.encode, "payloads_encoded")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that this process answers."""
        return {"status": "ok"}

    @app.exception_handler(_Refused)
    async def refused(_request: Request, error: _Refused) -> JSONResponse:
        return JSONResponse(error.problem.model_dump(), error.status, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def unknown(_request: Request, error: HTTPException) -> JSONResponse:
        problem = Problem(error=error.detail.upper().replace(" ", "_"), fix="POST to /decode.")
        return JSONResponse(problem.model_dump(), error.status_code, headers=error.headers)

    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin] if origin else [],
        allow_methods=["POST"],
        allow_headers=ASKED_WITH,
        max_age=PREFLIGHT_SECONDS,
    )
    app.add_middleware(_Guarded)
    return app


class _Guarded:
    """ASGI middleware: every answer tells browsers to keep nothing, and to show it nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with our headers."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, guarded)


async def _who(bearers: Bearers, limits: Limits, caller: _Caller) -> str:
    _bounded(await limits.before_reading(caller.address))
    try:
        who = await bearers.who(caller.authorization, caller.extras)
    except Unauthorized as error:
        await limits.was_unsigned(caller.address)
        log.warning("codec_refused", why=str(error), client=caller.address)
        raise _Refused(401, UNAUTHORIZED, WWW_Authenticate='Bearer realm="codec"') from None
    except Unreachable:
        raise _Refused(503, AWAY, Retry_After=str(PAUSE_SECONDS)) from None
    _bounded(await limits.was_signed(caller.address))
    return who


def _bounded(wait: int | None) -> None:
    if wait is not None:
        raise _Refused(429, TOO_MANY, Retry_After=str(wait))


async def _body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            if announced.isdecimal() and int(announced[:12]) > MAX_BODY:
                raise _Refused(413, TOO_LARGE)
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY:
                    raise _Refused(413, TOO_LARGE)
    except TimeoutError:
        raise _Refused(408, TOO_SLOW) from None
    return bytes(body)


def _payloads(body: bytes) -> list[Payload]:
    try:
        asked: object = json.loads(body)
        if not isinstance(asked, dict):
            raise _Refused(422, INVALID)
        read = json_format.ParseDict(cast("dict[str, Any]", asked), Payloads())
    except (json_format.ParseError, ValueError, RecursionError):
        raise _Refused(422, INVALID) from None
    if len(read.payloads) > MAX_PAYLOADS:
        raise _Refused(422, INVALID)
    return list(read.payloads)


async def main(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT. The issuer of tokens may be away.

    Raises:
        InputInvalid: there is nothing to decrypt with, or nobody who may ask.
    """
    codec = encryption(settings)
    if codec is None:
        raise InputInvalid(
            "TRANSFER_ENCRYPTION_KEYS is not set: there is nothing to decrypt. Give it the keys of"
            " the worker; see docs/encryption.md."
        )
    proxies = trusted(settings.trusted_proxies)
    async with httpx.AsyncClient() as http:
        app = build(codec, _bearers(settings, http), settings.codec_origin)
        server = Server(
            configured(
                app,
                host=settings.codec_host,
                port=settings.codec_port,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

        def told_to_stop() -> None:
            server.should_exit = True

        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, told_to_stop)
        log.info("codec_started", host=settings.codec_host, port=settings.codec_port)
        await server.serve()
    log.info("codec_stopped")


def _bearers(settings: Settings, http: httpx.AsyncClient) -> Bearers:
    url, audience = settings.codec_oidc_issuer, settings.codec_oidc_audience
    if audience and not url:
        raise InputInvalid("TRANSFER_CODEC_OIDC_AUDIENCE needs TRANSFER_CODEC_OIDC_ISSUER too.")
    return Bearers(settings.codec_secret, Issuer(url, audience, http) if url else None)


def run() -> None:
    """Read the settings, set up the logs, and answer."""
    settings = load_settings()
    logs.configure(level=settings.log_level, style=settings.log_format)
    uvloop.run(main(settings))


if __name__ == "__main__":
    leave(run)
