"""A TCP proxy that is a link between two programs, and can fail as networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from tests.chaos.plan import Fault

_CHUNK = 65_536
_TRIES = 100
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of nothing: what closes then is a reset for the other side."""


class Link:
    """Passes what is sent to ``port`` on to another one, unless it is cut.

    Refusing, its own port is closed and what was connected is reset. Hanging, nothing passes and
    nothing is lost. Resetting, every connection ends as soon as it is made.
    """

    def __init__(self, name: str, to: int) -> None:
        self.name = name
        self._to = to
        self._passes = asyncio.Event()
        self._resets = False
        self._server: asyncio.Server | None = None
        self._writers = set[asyncio.StreamWriter]()
        self._tasks = set[asyncio.Task[None]]()
        # Bound and never listening, it keeps the port ours while the link refuses.
        self._keeper = _bound(0)
        self.port: int = self._keeper.getsockname()[1]

    async def open(self) -> None:
        """Pass on."""
        self._resets = False
        self._passes.set()
        if self._server is None:
            listener = _bound(self.port)
            self._server = await asyncio.start_server(self._connected, sock=listener)

    async def cut(self, fault: Fault) -> None:
        """Fail, until it is opened again."""
        match fault:
            case Fault.HANG:
                self._passes.clear()
            case Fault.REFUSE:
                await self._stop_listening()
                self._reset_all()
            case _:
                self._resets = True
                self._reset_all()

    async def close(self) -> None:
        """Be gone."""
        await self._stop_listening()
        self._reset_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._keeper.close()

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _reset_all(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            await self._passes.wait()
            if self._resets:
                return
            there, far = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers.add(far)
            pumps = [
                asyncio.ensure_future(self._pumped(reader, far)),
                asyncio.ensure_future(self._pumped(there, writer)),
            ]
            self._tasks.update(pumps)
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._tasks.difference_update(pumps)
        except OSError:
            pass  # nobody is there: the caller is reset
        finally:
            for one in (writer, far):
                if one is not None:
                    self._writers.discard(one)
                    _reset(one) if far is None or self._resets else one.close()

    async def _pumped(self, source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                await self._passes.wait()
                drain.write(data)
                await drain.drain()
            await self._passes.wait()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    bound.setblocking(False)
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
