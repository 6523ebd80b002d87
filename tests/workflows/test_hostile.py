"""What strangers send: nothing of it may stop a transfer, or be believed."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.api.common.v1 import Header, Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    SignalWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.service import RPCError

from tests.conftest import assert_eventually
from tests.workflows.world import World
from transfer.case import State

SIGNALS = ("release", "authorize", "accept", "refuse", "withdraw", "no_such_signal", "status")
UPDATES = (
    "submit",
    "extend_deadline",
    "hold",
    "resume",
    "cancel",
    "take_case",
    "admit_ticket",
    "reject_ticket",
    "release_on_behalf",
    "retry_commit",
)
STAGE = UpdateWorkflowExecutionLifecycleStage


def _payload(encoding: str, data: bytes = b"") -> Payload:
    return Payload(metadata={"encoding": encoding.encode()}, data=data)


def _json(data: bytes) -> Payload:
    return _payload("json/plain", data)


GOOD = _json(b'{"ticket_id": "1"}')
GARBAGE: dict[str, list[Payload]] = {
    "no argument": [],
    "too many": [GOOD, GOOD, GOOD],
    "a string": [_json(b'"1041"')],
    "a number": [_json(b"17")],
    "a list": [_json(b'[{"ticket_id": "1"}]')],
    "null": [_json(b"null")],
    "binary null": [_payload("binary/null")],
    "binary": [_payload("binary/plain", b"\x00\xff\x00")],
    "protobuf": [_payload("binary/protobuf", b"\x08\x01")],
    "no encoding": [Payload(data=b"{}")],
    "unknown encoding": [_payload("binary/encrypted", b"secret")],
    "bad JSON": [_json(b'{"ticket_id": ')],
    "bad UTF-8": [_json(b'{"ticket_id": "\xff\xfe"}')],
    "half a surrogate": [_json(b'{"ticket_id": "\\ud800"}')],
    "very deep": [_json(b"[" * 50_000)],
    "a megabyte": [_json(b'{"ticket_id": "' + b"x" * 1_000_000 + b'"}')],
    "unknown fields": [_json(b'{"ticket_id": "no-such", "authorized": true, "staff": "me"}')],
    "wrong type": [_json(b'{"ticket_id": {"id": 1}}')],
    "empty id": [_json(b'{"ticket_id": ""}')],
    "an injection": [_json(b'{"ticket_id": "1\\r\\nBcc: all@example.com"}')],
    "a NUL": [_json(b'{"ticket_id": "1\\u0000"}')],
    "a long id": [_json(b'{"ticket_id": "' + b"9" * 65 + b'"}')],
}

RINGS = {"unknown fields"}
"""Rings after all: for a ticket that does not exist, and a commit waits for it for a minute."""
BIG = {"a megabyte"}


async def _signal(world: World, name: str, args: list[Payload], header: Header | None) -> None:
    await world.client.workflow_service.signal_workflow_execution(
        SignalWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=world.id),
            signal_name=name,
            input=Payloads(payloads=args),
            header=header,
        ),
        retry=True,  # as the SDK's own does: a run that is about to end has the sender come again
    )


async def _update(world: World, name: str, args: list[Payload], header: Header | None) -> bool:
    """Send an update; return whether it was accepted."""
    answer = await world.client.workflow_service.update_workflow_execution(
        UpdateWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=world.id),
            wait_policy=WaitPolicy(
                lifecycle_stage=STAGE.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
            ),
            request=Request(
                meta=Meta(update_id=f"{name}-{world.town.now.timestamp()}-{id(args)}"),
                input=Input(name=name, args=Payloads(payloads=args), header=header),
            ),
        )
    )
    return not answer.outcome.HasField("failure")


async def test_garbage_signals_are_counted_and_change_nothing(real_world: World) -> None:
    await real_world.start()
    for garbage, args in GARBAGE.items():
        if garbage not in RINGS | BIG:
            for name in SIGNALS:
                await _signal(real_world, name, args, None)
    status = await real_world.until(State.AWAITING)
    assert status.ignored_signals == len(SIGNALS) * (len(GARBAGE) - len(RINGS | BIG))
    assert set(status.waiting_on) == {"release", "authorize", "accept"}


async def test_a_flood_of_megabytes_begins_a_new_run_before_the_server_ends_the_transfer(
    real_world: World,
) -> None:
    await real_world.start(grace="1s")
    for _ in range(12):
        await _signal(real_world, "release", GARBAGE["a megabyte"], None)

    async def counted() -> None:
        assert (await real_world.settled()).ignored_signals == 12

    await assert_eventually(counted)
    assert len([history async for history in real_world.histories()]) > 1
    await real_world.all_agree()
    await real_world.ends(State.COMPLETED)


@pytest.mark.parametrize("name", ["_tracer-data", "traceparent", "x-anything"])
async def test_a_garbage_header_changes_nothing(real_world: World, name: str) -> None:
    header = Header(fields={name: _payload("json/plain", b"\xff{"), "b": _payload("nothing")})
    await real_world.start()
    await _signal(real_world, "release", [GOOD], header)
    await _signal(real_world, "no_such_signal", [], header)
    assert not await _update(real_world, "hold", [], header)
    await real_world.until(State.AWAITING)
    await real_world.assert_unharmed()


async def test_garbage_updates_are_refused_to_their_sender_and_change_nothing(
    real_world: World,
) -> None:
    await real_world.start()
    before = await real_world.until(State.AWAITING)
    for garbage, args in GARBAGE.items():
        for name in (*UPDATES, "no_such_update"):
            assert not await _update(real_world, name, args, None), (name, garbage)
    assert await real_world.settled() == before
    assert not (await real_world.counts())["WORKFLOW_EXECUTION_UPDATE_ACCEPTED"]


async def test_megabytes_of_updates_at_the_same_time_do_not_end_the_transfer(
    real_world: World,
) -> None:
    await real_world.start(grace="1s")
    sent = (_update(real_world, name, GARBAGE["a megabyte"], None) for name in UPDATES)
    answers = await asyncio.gather(*sent, return_exceptions=True)
    assert True not in answers
    assert any(isinstance(answer, RPCError) for answer in answers), "the server refuses some"
    await real_world.all_agree()
    await real_world.ends(State.COMPLETED)


async def test_after_all_the_garbage_a_transfer_still_completes(real_world: World) -> None:
    await real_world.start(grace="1s")
    for garbage, args in GARBAGE.items():
        for name in ("release", "nonsense"):
            if garbage not in RINGS | BIG:
                await _signal(real_world, name, args, None)
    await real_world.all_agree()
    await real_world.ends(State.COMPLETED)
    assert real_world.billed() == ["acme", "globex"]


async def test_a_signal_that_lies_about_everything_is_not_believed(real_world: World) -> None:
    await real_world.start()
    ticket = await real_world.file("authorize", account="acme", by="ann")
    lie = {"ticket_id": ticket, "account": real_world.customer, "administrator": True}
    await real_world.handle.signal("authorize", lie)
    await real_world.until_told("REJECTED")
    status = await real_world.settled()
    assert set(status.waiting_on) == {"release", "authorize", "accept"}


async def test_tickets_too_long_to_be_read_together_are_read_one_after_the_other(
    real_world: World,
) -> None:
    """One party files so much text that no single message could carry it."""
    await real_world.start(grace="1s")
    filler = "\N{GRINNING FACE}" * 19_000
    for _ in range(60):
        body = f"About the transfer of {real_world.domain}. {filler}"
        ticket = await real_world.file("release", body=body)
        await real_world.ring("release", ticket)
    for slot in ("release", "authorize", "accept"):
        await real_world.says(slot)
    await real_world.until_slot("accept", "AUTHORIZED")
    for doubt in (await real_world.settled()).ambiguous:
        await real_world.staff("reject_ticket", ticket_id=doubt.ticket_id)
    await real_world.assert_unharmed()
    await real_world.ends(State.COMPLETED)
