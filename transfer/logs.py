"""Logs: structlog events are past-tense facts with keys.

Ids are merged in, replays are silent, and what is private is masked.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.types import EventDict, Processor
from temporalio import activity, workflow

from transfer.masking import masked


def configure(*, level: str = "INFO", style: str = "json") -> None:
    """Send every log line, ours and the libraries', to stderr: JSON, or coloured for a person."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _where,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _tidy,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if style == "console"
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _mask,  # last, so that it sees what exceptions and libraries say
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("alembic", "mail.log", "asyncio", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _where(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the ids of the workflow or activity that speaks; say nothing while replaying."""
    if workflow.in_workflow():
        if workflow.unsafe.is_replaying_history_events():
            raise structlog.DropEvent
        info = workflow.info()
        event.update(workflow_id=info.workflow_id, run_id=info.run_id)
    elif activity.in_activity():
        task = activity.info()
        event.update(
            workflow_id=task.workflow_id,
            run_id=task.workflow_run_id,
            activity=task.activity_type,
            attempt=task.attempt,
        )
    return event


def _tidy(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Drop what the SDK adds that is not JSON or that is there already."""
    for key in ("temporal_log", "temporal_workflow", "temporal_activity"):
        event.pop(key, None)
    return event


def _mask(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask what is private, and bound every value: see ``transfer.masking``."""
    return masked(event)
