"""A gateway over fakes, asked inside this process; signed as a ticket system would."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr
from standardwebhooks import Webhook

from gateway.app import RtHooks, build
from gateway.hooks import Porter
from gateway.limits import Limits
from gateway.reception import Desk, Stores
from gateway.signatures import RtSignatures, Signatures
from gateway.tracking import Tracker
from gateway.wire import EXAMPLE
from tests.adapters.stores import ACCOUNTS
from transfer.accounts_file import AccountsFile
from transfer.adapters.memory import (
    MemoryAccounts,
    MemoryArrivals,
    MemoryDesk,
    MemoryFigures,
    MemoryLedger,
    MemoryTracking,
)
from transfer.adapters.memory.neighbour import Neighbour
from transfer.commands.announce import announcement
from transfer.links import Links
from transfer.messages import TransferRequest
from transfer.parties import Facts, Slot
from transfer.policy import Policy
from transfer.tickets import Intent, text_to_file

RT_SECRET = "a secret that Request Tracker signs with"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OLD_SECRET = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xkIG9sZA=="
TRACKING_KEYS = ("the newest key that signs the links", "the key before it, which still counts")
HOME = "transfer-example.com"
FILERS = {
    Slot.RELEASE: ("acme", "acme-admin"),
    Slot.AUTHORIZE: ("C-1", "carl"),
    Slot.ACCEPT: ("globex", "globex-admin"),
}


class MemoryTransfers(Neighbour):
    """Transfers that are open, the signals they got, each key once, and the order of it all."""

    def __init__(self) -> None:
        super().__init__()
        self.open_ones: set[str] = set()
        self.signals: list[tuple[str, str, str]] = []
        self.opened: list[TransferRequest] = []
        self._keys: set[tuple[str, str]] = set()
        self.after_ring: Callable[[], None] = lambda: None

    async def ring(self, transfer_id: str, what: Intent, ticket_id: str, *, key: str) -> bool:
        self.reach()
        there = transfer_id in self.open_ones
        if there and (transfer_id, key) not in self._keys:
            self._keys.add((transfer_id, key))
            self.signals.append((transfer_id, what.value, ticket_id))
        self.after_ring()
        return there

    async def open(
        self, transfer_id: str, request: TransferRequest, facts: Facts, now: datetime
    ) -> bool:
        self.reach()
        if transfer_id in self.open_ones:
            return False
        self.open_ones.add(transfer_id)
        self.opened.append(request)
        return True

    async def check(self) -> None:
        self.reach()


class Sender:
    """A ticket system: files tickets at the desk, and announces them, signed."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.client = httpx.AsyncClient(base_url=url, transport=transport, timeout=60)

    async def send(
        self,
        body: dict[str, Any] | bytes,
        *,
        webhook_id: str = "",
        at: datetime | None = None,
        secret: str = SECRET,
        **headers: str,
    ) -> httpx.Response:
        """Send a webhook; keywords replace headers."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        webhook_id, at = webhook_id or f"msg_{uuid.uuid4()}", at or datetime.now(UTC)
        signed = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(webhook_id, at, raw.decode(errors="ignore")),
        }
        replaced = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = [(n.encode(), value.encode("latin-1")) for n, value in (signed | replaced).items()]
        return await self.client.post("/tickets", content=raw, headers=sent)

    async def hook(
        self,
        body: object,
        *,
        at: datetime | None = None,
        secret: str = RT_SECRET,
        **headers: str,
    ) -> httpx.Response:
        """Call as Request Tracker does; keywords replace headers."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        time = int((at or datetime.now(UTC)).timestamp())
        signed = hmac.new(secret.encode(), b"%d.%s" % (time, raw), "sha256").hexdigest()
        standard = {"content-type": "application/json", "x-rt-signature": f"t={time},v1={signed}"}
        replaced = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/rt", content=raw, headers=standard | replaced)


def announced(event: str = "ticket.created", **fields: Any) -> dict[str, Any]:
    """The documented example, with these fields of the ticket."""
    body: dict[str, Any] = deepcopy(EXAMPLE)
    body["event"] = event
    author = {key: fields.pop(key) for key in ("administrator", "delegated") if key in fields}
    body["ticket"] |= {"account": "C-1"} | fields
    body["ticket"]["author"] = dict(body["ticket"]["author"]) | author
    return body


class Gateway(Sender):
    """A gateway whose neighbours are in memory."""

    def __init__(
        self,
        accounts: AccountsFile = ACCOUNTS,
        policy: Policy | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.accounts = MemoryAccounts(accounts)
        self.tickets = MemoryDesk(self.accounts)
        self.ledger = MemoryLedger()
        self.arrivals = MemoryArrivals(self.ledger)
        self.transfers = MemoryTransfers()
        self.tracking = MemoryTracking(self.ledger)
        self.figures = MemoryFigures(self.ledger)
        self.links = Links(TRACKING_KEYS, "http://gateway.test", timedelta(days=90))
        self.neighbours = (
            *(self.accounts, self.tickets, self.ledger, self.arrivals),
            self.transfers,
        )
        self.desk = Desk(
            Stores(self.accounts, self.tickets, self.ledger, self.arrivals),
            self.transfers,
            policy=policy or Policy(),
            clock=lambda: datetime.now(UTC),
            own_authors=frozenset({"robot"}),
        )
        secrets = Signatures([SecretStr(SECRET), SecretStr(OLD_SECRET)])
        self.porter = Porter(
            self.tickets, self.desk, clock=lambda: datetime.now(UTC), pauses=(0.01,) * 6
        )
        rt = RtHooks(self.porter, RtSignatures([SecretStr(RT_SECRET)]))
        self.now = datetime.now(UTC)
        tracker = Tracker(self.links, self.tracking, lambda: self.now)
        self.app = build(
            *(self.desk, self.transfers, self.arrivals, self.figures, secrets),
            rt,
            tracker,
            limits=limits,
        )
        super().__init__("http://gateway.test", httpx.ASGITransport(self.app))

    async def file(
        self, slot: Slot, *, domain: str = "example.com", to: str = "globex", **session: Any
    ) -> dict[str, Any]:
        """File a party's ticket, and return its announcement."""
        facts = await self.accounts.facts(domain, to)
        assert facts.old is not None
        assert facts.new is not None
        account, person = FILERS[slot]
        person = session.pop("by", person)
        texts = text_to_file(Intent(slot.value), domain, facts.old.account, facts.new.account)
        filed = await self.tickets.file(account, person, *texts, **session)
        return self.announce(filed.id)

    def announce(self, ticket_id: str, event: str = "ticket.created") -> dict[str, Any]:
        """What the ticket system says of a ticket."""
        return announcement(self.tickets.tickets[ticket_id]) | {"event": event}

    async def waiting(self) -> dict[str, str]:
        """The tickets that are parked, and why."""
        return {one.ticket_id: one.why for one in await self.arrivals.parked()}
