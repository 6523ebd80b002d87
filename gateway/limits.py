"""How often an address may ask, so that one stranger leaves room for the others.

Counted in this process alone, in windows of a minute. Behind a proxy that is not trusted, all are
one address: see ``trusted``.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import ClassVar

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.types import Scope

from gateway.wire import Problem
from transfer.errors import InputInvalid

UNSIGNED, SIGNED, PAGES = 60, 6000, 120
"""Requests of one address a minute: those that are not signed, those that are, and pages."""
MAX_ADDRESSES = 10_000
"""Windows that are counted at once, for each kind; beyond, the oldest is forgotten."""
TRUSTED_SECONDS = 3600.0
"""How long an address is known that has signed."""
MAX_ADDRESS = 64
"""Characters of an address that is none."""

TOO_MANY = Problem(error="TOO_MANY", fix="Wait as many seconds as Retry-After says; then send it.")


class Windows(Storage):
    """What is counted, in memory, and never more than so many windows.

    The library's own has no bound, and looks through all of them each time.
    """

    STORAGE_SCHEME: ClassVar[list[str] | None] = None  # type: ignore[misc]

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._most = most
        self._clock = clock
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        """How many windows are remembered."""
        return len(self._counts)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this can raise: nothing."""
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, in a window that begins now where none is open."""
        ends, count = self._counts.get(key, (0.0, 0))
        if ends <= self._clock():
            self._counts.pop(key, None)
            self._make_room()
            ends, count = self._clock() + expiry, 0
        self._counts[key] = ends, count + amount
        return count + amount

    async def get(self, key: str) -> int:
        """How often it was counted in the open window."""
        ends, count = self._counts.get(key, (0.0, 0))
        return count if ends > self._clock() else 0

    async def get_expiry(self, key: str) -> float:
        """When the window ends."""
        return self._counts.get(key, (self._clock(), 0))[0]

    async def check(self) -> bool:
        """Whether it works."""
        return True

    async def reset(self) -> int:
        """Forget all."""
        forgotten = len(self._counts)
        self._counts.clear()
        return forgotten

    async def clear(self, key: str) -> None:
        """Forget one."""
        self._counts.pop(key, None)

    def _make_room(self) -> None:
        """Forget the windows that are over, which stand first, or the oldest."""
        while self._counts:
            key, (ends, _) = next(iter(self._counts.items()))
            if ends > self._clock() and len(self._counts) < self._most:
                return
            del self._counts[key]


class Limits:
    """The limits of one process; each number is requests of one address a minute."""

    def __init__(
        self,
        *,
        unsigned: int = UNSIGNED,
        signed: int = SIGNED,
        pages: int = PAGES,
        most: int = MAX_ADDRESSES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._unsigned = _Limit(unsigned, most, clock)
        self._signed = _Limit(signed, most, clock)
        self._pages = _Limit(pages, most, clock)
        self._known = Windows(most, clock)

    async def before_reading(self, address: str) -> int | None:
        """How many seconds to wait before a request is read at all; ``None`` where it is.

        An address that has signed lately is always heard: strangers behind the same proxy could
        keep the ticket system out otherwise.
        """
        if (wait := await self._signed.wait(address)) is not None:
            return wait
        if await self._known.get(address):
            return None
        return await self._unsigned.wait(address)

    async def was_unsigned(self, address: str) -> None:
        """Count a request that was refused."""
        await self._unsigned.hit(address)

    async def was_signed(self, address: str) -> int | None:
        """Count a signed request; the seconds to wait where it is one too many."""
        await self._known.clear(address)
        await self._known.incr(address, TRUSTED_SECONDS)
        return await self._signed.hit(address)

    async def page(self, address: str) -> int | None:
        """Count a page; the seconds to wait where it is one too many."""
        return await self._pages.hit(address)


class _Limit:
    """So many a minute."""

    def __init__(self, number: int, most: int, clock: Callable[[], float]) -> None:
        self._item: RateLimitItem = RateLimitItemPerMinute(number)
        self._windows = FixedWindowRateLimiter(Windows(most, clock))
        self._clock = clock

    async def hit(self, address: str) -> int | None:
        """Count one; the seconds to wait where it is one too many."""
        fits = await self._windows.hit(self._item, address)
        return None if fits else await self._left(address)

    async def wait(self, address: str) -> int | None:
        """The seconds to wait where another would be one too many."""
        fits = await self._windows.test(self._item, address)
        return None if fits else await self._left(address)

    async def _left(self, address: str) -> int:
        stats = await self._windows.get_window_stats(self._item, address)
        return max(1, math.ceil(stats.reset_time - self._clock()))


def address_of(scope: Scope) -> str:
    """Who asks: an IPv4 address, or the network that one household has in IPv6."""
    client = scope.get("client")
    host = str(client[0]) if client else ""
    if ":" not in host:
        return host[:MAX_ADDRESS]
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host[:MAX_ADDRESS]
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


def trusted(proxies: Sequence[str]) -> list[str]:
    """The proxies that are believed when they say whom they speak for, as uvicorn wants them.

    Raises:
        InputInvalid: one of them is neither an address nor a network.
    """
    try:
        return [str(ipaddress.ip_network(proxy, strict=False)) for proxy in proxies]
    except ValueError as error:
        raise InputInvalid(
            f"TRANSFER_TRUSTED_PROXIES: {error}. Give addresses or networks like 10.0.0.0/8,"
            " separated by commas."
        ) from None
