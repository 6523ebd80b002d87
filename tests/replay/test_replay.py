"""Every committed history still replays: transfers that are open now survive the next deploy."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.workflows.conftest import HISTORIES, WORLDS, scenario
from transfer.opening import transfer_id
from transfer.temporal import plugin
from workflows.customer_transfer import CustomerTransfer

TEACH = "If this change is meant: guard it with workflow.patched, or, before any release, record\
 anew with: pytest tests/workflows --write-histories"


def _replayer() -> Replayer:
    return Replayer(workflows=[CustomerTransfer], plugins=[plugin(pass_core_through=False)])


def _history(text: str) -> WorkflowHistory:
    """A history with its workflow's own id, which the case keeps, and not in every server's text."""
    started = WorkflowHistory.from_json("?", text).events[0]
    (begin,) = started.workflow_execution_started_event_attributes.input.payloads
    return WorkflowHistory.from_json(transfer_id(json.loads(begin.data)["domain"]), text)


def _text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


async def _all() -> AsyncIterator[WorkflowHistory]:
    for path in sorted(HISTORIES.glob("*.json.gz")):
        yield _history(_text(path))


async def test_every_committed_history_replays() -> None:
    assert list(HISTORIES.glob("*.json.gz")), "record them with --write-histories"
    results = await _replayer().replay_workflows(_all(), raise_on_replay_failure=False)
    broken = {run: str(error)[:500] for run, error in results.replay_failures.items()}
    assert not broken, f"{len(broken)} histories do not replay. {TEACH}\n{broken}"


def test_every_scenario_has_a_committed_history(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-histories"):
        pytest.skip("they are being written")
    scenarios = {
        scenario(item.nodeid)
        for item in request.session.items
        if WORLDS & set(getattr(item, "fixturenames", ()))
    }
    missing = {name for name in scenarios if not (HISTORIES / f"{name}.json.gz").exists()}
    assert not missing, f"Record {sorted(missing)} with --write-histories"


async def test_a_changed_order_of_steps_is_found_out() -> None:
    """The replay is no formality: a history of other steps does not pass."""
    text = _text(max(HISTORIES.glob("*road*.json.gz")))
    assert '"publish"' in text
    other = _history(text.replace('"publish"', '"escalate"'))
    result = await _replayer().replay_workflow(other, raise_on_replay_failure=False)
    assert result.replay_failure is not None
