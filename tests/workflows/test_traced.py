"""Traces are told of a transfer, and change nothing about it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Header, Payload
from temporalio.client import Client

from tests.workflows.test_hostile import GARBAGE, GOOD, _payload, _signal, _update
from tests.workflows.town import Town
from tests.workflows.world import World
from transfer import tracing
from transfer.case import State
from transfer.plugin import plugin

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BAD_HEADERS = {
    "bad JSON": _payload("json/plain", b"\xff{"),
    "a number": _payload("json/plain", b"7"),
    "a list": _payload("json/plain", b'["traceparent"]'),
    "another key": _payload("json/plain", b'{"tracestate": "x"}'),
    "a number inside": _payload("json/plain", b'{"traceparent": 7}'),
    "no trace": _payload("json/plain", b'{"traceparent": "00-zz-1-1"}'),
    "nothing": Payload(),
    "no encoding we know": _payload("binary/encrypted", b"secret"),
    "null": _payload("binary/null"),
    "huge": _payload("json/plain", b'{"traceparent": "' + b"0" * 10_000 + b'"}'),
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=list(BAD_HEADERS))
def test_only_a_trace_is_believed_to_be_one(header: Payload) -> None:
    assert tracing.believable({tracing.HEADER: header}) == {}


@given(st.binary(max_size=600), st.sampled_from(["json/plain", "binary/plain", "json/protobuf"]))
def test_no_bytes_at_all_break_it(data: bytes, encoding: str) -> None:
    assert tracing.believable({tracing.HEADER: _payload(encoding, data)}) == {}


def test_of_a_trace_nothing_else_is_kept() -> None:
    carrier = {"traceparent": PARENT, "baggage": "secret=1", "tracestate": "a=b"}
    header = _payload("json/plain", json.dumps(carrier).encode())
    (kept,) = tracing.believable({tracing.HEADER: header, "other": header}).values()
    assert json.loads(kept.data) == {"traceparent": PARENT}


def test_nothing_is_traced_by_default() -> None:
    with tracing.span("something") as span:
        assert not span.is_recording()
        assert tracing.here() == ""
        assert tracing.headers() == {}
    tracing.stop()


async def test_garbage_headers_do_not_wedge_a_transfer_whose_worker_traces(
    lonely_world: World, lonely_town: Town
) -> None:
    """Signals and updates with such headers, then all the garbage there is, then the real three."""
    world = lonely_world
    address = world.client.service_client.config.target_host
    traced = await Client.connect(address, plugins=[plugin(traced=True, pass_ours_through=False)])
    async with lonely_town.worker(traced, task_queue=world.task_queue, max_cached_workflows=0):
        await world.start(grace="1s")
        for header in (*BAD_HEADERS.values(), _payload("json/plain", b'{"traceparent": ""}')):
            fields = Header(fields={tracing.HEADER: header})
            await _signal(world, "release", [GOOD], fields)
            await _signal(world, "no_such_signal", [], fields)
            assert not await _update(world, "hold", [], fields)
        await _signal(world, "release", GARBAGE["too many"], None)
        await world.all_agree()
        await world.until(State.READY)
        await world.assert_unharmed()
