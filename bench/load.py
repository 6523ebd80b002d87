"""Transfers from start to end, so many at a time, with one ticket after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from temporalio.service import RPCError

from bench.peers.peer import COMMITTED, SLOTS, Peer, used
from bench.processes import Failed
from bench.sink import Mails
from transfer.errors import Unreachable

AT_ONCE = 32
"""Transfers under way at the same time: enough to keep every engine here busy."""
LOOK_EVERY = 0.02
PATIENCE = 300.0
AGAIN = 1.0
TRIES = 120
"""What was refused is sent again after so many seconds, so many times."""
ASKED = 3
"""Mails after which all three parties are asked."""


class Watch:
    """Tells who waits for it how far transfers are, by one look for all of them."""

    def __init__(self, peer: Peer, mails: Mails, look_every: float = LOOK_EVERY) -> None:
        self._peer = peer
        self._mails = mails
        self._look_every = look_every
        self._waiting: dict[tuple[str, int], asyncio.Future[None]] = {}

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            asked = self._mails.look()
            recorded = await self._peer.recorded()
            for (domain, far), waiting in list(self._waiting.items()):
                if _is_so(asked, recorded, domain, far) and not waiting.done():
                    waiting.set_result(None)
            self._peer.worker.lives()
            await asyncio.sleep(self._look_every)

    async def asked(self, domain: str) -> None:
        """Wait until all three are asked."""
        await self._until(domain, 0)

    async def recorded(self, domain: str, far: int) -> None:
        """Wait until so many tickets are written down."""
        await self._until(domain, far)

    async def _until(self, domain: str, far: int) -> None:
        key = (domain, far)
        self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._waiting[key]
        except TimeoutError:
            said = self._peer.worker.log[-300:]
            raise Failed(f"{domain} was not at {far} within {PATIENCE:g} s: {said}") from None
        finally:
            del self._waiting[key]


def _is_so(asked: Mapping[str, int], recorded: Mapping[str, int], domain: str, far: int) -> bool:
    return recorded.get(domain, 0) >= far if far else asked.get(domain, 0) >= ASKED


async def watched(
    peer: Peer,
    mails: Mails,
    domains: Sequence[str],
    life: Callable[[Watch, str], Any],
    at_once: int = AT_ONCE,
    look_every: float = LOOK_EVERY,
) -> None:
    """Let each transfer live so, so many at a time."""
    watch = Watch(peer, mails, look_every)
    turns = asyncio.Semaphore(at_once)

    async def one(domain: str) -> None:
        async with turns:
            await life(watch, domain)

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as tasks:
            for domain in domains:
                tasks.create_task(one(domain))

    looking, working = asyncio.create_task(watch.run()), asyncio.create_task(all_of_them())
    try:
        await asyncio.wait({looking, working}, return_when=asyncio.FIRST_COMPLETED)
        if looking.done():
            looking.result()
        working.result()
    finally:
        looking.cancel()
        working.cancel()
        await asyncio.gather(looking, working, return_exceptions=True)


async def opened(peer: Peer, mails: Mails, domains: Sequence[str]) -> None:
    """Start transfers, and wait until their parties are asked."""

    async def life(watch: Watch, domain: str) -> None:
        await peer.begin(domain)
        await watch.asked(domain)

    await watched(peer, mails, domains, life)


async def completed(
    peer: Peer, mails: Mails, domains: Sequence[str], *, still_open: int = 0
) -> dict[str, float]:
    """Take transfers from start to end, and return what that cost, for each of them."""

    async def life(watch: Watch, domain: str) -> None:
        await peer.begin(domain)
        await watch.asked(domain)
        for far, slot in enumerate(SLOTS, 1):
            await peer.ring(domain, slot)
            if far < len(SLOTS):
                await watch.recorded(domain, far)
        await watch.recorded(domain, COMMITTED)

    before, began = used(peer), time.perf_counter()
    await watched(peer, mails, domains, life)
    await rested(peer, still_open)
    took, cost = time.perf_counter() - began, used(peer).since(before)
    return {
        "worker_cpu_ms": 1000 * cost.worker / len(domains),
        "server_cpu_ms": 1000 * cost.server / len(domains),
        "transfers_per_second": len(domains) / took,
    }


async def until_taken(send: Callable[[], Awaitable[None]]) -> int:
    """Send until Temporal takes it, as senders have to; return how often it was refused."""
    for refused in range(TRIES):
        try:
            await send()
        except (RPCError, Unreachable):
            await asyncio.sleep(AGAIN)
        else:
            return refused
    raise Failed(f"it was refused {TRIES} times")


async def rested(peer: Peer, still_open: int = 0) -> None:
    """Wait until nothing is left to do."""
    async with asyncio.timeout(PATIENCE):
        while not await peer.at_rest(still_open):  # noqa: ASYNC110 - another process knows
            await asyncio.sleep(0.1)
