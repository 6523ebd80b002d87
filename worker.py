"""The worker: settings, then adapters, then activities, then work until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
import uvloop
from temporalio.client import Client
from temporalio.worker import Worker

from activities.accounts import AccountActivities
from activities.digest import DigestActivities
from activities.notices import NoticeActivities
from activities.reconciliation import ReconciliationActivities
from activities.staff import StaffActivities
from activities.tickets import TicketActivities
from gateway.health import Checks, serve_health
from gateway.reception import reception
from gateway.transfers import TemporalTransfers
from transfer import logs, notices, telemetry, tracing
from transfer.adapters.overview import TemporalOverview
from transfer.adapters.tools import utc_now
from transfer.adapters.wiring import Neighbours, channels, neighbours, tracking_links
from transfer.alerts import alerts
from transfer.commands.console import leave
from transfer.commands.operations import check_worker
from transfer.deploying import deployment_config
from transfer.digests import digest_mails
from transfer.ports import Channels, Composer, Meter
from transfer.postman import Postman
from transfer.settings import Settings, load_settings
from transfer.temporal import TASK_QUEUE
from workflows.customer_transfer import CustomerTransfer
from workflows.digest import StaffDigest
from workflows.reconciliation import TicketReconciliation

GRACE = timedelta(seconds=20)
"""How long running activities may finish after a signal to stop."""

POLL = timedelta(seconds=15)
"""How often the postman looks for notices that are due again; new ones wake it at once."""

log = structlog.get_logger("worker")


async def main(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Temporal and the database may be away at first."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if settings.otlp_endpoint:
        tracing.start("worker")
    runtime = telemetry.runtime(settings.metrics_address)
    meter = telemetry.SdkMeter(runtime.metric_meter)
    alerting = channels(settings)
    compose = _composer(settings, alerting.names)
    transfers = TemporalTransfers()
    async with AsyncExitStack() as open_until_the_end:
        near = await open_until_the_end.enter_async_context(neighbours(settings))
        if settings.health_address:
            asked: Checks = {
                "temporal": transfers.check,
                "database": partial(near.arrivals.answered, ""),
            }
            await open_until_the_end.enter_async_context(
                serve_health(settings.health_address, asked)
            )
        client = await transfers.connect(settings, runtime, stop)
        if client is not None:
            postman = _postman(settings, near, alerting, meter)
            activities = _activities(settings, near, transfers, client, postman, compose, meter)
            await _work(settings, client, activities, postman, stop)
    tracing.stop()
    log.info("worker_stopped")


async def _work(
    settings: Settings,
    client: Client,
    activities: Sequence[Callable[..., Any]],
    postman: Postman,
    stop: asyncio.Event,
) -> None:
    """Take tasks from the queue and notices from the outbox; finish what is begun at the end."""
    async with (
        asyncio.TaskGroup() as tasks,
        Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[CustomerTransfer, StaffDigest, TicketReconciliation],
            activities=activities,
            max_cached_workflows=settings.max_cached_workflows,
            graceful_shutdown_timeout=GRACE,
            deployment_config=deployment_config(settings.build_id),
        ),
    ):
        delivering = tasks.create_task(postman.run())
        log.info("worker_started", task_queue=TASK_QUEUE, namespace=client.namespace)
        await stop.wait()
        delivering.cancel()


def _postman(settings: Settings, near: Neighbours, alerting: Channels, meter: Meter) -> Postman:
    retry = timedelta(seconds=settings.notice_retry_seconds)
    return Postman(
        near.ledger,
        near.mailer,
        near.tickets,
        clock=utc_now,
        poll_every=min(POLL, retry),
        first_retry=retry,
        channels=alerting,
        meter=meter,
    )


def _activities(
    settings: Settings,
    near: Neighbours,
    transfers: TemporalTransfers,
    client: Client,
    postman: Postman,
    compose: Composer,
    meter: Meter,
) -> list[Callable[..., Any]]:
    """Every activity, over its neighbours."""
    notice = NoticeActivities(
        near.accounts,
        near.ledger,
        compose=compose,
        wake_postman=postman.wake,
        meter=meter,
    )
    account = AccountActivities(near.accounts, notice)
    ticket = TicketActivities(near.tickets, near.accounts, near.ledger)
    staff = StaffActivities(near.staff_queue)
    intake = reception(settings, near, transfers)
    reconciliation = ReconciliationActivities(
        near.tickets, near.arrivals, intake, clock=utc_now, meter=meter
    )
    digest = DigestActivities(
        TemporalOverview(client),
        near.ledger,
        compose=partial(
            digest_mails, staff=settings.staff_notify, mail_domain=settings.mail_domain
        ),
        wake_postman=postman.wake,
        clock=utc_now,
    )
    return [
        ticket.survey,
        ticket.read_tickets,
        notice.publish,
        account.move_billing,
        staff.escalate,
        reconciliation.reconcile,
        digest.send_digest,
    ]


def _composer(settings: Settings, alerting: Sequence[str]) -> Composer:
    """Who writes the notices of what happened, and the alerts for staff's channels."""
    links = tracking_links(settings)
    letters = partial(
        notices.deliveries,
        staff=settings.staff_notify,
        mail_domain=settings.mail_domain,
        link=links.to if links else None,
    )
    return lambda publication, administrators: (
        letters(publication, administrators) + alerts(publication, alerting)
    )


def run() -> None:
    """Read the settings, set up the logs, and work; or only look whether that would go well."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--check", action="store_true", help="diagnose what a worker needs, and end")
    asked.add_argument("--json", action="store_true", help="with --check: as one JSON document")
    arguments = asked.parse_args()
    if arguments.check:
        logs.configure(level="ERROR", style="console")
        check_worker(as_json=arguments.json)
        return
    settings = load_settings()
    logs.configure(level=settings.log_level, style=settings.log_format)
    uvloop.run(main(settings))


if __name__ == "__main__":
    leave(run)
