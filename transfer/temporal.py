"""Our Temporal dialect: one plugin, one way to connect, timeouts and retry policies by name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.failure.v1 import Failure
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.common import (
    RetryPolicy,
    SearchAttributeIndexedValueType,
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import FailureError
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from transfer.errors import (
    InputInvalid,
    RuleBroken,
    TransferError,
    Unreachable,
    non_retryable_names,
)
from transfer.guard import Guard
from transfer.views import Attributes

log = logging.getLogger("temporal")  # structlog would bring rich into the sandbox

TASK_QUEUE = "customer-transfers"
WORKFLOW_TYPE = "CustomerTransfer"
DEFAULT_ADDRESS = "localhost:7233"

RECONNECT_SECONDS = 5.0
"""How long a worker waits before it looks for Temporal again."""

RPC_TIMEOUT = timedelta(seconds=10)
"""How long a client waits for the server before it says that Temporal is away."""

# -- timeouts and retry policies, by name ------------------------------------------------------
AT_ONCE = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=1),
    maximum_attempts=3,
)
"""For a look inside the workflow task: our own database answers in milliseconds, or is away."""
AT_ONCE_TIMEOUT = timedelta(seconds=4)

PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
)
"""For a neighbour that is away: tried until it is back, and seen as a pending activity by staff.

Whatever the error is: a transfer never fails for it, and a deploy can mend what a retry cannot.
"""
PATIENT_TIMEOUT = timedelta(seconds=30)

COMMIT = replace(PATIENT, non_retryable_error_types=non_retryable_names())
"""As patient, but where the answer is no, staff hear of it at once."""
COMMIT_WINDOW = timedelta(minutes=10)
"""How long a commit is tried patiently before staff are paged; it is tried on afterwards."""

DIGEST_WINDOW = timedelta(hours=12)
"""How long a digest is tried: what is needed today is not read tomorrow, and there is a new one."""

MAX_SUMMARY = 180
"""Characters of a summary in the timeline."""

SHOWN_TO = timedelta(minutes=1)
"""How exact an instant in the list has to be: an upsert for less would cost more than it tells."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


async def look(
    activity: Callable[[Any, _In], Awaitable[_Out]], message: _In, *, summary: str
) -> _Out:
    """Run an activity that reads, and changes nothing.

    It is tried at once, inside the workflow task, which costs one event. If that does not work, it
    becomes an ordinary activity: patient, and visible to staff with its last error.

    What is done inside a workflow task is done again when the task is lost: by a crash, or by a
    signal that comes in while the workflow ends. So nothing that has an effect may run here.
    """
    try:
        return await workflow.execute_local_activity_method(
            activity,
            message,
            schedule_to_close_timeout=AT_ONCE_TIMEOUT,
            retry_policy=AT_ONCE,
            summary=summary[:MAX_SUMMARY],
        )
    except FailureError:  # a local activity's own error, where an ordinary one's comes wrapped
        return await do(activity, message, summary=summary)


async def do(
    activity: Callable[[Any, _In], Awaitable[_Out]],
    message: _In,
    *,
    summary: str,
    retry: RetryPolicy = PATIENT,
    within: timedelta | None = None,
) -> _Out:
    """Run an activity that has an effect. What was decided is in the history before it happens.

    Raises:
        ActivityError: a retry cannot help by ``retry``, or ``within`` is over.
    """
    return await workflow.execute_activity_method(
        activity,
        message,
        start_to_close_timeout=PATIENT_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=retry,
        summary=summary[:MAX_SUMMARY],
    )


# -- search attributes -------------------------------------------------------------------------
TRANSFER_STATE = SearchAttributeKey.for_keyword("TransferState")
WAITING_ON = SearchAttributeKey.for_keyword_list("WaitingOn")
CUSTOMER_DOMAIN = SearchAttributeKey.for_keyword("CustomerDomain")
OLD_RESELLER = SearchAttributeKey.for_keyword("OldReseller")
NEW_RESELLER = SearchAttributeKey.for_keyword("NewReseller")
ESCALATED = SearchAttributeKey.for_bool("Escalated")
NEXT_DEADLINE = SearchAttributeKey.for_datetime("NextDeadline")
KEYS: tuple[SearchAttributeKey[Any], ...] = (
    TRANSFER_STATE,
    WAITING_ON,
    CUSTOMER_DOMAIN,
    OLD_RESELLER,
    NEW_RESELLER,
    ESCALATED,
    NEXT_DEADLINE,
)

