"""Our Temporal dialect: how workflows call activities, with timeouts and retry policies by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

from transfer.errors import non_retryable_names

TASK_QUEUE = "customer-transfers"
WORKFLOW_TYPE = "CustomerTransfer"

RPC_TIMEOUT = timedelta(seconds=10)
"""How long a client waits for the server before it says that Temporal is away."""

# -- timeouts and retry policies, by name ------------------------------------------------------
AT_ONCE = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=1),
    maximum_attempts=3,
)
"""For a look inside the workflow task: our own database answers in milliseconds, or is away."""
AT_ONCE_TIMEOUT = timedelta(seconds=4)

PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
)
"""For a neighbour that is away: tried until it is back, and seen as a pending activity by staff.

Whatever the error is: a transfer never fails for it, and a deploy can mend what a retry cannot.
"""
PATIENT_TIMEOUT = timedelta(seconds=30)

COMMIT = replace(PATIENT, non_retryable_error_types=non_retryable_names())
"""As patient, but where the answer is no, staff hear of it at once."""
COMMIT_WINDOW = timedelta(minutes=10)
"""How long a commit is tried patiently before staff are paged; it is tried on afterwards."""

DIGEST_WINDOW = timedelta(hours=12)
"""How long a digest is tried: what is needed today is not read tomorrow, and there is a new one."""

MAX_SUMMARY = 180
"""Characters of a summary in the timeline."""

SHOWN_TO = timedelta(minutes=1)
"""How exact an instant in the list has to be: an upsert for less would cost more than it tells."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


async def look(
    activity: Callable[[Any, _In], Awaitable[_Out]], message: _In, *, summary: str
) -> _Out:
    """Run an activity that reads, and changes nothing.

    It is tried at once, inside the workflow task, which costs one event. If that does not work, it
    becomes an ordinary activity: patient, and visible to staff with its last error.

    What is done inside a workflow task is done again when the task is lost: by a crash, or by a
    signal that comes in while the workflow ends. So nothing that has an effect may run here, but
    what ``note`` is for.
    """
    try:
        return await workflow.execute_local_activity_method(
            activity,
            message,
            schedule_to_close_timeout=AT_ONCE_TIMEOUT,
            retry_policy=AT_ONCE,
            summary=summary[:MAX_SUMMARY],
        )
    except FailureError:  # a local activity's own error, where an ordinary one's comes wrapped
        return await do(activity, message, summary=summary)


async def note(
    activity: Callable[[Any, _In], Awaitable[_Out]], message: _In, *, summary: str
) -> _Out:
    """Run an activity that writes down in our own database what must not get lost.

    It is tried at once, like a look. A workflow task that is lost writes it again, and perhaps
    otherwise: so each thing written has a mark of its own, and none takes another one's place.
    Where a run ends with it, ``do`` it: a signal that comes in meanwhile would have it all again.
    """
    return await look(activity, message, summary=summary)


async def do(
    activity: Callable[[Any, _In], Awaitable[_Out]],
    message: _In,
    *,
    summary: str,
    retry: RetryPolicy = PATIENT,
    within: timedelta | None = None,
) -> _Out:
    """Run an activity that has an effect. What was decided is in the history before it happens.

    Raises:
        ActivityError: a retry cannot help by ``retry``, or ``within`` is over.
    """
    return await workflow.execute_activity_method(
        activity,
        message,
        start_to_close_timeout=PATIENT_TIMEOUT,
        schedule_to_close_timeout=within,
        retry_policy=retry,
        summary=summary[:MAX_SUMMARY],
    )
