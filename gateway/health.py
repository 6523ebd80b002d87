"""Whether what a process needs answers: asked by whoever starts and stops processes.

The gateway answers ``/readyz`` by it; a worker, which answers nobody otherwise, has a small server
of its own. Importing this imports no web framework: a worker that is not asked has none.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog

from transfer.errors import InputInvalid, Unreachable

CHECK_SECONDS = 3.0
"""How long a check may take."""
OK, AWAY = "ok", "away"
MAX_CONNECTIONS = 50
GRACE_SECONDS = 1

Checks = Mapping[str, Callable[[], Awaitable[object]]]
"""How each neighbour is asked, by its name: what raises or takes too long is away."""
_Message = MutableMapping[str, Any]

log = structlog.get_logger("health")


class Listening(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


async def checked(checks: Checks) -> dict[str, str]:
    """Ask all at once: ``ok`` or ``away`` for each, within three seconds."""
    said = await asyncio.gather(*(_answer(name, check) for name, check in checks.items()))
    return dict(zip(checks, said, strict=True))


def all_ok(health: Mapping[str, str]) -> bool:
    """Whether nobody is away."""
    return all(one == OK for one in health.values())


@asynccontextmanager
async def serve_health(address: str, checks: Checks) -> AsyncGenerator[Listening]:
    """Answer ``/healthz`` and ``/readyz`` at ``host:port``, and nothing else, until left.

    Port 0 is a free one; where it listens is what it yields.

    Raises:
        InputInvalid: nobody can listen there.
    """
    from gateway.serving import Server, configured  # noqa: PLC0415 - see the module

    listener = _listener(address)
    host, port = listener.getsockname()[:2]
    server = Server(
        configured(
            health_app(checks),
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("health_served", host=host, port=port)
    try:
        yield Listening(host, port)
    finally:
        server.should_exit = True
        await serving
        listener.close()


def health_app(
    checks: Checks,
) -> Callable[[_Message, Callable[..., Any], Callable[[_Message], Awaitable[None]]], Any]:
    """The application, in bare ASGI."""

    async def answer(
        scope: _Message, _receive: Callable[..., Any], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        status, said = 404, {"error": "NOT_FOUND"}
        if scope["method"] in ("GET", "HEAD") and scope["path"] == "/healthz":
            status, said = 200, {"status": OK}
        elif scope["method"] in ("GET", "HEAD") and scope["path"] == "/readyz":
            said = await checked(checks)
            status = 200 if all_ok(said) else 503
        body = json.dumps(said).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


async def _answer(name: str, check: Callable[[], Awaitable[object]]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except (Unreachable, TimeoutError):
        return AWAY
    except Exception:  # whatever it is, who asked learns which of them it was
        log.exception("check_failed", check=name)
        return AWAY
    return OK


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    why = "there is no such port"
    if port.isdecimal() and int(port) <= 65_535:
        try:
            return socket.create_server((host, int(port)), family=family)
        except OSError as error:
            why = str(error)
    raise InputInvalid(
        f"TRANSFER_HEALTH_ADDRESS: nobody can listen at {address}: {why}. Give host:port."
    )
