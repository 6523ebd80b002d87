"""The guard: what a stranger sends must not wedge a transfer.

A signal with the wrong number of arguments, or with a malformed header, fails the workflow task
before any handler of ours sees it, and the task is then retried for ever. The guard stands in
front of every handler, and first in the list of interceptors.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import temporalio.client
import temporalio.worker
from temporalio import workflow

from transfer import tracing


@runtime_checkable
class IgnoresSignals(Protocol):
    """A workflow that counts what it could not read."""

    def ignore(self, name: str, why: str) -> None:
        """Count a signal that cannot be read; keep a bounded sample."""
        ...


class Guard(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Puts the guard in front of every workflow of a worker or replayer."""

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[temporalio.worker.WorkflowInboundInterceptor]:
        """The interceptor that stands in front of a workflow's handlers."""
        return _Inbound


class _Inbound(temporalio.worker.WorkflowInboundInterceptor):
    async def handle_signal(self, input: temporalio.worker.HandleSignalInput) -> None:
        # Ours take one argument, or none. This is all the guard may ask: ten thousand signals in
        # one task must not take it two seconds, or the SDK believes it hangs.
        if len(input.args) > 1 and workflow.get_signal_handler(input.signal) is not None:
            instance = workflow.instance()
            if isinstance(instance, IgnoresSignals):
                instance.ignore(input.signal, f"{len(input.args)} arguments")
                return
        # A garbled header fails the task before any handler runs.
        input.headers = tracing.believable(input.headers)
        await super().handle_signal(input)
