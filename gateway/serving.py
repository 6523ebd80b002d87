"""Uvicorn as it is used here: bounded, before anything of a request is looked at.

httptools, which reads requests, takes any number of headers of any length, at any pace. A proxy in
front has bounds of its own; these hold without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024
"""Bytes of a request before its body: the first line and all headers."""
MAX_URL = 8 * 1024
"""Bytes of its address."""
HEAD_SECONDS = 10.0
"""How long a sender may take to send them, and how long a new connection may say nothing."""


class TooLong(Exception):
    """The address or the headers are longer than is read."""


class Server(uvicorn.Server):
    """Uvicorn, but a signal to stop ends it with the exit code of a good run."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are handled by whoever runs it."""
        yield


def configured(app: Any, **more: Any) -> uvicorn.Config:
    """How an application is served: bounded, over HTTP alone, without a log line a request."""
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        **more,
    )


class BoundedHttp(HttpToolsProtocol):
    """One connection. What is too long is refused; who is too slow is hung up on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has called, and has to say something soon."""
        super().connection_made(transport)
        self._in_head = True
        self._head = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._patience: asyncio.TimerHandle | None = None
        self._be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._be_content()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on. A head that comes in pieces is refused as soon as it is too long."""
        if self._in_head:
            self._head += len(data)
            self._be_patient()
        super().data_received(data)
        if self._in_head and self._head > MAX_HEAD and not self.transport.is_closing():
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("Too long.")

    def on_message_begin(self) -> None:
        """A request begins, maybe right behind another."""
        super().on_message_begin()
        self._be_patient()

    def on_headers_complete(self) -> None:
        """The head is there.

        Raises:
            TooLong: uvicorn refuses what cannot be parsed, by ``send_400_response``.
        """
        self._in_head = False
        self._be_content()
        if len(self.url) > MAX_URL:
            self._refusal = HTTPStatus.REQUEST_URI_TOO_LONG
            raise TooLong
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise TooLong
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request was read whole; what follows is another's head."""
        super().on_message_complete()
        self._in_head = True
        self._head = 0

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with the head, and hang up."""
        text = self._refusal.phrase if self._refusal is not HTTPStatus.BAD_REQUEST else msg
        head = (
            f"HTTP/1.1 {self._refusal.value} {self._refusal.phrase}\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(text)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(f"{head}{text}".encode("ascii"))
        self.transport.close()

    def _be_patient(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience)

    def _be_content(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        answering: Any = self.cycle  # none before the first request, whatever its type says
        if answering is not None and not answering.response_complete:
            self._be_patient()  # it waits for an earlier answer, as it should
        elif not self.transport.is_closing():
            self.transport.close()
