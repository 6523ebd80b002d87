"""An application that listens on a free port, and bytes that are sent to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from gateway.serving import Server, configured


@asynccontextmanager
async def listening(app: Any, **more: Any) -> AsyncGenerator[int]:
    """Serve an application as the gateway does; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(configured(app, timeout_graceful_shutdown=1, **more))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


class Line:
    """A connection, spoken on by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, said: bytes) -> None:
        """Send bytes, unless nobody listens any more."""
        self._writer.write(said)
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    async def heard(self) -> bytes:
        """All that is said until the other side hangs up."""
        heard = b""
        async with asyncio.timeout(20):
            try:
                while more := await self._reader.read(65_536):
                    heard += more
            except ConnectionError:
                pass
        return heard

    async def answered(self) -> int:
        """The status of one answer, which is read whole."""
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            fields = dict(
                line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
            )
            await self._reader.readexactly(int(fields[b"content-length"]))
        return int(head.split()[1])


@asynccontextmanager
async def line(port: int) -> AsyncGenerator[Line]:
    """Call whoever listens at a port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
