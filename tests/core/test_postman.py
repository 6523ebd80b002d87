"""The postman: what is due arrives, and whatever fails delays nothing but itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from transfer.adapters.memory import (
    MemoryAccounts,
    MemoryDesk,
    MemoryLedger,
    MemoryMailer,
    MemoryMeter,
)
from transfer.errors import Unreachable
from transfer.messages import CHANNEL, Delivery, DeliveryState, Mail
from transfer.parties import Person
from transfer.postman import AT_ONCE, MAX_ASIDE, Postman

MONDAY = datetime(2026, 11, 2, 14, 30, tzinfo=UTC)


class Town:
    """A postman with everybody it deals with, and a clock that only moves by hand."""

    def __init__(self) -> None:
        self.now = MONDAY
        self.ledger = MemoryLedger()
        self.mailer = Mailer(self)
        self.desk = MemoryDesk(MemoryAccounts(), clock=lambda: self.now)
        self.ticket = self.desk.add("acme", Person(id="ann"), ("Hello", "there"), MONDAY)
        self.channels = Channels()
        self.meter = MemoryMeter()
        self.postman = Postman(
            self.ledger,
            self.mailer,
            self.desk,
            clock=lambda: self.now,
            poll_every=timedelta(hours=1),
            channels=self.channels,
            meter=self.meter,
        )

    def after(self, **length: float) -> None:
        self.now += timedelta(**length)

    async def post(self, *deliveries: Delivery) -> None:
        await self.ledger.publish((), deliveries)

    def state(self, delivery_id: str) -> DeliveryState:
        return self.ledger.outbox[delivery_id].state

    def next_try(self, delivery_id: str) -> datetime | None:
        return self.ledger.outbox[delivery_id].next_try_at


class Channels:
    """A channel that hears, is away, or hangs until it is let go."""

    names = ("chat-1",)

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.away = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def tell(self, channel: str, text: str) -> None:
        await self.goes_on.wait()
        if self.away or channel not in self.names:
            raise Unreachable("no chat today")
        self.heard.append(text)


class Mailer(MemoryMailer):
    """A mail server that can also break, hang, and tell when a mail has come."""

    def __init__(self, town: Town) -> None:
        super().__init__()
        self._town = town
        self.hangs = False
        self.breaks = False
        self.tried = 0
        self.came = asyncio.Event()
        self.rested = asyncio.Event()

    async def send(self, mail: Mail) -> None:
        self.tried += 1
        if self.hangs:
            self._town.after(seconds=20)
            raise Unreachable("it did not answer within 20 s")
        if self.breaks:
            raise RuntimeError("a bug")
        await super().send(mail)
        self.rested.clear()
        self.came.set()

    async def rest(self) -> None:
        self.rested.set()


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield
    structlog.reset_defaults()


def mail(number: int = 1, *, minutes: float = 0) -> Delivery:
    return Delivery(
        id=f"mail-{number}",
        key="key-1",
        event="OPENED",
        reader="customer",
        mail=Mail(
            message_id=f"<{number}@m.example>",
            to=f"carl{number}@example.com",
            subject="s",
            text="t",
            html="<p>t</p>",
        ),
        created_at=MONDAY + timedelta(minutes=minutes),
    )


def reply(ticket_id: str, number: int = 1) -> Delivery:
    return Delivery(
        id=f"reply-{number}",
        key="key-1",
        event="READY",
        reader="customer",
        ticket_id=ticket_id,
        reply="All three have agreed.",
        created_at=MONDAY + timedelta(minutes=number),
    )


def alert(number: int = 1, channel: str = "chat-1") -> Delivery:
    return Delivery(
        id=f"alert-{number}",
        key="key-1",
        event="COMMIT_STUCK",
        reader=f"{CHANNEL}{channel}",
        reply=f"stuck\n\n{number}",
        created_at=MONDAY,
    )


async def test_an_alert_arrives_once(town: Town) -> None:
    """On its channel."""
    await town.post(alert())
    for _ in range(2):
        await town.postman.deliver_due()
        await town.postman.told_aside()
    assert town.channels.heard == ["stuck\n\n1"]
    assert town.state("alert-1") is DeliveryState.SENT


async def test_a_channel_that_is_away_is_told_later(town: Town) -> None:
    """And one that this worker does not know is not taken for told."""
    town.channels.away = True
    await town.post(alert(1), alert(2, "pager-2"))
    await town.postman.deliver_due()
    await town.postman.told_aside()
    assert town.state("alert-1") is town.state("alert-2") is DeliveryState.PENDING
    town.channels.away = False
    town.after(minutes=1)
    await town.postman.deliver_due()
    await town.postman.told_aside()
    assert town.state("alert-1") is DeliveryState.SENT
    assert town.state("alert-2") is DeliveryState.PENDING


async def test_a_channel_that_hangs_delays_nothing_else(town: Town) -> None:
    """Not the mail of its own round, nor the next rounds; and only so many wait at a time."""
    town.channels.goes_on.clear()
    await town.post(*(alert(number) for number in range(MAX_ASIDE + AT_ONCE)), mail(1, minutes=1))
    while town.state("mail-1") is not DeliveryState.SENT:
        assert await town.postman.deliver_due()
    await town.post(mail(2))
    await town.postman.deliver_due()
    assert town.state("mail-2") is DeliveryState.SENT
    town.channels.goes_on.set()
    await town.postman.told_aside()
    assert len(town.channels.heard) == MAX_ASIDE
    town.after(minutes=2)
    await town.postman.deliver_due()
    await town.postman.told_aside()
    assert len(town.channels.heard) == MAX_ASIDE + AT_ONCE


async def test_a_worker_without_channels_leaves_alerts_to_others(town: Town) -> None:
    postman = Postman(
        town.ledger,
        town.mailer,
        town.desk,
        clock=lambda: town.now,
        poll_every=timedelta(hours=1),
        meter=town.meter,
    )
    await town.post(alert())
    await postman.deliver_due()
    await postman.told_aside()
    assert "TRANSFER_STAFF_CHANNELS" in town.ledger.outbox["alert-1"].last_error
    assert town.state("alert-1") is DeliveryState.PENDING


async def test_a_mail_and_a_reply_arrive_once(town: Town) -> None:
    """Both ways out, and a second round finds nothing to do."""
    await town.post(mail(), reply(town.ticket.id))
    assert await town.postman.deliver_due() == 2
    assert [m.to for m in town.mailer.sent] == ["carl1@example.com"]
    assert [r.text for r in await town.desk.replies(town.ticket.id)] == ["All three have agreed."]
    assert town.state("mail-1") is town.state("reply-1") is DeliveryState.SENT
    assert await town.postman.deliver_due() == 0


async def test_a_dead_mail_server_does_not_delay_ticket_replies(town: Town) -> None:
    """Mails wait, the reply of the same round arrives."""
    town.mailer.away = True
    await town.post(mail(), reply(town.ticket.id))
    await town.postman.deliver_due()
    assert town.state("mail-1") is DeliveryState.PENDING
    assert town.state("reply-1") is DeliveryState.SENT


async def test_a_hanging_mail_server_is_tried_by_one_round_only(town: Town) -> None:
    """Later mails are put off at once, so that replies do not queue behind timeouts."""
    town.mailer.hangs = True
    await town.post(*(mail(n) for n in range(AT_ONCE)))
    await town.post(*(mail(100 + n, minutes=1) for n in range(5)))
    await town.postman.deliver_due()
    tried = town.mailer.tried
    await town.postman.deliver_due()
    assert town.mailer.tried == tried
    town.mailer.hangs = False
    town.after(minutes=1)
    for _ in range(3):
        await town.postman.deliver_due()
    assert len(town.mailer.sent) == AT_ONCE + 5


async def test_a_quick_failure_puts_off_no_other_mail(town: Town) -> None:
    """One mailbox that is full for the moment is no reason to let others wait."""
    town.mailer.away = True
    await town.post(mail(1))
    await town.postman.deliver_due()
    town.mailer.away = False
    await town.post(mail(2))
    await town.postman.deliver_due()
    assert town.state("mail-2") is DeliveryState.SENT


async def test_retries_back_off_and_end_after_three_days(town: Town) -> None:
    """10 s, doubled up to 15 minutes, and given up for staff to see."""
    town.mailer.away = True
    await town.post(mail())
    waits: list[float] = []
    while town.state("mail-1") is DeliveryState.PENDING:
        assert await town.postman.deliver_due() == 1
        retry_at = town.next_try("mail-1")
        if retry_at is not None:
            waits.append((retry_at - town.now).total_seconds())
            town.now = retry_at
    assert waits[:8] == [10, 20, 40, 80, 160, 320, 640, 900]
    assert set(waits[7:]) == {900}
    assert timedelta(days=3) - timedelta(minutes=15) <= town.now - MONDAY < timedelta(days=3)
    assert town.state("mail-1") is DeliveryState.FAILED
    assert town.ledger.outbox["mail-1"].last_error.startswith("Unreachable: ")


async def test_what_can_never_arrive_is_given_up_at_once(town: Town) -> None:
    """A refused mail and a reply to a ticket that does not exist; both can be seen."""
    town.mailer.refuse.add("carl1@example.com")
    await town.post(mail(1), mail(2), reply("nowhere"))
    await town.postman.deliver_due()
    assert town.state("mail-1") is town.state("reply-1") is DeliveryState.FAILED
    assert town.ledger.outbox["mail-1"].last_error.startswith("MailRefused: 550")
    assert town.ledger.outbox["reply-1"].last_error.startswith("TicketNotFound: ")
    assert town.state("mail-2") is DeliveryState.SENT


async def test_an_error_nobody_foresaw_stops_no_other_delivery(town: Town) -> None:
    """It counts as a failure, is tried again, and is logged with its traceback."""
    town.mailer.breaks = True
    await town.post(mail(), reply(town.ticket.id))
    with capture_logs() as logs:
        await town.postman.deliver_due()
    assert town.state("reply-1") is DeliveryState.SENT
    assert town.next_try("mail-1") == MONDAY + timedelta(seconds=10)
    delayed = next(entry for entry in logs if entry["event"] == "notice_delayed")
    assert delayed["error"] == "RuntimeError: a bug"
    assert isinstance(delayed["exc_info"], RuntimeError)


async def test_a_delivery_that_never_ends_is_cut_off_within_its_lease(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a second postman would send it at the same time."""
    monkeypatch.setattr("transfer.postman.LONGEST_DELIVERY", timedelta())

    async def never(_mail: Mail) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(town.mailer, "send", never)
    await town.post(mail())
    await town.postman.deliver_due()
    assert town.next_try("mail-1") == MONDAY + timedelta(seconds=10)


