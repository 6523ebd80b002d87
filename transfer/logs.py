"""Logs: structlog events are past-tense facts with keys. Ids are merged in; replays are silent."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.types import EventDict, Processor
from temporalio import activity, workflow
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)


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
        structlog.dev.ConsoleRenderer()
        if style == "console"
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("alembic", "aiosqlite", "mail.log", "asyncio", "uvicorn"):
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


def runtime() -> Runtime:
    """A Temporal runtime whose core logs go through Python logging: its default is stdout."""
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(
                    logger=logging.getLogger("temporal.core"),
                    append_target_to_name=True,
                    prepend_target_on_message=False,
                    append_log_fields_to_message=False,
                ),
            )
        )
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
            workflow_id=task.workflow_id, activity=task.activity_type, attempt=task.attempt
        )
    return event


def _tidy(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Drop what the SDK adds that is not JSON or that is there already; bound every text."""
    for key in ("temporal_log", "temporal_workflow", "temporal_activity"):
        event.pop(key, None)
    return {key: value[:2000] if isinstance(value, str) else value for key, value in event.items()}
