"""Versions of the worker, deployed on the real server while transfers are open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as RawVersion
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionOptionsRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.testing import TimeSkipper, WorkflowEnvironment
from temporalio.worker import Replayer

from tests.conftest import PATIENCE, PROGRAMS, assert_eventually
from tests.e2e.installation import new_namespace
from tests.workflows.changed import BEGINNING, END, Deprecated, Guarded, Unguarded
from tests.workflows.town import Town
from tests.workflows.world import World
from transfer.attributes import register_search_attributes
from transfer.case import State
from transfer.deploying import (
    DEPLOYMENT,
    UNVERSIONED,
    Deployed,
    Role,
    deploy,
    deployed,
    deployment_config,
    why_idle,
)
from transfer.errors import RuleBroken, Unreachable
from transfer.parties import Slot
from transfer.plugin import plugin
from workflows.customer_transfer import CustomerTransfer

pytestmark = pytest.mark.deploys  # a minute and a half, almost all of it waiting for the server

CHANGES = SearchAttributeKey.for_keyword_list("TemporalChangeVersion")
SLOTS = [slot.value for slot in Slot]


class Place:
    """A namespace with a town of its own, whose workers have versions."""

    def __init__(self, client: Client) -> None:
        self.client, self.town = client, Town()
        self.env = WorkflowEnvironment.from_client(client)
        self._workers: dict[str, AsyncExitStack] = {}

    def world(self, name: str) -> World:
        """A transfer that is to begin here."""
        return World(self.env, self.town, f"{name}.example")

    async def employ(self, build_id: str, transfer: type = CustomerTransfer) -> None:
        """Let a worker of a version begin."""
        client = await connected(self.client, build_id or "unversioned")
        self._workers[build_id] = stack = AsyncExitStack()
        await stack.enter_async_context(
            self.town.worker(
                client, transfer=transfer, deployment_config=deployment_config(build_id)
            )
        )

    async def dismiss(self, build_id: str) -> None:
        """Let it end."""
        await self._workers.pop(build_id).aclose()

    async def dismiss_all(self) -> None:
        """Let all end."""
        for build_id in list(self._workers):
            await self.dismiss(build_id)

    async def deploy(self, build_id: str, percent: float | None = None) -> None:
        """Let a version get the transfers."""
        within = timedelta(seconds=PATIENCE)
        await deploy(self.client, build_id, percent=percent, within=within)

    async def deployed(self) -> Deployed:
        """What versions there are."""
        return await deployed(self.client)


At = Callable[[], Awaitable[Place]]


async def connected(client: Client, identity: str) -> Client:
    """Another client of the same namespace."""
    return await Client.connect(
        client.service_client.config.target_host,
        namespace=client.namespace,
        identity=identity,
        plugins=[plugin(pass_ours_through=False)],
    )


@pytest.fixture(scope="module")
async def versions_server() -> AsyncGenerator[WorkflowEnvironment]:
    """A real server."""
    env = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(PROGRAMS / "temporal"),
        dev_server_log_level="error",
        dev_server_extra_args=[
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
        ],
        dev_server_startup_timeout=timedelta(seconds=30),
    )
    async with env:
        yield env


@pytest.fixture
async def at(
    versions_server: WorkflowEnvironment,
) -> AsyncGenerator[At]:
    """Make a place in a namespace of its own: what is deployed, is so for all in one."""
    made: list[Place] = []

    async def make() -> Place:
        client = await Client.connect(
            versions_server.client.service_client.config.target_host,
            namespace=await new_namespace(versions_server.client),
            plugins=[plugin(pass_ours_through=False)],
        )
        await register_search_attributes(client)
        made.append(Place(client))
        return made[-1]

    yield make
    for place in made:
        await place.dismiss_all()


async def test_a_version_gets_nothing_until_it_is_deployed(at: At) -> None:
    place = await at()
    world = place.world("waits")
    await world.start(grace="0s")
    await place.employ("v1")

    async def waits() -> None:
        found = await place.deployed()
        assert [one.name for one in found.versions] == ["unversioned", "v1"]
        assert [one.role for one in found.versions] == [Role.CURRENT, Role.WAITING]
        assert [one.workers for one in found.versions] == [0, 1]
        assert [one.open for one in found.versions] == [1, 0]

    await assert_eventually(waits)
    assert await why_idle(place.client) == (
        "Workers of v1 get nothing until: python starter.py deploy v1"
    )
    assert (await world.counts())["WORKFLOW_TASK_STARTED"] == 0
    await place.deploy("v1")
    await world.until(State.AWAITING)
    assert await _worked_by(world) == "v1"
    assert await why_idle(place.client) is None
    await world.all_agree()
    await world.ends(State.COMPLETED)


async def test_a_guarded_change_is_deployed_under_open_transfers_and_nothing_is_lost(
    at: At,
) -> None:
    """Whatever each was at: asked, half agreed, in mediation, on hold, in its grace, committing."""
    place = await at()
    names = ("asked", "half", "mediation", "hold", "grace", "moving")
    asked, half, mediation, hold, grace, moving = worlds = [place.world(name) for name in names]
    await place.employ("v1")
    await place.deploy("v1")
    for world in worlds:
        await world.start(grace="24h" if world is grace else "0s")
    await half.says("authorize")
    await mediation.says("refuse", of="release")
    await hold.until(State.AWAITING)
    await hold.staff("hold")
    await grace.all_agree()
    moving.before("move_billing", _away)
    await moving.all_agree()
    await asked.until(State.AWAITING)
    await half.until_slot("authorize", "AUTHORIZED")
    await mediation.until(State.MEDIATION)
    await grace.until(State.READY)
    await assert_eventually(lambda: _has_been_tried(moving))

    await place.employ("v2", Guarded)
    await place.deploy("v2")
    await place.dismiss("v1")
    young = place.world("young")
    await young.start(grace="0s")

    async def is_guarded() -> None:
        assert (await place.deployed()).guards == {BEGINNING: 1}

    await assert_eventually(is_guarded)
    moving.undisturbed("move_billing")
    await hold.staff("resume")
    for world in (asked, hold, young):
        await world.all_agree()
    for what in ("accept", "release"):
        await half.says(what)
    for what in SLOTS:
        await mediation.says(what)
    await TimeSkipper(place.client).fast_forward(grace.handle, timedelta(hours=24, minutes=1))

    for world in (*worlds, young):
        await world.ends(State.COMPLETED)
        await world.assert_unharmed()
        assert world.billed() == ["acme", "globex"]
        assert world.codes().count("AUTHORIZED") == 3
        assert world.codes().count("COMPLETED") == 1
        passed = (await world.handle.describe()).typed_search_attributes.get(CHANGES)
        assert set(passed or ()) == {END} | ({BEGINNING} if world is young else set())
        assert await _replays(world, Guarded) is None


async def test_a_guard_is_taken_away_in_two_steps_when_nothing_open_is_older(at: At) -> None:
    """The table that CONTRIBUTING.md gives in words: whose history replays on which code."""
    place = await at()
    replays: dict[str, set[str]] = {}
    codes = (CustomerTransfer, Guarded, Deprecated, Unguarded)
    for began_on in codes[:3]:
        name = began_on.__name__.lower()
        world = World(place.env, place.town, f"{name}.example", task_queue=name)
        async with place.town.worker(place.client, task_queue=name, transfer=began_on):
            await world.start()
            await world.until(State.AWAITING)
        replays[began_on.__name__] = {
            code.__name__ for code in codes if await _replays(world, code) is None
        }
    assert replays == {
        "CustomerTransfer": {"CustomerTransfer", "Guarded"},
        "Guarded": {"Guarded", "Deprecated"},
        "Deprecated": {"Guarded", "Deprecated", "Unguarded"},
    }


async def test_an_unguarded_change_stops_open_transfers_until_the_version_before_is_back(
    at: At,
) -> None:
    """The replay test is there so that this does not happen. If it does, the way back is safe."""
    place = await at()
    world = place.world("unguarded")
    await place.employ("v1")
    await place.deploy("v1")
    await world.start(grace="0s")
    await world.until(State.AWAITING)
    await place.employ("v2", Unguarded)
    await place.deploy("v2")
    await world.all_agree()
    await assert_eventually(lambda: _stands_still(world))
    assert world.billed() == ["acme"]
    await place.deploy("v1")
    await world.ends(State.COMPLETED)
    assert world.billed() == ["acme", "globex"]
    assert world.codes().count("AUTHORIZED") == 3


async def test_back_at_the_version_before_a_transfer_that_passed_a_guard_stands_still(
    at: At,
) -> None:
    """All others go on. It is unharmed, and goes on where a version that knows the guard is."""
    place = await at()
    old, young = place.world("old"), place.world("young")
    await place.employ("v1")
    await place.deploy("v1")
    await old.start(grace="0s")
    await old.until(State.AWAITING)
    await place.employ("v2", Guarded)
    await place.deploy("v2")
    await old.says("release")
    await old.until_slot("release", "AUTHORIZED")
    await young.start(grace="0s")
    await young.until(State.AWAITING)

    await place.deploy("v1")
    for what in ("authorize", "accept"):
        await old.says(what)
    await young.all_agree()
    await old.ends(State.COMPLETED)
    await old.assert_unharmed()
    await assert_eventually(lambda: _stands_still(young))
    assert young.billed() == ["acme"]
    found = await place.deployed()
    assert (found.current.build_id, found.newest, found.guards) == ("v1", "v2", {BEGINNING: 1})

    await place.deploy("v2")
    await young.ends(State.COMPLETED)
    assert young.billed() == ["acme", "globex"]
    assert young.codes().count("AUTHORIZED") == 3


async def test_a_ramping_version_gets_a_share_of_the_transfers_and_gives_it_back(at: At) -> None:
    place = await at()
    await place.employ("v1")
    await place.employ("v2")
    await place.deploy("v1")
    with pytest.raises(RuleBroken, match="ALREADY_CURRENT"):
        await place.deploy("v1", 50)
    worlds = [place.world(f"ramped-{number}") for number in range(10)]
    for world in worlds[:5]:
        await world.start(grace="0s")
    for world in worlds[:5]:
        await world.until(State.AWAITING)
        assert await _worked_by(world) == "v1"
    for _ in range(2):  # again changes nothing
        await place.deploy("v2", 50)
    ramping = (await place.deployed()).version("v2")
    assert ramping is not None
    assert (ramping.role, ramping.percent) == (Role.RAMPING, 50)
    for world in worlds[5:]:
        await world.start(grace="0s")
    await asyncio.gather(*(_agrees(world, "release") for world in worlds))
    by = [await _worked_by(world) for world in worlds]
    assert set(by[:5]) == {"v1", "v2"}, "open ones"
    assert set(by[5:]) == {"v1", "v2"}, "new ones"

    await place.deploy("v1")
    found = await place.deployed()
    assert {one.build_id: one.role for one in found.versions} == {
        "v1": Role.CURRENT,
        "v2": Role.DRAINED,
    }
    await asyncio.gather(*(_agrees(world, "authorize") for world in worlds))
    assert {await _worked_by(world) for world in worlds} == {"v1"}
    await asyncio.gather(*(world.says("accept") for world in worlds))
    for world in worlds:
        await world.ends(State.COMPLETED)
        await world.assert_unharmed()
        assert world.billed() == ["acme", "globex"]


async def test_the_workers_of_a_version_are_needed_while_a_transfer_is_pinned_to_it(
    at: At,
) -> None:
    """As somebody may do by hand in Temporal, to look at one in peace."""
    place = await at()
    world = place.world("pinned")
    await place.employ("v1")
    await place.deploy("v1")
    await world.start(grace="0s")
    await world.until(State.AWAITING)
    await _pin(place, world, "v1")
    await place.employ("v2")
    await place.deploy("v2")

    async def drains() -> None:
        version = (await place.deployed()).version("v1")
        assert version is not None
        assert (version.role, version.open, version.pinned) == (Role.DRAINING, 1, 1)

    await assert_eventually(drains)
    await world.all_agree()
    await world.ends(State.COMPLETED)
    assert await _worked_by(world) == "v1"

    async def drained() -> None:
        version = (await place.deployed()).version("v1")
        assert version is not None
        assert (version.role, version.open, version.pinned) == (Role.DRAINED, 0, 0)

    await assert_eventually(drained)


async def test_no_version_is_deployed_that_nobody_works_for(at: At) -> None:
    """Temporal itself takes a worker that left for one that is there, for minutes."""
    place = await at()
    for build_id in ("v1", UNVERSIONED):
        with pytest.raises(RuleBroken, match=r"^NO_WORKER: No worker of .* asks for work\. Start"):
            await deploy(place.client, build_id, percent=None, within=timedelta(0))
    waiting = asyncio.create_task(place.deploy("v1"))
    await place.employ("v1")
    await waiting
    assert (await place.deployed()).current.build_id == "v1"
    await place.employ("v2")
    await place.deploy("v2")
    await place.dismiss("v1")

    async def refuses() -> None:
        with pytest.raises(RuleBroken, match="NO_WORKER"):
            await deploy(place.client, "v1", percent=None, within=timedelta(0))
        assert (await place.deployed()).current.build_id == "v2"

    await assert_eventually(refuses)


async def test_transfers_go_over_to_versions_and_back_to_workers_without_one(at: At) -> None:
    place = await at()
    world = place.world("left")
    await place.employ(UNVERSIONED)
    await world.start(grace="0s")
    await world.until(State.AWAITING)
    for build_id, what in (("v1", "release"), (UNVERSIONED, "authorize"), ("v2", "accept")):
        if build_id:
            await place.employ(build_id)
        for _ in range(2):  # again changes nothing
            await place.deploy(build_id)
        assert (await place.deployed()).current.build_id == build_id
        assert await why_idle(place.client) is None
        if build_id == UNVERSIONED:  # a versioned worker keeps what it remembers until it ends
            await place.dismiss("v1")
        await world.says(what)
        if what != "accept":
            await world.until_slot(what, "AUTHORIZED")
            assert await _worked_by(world) == (build_id or "unversioned")
    await world.ends(State.COMPLETED)
    await world.assert_unharmed()
    await place.dismiss("v2")
    idle = await why_idle(place.client)
    assert idle is not None
    assert idle.startswith("v2 is current and has no worker; those of no version get nothing.")


async def _away() -> None:
    raise Unreachable("the database is away")


async def _agrees(world: World, what: str) -> None:
    await world.says(what)
    await world.until_slot(what, "AUTHORIZED")


async def _has_been_tried(world: World) -> None:
    assert world.calls("move_billing") > 0


async def _worked_by(world: World) -> str:
    """Whose step was the last one: the worker's identity in these tests is its build id."""
    history = await world.handle.fetch_history()
    steps = [event.workflow_task_completed_event_attributes.identity for event in history.events]
    return next(identity for identity in reversed(steps) if identity)


async def _stands_still(world: World) -> None:
    """A workflow task failed: its history has another order of commands.

    Not always by the SDK's own check: results of local activities are handed out before it.
    """
    history = await world.handle.fetch_history()
    kinds = {event.event_type for event in history.events}
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED in kinds


async def _replays(world: World, transfer: type) -> Exception | None:
    """Why the transfer's history does not replay on a code; ``None`` where it does."""
    (history,) = [history async for history in world.histories()]
    replayer = Replayer(workflows=[transfer], plugins=[plugin(pass_ours_through=False)])
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    return result.replay_failure


async def _pin(place: Place, world: World, build_id: str) -> None:
    pinned = VersioningOverride.PinnedOverride(
        behavior=VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED,
        version=RawVersion(deployment_name=DEPLOYMENT, build_id=build_id),
    )
    await place.client.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=place.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=world.id),
            workflow_execution_options=WorkflowExecutionOptions(
                versioning_override=VersioningOverride(pinned=pinned)
            ),
            update_mask=FieldMask(paths=["versioning_override"]),
        )
    )
