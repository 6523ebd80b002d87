"""Connecting: one way to reach Temporal, and what can be asked of it before there is work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    PollActivityTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from transfer.attributes import missing_search_attributes
from transfer.codec import EncryptionCodec, keys
from transfer.errors import InputInvalid, TransferError, Unreachable
from transfer.plugin import plugin
from transfer.settings import Settings
from transfer.temporal import RPC_TIMEOUT, TASK_QUEUE

DEFAULT_ADDRESS = "localhost:7233"

RECONNECT_SECONDS = 5.0
"""How long a worker waits before it looks for Temporal again."""

log = logging.getLogger("temporal")

_T = TypeVar("_T")


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
