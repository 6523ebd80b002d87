"""Requests to Request Tracker's REST2 interface: each with a timeout, a bound, and clear errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import httpx

from transfer.errors import Unreachable
from transfer.values import one_line

REQUEST_TIMEOUT = 20.0
"""Seconds for one request, its answer read. An activity that reads tickets has 30."""
CONNECT_TIMEOUT = 5.0
"""Seconds until there is a connection."""
MAX_ANSWER = 4_000_000
"""Bytes of one answer."""
CONCURRENCY = 8
"""Requests at the same time: RT has a few workers, and people want some of them."""
_MAX_SAID = 200

Item = dict[str, Any]
"""A JSON object, as RT has it."""


class RtClient:
    """What is asked of one Request Tracker, with one token.

    ``url`` is ``rt+https://host/`` or ``rt+http://host/``, with a path where RT has one.

    Raises:
        ValueError: the URL is of no such form.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = REQUEST_TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base = _base(url)
        self._timeout = timeout
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._http = httpx.AsyncClient(
            base_url=f"{self.base}REST/2.0/",
            headers={"Authorization": f"token {token}", "Accept": "application/json"},
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout)),
            limits=httpx.Limits(max_connections=CONCURRENCY, keepalive_expiry=2),
            transport=transport,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Item | None:
        """Read something; ``None`` where it does not exist.

        Raises:
            Unreachable: RT is away, does not let us, or answers in no way we know.
        """
        status, answer = await self._answer("GET", path, params=params)
        if status == HTTPStatus.NOT_FOUND:
            return None
        return self._object(status, answer, path)

    async def items(
        self, path: str, params: Mapping[str, str], filters: list[dict[str, str]] | None = None
    ) -> list[Item]:
        """Read one page of a list, whose ``filters`` RT calls its JSON search.

        Raises:
            Unreachable: see ``get``; the list does not exist.
        """
        method = "GET" if filters is None else "POST"
        status, answer = await self._answer(method, path, params=params, body=filters)
        found = self._object(status, answer, path).get("items")
        if not isinstance(found, list):
            raise self._strange(path)
        return objects(cast("object", found))

    async def post(self, path: str, body: Mapping[str, object]) -> str:
        """Make something new, and return its id where RT tells one.

        Raises:
            Unreachable: see ``get``; or RT did not make it.
        """
        status, answer = await self._answer("POST", path, body=body)
        if status != HTTPStatus.CREATED:
            raise self._refused(status, answer, path)
        try:
            made: object = json.loads(answer)
        except (ValueError, RecursionError):
            return ""
        return str(cast("Item", made).get("id", "")) if isinstance(made, dict) else ""

    async def put(self, path: str, body: Mapping[str, object]) -> str:
        """Change something, and return what RT says of it: that it did not is said with a 200, too.

        Raises:
            Unreachable: see ``get``.
        """
        status, answer = await self._answer("PUT", path, body=body)
        if status != HTTPStatus.OK:
            raise self._refused(status, answer, path)
        return _brief(answer[:1000].decode(errors="replace"))

    async def _answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> tuple[int, bytes]:
        async with self._slots:
            try:
                async with (
                    asyncio.timeout(self._timeout),
                    self._http.stream(method, path, params=params, json=body) as response,
                ):
                    return response.status_code, await self._bounded(response)
            except (TimeoutError, httpx.TimeoutException):
                raise Unreachable(
                    f"{self} did not answer within {self._timeout:g} s. See that it runs."
                ) from None
            except httpx.HTTPError as error:
                raise Unreachable(
                    f"{self} cannot be reached: {_brief(error)}. See that it runs, and that"
                    " TRANSFER_TICKETS_URL is its address."
                ) from None

    async def _bounded(self, response: httpx.Response) -> bytes:
        answer = bytearray()
        async for part in response.aiter_bytes():
            answer += part
            if len(answer) > MAX_ANSWER:
                raise Unreachable(f"{self} answered with more than {MAX_ANSWER} bytes.")
        return bytes(answer)

    def _object(self, status: int, answer: bytes, path: str) -> Item:
        if status != HTTPStatus.OK:
            raise self._refused(status, answer, path)
        try:
            found: object = json.loads(answer)
        except (ValueError, RecursionError):
            raise self._strange(path) from None
        if not isinstance(found, dict):
            raise self._strange(path)
        return cast("Item", found)

    def _refused(self, status: int, answer: bytes, path: str) -> Unreachable:
        if status == HTTPStatus.UNAUTHORIZED:
            return Unreachable(
                f"{self} does not take our token. Make one for the service's user, and give it in"
                " TRANSFER_RT_TOKEN."
            )
        if status == HTTPStatus.FORBIDDEN:
            return Unreachable(
                f"{self} does not let our user use {path}. Give it the rights that"
                " docs/request-tracker.md lists."
            )
        said = _brief(answer[:1000].decode(errors="replace"))
        return Unreachable(f"{self} answered {status} to {path}: {said}")

    def _strange(self, path: str) -> Unreachable:
        return Unreachable(
            f"{self} did not answer {path} as Request Tracker 5 does. See that"
            " TRANSFER_TICKETS_URL is its address."
        )

    def __str__(self) -> str:
        """Where it is, without the token."""
        return f"Request Tracker at {self.base}"

    __repr__ = __str__


def objects(value: object) -> list[Item]:
    """The JSON objects in a list, which it may not even be."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Item", item) for item in items if isinstance(item, dict)]


def _base(url: str) -> str:
    hint = "Give Request Tracker's address like rt+https://rt.example.com/"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(hint) from None
    if parts.scheme not in ("rt+https", "rt+http") or not parts.hostname or parts.username:
        raise ValueError(hint)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix("/REST/2.0") + "/"
    netloc = host if port is None else f"{host}:{port}"
    return urlunsplit((parts.scheme.removeprefix("rt+"), netloc, path, "", ""))


def _brief(what: object) -> str:
    text = one_line(str(what))[:_MAX_SAID].rstrip(".")
    return text or type(what).__name__
