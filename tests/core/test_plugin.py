"""What client, worker and tests have in common."""

from __future__ import annotations

import pytest
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    WorkflowSerializationContext,
)
from temporalio.worker import UnsandboxedWorkflowRunner, WorkerConfig

from transfer.codec import EncryptionCodec
from transfer.plugin import plugin

KEYS = EncryptionCodec({"a": b"k" * 32})


@pytest.mark.parametrize("codec", [None, KEYS], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    "context",
    [
        WorkflowSerializationContext(namespace="default", workflow_id="transfer:example.com"),
        ActivitySerializationContext(
            namespace="default",
            workflow_id="transfer:example.com",
            workflow_type="CustomerTransfer",
            activity_type="publish",
            activity_id="1",
            activity_task_queue="customer-transfer",
            is_local=True,
        ),
    ],
    ids=["of a workflow", "of an activity"],
)
def test_nothing_that_converts_payloads_takes_a_context(
    codec: EncryptionCodec | None, context: WorkflowSerializationContext
) -> None:
    """The sandbox gives none: what took one would convert without it, in workflows alone."""
    converter = plugin(codec).data_converter
    assert isinstance(converter, DataConverter)
    assert converter.with_context(context) is converter
    assert converter.external_storage is None


def test_no_workflow_runs_outside_the_sandbox() -> None:
    """A worker that was set up so does not begin."""
    outside = WorkerConfig(workflow_runner=UnsandboxedWorkflowRunner())
    with pytest.raises(TypeError, match="sandbox"):
        plugin().configure_worker(outside)
