"""Accounts in our own database: who is billed for whom, and the one move that changes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exc, insert, or_, select, text, update

from transfer import domains
from transfer.accounts_file import AccountsFile, LoadReport
from transfer.adapters.loading import changes, find
from transfer.adapters.moves import PanelAccess, conflict, difference
from transfer.adapters.sql.engine import Database, insert_new
from transfer.adapters.sql.load import write_changes
from transfer.adapters.sql.records import (
    read_assignments,
    read_customers,
    read_panel,
    read_people,
    read_resellers,
)
from transfer.adapters.sql.schema import (
    billing_assignments,
    customer_domains,
    customers,
    paid_invoices,
    panel_access,
    reseller_aliases,
    resellers,
)
from transfer.adapters.tools import utc_now
from transfer.errors import BillingConflict, DomainInvalid
from transfer.messages import BillingOrder
from transfer.parties import Assignment, CustomerRecord, Facts, Person, ResellerRecord, fold

_LOAD_LOCK = 7_402_002
"""Any number: who holds PostgreSQL's advisory lock by it may load an accounts file."""


class SqlAccounts:
    """``transfer.ports.Accounts``, and loading them. ``clock`` dates a change of price."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def facts(self, domain: str, new_reseller: str) -> Facts:
        """See ``Accounts.facts``. ``open_transfer`` stays empty: the workflow's id guards that."""

        def read(connection: Connection) -> Facts:
            customer = _customer_of(connection, domain)
            owner = None if customer is None else customer.reseller
            known = read_resellers(connection, or_(resellers.c.id == owner, _named(new_reseller)))
            old = next((one for one in known if one.id == owner), None)
            return Facts(customer=customer, old=old, new=find(new_reseller, known))

        return await self._database.read(read)

    async def owner(self, domain: str) -> CustomerRecord | None:
        """See ``Accounts.owner``."""
        return await self._database.read(_customer_of, domain)

    async def holder(self, account: str) -> CustomerRecord | ResellerRecord | None:
        """See ``Accounts.holder``."""
        return await self._database.read(lambda c: _customer(c, account) or _reseller(c, account))

    async def administrators(self, accounts: Collection[str]) -> dict[str, tuple[Person, ...]]:
        """See ``Accounts.administrators``."""
        if not accounts:
            return {}
        people = await self._database.read(read_people, accounts)
        return {account: people[account] for account in accounts}

    async def assignments(self, customer: str) -> tuple[Assignment, ...]:
        """See ``Accounts.assignments``."""
        return await self._database.read(read_assignments, customer)

    async def record_paid(self, reseller: str, invoices: Sequence[str], at: datetime) -> None:
        """See ``Accounts.record_paid``."""
        rows = [{"reseller": reseller, "invoice": fold(one), "at": at} for one in invoices]
        await self._database.write(insert_new, paid_invoices, rows)

    async def paid(self, reseller: str, invoices: Sequence[str]) -> tuple[str, ...]:
        """See ``Accounts.paid``."""
        table = paid_invoices.c
        wanted = select(table.invoice).where(
            table.reseller == reseller, table.invoice.in_([fold(one) for one in invoices])
        )
        found = set(await self._database.read(lambda c: c.scalars(wanted).all()))
        return tuple(one for one in invoices if fold(one) in found)

    async def panel(self, customer: str) -> tuple[PanelAccess, ...]:
        """Which resellers reached the customer's control panel, and when, oldest first."""
        return await self._database.read(read_panel, customer)

    async def move_billing(self, order: BillingOrder) -> Assignment:
        """See ``Accounts.move_billing``."""
        try:
            await self._database.write(_move, order)
        except exc.IntegrityError:
            raise BillingConflict(
                f"The database refused to bill {order.customer} twice, or {order.key} was used."
            ) from None
        # In a fresh transaction: what counts is what others can read.
        return await self._database.read(_read_back, order)

    async def load(self, file: AccountsFile) -> LoadReport:
        """Add and update accounts in one transaction; nothing is ever removed.

        A changed price ends the open assignment now and begins another, so that the past stays.

        Raises:
            AccountsFileInvalid: the file does not go together with what is in store, or would
                move a customer to another reseller. Nothing was loaded.
        """
        return await self._database.write(_load, file, self._clock())


