"""What the contract suite runs on: one set of adapters over one fresh store, and its contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from transfer.accounts_file import AccountsFile
from transfer.adapters.desk import Desk
from transfer.adapters.memory import (
    MemoryAccounts,
    MemoryArrivals,
    MemoryDesk,
    MemoryFigures,
    MemoryLedger,
    MemoryStaffQueue,
    MemoryTracking,
)
from transfer.adapters.sql.accounts import SqlAccounts
from transfer.adapters.sql.arrivals import SqlArrivals
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.figures import SqlFigures
from transfer.adapters.sql.ledger import SqlLedger
from transfer.adapters.sql.staff_queue import SqlStaffQueue
from transfer.adapters.sql.tracking import SqlTracking
from transfer.messages import BillingOrder, Delivery, EvidenceRow, Mail
from transfer.parties import Charges, CustomerRecord, Person, ResellerRecord

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CHARGES = Charges(plan="business", price=Decimal("12.50"), currency="EUR")
sql_only = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> datetime:
        """Move on, and return the new instant."""
        self.now += time
        return self.now


@dataclass
class Stores:
    """Every port over one store. ``another`` opens it a second time, as a second worker would."""

    accounts: SqlAccounts | MemoryAccounts
    desk: Desk
    ledger: SqlLedger | MemoryLedger
    arrivals: SqlArrivals | MemoryArrivals
    staff_queue: SqlStaffQueue | MemoryStaffQueue
    tracking: SqlTracking | MemoryTracking
    figures: SqlFigures | MemoryFigures
    clock: Clock
    another: Callable[[], Stores]
    database: Database | None = field(default=None)

    @property
    def sql(self) -> Database:
        """The database, where there is one."""
        assert self.database is not None
        return self.database


def _no_other() -> Stores:
    pytest.fail("this test has but one worker")


def sql_stores(
    database: Database, clock: Clock, another: Callable[[], Stores] = _no_other
) -> Stores:
    """The adapters over a database."""
    return Stores(
        accounts=SqlAccounts(database, clock=clock),
        desk=SqlDesk(database, clock=clock),
        ledger=SqlLedger(database),
        arrivals=SqlArrivals(database),
        staff_queue=SqlStaffQueue(database),
        tracking=SqlTracking(database),
        figures=SqlFigures(database),
        clock=clock,
        another=another,
        database=database,
    )


def memory_stores(clock: Clock) -> Stores:
    """The fakes. A second worker shares their memory."""
    accounts = MemoryAccounts(clock=clock)
    desk = MemoryDesk(accounts, clock=clock)
    ledger = MemoryLedger()
    stores = Stores(
        accounts=accounts,
        desk=desk,
        ledger=ledger,
        arrivals=MemoryArrivals(ledger),
        staff_queue=MemoryStaffQueue(desk),
        tracking=MemoryTracking(ledger),
        figures=MemoryFigures(ledger),
        clock=clock,
        another=lambda: stores,
    )
    return stores


def reseller(account: str, **values: object) -> ResellerRecord:
    """A reseller that may take customers."""
    return ResellerRecord.model_validate(
        {
            "id": account,
            "name": f"{account.title()} Hosting",
            "aliases": (f"{account} Ltd",),
            "billing_account": f"BA-{account}",
            "administrators": (
                Person(id=f"{account}-admin", name="Ann", email=f"ann@{account}.example"),
            ),
            **values,
        }
    )


def customer(account: str, **values: object) -> CustomerRecord:
    """A customer of acme that may be moved."""
    return CustomerRecord.model_validate(
        {
            "id": account,
            "name": f"{account} Ltd",
            "domains": (f"{account.lower()}.example",),
            "reseller": "acme",
            "charges": CHARGES,
            "billed_from": datetime(2026, 1, 1, tzinfo=UTC),
            "administrators": (Person(id="carl", name="Carl", email="carl@example.com"),),
            **values,
        }
    )


ACCOUNTS = AccountsFile(
    resellers=(
        reseller("acme"),
        reseller("globex"),
        reseller("initech", suspended=True),
        reseller("umbrella", billing_account=""),
    ),
    customers=(
        customer("C-1", domains=("example.com", "xn--exmple-cua.example")),
        customer("C-2", reseller="globex"),
    ),
)


def order(key: object = "transfer-example.com/1", **values: object) -> BillingOrder:
    """Move C-1 from acme to globex, an hour from now."""
    return BillingOrder.model_validate(
        {
            "key": key,
            "customer": "C-1",
            "old": "acme",
            "new": "globex",
            "charges": CHARGES,
            "at": NOW + timedelta(hours=1),
            "lock_until": NOW + timedelta(days=30),
            **values,
        }
    )


def row(seq: int = 1, **values: object) -> EvidenceRow:
    """A piece of evidence."""
    return EvidenceRow.model_validate(
        {
            "key": "k1",
            "transfer_id": "transfer-example.com",
            "seq": seq,
            "at": NOW,
            "who": "carl",
            "code": "AUTHORIZED",
            "ticket_id": "1042",
            "slot": "authorize",
            **values,
        }
    )


def delivery(name: str, **values: object) -> Delivery:
    """A mail on its way to the customer."""
    mail = Mail(
        message_id=f"<{name}@transfer.example>",
        to="carl@example.com",
        subject="Transfer",
        text="Text",
        html="<p>Text</p>",
    )
    return Delivery.model_validate(
        {
            "id": name,
            "key": "k1",
            "event": "OPENED",
            "reader": "customer",
            "mail": mail,
            "created_at": NOW,
            **values,
        }
    )
