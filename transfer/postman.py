"""The postman: takes notices from the outbox to their readers, and tries again until they arrive.

It runs beside the worker and apart from every transfer, so that a mail server that is away delays
mails and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from transfer import tracing
from transfer.errors import MailRefused, TicketNotFound, TransferError, Unreachable
from transfer.measures import NOTICES, Measure
from transfer.messages import Delivery, Mail
from transfer.ports import Channels, Ledger, Mailer, Meter, Tickets

FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(days=3)
AT_ONCE = 20
"""Deliveries under way at the same time: few enough for a mail server's limit of connections."""
SLOW = timedelta(seconds=5)
"""A failure that took this long is a server that hangs, not one that says no."""
LAST_ROUND = timedelta(seconds=20)
"""How long the deliveries under way may take when the worker stops."""
LONGEST_DELIVERY = timedelta(seconds=45)
"""Shorter than the minute for which the ledger leases a delivery, lest another postman sends it."""
KEPT = timedelta(seconds=1)
"""How long connections to the mail server are kept for the next mail."""
MAX_ASIDE = 100
"""Alerts under way at the same time; more wait for their lease to end."""

log = structlog.get_logger(__name__)


class Postman:
    """Delivers what is due: mails to the mail server, replies to the ticket system.

    Alerts go to staff's channels aside: no round waits for them, whatever a channel does.

    One delivery's failure is its own. Only when the mail server leaves us waiting, other mails are
    put off for a moment without being tried: ticket replies must not queue behind its timeouts.
    """

    def __init__(
        self,
        ledger: Ledger,
        mailer: Mailer,
        tickets: Tickets,
        *,
        clock: Callable[[], datetime],
        poll_every: timedelta,
        first_retry: timedelta = FIRST_RETRY,
        channels: Channels | None = None,
        meter: Meter,
    ) -> None:
        self._ledger = ledger
        self._mailer = mailer
        self._tickets = tickets
        self._channels = channels
        self._meter = meter
        self._clock = clock
        self._poll_every = poll_every
        self._first_retry = first_retry
        self._woken = asyncio.Event()
        self._aside = set[asyncio.Task[None]]()
        self._no_mail_before: datetime | None = None

    def wake(self) -> None:
        """Look into the outbox now: something was put there."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver what is due, whenever woken and every ``poll_every``, until cancelled.

        What is under way then is finished first: broken off, it would wait for its lease to end,
        and perhaps be sent a second time.
        """
        try:
            while True:
                self._woken.clear()
                if await self._whole_round() < AT_ONCE:  # nothing more was due
                    await self._pause()
        finally:
            await self._mailer.rest()

    async def _whole_round(self) -> int:
        going = asyncio.ensure_future(self._round())
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_ROUND.total_seconds()):
                    await going
                    await self.told_aside()
            raise

    async def _pause(self) -> None:
        """Wait until woken, or for ``poll_every``; after a moment, the mailer rests."""
        kept = min(KEPT, self._poll_every)
        for pause in (kept, self._poll_every - kept):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._woken.wait()
                    return
            await self._mailer.rest()

    async def deliver_due(self) -> int:
        """Try everything that is due, at most ``AT_ONCE``, and return how many that were.

        Alerts are only begun.

        Raises:
            Unreachable: the ledger is away; nothing was tried.
        """
        due = await self._ledger.due(self._clock(), AT_ONCE)
        for alert in due:
            if alert.channel and len(self._aside) < MAX_ASIDE:
                telling = asyncio.create_task(self._tell_aside(alert))
                self._aside.add(telling)
                telling.add_done_callback(self._aside.discard)
        under_way = {asyncio.create_task(self._attempt(one)) for one in due if not one.channel}
        try:
            while under_way:
                done, under_way = await asyncio.wait(under_way, return_when=FIRST_COMPLETED)
                await self._record([task.result() for task in done])
        finally:
            for task in under_way:
                task.cancel()
        return len(due)

    async def told_aside(self) -> None:
        """Wait for the alerts that are under way."""
        await asyncio.gather(*self._aside)

    async def _round(self) -> int:
        try:
            return await self.deliver_due()
        except Unreachable as error:
            log.warning("outbox_not_read", error=str(error))
        except Exception:  # whatever it is, the postman must not die of it
            log.exception("outbox_not_read")
        return 0

    async def _tell_aside(self, alert: Delivery) -> None:
        await self._record([await self._attempt(alert)])

    async def _attempt(self, delivery: Delivery) -> _Attempt:
        with tracing.span(
            f"deliver {delivery.event}", within=delivery.trace or "", channel=_channel(delivery)
        ) as delivering:
            error = await self._try(delivery)
            if error is not None:
                tracing.failed(delivering, error)
        return _Attempt(delivery, error)

    async def _record(self, attempts: Sequence[_Attempt]) -> None:
        """Record what became of deliveries; those that arrived together in one transaction."""
        now = self._clock()
        arrived = [delivery for delivery, error in attempts if error is None]
        for delivery in arrived:
            self._count(delivery, "delivered")
        ids = [delivery.id for delivery in arrived]
        if arrived and await _recorded(arrived, self._ledger.delivered(ids, now)):
            for delivery in arrived:
                log.info("notice_delivered", **_keys(delivery))
        for delivery, error in attempts:
            if error is not None:
                await self._record_failure(delivery, error, now)

    async def _record_failure(self, delivery: Delivery, error: Exception, now: datetime) -> None:
        retry_at = self._retry_at(delivery, error, now)
        self._count(delivery, "delayed" if retry_at else "given_up")
        text = f"{type(error).__name__}: {error}"
        if not await _recorded([delivery], self._ledger.failed(delivery.id, text, retry_at)):
            return
        unforeseen = None if isinstance(error, TransferError) else error
        told = {"error": text, "exc_info": unforeseen, **_keys(delivery)}
        if retry_at is None:
            log.error("notice_given_up", **told)
        else:
            log.warning("notice_delayed", retry_at=retry_at.isoformat(), **told)

    def _count(self, delivery: Delivery, outcome: str) -> None:
        labels = {"channel": "staff" if delivery.channel else _way(delivery), "outcome": outcome}
        self._meter.record([Measure(NOTICES, labels)])

    async def _try(self, delivery: Delivery) -> Exception | None:
        """Send one notice; return what went wrong."""
        try:
            async with asyncio.timeout(LONGEST_DELIVERY.total_seconds()):
                if delivery.mail is not None:
                    await self._send(delivery.mail)
                elif delivery.ticket_id is not None:
                    await self._tickets.reply(delivery.ticket_id, delivery.id, delivery.reply)
                elif self._channels is not None:
                    await self._channels.tell(delivery.channel, delivery.reply)
                else:
                    return Unreachable("This worker has no channels: see TRANSFER_STAFF_CHANNELS.")
        except TimeoutError:
            return Unreachable(f"No answer within {LONGEST_DELIVERY.total_seconds():g} s.")
        except Exception as error:  # noqa: BLE001 - it is told to the ledger, and logged there
            return error
        return None

    async def _send(self, mail: Mail) -> None:
        began = self._clock()
        if self._no_mail_before is not None and began < self._no_mail_before:
            raise Unreachable("The mail server left us waiting a moment ago.")
        try:
            await self._mailer.send(mail)
        except Unreachable:
            if self._clock() - began >= SLOW:
                self._no_mail_before = self._clock() + self._first_retry
            raise
        self._no_mail_before = None

    def _retry_at(self, delivery: Delivery, error: Exception, now: datetime) -> datetime | None:
        """When to try again; never for what cannot succeed, or has not for days."""
        if isinstance(error, MailRefused | TicketNotFound):
            return None
        doubled = self._first_retry * 2 ** min(delivery.attempts, 10)
        retry_at = now + min(doubled, LONGEST_RETRY)
        return retry_at if retry_at < delivery.created_at + GIVE_UP_AFTER else None


class _Attempt(NamedTuple):
    delivery: Delivery
    error: Exception | None
    """``None`` where it arrived."""


async def _recorded(deliveries: Sequence[Delivery], recording: Awaitable[None]) -> bool:
    """Whether the ledger took it. If not, the same goes again, under the same Message-ID."""
    try:
        await recording
    except Unreachable as away:
        for delivery in deliveries:
            log.warning("notice_not_recorded", error=str(away), **_keys(delivery))
    except Exception:  # one delivery must not stop the others
        for delivery in deliveries:
            log.exception("notice_not_recorded", **_keys(delivery))
    else:
        return True
    return False


def _keys(delivery: Delivery) -> dict[str, str]:
    """By what a log line about a delivery is found."""
    return {
        "delivery": delivery.id,
        "key": delivery.key,
        "notice": delivery.event,
        "reader": delivery.reader,
        "channel": _channel(delivery),
    }


def _channel(delivery: Delivery) -> str:
    return delivery.channel or _way(delivery)


def _way(delivery: Delivery) -> str:
    """How a notice that is no alert goes out."""
    return "mail" if delivery.mail else "ticket"
