"""Staff's channels, by apprise: a chat, a pager, whatever it has a URL for.

Apprise is imported when a channel is made and not before: it takes 70 ms, and a channel of some
kinds 100 ms more.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from transfer.errors import Unreachable
from transfer.values import one_line

TIMEOUT = 15.0
"""Seconds for one message. Apprise gives a server 4 to connect, and 4 for each part it answers."""
REST = 10.0
"""Seconds for which nothing more is tried where a server just left us waiting."""


class AppriseChannels:
    """``transfer.ports.Channels`` by apprise.

    One message at a time on each channel. Apprise waits in a thread, and a thread cannot be ended:
    one that hangs beyond the timeout keeps its channel to itself until it has ended, and can keep
    no other channel and no exit of this process waiting.

    Raises:
        ValueError: a URL is none that apprise knows; the message says which, and hides it.
    """

    def __init__(self, urls: Iterable[str], *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._channels = {_name(url): _Channel(url, position) for position, url in _numbered(urls)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all channels. No secret of a URL can be read from them."""
        return tuple(self._channels)

    async def tell(self, channel: str, text: str) -> None:
        """See ``Channels.tell``."""
        found = self._channels.get(channel)
        if found is None:
            # Another worker may know it: while a setting changes, not all have the same.
            raise Unreachable(f"No channel {one_line(channel)[:60]} is in TRANSFER_STAFF_CHANNELS.")
        async with found.turn:
            loop = asyncio.get_running_loop()
            if found.is_busy or loop.time() < found.rests_until:
                raise Unreachable(f"{channel} left us waiting a moment ago.")
            try:
                async with asyncio.timeout(self._timeout):
                    taken = await asyncio.wrap_future(found.told(text))
            except TimeoutError:
                found.rests_until = loop.time() + REST
                raise Unreachable(f"{channel} did not answer within {self._timeout:g} s.") from None
        if not taken:
            raise Unreachable(f"{channel} did not take it; the log has apprise's own words.")


class _Channel:
    """One URL, its turn, and the thread that speaks to it."""

    def __init__(self, url: str, position: int) -> None:
        self._notify = _notifier(url, position)
        self._under_way: Future[bool] | None = None
        self.turn = asyncio.Lock()
        self.rests_until = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a message that nobody waits for any more is still being sent."""
        return self._under_way is not None and not self._under_way.done()

    def told(self, text: str) -> Future[bool]:
        """Send a text, whose first line is its title; whether it was taken comes later."""
        title, _, body = text.partition("\n\n")
        result = self._under_way = Future[bool]()
        result.set_running_or_notify_cancel()  # so that it is not done before the thread is

        def work() -> None:
            try:
                taken = self._notify(title, body)
            except Exception as error:  # noqa: BLE001 - whatever it is, the postman hears of it
                result.set_exception(error)
            else:
                result.set_result(taken)

        # A daemon: an executor's threads would be waited for when the process ends.
        threading.Thread(target=work, name="staff-channel", daemon=True).start()
        return result


def _numbered(urls: Iterable[str]) -> Iterable[tuple[int, str]]:
    return enumerate(dict.fromkeys(url.strip() for url in urls), 1)


def _name(url: str) -> str:
    """A channel's name: its kind, and enough of a digest to tell it from another of its kind.

    It stands in the database and in logs: from 24 bits, no password can be found out.
    """
    kind = url.partition("://")[0].lower()
    return f"{kind}-{hashlib.sha256(url.encode(errors='replace')).hexdigest()[:6]}"


def _notifier(url: str, position: int) -> Callable[[str, str], bool]:
    """What sends a title and a text to a URL."""
    import apprise  # noqa: PLC0415 - see the module's docstring

    # At lower levels it logs addresses and answers.
    logging.getLogger("apprise").setLevel(logging.WARNING)
    asset = apprise.AppriseAsset(app_id="Customer Transfer", async_mode=False, secure_logging=True)
    channel = apprise.Apprise(asset=asset)
    if not channel.add(url):
        raise ValueError(f"number {position} is no URL that apprise knows.")

    def notify(title: str, body: str) -> bool:
        return bool(channel.notify(body, title=title, body_format=apprise.NotifyFormat.TEXT))

    return notify
