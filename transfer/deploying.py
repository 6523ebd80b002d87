"""Deploying: which version of the worker gets the transfers, by Temporal's worker deployments.

A worker with a build id belongs to a *version* of our one deployment. Temporal gives it nothing
until that version is current. A worker without one is unversioned: it works while none is current.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import (
    RoutingConfigUpdateState,
    TaskQueueType,
    WorkerStatus,
    WorkerVersioningMode,
)
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    ListWorkersRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import WorkerDeploymentConfig

from transfer.errors import RuleBroken
from transfer.temporal import RPC_TIMEOUT, TASK_QUEUE, WORKFLOW_TYPE
from transfer.values import Value

DEPLOYMENT = "customer-transfers"
"""What all our versions are versions of, in Temporal's words a worker deployment."""

UNVERSIONED = ""
"""The build id of workers that have none."""

MAX_VERSIONS = 20
"""So many versions are looked at, the newest ones and those that get work."""
MAX_GUARDED = 1000
"""So many open transfers are looked at for the guards that they have passed."""
MAX_WORKERS = 1000
PAUSE = timedelta(milliseconds=500)
"""Between two looks for a worker that is about to start."""
SPREAD_WITHIN = timedelta(seconds=10)
"""How long a decision may take to reach all of Temporal; usually it is a fraction of a second."""

_GUARDS = SearchAttributeKey.for_keyword_list("TemporalChangeVersion")
_RUNNING = 'ExecutionStatus="Running"'
_OPEN = f'{_RUNNING} AND WorkflowType="{WORKFLOW_TYPE}"'


def deployment_config(build_id: str) -> WorkerDeploymentConfig | None:
    """What makes a worker one of the version ``build_id``; ``None`` for an unversioned one.

    Open transfers follow the current version at their next step: they live for weeks, and a
    mended rule is for them, too. The replay of every recorded history sees to it that they can.
    """
    if build_id == UNVERSIONED:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


# -- what there is -----------------------------------------------------------------------------
class Role(StrEnum):
    """What a version is there for at present."""

    CURRENT = "CURRENT"
    """It gets every transfer that the ramping one does not get."""
    RAMPING = "RAMPING"
    """It gets a share of the transfers, new and open ones."""
    WAITING = "WAITING"
    """It was never deployed: its workers get nothing."""
    DRAINING = "DRAINING"
    """It was deployed once, and open workflows are pinned to it: they need its workers."""
    DRAINED = "DRAINED"
    """It was deployed once, and nothing needs its workers any more."""


