"""What commands work with: the settings, the database, Temporal, and one transfer's handle."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from temporalio.client import Client, WorkflowHandle

from transfer import domains, telemetry, tracing
from transfer.adapters.wiring import Neighbours, neighbours
from transfer.connection import connect
from transfer.errors import DomainInvalid, Unreachable
from transfer.opening import transfer_id
from transfer.settings import load_settings
from transfer.views import Outcome
from workflows.customer_transfer import CustomerTransfer

Handle = WorkflowHandle[CustomerTransfer, Outcome]


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def database() -> AsyncGenerator[Neighbours]:
    """The neighbours that are in our own database.

    Raises:
        Unreachable: the database is away, or its schema is not current.
    """
    async with neighbours(load_settings()) as opened:
        yield opened


async def temporal() -> Client:
    """A client of Temporal.

    Raises:
        Unreachable: nobody answers.
    """
    settings = load_settings()
    if settings.otlp_endpoint:
        tracing.start("starter")
    return await connect(settings, telemetry.runtime())


async def handle(client: Client, domain: str) -> Handle:
    """The transfer of the customer who has ``domain``, whichever of its domains that is."""
    return client.get_workflow_handle_for(CustomerTransfer.run, await workflow_id(domain))


async def workflow_id(domain: str) -> str:
    """The workflow id of a domain's customer; of the domain itself where no customer has it."""
    try:
        async with database() as opened:
            customer = await opened.accounts.owner(domain)
        if customer is not None:
            return transfer_id(customer.domains[0])
    except Unreachable:
        pass  # Temporal alone can answer for a primary domain
    try:
        return transfer_id(domains.to_a_label(domain))
    except DomainInvalid:
        return transfer_id(domain.strip().lower()[:200])