async def test_a_crash_between_sending_and_recording_repeats_the_same_mail(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease runs out, and the mail goes again under the same Message-ID."""
    await town.post(mail())

    async def crash(mail: Mail) -> None:
        town.mailer.sent.append(mail)
        town.ledger.away = True

    with monkeypatch.context() as patched:
        patched.setattr(town.mailer, "send", crash)
        await town.postman.deliver_due()
    town.ledger.away = False
    assert await town.postman.deliver_due() == 0
    town.after(minutes=1)
    assert await town.postman.deliver_due() == 1
    assert [m.message_id for m in town.mailer.sent] == ["<1@m.example>", "<1@m.example>"]


async def test_a_bug_in_the_ledger_is_survived_too(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and the lease runs out."""

    async def broken(_delivery_ids: list[str], _at: datetime) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(town.ledger, "delivered", broken)
    await town.post(mail())
    with capture_logs() as logs:
        assert await town.postman.deliver_due() == 1
    assert [entry["event"] for entry in logs] == ["notice_not_recorded"]
    assert town.state("mail-1") is DeliveryState.PENDING


async def test_it_wakes_for_what_is_new_and_ends_when_cancelled(town: Town) -> None:
    """An hour's poll does not delay a notice that was just put into the outbox."""
    running = asyncio.create_task(town.postman.run())
    await asyncio.sleep(0)
    await town.post(mail())
    town.postman.wake()
    async with asyncio.timeout(10):
        await town.mailer.came.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_the_mailer_rests_when_nothing_is_left_to_send(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mail server is kept waiting for an hour, which is the poll."""
    monkeypatch.setattr("transfer.postman.KEPT", timedelta(milliseconds=1))
    await town.post(mail())
    running = asyncio.create_task(town.postman.run())
    async with asyncio.timeout(10):
        await town.mailer.came.wait()
        await town.mailer.rested.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("error", [Unreachable("away"), RuntimeError("a bug")])
async def test_a_ledger_that_is_away_is_waited_for(
    town: Town, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The postman does not die of it, and goes on when woken or when its poll comes."""
    failed = asyncio.Event()
    due = town.ledger.due

    async def away(now: datetime, limit: int) -> tuple[Delivery, ...]:
        if not failed.is_set():
            failed.set()
            raise error
        return await due(now, limit)

    monkeypatch.setattr(town.ledger, "due", away)
    await town.post(mail())
    running = asyncio.create_task(town.postman.run())
    async with asyncio.timeout(10):
        await failed.wait()
        town.postman.wake()
        await town.mailer.came.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