class Version(Value):
    """A version and who is with it. Counts of transfers follow within a second or so."""

    build_id: str
    """Empty: the workers without one."""
    role: Role
    percent: float = 0
    """Of a ramping version: its share of the transfers."""
    workers: int = 0
    """Who asked for work in the last five minutes, and did not say good-bye."""
    asked_at: datetime | None = None
    """When one of them last did; a worker that waits asks about once a minute."""
    open: int = 0
    """Open transfers whose last step was its."""
    pinned: int = 0
    """Open workflows that somebody bound to it."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.build_id or "unversioned"


class Deployed(Value):
    """All versions, those that get work first; and the guards that open transfers have passed."""

    versions: tuple[Version, ...]
    guards: dict[str, int]
    """By the id that ``workflow.patched`` was given: how many open transfers keep to it."""
    newest: str
    """The build id that appeared last; empty where none ever did."""

    @property
    def current(self) -> Version:
        """The version that gets the transfers."""
        return next(one for one in self.versions if one.role is Role.CURRENT)

    def version(self, build_id: str) -> Version | None:
        """The version of a build id; ``None`` where Temporal knows none."""
        return next((one for one in self.versions if one.build_id == build_id), None)


async def deployed(client: Client) -> Deployed:
    """Look at all versions.

    Raises:
        RPCError: Temporal is away, or refuses.
    """
    info = await _deployment(client)
    asking = await _asking(client)
    roles = _roles(info, asking)
    versions = [
        Version(
            build_id=build_id,
            role=Role.DRAINING if pinned and role is Role.DRAINED else role,
            percent=info.routing_config.ramping_version_percentage if role is Role.RAMPING else 0,
            workers=len(asking.get(build_id, ())),
            asked_at=max(asking.get(build_id, ()), default=None),
            open=await _count(client, f"{_OPEN} AND {_last_worked_by(build_id)}"),
            pinned=pinned,
        )
        for build_id, role in roles.items()
        for pinned in [await _pinned(client, build_id)]
    ]
    order = list(Role)
    created = {one.deployment_version.build_id: _at(one) for one in info.version_summaries}
    return Deployed(
        versions=tuple(sorted(versions, key=lambda one: order.index(one.role))),
        guards=await _guards(client),
        newest=max(created, key=lambda build_id: created[build_id], default=UNVERSIONED),
    )


async def why_idle(client: Client) -> str | None:
    """Why the workers that are there get nothing, and what to do; ``None`` where they get work.

    Raises:
        RPCError: Temporal is away, or refuses.
    """
    asking = await _asking(client)
    current = (await _deployment(client)).routing_config.current_deployment_version.build_id
    if not asking or current in asking:
        return None
    others = ", ".join(sorted(build_id or "no version" for build_id in asking))
    if current == UNVERSIONED:
        latest = max(asking, key=lambda build_id: max(asking[build_id]))
        return f"Workers of {others} get nothing until: python starter.py deploy {latest}"
    return (
        f"{current} is current and has no worker; those of {others} get nothing. Start one with"
        f" TRANSFER_BUILD_ID={current}, or run: python starter.py deploy"
    )


# -- what is decided ---------------------------------------------------------------------------
async def deploy(
    client: Client, build_id: str, *, percent: float | None, within: timedelta
) -> None:
    """Let a version get all transfers, or with ``percent`` a share of them. Again changes nothing.

    Waits ``within`` for a worker of that version. Without ``percent``, a ramp ends. The empty build
    id gives the transfers back to the workers that have none.

    Raises:
        RuleBroken: no worker of it asks for work (``NO_WORKER``), or a share is wanted for the
            version that gets all transfers (``ALREADY_CURRENT``). Nothing has changed.
        RPCError: Temporal is away, or refuses.
    """
    end = asyncio.get_running_loop().time() + within.total_seconds()
    while why := await _why_not(client, build_id, percent):
        if asyncio.get_running_loop().time() >= end:
            how = f"with TRANSFER_BUILD_ID={build_id}" if build_id else "without TRANSFER_BUILD_ID"
            raise RuleBroken(f"NO_WORKER: {why} Start one {how}, then run this again.")
        await asyncio.sleep(PAUSE.total_seconds())
    await _is_spread(client)


async def _why_not(client: Client, build_id: str, percent: float | None) -> str | None:
    """Decide, or say why that is not possible yet."""
    name = build_id or "no version"
    if build_id not in await _asking(client):
        return f"No worker of {name} asks for work."
    routing = (await _deployment(client)).routing_config
    current = routing.current_deployment_version.build_id
    try:
        if percent is not None:
            if build_id == current:
                raise RuleBroken(
                    f"ALREADY_CURRENT: {name} gets all transfers. Ramp another, or leave it so."
                )
            await _ramp(client, build_id, percent)
            return None
        if build_id != current:
            await _make_current(client, build_id)
        if routing.ramping_version_percentage:
            await _ramp(client, UNVERSIONED, 0)
    except RPCError as error:
        # A worker that has only just come is not known everywhere, and may not poll for everything.
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
            return f"Temporal does not give {name} the transfers yet: {error.message.rstrip('.')}."
        raise
    return None


async def _make_current(client: Client, build_id: str) -> None:
    await client.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace,
            deployment_name=DEPLOYMENT,
            build_id=build_id,
            identity=client.identity,
        ),
        timeout=RPC_TIMEOUT,
    )


async def _ramp(client: Client, build_id: str, percent: float) -> None:
    await client.workflow_service.set_worker_deployment_ramping_version(
        SetWorkerDeploymentRampingVersionRequest(
            namespace=client.namespace,
            deployment_name=DEPLOYMENT,
            build_id=build_id,
            percentage=percent,
            identity=client.identity,
        ),
        timeout=RPC_TIMEOUT,
    )


async def _is_spread(client: Client) -> None:
    """Wait until all of Temporal goes by the decision; it does so in the end in any case."""
    spreading = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS
    end = asyncio.get_running_loop().time() + SPREAD_WITHIN.total_seconds()
    while (await _deployment(client)).routing_config_update_state == spreading:
        if asyncio.get_running_loop().time() >= end:
            return
        await asyncio.sleep(PAUSE.total_seconds() / 5)


# -- how it is found out -----------------------------------------------------------------------
async def _deployment(client: Client) -> WorkerDeploymentInfo:
    """What Temporal knows of our deployment; an empty one before its first worker came."""
    try:
        answer = await client.workflow_service.describe_worker_deployment(
            DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=DEPLOYMENT),
            timeout=RPC_TIMEOUT,
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return WorkerDeploymentInfo()
        raise
    return answer.worker_deployment_info


def _roles(info: WorkerDeploymentInfo, asking: dict[str, list[datetime]]) -> dict[str, Role]:
    """The versions worth a look, and their roles; drained ones may prove to be draining."""
    routing = info.routing_config
    current = routing.current_deployment_version.build_id
    roles = {UNVERSIONED: Role.DRAINED} if UNVERSIONED in asking else {}
    newest_first = sorted(info.version_summaries, key=_at, reverse=True)
    for one in newest_first[:MAX_VERSIONS]:
        ever = one.HasField("first_activation_time")
        roles[one.deployment_version.build_id] = Role.DRAINED if ever else Role.WAITING
    if routing.ramping_version_percentage:
        roles[routing.ramping_deployment_version.build_id] = Role.RAMPING
    return roles | {current: Role.CURRENT}


def _at(one: WorkerDeploymentInfo.WorkerDeploymentVersionSummary) -> datetime:
    return one.create_time.ToDatetime(UTC)


async def _asking(client: Client) -> dict[str, list[datetime]]:
    """By build id, when each of the workers that are there last asked for work."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=RPC_TIMEOUT,
    )
    left = await _left(client)
    asking: dict[str, list[datetime]] = {}
    for poller in answer.pollers:
        asked_at = poller.last_access_time.ToDatetime(UTC)
        build_id = _build_id(poller)
        if build_id is None:
            continue
        left_at = left.get((poller.identity, build_id))
        if left_at is None or left_at < asked_at:
            asking.setdefault(build_id, []).append(asked_at)
    return asking


