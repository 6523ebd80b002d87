"""Every committed history still replays: transfers that are open now survive the next deploy."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.workflows.changed import Guarded, Unguarded
from tests.workflows.conftest import HISTORIES, WORLDS, scenario
from transfer.opening import transfer_id
from transfer.plugin import plugin
from transfer.temporal import WORKFLOW_TYPE
from workflows.customer_transfer import CustomerTransfer
from workflows.digest import StaffDigest
from workflows.reconciliation import TicketReconciliation

TEACH = "If this change is meant: guard it with workflow.patched, or, before any release, record\
 anew with: pytest tests/workflows --write-histories"


def _replayer(*, strict: bool, transfer: type = CustomerTransfer) -> Replayer:
    return Replayer(
        workflows=[transfer, StaffDigest, TicketReconciliation],
        plugins=[plugin(pass_ours_through=not strict)],
    )


def _history(text: str) -> WorkflowHistory:
    """A history under the id of its workflow: the case keeps it, and not every server does."""
    first = WorkflowHistory.from_json("?", text).events[0]
    started = first.workflow_execution_started_event_attributes
    if started.workflow_type.name != WORKFLOW_TYPE:
        return WorkflowHistory.from_json(started.workflow_type.name, text)
    (begin,) = started.input.payloads
    return WorkflowHistory.from_json(transfer_id(json.loads(begin.data)["domain"]), text)


def _text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


async def _assert_replay(
    paths: list[Path], *, strict: bool, transfer: type = CustomerTransfer
) -> None:
    async def histories() -> AsyncIterator[WorkflowHistory]:
        for path in paths:
            yield _history(_text(path))

    assert paths, "record them with --write-histories"
    replayer = _replayer(strict=strict, transfer=transfer)
    results = await replayer.replay_workflows(histories(), raise_on_replay_failure=False)
    broken = {run: str(error)[:500] for run, error in results.replay_failures.items()}
    assert not broken, f"{len(broken)} histories do not replay. {TEACH}\n{broken}"


def _one_of_every_kind() -> list[Path]:
    kinds = {path.name.partition("-")[0]: path for path in HISTORIES.glob("*.json.gz")}
    return sorted(kinds.values())


@pytest.mark.parametrize("part", [0, 1])
async def test_every_committed_history_replays(part: int) -> None:
    """On a worker's own settings, in two halves for two cores."""
    await _assert_replay(sorted(HISTORIES.glob("*.json.gz"))[part::2], strict=False)


async def test_a_history_of_every_kind_replays_in_the_strict_sandbox() -> None:
    """Nothing of ours is passed through it, as in all other tests; it takes five times as long."""
    await _assert_replay(_one_of_every_kind(), strict=True)


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
    assert '"move_billing"' in text
    other = _history(text.replace('"move_billing"', '"escalate"'))
    result = await _replayer(strict=False).replay_workflow(other, raise_on_replay_failure=False)
    assert result.replay_failure is not None


async def test_a_change_behind_a_guard_leaves_every_history_alone() -> None:
    await _assert_replay(_one_of_every_kind(), strict=False, transfer=Guarded)


async def test_the_same_change_without_a_guard_is_found_out_and_explained() -> None:
    with pytest.raises(AssertionError, match=r"guard it with workflow\.patched") as found:
        await _assert_replay(_one_of_every_kind(), strict=False, transfer=Unguarded)
    assert "TMPRL1100" in str(found.value)
