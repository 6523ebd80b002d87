"""Connecting: one plugin for client, worker and tests alike, and one way to reach Temporal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.failure.v1 import Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    PollActivityTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from transfer import tracing
from transfer.attributes import missing_search_attributes
from transfer.codec import EncryptionCodec, keys
from transfer.errors import InputInvalid, RuleBroken, TransferError, Unreachable
from transfer.guard import Guard
from transfer.settings import Settings
from transfer.temporal import RPC_TIMEOUT, TASK_QUEUE

DEFAULT_ADDRESS = "localhost:7233"

RECONNECT_SECONDS = 5.0
"""How long a worker waits before it looks for Temporal again."""

OURS = ("transfer", "activities", "workflows", "idna")
"""What the sandbox need not import anew."""

log = logging.getLogger("temporal")

_T = TypeVar("_T")


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
_RULES = frozenset(cls.__name__ for cls in RuleBroken.__subclasses__())
_REFUSALS = frozenset(cls.__name__ for cls in _SAID_NO)


class SecretFailures(Failures):
    """The same, with message and stack where the codec encrypts them.

    But for what a rule says to staff: nobody keeps it, and the UI decodes no errors.
    """

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)
        self._plain = Failures()

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an error; see the base class."""
        name = (
            exception.type if isinstance(exception, ApplicationError) else type(exception).__name__
        )
        if name in _RULES:
            self._plain.to_failure(exception, payload_converter, failure)
        else:
            super().to_failure(exception, payload_converter, failure)


def plugin(
    codec: EncryptionCodec | None = None, *, traced: bool = False, pass_ours_through: bool = True
) -> SimplePlugin:
    """What client, worker, replayer and test environment have in common.

    ``pass_ours_through`` shares our modules with the sandbox instead of importing them anew for
    every workflow: some 30 ms of CPU less each. Tests leave it off, so that a stray clock or random
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
        if pass_ours_through:
            restrictions = restrictions.with_passthrough_modules(*OURS)
        return replace(existing, restrictions=restrictions)

    return SimplePlugin(
        "customer-transfer",
        data_converter=replace(
            pydantic_data_converter,
            payload_codec=codec,
            failure_converter_class=SecretFailures if codec else Failures,
        ),
        interceptors=[Guard(), tracing.interceptor()] if traced else [Guard()],
        workflow_runner=runner,
        workflow_failure_exception_types=[TransferError],
    )


def encryption(settings: Settings) -> EncryptionCodec | None:
    """What encrypts payloads; nothing without keys.

    Raises:
        InputInvalid: a key cannot be read.
    """
    named = keys([key.get_secret_value() for key in settings.encryption_keys])
    return EncryptionCodec(named) if named else None


async def connect(settings: Settings, runtime: Runtime | None = None) -> Client:
    """Connect by Temporal's own settings: ``temporal.toml`` profile and ``TEMPORAL_*`` variables.

    Raises:
        InputInvalid: those settings, or our keys, cannot be read.
        Unreachable: nobody answers at the address.
    """
    try:
        config = ClientConfig.load_client_connect_config(config_file_strict=True)
    except (RuntimeError, OSError) as error:
        said = " ".join(str(error).split())
        raise InputInvalid(f"{said}. Mend temporal.toml or the TEMPORAL_* variables.") from error
    address = config.setdefault("target_host", DEFAULT_ADDRESS)
    shared = plugin(encryption(settings), traced=bool(settings.otlp_endpoint))
    try:
        return await Client.connect(**config, plugins=[shared], runtime=runtime)
    except RuntimeError as error:
        raise Unreachable(
            f"Temporal does not answer at {address}. Start it, or set TEMPORAL_ADDRESS."
        ) from error


async def connect_patiently(
    settings: Settings, runtime: Runtime, stop: asyncio.Event
) -> Client | None:
    """Connect a worker: wait for Temporal as long as it takes, but not with a name missing there.

    Returns ``None`` when it is told to stop first.

    Raises:
        TransferError: a search attribute is not registered: the first transfer would be wedged.
    """
    while not stop.is_set():
        try:
            reached = await _unless(stop, _reached(settings, runtime))
        except (Unreachable, RPCError) as error:
            if isinstance(error, RPCError) and not is_away(error):
                raise
            facts = {"error": str(error), "retry_seconds": RECONNECT_SECONDS}
            log.warning("temporal_was_away", extra=facts)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RECONNECT_SECONDS)
            continue
        if reached is None:
            break
        client, missing = reached
        if missing:
            raise TransferError(
                f"Temporal does not know {', '.join(missing)}. Run: python starter.py setup"
            )
        return client
    return None


async def _reached(settings: Settings, runtime: Runtime) -> tuple[Client, list[str]]:
    client = await connect(settings, runtime)
    return client, await missing_search_attributes(client)


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, _T]) -> _T | None:
    """Do it, but let go of it when told to stop: an address may hang for half a minute."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        return task.result()
    task.cancel()
    return None


def is_away(error: RPCError) -> bool:
    """Whether an RPC failed because Temporal is away, rather than because it said no."""
    return error.status in (
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.UNKNOWN,  # a connection that breaks in the middle of a call: transport error
    )


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


async def clock_ahead(client: Client) -> timedelta:
    """How far Temporal's clock is ahead of ours; negative where it is behind.

    No call says what time it is there. But a queue remembers when it was asked for work, so one
    that nobody else knows is asked. It is exact to the duration of that call, which counts as zero.

    Raises:
        RPCError: Temporal is away, or refuses.
        Unreachable: it does not say.
    """
    queue = TaskQueue(name=f"clock-{uuid.uuid4()}")
    kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    ask = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=queue, identity=client.identity
    )
    look = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=queue, task_queue_type=kind
    )
    began = datetime.now(UTC)
    asking = asyncio.ensure_future(
        client.workflow_service.poll_activity_task_queue(ask, retry=False, timeout=RPC_TIMEOUT)
    )
    try:
        for _ in range(20):
            answer = await client.workflow_service.describe_task_queue(look, timeout=RPC_TIMEOUT)
            if answer.pollers:
                there = answer.pollers[0].last_access_time.ToDatetime(UTC)
                ended = datetime.now(UTC)
                return min(there - began, timedelta()) + max(there - ended, timedelta())
            await asyncio.sleep(0.05)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    raise Unreachable("Temporal does not say when it was asked. Look at its logs.")
