"""Transfers, as the gateway needs them: ring at one, open one. Temporal stands behind it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Protocol

from temporalio.api.common.v1 import Header, Payloads, WorkflowExecution
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from transfer import starting, tracing
from transfer.connection import connect_patiently
from transfer.errors import Unreachable
from transfer.messages import Doorbell, TransferRequest
from transfer.parties import Facts
from transfer.settings import Settings
from transfer.tickets import Intent

PATIENCE = timedelta(seconds=5)
"""How long one call to Temporal may take: the sender waits for its answer."""


class Transfers(Protocol):
    """What the gateway needs of transfers. Each method may raise ``Unreachable``."""

    async def ring(self, transfer_id: str, what: Intent, ticket_id: str, *, key: str) -> bool:
        """Tell an open transfer of a ticket; ``False`` where there is none open.

        The same ``key`` twice is one signal.
        """
        ...

    async def open(
        self, transfer_id: str, request: TransferRequest, facts: Facts, now: datetime
    ) -> bool:
        """Start a transfer; ``False`` where it is open already."""
        ...

    async def check(self) -> None:
        """Raise ``Unreachable`` where Temporal does not answer."""
        ...


class TemporalTransfers:
    """``Transfers`` as workflows. Until ``connect`` has connected, they are unreachable."""

    def __init__(self, client: Client | None = None) -> None:
        self._client = client

    async def connect(
        self, settings: Settings, runtime: Runtime, stop: asyncio.Event
    ) -> Client | None:
        """Connect, and wait for Temporal as long as that takes; ``None`` if stopped before.

        Raises:
            TransferError: a search attribute is not registered there.
        """
        self._client = await connect_patiently(settings, runtime, stop)
        return self._client

    async def ring(self, transfer_id: str, what: Intent, ticket_id: str, *, key: str) -> bool:
        """See ``Transfers.ring``. The SDK's own signals carry no key, so this is the bare call."""
        client = self._connected()
        payloads = await client.data_converter.encode([Doorbell(ticket_id=ticket_id)])
        header = Header(fields=tracing.headers())
        try:
            await client.workflow_service.signal_workflow_execution(
                SignalWorkflowExecutionRequest(
                    namespace=client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=transfer_id),
                    signal_name=what.value,
                    input=Payloads(payloads=payloads),
                    header=header,
                    identity=client.identity,
                    request_id=str(uuid.uuid5(uuid.NAMESPACE_URL, key)),
                ),
                retry=True,
                timeout=PATIENCE,
            )
        except RPCError as error:
            if _is_no_such_transfer(error):
                return False
            raise _unreachable(error) from error
        return True

    async def open(
        self, transfer_id: str, request: TransferRequest, facts: Facts, now: datetime
    ) -> bool:
        """See ``Transfers.open``."""
        try:
            await starting.begin(self._connected(), request, facts, transfer_id, now)
        except WorkflowAlreadyStartedError:
            return False
        except RPCError as error:
            raise _unreachable(error) from error
        return True

    async def check(self) -> None:
        """See ``Transfers.check``."""
        try:
            await self._connected().count_workflows(
                'WorkflowType="CustomerTransfer" AND ExecutionStatus="Running"',
                rpc_timeout=PATIENCE,
            )
        except RPCError as error:
            raise _unreachable(error) from error

    def _connected(self) -> Client:
        if self._client is None:
            raise Unreachable("Temporal has not answered yet. Try again.")
        return self._client


def _is_no_such_transfer(error: RPCError) -> bool:
    """There is none, or it is over; a namespace that is missing is another matter."""
    return error.status is RPCStatusCode.NOT_FOUND and not any(
        detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details
    )


def _unreachable(error: RPCError) -> Unreachable:
    """Whatever it is, the ticket is not delivered: the sender must try again."""
    return Unreachable(f"Temporal: {error.status.name}: {error.message[:200]}")