_INDEXED = {
    SearchAttributeIndexedValueType.KEYWORD: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttributeIndexedValueType.KEYWORD_LIST: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    SearchAttributeIndexedValueType.BOOL: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    SearchAttributeIndexedValueType.DATETIME: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


def search_attributes(attributes: Attributes) -> TypedSearchAttributes:
    """The search attributes a transfer is started with."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(key, value)
            for key, value in _values(attributes)
            if value is not None and value != []
        ]
    )


def search_attribute_changes(
    shown: TypedSearchAttributes, attributes: Attributes
) -> list[SearchAttributeUpdate[Any]]:
    """What has to be upserted so that the server shows ``attributes``; empty if it does already."""
    changes: list[SearchAttributeUpdate[Any]] = []
    for key, value in _values(attributes):
        present = shown.get(key)
        if value is None or value == []:
            if present:
                changes.append(key.value_unset())
        elif not _same(present, value):
            changes.append(key.value_set(value))
    return changes


def _values(attributes: Attributes) -> list[tuple[SearchAttributeKey[Any], Any]]:
    return [
        (TRANSFER_STATE, attributes.TransferState),
        (WAITING_ON, list(attributes.WaitingOn)),
        (CUSTOMER_DOMAIN, attributes.CustomerDomain),
        (OLD_RESELLER, attributes.OldReseller),
        (NEW_RESELLER, attributes.NewReseller),
        (ESCALATED, attributes.Escalated),
        (NEXT_DEADLINE, attributes.NextDeadline),
    ]


def _same(present: Any, value: Any) -> bool:
    if isinstance(value, list):
        return present is not None and list(present) == value
    if isinstance(value, datetime) and isinstance(present, datetime):
        return abs(present - value) < SHOWN_TO
    return bool(present == value)


async def missing_search_attributes(client: Client) -> list[str]:
    """The names that the server does not know: a transfer that sets one would be wedged."""
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    known = answer.custom_attributes
    return [key.name for key in KEYS if known.get(key.name) != _INDEXED[key.indexed_value_type]]


async def register_search_attributes(client: Client) -> list[str]:
    """Register what is missing, and return the names. Calling it again changes nothing."""
    missing = await missing_search_attributes(client)
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={
                    key.name: _INDEXED[key.indexed_value_type]
                    for key in KEYS
                    if key.name in missing
                },
            ),
            timeout=RPC_TIMEOUT,
        )
    return missing


async def task_queue_pollers(client: Client) -> int:
    """How many workers have asked our task queue for work in the last minutes."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=RPC_TIMEOUT,
    )
    return len(answer.pollers)


# -- the plugin, and connecting ----------------------------------------------------------------
class Failures(DefaultFailureConverter):
    """Errors as Temporal keeps and shows them.

    The UI prints the stack under an update that was refused, and staff would believe that we broke.
    Where a rule said no, its name is all that there is to know beside the message.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an error; see the base class."""
        super().to_failure(exception, payload_converter, failure)
        # By name: in the sandbox the class may be another one.
        name = failure.application_failure_info.type
        if name in _REFUSALS and failure.stack_trace:
            failure.stack_trace = name


_SAID_NO: tuple[type[TransferError], ...] = (*RuleBroken.__subclasses__(), InputInvalid)
_REFUSALS = frozenset(cls.__name__ for cls in _SAID_NO)


def plugin(*, pass_core_through: bool = True) -> SimplePlugin:
    """What client, worker, replayer and test environment have in common.

    ``pass_core_through`` shares our pure modules with the sandbox instead of importing them anew
    for every workflow: 20 ms of CPU less each. Tests leave it off, so that a stray clock or random
    number in the core is caught.
    """

    def runner(existing: WorkflowRunner | None) -> WorkflowRunner:
        if not isinstance(existing, SandboxedWorkflowRunner):
            raise TypeError("workflows of this service run in the sandbox")
        restrictions = existing.restrictions
        # The sandbox hands out a stand-in for ZoneInfo, to forbid three methods that nobody here
        # calls; datetime refuses a stand-in as a time zone.
        members = restrictions.invalid_module_members
        allowed = {name: rule for name, rule in members.children.items() if name != "zoneinfo"}
        restrictions = replace(
            restrictions, invalid_module_members=replace(members, children=allowed)
        )
        if pass_core_through:
            restrictions = restrictions.with_passthrough_modules("transfer", "idna")
        return replace(existing, restrictions=restrictions)

    return SimplePlugin(
        "customer-transfer",
        data_converter=replace(pydantic_data_converter, failure_converter_class=Failures),
        interceptors=[Guard()],
        workflow_runner=runner,
        workflow_failure_exception_types=[TransferError],
    )


async def connect(runtime: Runtime | None = None) -> Client:
    """Connect by Temporal's own settings: ``temporal.toml`` profile and ``TEMPORAL_*`` variables.

    Raises:
        InputInvalid: those settings cannot be read.
        Unreachable: nobody answers at the address.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, OSError) as error:
        said = " ".join(str(error).split())
        raise InputInvalid(f"{said}. Mend temporal.toml or the TEMPORAL_* variables.") from error
    address = config.setdefault("target_host", DEFAULT_ADDRESS)
    try:
        return await Client.connect(**config, plugins=[plugin()], runtime=runtime)
    except RuntimeError as error:
        raise Unreachable(
            f"Temporal does not answer at {address}. Start it, or set TEMPORAL_ADDRESS."
        ) from error


async def connect_patiently(runtime: Runtime, stop: asyncio.Event) -> Client | None:
    """Connect a worker: wait for Temporal as long as it takes, but not with a name missing there.

    Returns ``None`` when it is told to stop first.

    Raises:
        TransferError: a search attribute is not registered: the first transfer would be wedged.
    """
    while not stop.is_set():
        try:
            client = await connect(runtime)
            missing = await missing_search_attributes(client)
        except (Unreachable, RPCError) as error:
            if isinstance(error, RPCError) and not is_away(error):
                raise
            facts = {"error": str(error), "retry_seconds": RECONNECT_SECONDS}
            log.warning("temporal_was_away", extra=facts)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RECONNECT_SECONDS)
            continue
        if missing:
            raise TransferError(
                f"Temporal does not know {', '.join(missing)}. Run: python starter.py setup"
            )
        return client
    return None


def is_away(error: RPCError) -> bool:
    """Whether an RPC failed because Temporal is away, rather than because it said no."""
    return error.status in (
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
    )
