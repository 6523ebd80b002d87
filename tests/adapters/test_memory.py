"""What the fakes can do beyond the suite: be away, and refuse."""

from __future__ import annotations

import pytest

from tests.adapters.stores import ACCOUNTS, NOW, delivery, order
from transfer.adapters.memory import (
    MemoryAccounts,
    MemoryDesk,
    MemoryLedger,
    MemoryMailer,
    MemoryStaffQueue,
)
from transfer.errors import MailRefused, Unreachable

MAIL = delivery("d1").mail


async def test_every_fake_is_unreachable_while_it_is_away() -> None:
    """Nothing has changed when it is back."""
    accounts = MemoryAccounts(ACCOUNTS)
    desk, ledger, mailer = MemoryDesk(accounts), MemoryLedger(), MemoryMailer()
    queue = MemoryStaffQueue(desk)
    assert MAIL is not None
    for fake in (accounts, desk, ledger, mailer, queue):
        fake.away = True
    for call in (
        accounts.move_billing(order()),
        desk.file("acme", "ann", "S", "B"),
        ledger.due(NOW, 1),
        mailer.send(MAIL),
        queue.escalations(),
    ):
        with pytest.raises(Unreachable):
            await call
    accounts.away = False
    assert len(await accounts.assignments("C-1")) == 1
    assert (mailer.sent, desk.tickets) == ([], {})


async def test_the_mailer_keeps_what_was_sent_and_refuses_whom_it_is_told_to() -> None:
    """A wrong address is refused for good."""
    mailer = MemoryMailer()
    assert MAIL is not None
    await mailer.send(MAIL)
    mailer.refuse.add(MAIL.to)
    with pytest.raises(MailRefused):
        await mailer.send(MAIL)
    assert mailer.sent == [MAIL]