def _move(connection: Connection, order: BillingOrder) -> None:
    """Move billing, unless this order did so before. Whoever comes second waits for the first."""
    billed = billing_assignments
    number = connection.scalar(
        select(customers.c.no).where(customers.c.id == order.customer).with_for_update()
    )
    done = connection.scalar(select(billed.c.no).where(billed.c.transfer_key == order.key))
    if done is not None:
        return  # the read-back compares
    # Locked as well, so that it cannot be suspended meanwhile.
    connection.execute(
        select(resellers.c.id).where(resellers.c.id == order.new).with_for_update(read=True)
    )
    assignments = read_assignments(connection, order.customer)
    problem = conflict(
        order,
        _customer(connection, order.customer),
        assignments[-1] if assignments else None,
        _reseller(connection, order.new),
    )
    if problem is not None:
        raise BillingConflict(problem)
    connection.execute(
        update(billed)
        .where(billed.c.customer_no == number, billed.c.ends_at.is_(None))
        .values(ends_at=order.at)
    )
    connection.execute(
        insert(billed).values(
            customer_no=number,
            reseller=order.new,
            starts_at=order.at,
            transfer_key=order.key,
            **order.charges.model_dump(),
        )
    )
    connection.execute(
        update(panel_access)
        .where(panel_access.c.customer_no == number, panel_access.c.until.is_(None))
        .values(until=order.at)
    )
    connection.execute(
        insert(panel_access).values(customer_no=number, reseller=order.new, since=order.at)
    )
    connection.execute(
        update(customers)
        .where(customers.c.no == number)
        .values(reseller=order.new, locked_until=order.lock_until)
    )


def _read_back(connection: Connection, order: BillingOrder) -> Assignment:
    assignments = read_assignments(connection, order.customer)
    panel = read_panel(connection, order.customer)
    customer = _customer(connection, order.customer)
    problem = difference(order, customer, assignments, panel)
    if problem is not None:
        raise BillingConflict(problem)
    return next(one for one in assignments if one.transfer == order.key)


def _load(connection: Connection, file: AccountsFile, now: datetime) -> LoadReport:
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOAD_LOCK})"))
    # Customers first, as in a move: so that neither waits for the other in a circle.
    connection.execute(select(customers.c.no).order_by("no").with_for_update())
    change = changes(
        file,
        {record.id: record for record in read_resellers(connection)},
        {record.id: record for record in read_customers(connection)},
    )
    write_changes(connection, change, now)
    return change.report


def _customer(connection: Connection, account: str) -> CustomerRecord | None:
    return next(iter(read_customers(connection, customers.c.id == account)), None)


def _reseller(connection: Connection, account: str) -> ResellerRecord | None:
    return next(iter(read_resellers(connection, resellers.c.id == account)), None)


def _customer_of(connection: Connection, domain: str) -> CustomerRecord | None:
    try:
        a_label = domains.to_a_label(domain)
    except DomainInvalid:
        a_label = domain.strip().lower()
    owner = select(customer_domains.c.customer_no).where(customer_domains.c.a_label == a_label)
    return next(iter(read_customers(connection, customers.c.no.in_(owner))), None)


def _named(name: str) -> ColumnElement[bool]:
    """Who may be meant by a name; ``find`` decides."""
    folded = fold(name)
    by_alias = select(reseller_aliases.c.reseller).where(reseller_aliases.c.folded == folded)
    return or_(
        resellers.c.id == name.strip(),
        resellers.c.folded_id == folded,
        resellers.c.folded_name == folded,
        resellers.c.id.in_(by_alias),
    )
