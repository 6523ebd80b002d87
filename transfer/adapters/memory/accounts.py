"""Accounts in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from transfer import domains
from transfer.accounts_file import AccountsFile, LoadReport
from transfer.adapters.loading import changes, find
from transfer.adapters.memory.neighbour import Neighbour
from transfer.adapters.moves import PanelAccess, conflict, difference
from transfer.adapters.tools import utc_now
from transfer.errors import BillingConflict, DomainInvalid
from transfer.messages import BillingOrder
from transfer.parties import Assignment, CustomerRecord, Facts, Person, ResellerRecord, fold


class MemoryAccounts(Neighbour):
    """``transfer.ports.Accounts`` with what ``SqlAccounts`` adds."""

    def __init__(
        self, file: AccountsFile | None = None, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__()
        self.resellers: dict[str, ResellerRecord] = {}
        self.customers: dict[str, CustomerRecord] = {}
        self.billed: dict[str, tuple[Assignment, ...]] = {}
        self.panels: dict[str, tuple[PanelAccess, ...]] = {}
        self.paid_invoices: dict[tuple[str, str], datetime] = {}
        self._clock = clock
        if file is not None:
            self._load(file)

    async def facts(self, domain: str, new_reseller: str) -> Facts:
        """See ``Accounts.facts``."""
        customer = await self.owner(domain)
        return Facts(
            customer=customer,
            old=self.resellers.get(customer.reseller) if customer else None,
            new=find(new_reseller, self.resellers.values()),
        )

    async def owner(self, domain: str) -> CustomerRecord | None:
        """See ``Accounts.owner``."""
        self.reach()
        try:
            a_label = domains.to_a_label(domain)
        except DomainInvalid:
            a_label = domain.strip().lower()
        return next((one for one in self.customers.values() if a_label in one.domains), None)

    async def holder(self, account: str) -> CustomerRecord | ResellerRecord | None:
        """See ``Accounts.holder``."""
        self.reach()
        return self.customers.get(account) or self.resellers.get(account)

    async def administrators(self, accounts: Collection[str]) -> dict[str, tuple[Person, ...]]:
        """See ``Accounts.administrators``."""
        self.reach()
        records = {one: self.resellers.get(one) or self.customers.get(one) for one in accounts}
        return {one: record.administrators if record else () for one, record in records.items()}

    async def assignments(self, customer: str) -> tuple[Assignment, ...]:
        """See ``Accounts.assignments``."""
        self.reach()
        return self.billed.get(customer, ())

    async def record_paid(self, reseller: str, invoices: Sequence[str], at: datetime) -> None:
        """See ``Accounts.record_paid``."""
        self.reach()
        for invoice in invoices:
            self.paid_invoices.setdefault((reseller, fold(invoice)), at)

    async def paid(self, reseller: str, invoices: Sequence[str]) -> tuple[str, ...]:
        """See ``Accounts.paid``."""
        self.reach()
        return tuple(one for one in invoices if (reseller, fold(one)) in self.paid_invoices)

    async def panel(self, customer: str) -> tuple[PanelAccess, ...]:
        """See ``SqlAccounts.panel``."""
        self.reach()
        return self.panels.get(customer, ())

    async def move_billing(self, order: BillingOrder) -> Assignment:
        """See ``Accounts.move_billing``."""
        self.reach()
        who = order.customer
        everything = [one for billed in self.billed.values() for one in billed]
        if not any(one.transfer == order.key for one in everything):
            self._move(order)
        billed = self.billed.get(who, ())
        problem = difference(order, self.customers.get(who), billed, self.panels.get(who, ()))
        if problem is not None:
            raise BillingConflict(problem)
        return next(one for one in billed if one.transfer == order.key)

    async def load(self, file: AccountsFile) -> LoadReport:
        """See ``SqlAccounts.load``."""
        self.reach()
        return self._load(file)

    def _move(self, order: BillingOrder) -> None:
        customer = self.customers.get(order.customer)
        billed = self.billed.get(order.customer, ())
        new = self.resellers.get(order.new)
        problem = conflict(order, customer, billed[-1] if billed else None, new)
        if problem is not None or customer is None:
            raise BillingConflict(problem or f"{order.customer} is not on record.")
        begun = Assignment(
            reseller=order.new, charges=order.charges, starts_at=order.at, transfer=order.key
        )
        ended = billed[-1].model_copy(update={"ends_at": order.at})
        self.billed[customer.id] = (*billed[:-1], ended, begun)
        *before, open_panel = self.panels[customer.id]
        self.panels[customer.id] = (
            *before,
            open_panel.model_copy(update={"until": order.at}),
            PanelAccess(reseller=order.new, since=order.at),
        )
        self.customers[customer.id] = customer.model_copy(
            update={"reseller": order.new, "locked_until": order.lock_until}
        )

    def _load(self, file: AccountsFile) -> LoadReport:
        change = changes(file, self.resellers, self.customers)
        for reseller in (*change.new_resellers, *change.changed_resellers):
            self.resellers[reseller.id] = reseller
        for customer in change.new_customers:
            begin = customer.billed_from
            self.billed[customer.id] = (
                Assignment(reseller=customer.reseller, charges=customer.charges, starts_at=begin),
            )
            self.panels[customer.id] = (PanelAccess(reseller=customer.reseller, since=begin),)
        for customer in change.changed_customers:
            self._reprice(customer, self._clock())
        for customer in (*change.new_customers, *change.changed_customers):
            self.customers[customer.id] = customer
        return change.report

    def _reprice(self, customer: CustomerRecord, now: datetime) -> None:
        *before, current = self.billed[customer.id]
        changed = {"charges": customer.charges}
        if current.charges == customer.charges:
            return
        if current.starts_at >= now:
            self.billed[customer.id] = (*before, current.model_copy(update=changed))
            return
        self.billed[customer.id] = (
            *before,
            current.model_copy(update={"ends_at": now}),
            current.model_copy(update={**changed, "starts_at": now, "transfer": None}),
        )
