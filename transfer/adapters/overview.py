"""The open transfers, as Temporal lists them."""

from __future__ import annotations

from datetime import datetime

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from transfer.attributes import (
    CUSTOMER_DOMAIN,
    ESCALATED,
    NEW_RESELLER,
    NEXT_DEADLINE,
    OLD_RESELLER,
    TRANSFER_STATE,
    WAITING_ON,
)
from transfer.errors import Unreachable
from transfer.overview import Need, Needing, OpenTransfer
from transfer.temporal import RPC_TIMEOUT, WORKFLOW_TYPE

PAGE = 100
_OPEN = f'WorkflowType="{WORKFLOW_TYPE}" AND ExecutionStatus="Running"'


class TemporalOverview:
    """``transfer.ports.Overview`` by search attributes. The list follows within a second or so."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def open_transfers(self, need: Need, *, due_before: datetime, limit: int) -> Needing:
        """See ``Overview.open_transfers``."""
        query = f"{_OPEN} AND {_condition(need, due_before)}"
        # One more than wanted, to know whether there are more.
        listed = self._client.list_workflows(
            query, limit=limit + 1, page_size=PAGE, rpc_timeout=RPC_TIMEOUT
        )
        try:
            found = [_transfer(one) async for one in listed]
        except RPCError as error:
            raise Unreachable(f"Temporal: {error.status.name}: {error.message[:200]}") from error
        return Needing(need=need, transfers=tuple(found[:limit]), more=len(found) > limit)


def _condition(need: Need, due_before: datetime) -> str:
    match need:
        case Need.STUCK:
            return f'{TRANSFER_STATE.name}="COMMIT_STUCK"'
        case Need.ESCALATED:
            return f"{ESCALATED.name}=true"
        case Need.WAITING:
            return f'{WAITING_ON.name}="staff"'
        case Need.DUE:
            return f'{NEXT_DEADLINE.name} < "{due_before:%Y-%m-%dT%H:%M:%SZ}"'


def _transfer(listed: WorkflowExecution) -> OpenTransfer:
    shown = listed.typed_search_attributes
    return OpenTransfer(
        transfer_id=listed.id,
        domain=shown.get(CUSTOMER_DOMAIN) or listed.id.removeprefix("transfer-"),
        old=shown.get(OLD_RESELLER) or "",
        new=shown.get(NEW_RESELLER) or "",
        state=shown.get(TRANSFER_STATE) or "",
        waiting_on=tuple(shown.get(WAITING_ON) or ()),
        escalated=bool(shown.get(ESCALATED)),
        next_deadline=shown.get(NEXT_DEADLINE),
    )
