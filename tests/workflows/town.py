"""The town in which transfers happen: Acme, Globex and their customers, all in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import temporalio.client
import temporalio.worker
from temporalio import activity

from activities.accounts import AccountActivities
from activities.notices import NoticeActivities
from activities.staff import StaffActivities
from activities.tickets import TicketActivities
from transfer import notices
from transfer.adapters.memory import (
    MemoryAccounts,
    MemoryDesk,
    MemoryLedger,
    MemoryMeter,
    MemoryStaffQueue,
)
from transfer.adapters.moves import PanelAccess
from transfer.case import Publication
from transfer.messages import Delivery
from transfer.parties import Assignment, Charges, CustomerRecord, Party, Person, ResellerRecord
from transfer.temporal import TASK_QUEUE
from workflows.customer_transfer import CustomerTransfer

CHARGES = Charges(plan="business", price=Decimal("12.50"), currency="EUR")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

Hook = Callable[[], Awaitable[object]]


def _person(name: str) -> Person:
    return Person(id=name, name=name.title(), email=f"{name}@people.example")


def _reseller(name: str, administrator: str, **fields: Any) -> ResellerRecord:
    return ResellerRecord(
        id=name,
        name=name.title(),
        billing_account=f"BA-{name}",
        administrators=(_person(administrator),),
        **fields,
    )


class Town:
    """The neighbours of the service, and the worker that serves them."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.accounts = MemoryAccounts(clock=lambda: self.now)
        self.desk = MemoryDesk(self.accounts, clock=lambda: self.now)
        self.ledger = MemoryLedger()
        self.meter = MemoryMeter()
        self.queue = MemoryStaffQueue(self.desk)
        self.watch = Watch()
        for reseller in (
            _reseller("acme", "ann"),
            _reseller("globex", "gina"),
            _reseller("broke", "bob", suspended=True),
        ):
            self.accounts.resellers[reseller.id] = reseller

    def settle(self, domain: str, reseller: str = "acme") -> CustomerRecord:
        """Let a new customer move in."""
        customer = CustomerRecord(
            id=f"C-{len(self.accounts.customers) + 1}",
            name=f"Owner of {domain}"[:60],
            domains=(domain, f"www.{domain}"),
            reseller=reseller,
            charges=CHARGES,
            billed_from=LONG_AGO,
            administrators=(_person("carl"),),
        )
        self.accounts.customers[customer.id] = customer
        self.accounts.billed[customer.id] = (
            Assignment(reseller=reseller, charges=CHARGES, starts_at=LONG_AGO),
        )
        self.accounts.panels[customer.id] = (PanelAccess(reseller=reseller, since=LONG_AGO),)
        return customer

    def all_are_back(self) -> None:
        """End every outage."""
        for neighbour in (self.accounts, self.desk, self.ledger, self.queue):
            neighbour.away = False

    def worker(
        self,
        client: temporalio.client.Client,
        *,
        task_queue: str = TASK_QUEUE,
        transfer: type = CustomerTransfer,
        **options: Any,
    ) -> temporalio.worker.Worker:
        """A worker of this town."""
        notice = NoticeActivities(
            self.accounts,
            self.ledger,
            compose=_compose,
            wake_postman=lambda: None,
            meter=self.meter,
        )
        account = AccountActivities(self.accounts, notice)
        ticket = TicketActivities(self.desk, self.accounts, self.ledger)
        staff = StaffActivities(self.queue)
        worker = temporalio.worker.Worker(
            client,
            task_queue=task_queue,
            workflows=[transfer],
            activities=[
                ticket.survey,
                ticket.read_tickets,
                notice.publish,
                account.move_billing,
                staff.escalate,
            ],
            interceptors=[self.watch],
            graceful_shutdown_timeout=timedelta(seconds=1),
            **options,
        )
        # Two seconds without a rest are a hang for the SDK. On a machine that is busy with other
        # tests, a task with thousands of signals needs them; a loop without end is still found.
        assert worker._workflow_worker is not None
        worker._workflow_worker._deadlock_timeout_seconds = 20
        return worker


def _compose(
    publication: Publication, administrators: Mapping[Party, Sequence[Person]]
) -> tuple[Delivery, ...]:
    compose = partial(notices.deliveries, staff=["staff@host.example"], mail_domain="host.example")
    return compose(publication, administrators)


class Watch(temporalio.worker.Interceptor):
    """Counts the activities of each transfer, and lets tests step in before and after one."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.before: dict[tuple[str, str], Hook] = {}
        self.after: dict[tuple[str, str], Hook] = {}

    def intercept_activity(
        self,
        next: temporalio.worker.ActivityInboundInterceptor,  # noqa: A002 - the SDK's name for it
    ) -> temporalio.worker.ActivityInboundInterceptor:
        """Stand in front of every activity."""
        return _Watched(next, self)


class _Watched(temporalio.worker.ActivityInboundInterceptor):
    def __init__(self, inner: temporalio.worker.ActivityInboundInterceptor, watch: Watch) -> None:
        super().__init__(inner)
        self._watch = watch

    async def execute_activity(self, input: temporalio.worker.ExecuteActivityInput) -> Any:
        info = activity.info()
        call = (info.workflow_id or "", info.activity_type)
        self._watch.calls.append(call)
        if hook := self._watch.before.get(call):
            await hook()
        result = await super().execute_activity(input)
        if hook := self._watch.after.get(call):
            await hook()
        return result