def _build_id(poller: PollerInfo) -> str | None:
    """The build id of a worker; ``None`` for one of another deployment."""
    options = poller.deployment_options
    if options.worker_versioning_mode != WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED:
        return UNVERSIONED
    return options.build_id if options.deployment_name == DEPLOYMENT else None


async def _left(client: Client) -> dict[tuple[str, str], datetime]:
    """When workers said good-bye, by identity and build id.

    Temporal counts them among those who ask for work for minutes more. So do we on a server that
    keeps no list of good-byes.
    """
    try:
        answer = await client.workflow_service.list_workers(
            ListWorkersRequest(
                namespace=client.namespace,
                page_size=MAX_WORKERS,
                query=f'TaskQueue="{TASK_QUEUE}"',
            ),
            timeout=RPC_TIMEOUT,
        )
    except RPCError as error:
        if error.status in (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.INVALID_ARGUMENT):
            return {}
        raise
    ending = (WorkerStatus.WORKER_STATUS_SHUTTING_DOWN, WorkerStatus.WORKER_STATUS_SHUTDOWN)
    left: dict[tuple[str, str], datetime] = {}
    for one in (info.worker_heartbeat for info in answer.workers_info):
        if one.status in ending:
            version = one.deployment_version
            ours = version.deployment_name == DEPLOYMENT
            worker = (one.worker_identity, version.build_id if ours else UNVERSIONED)
            at = one.heartbeat_time.ToDatetime(UTC)
            left[worker] = max(at, left.get(worker, at))
    return left


def _last_worked_by(build_id: str) -> str:
    if build_id == UNVERSIONED:
        return "TemporalWorkerDeploymentVersion IS NULL"
    return f'TemporalWorkerDeploymentVersion="{DEPLOYMENT}:{build_id}"'


async def _pinned(client: Client, build_id: str) -> int:
    if build_id == UNVERSIONED:
        return 0
    pinned = 'TemporalWorkflowVersioningBehavior="Pinned"'
    return await _count(client, f"{_RUNNING} AND {pinned} AND {_last_worked_by(build_id)}")


async def _count(client: Client, query: str) -> int:
    return (await client.count_workflows(query, rpc_timeout=RPC_TIMEOUT)).count


async def _guards(client: Client) -> dict[str, int]:
    counts = Counter[str]()
    listed = client.list_workflows(
        f"{_OPEN} AND {_GUARDS.name} IS NOT NULL", limit=MAX_GUARDED, rpc_timeout=RPC_TIMEOUT
    )
    async for one in listed:
        counts.update(one.typed_search_attributes.get(_GUARDS) or ())
    return dict(sorted(counts.items()))
