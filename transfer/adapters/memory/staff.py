"""The staff queue and the mail server in memory."""

from __future__ import annotations

from transfer.accounts_file import RESERVED
from transfer.adapters.desk import STAFF_AUTHOR, Reply
from transfer.adapters.memory.desk import MemoryDesk
from transfer.adapters.memory.neighbour import Neighbour
from transfer.adapters.tools import staff_reply, staff_reply_key, staff_ticket
from transfer.errors import MailRefused
from transfer.messages import EscalationState, EscalationUpdate, Mail
from transfer.parties import Person


class MemoryStaffQueue(Neighbour):
    """``transfer.ports.StaffQueue``; a reference is the id of a ticket at the desk."""

    def __init__(self, desk: MemoryDesk) -> None:
        super().__init__()
        self.known: dict[str, EscalationUpdate] = {}
        self.references: dict[str, str] = {}
        self._desk = desk

    async def update(self, escalation: EscalationUpdate) -> str:
        """See ``StaffQueue.update``."""
        self.reach()
        key, at = escalation.key, escalation.at
        known = self.known.get(key)
        if known is None:
            author = Person(id=STAFF_AUTHOR)
            ticket = self._desk.add(RESERVED, author, staff_ticket(escalation), at)
            self.references[key] = ticket.id
        elif known != escalation and known.at <= at:
            reply = Reply(key=staff_reply_key(escalation), at=at, text=staff_reply(escalation))
            self._desk.add_reply(self.references[key], reply)
        else:
            return self.references[key]
        self.known[key] = escalation
        is_open = escalation.state is not EscalationState.CLOSED
        self._desk.set_open(self.references[key], at, is_open=is_open)
        return self.references[key]

    async def escalations(self) -> tuple[EscalationUpdate, ...]:
        """See ``SqlStaffQueue.escalations``."""
        self.reach()
        waiting = [one for one in self.known.values() if one.state is not EscalationState.CLOSED]
        return tuple(sorted(waiting, key=lambda one: (one.opened_at, one.key)))

    async def newest(self, key: str) -> EscalationUpdate | None:
        """See ``SqlStaffQueue.newest``."""
        self.reach()
        return self.known.get(key)


class MemoryMailer(Neighbour):
    """``transfer.ports.Mailer``: ``sent`` holds every mail, ``refuse`` addresses that bounce."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Mail] = []
        self.refuse: set[str] = set()

    async def send(self, mail: Mail) -> None:
        """See ``Mailer.send``."""
        self.reach()
        if mail.to in self.refuse:
            raise MailRefused(f"550 {mail.to}: no such mailbox.")
        self.sent.append(mail)

    async def rest(self) -> None:
        """See ``Mailer.rest``."""
