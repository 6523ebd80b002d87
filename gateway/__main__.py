"""The gateway: settings, then neighbours, then requests until told to stop."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import structlog
import uvloop

from gateway.app import RtHooks, build
from gateway.hooks import Porter
from gateway.limits import trusted
from gateway.reception import reception
from gateway.serving import Server, configured
from gateway.signatures import RtSignatures, Signatures
from gateway.traces import traced
from gateway.tracking import Tracker
from gateway.transfers import TemporalTransfers
from transfer import logs, telemetry, tracing
from transfer.adapters.tools import utc_now
from transfer.adapters.wiring import Neighbours, neighbours, tracking_links
from transfer.commands.console import leave
from transfer.errors import Unreachable
from transfer.settings import Settings, load_settings

GRACE_SECONDS = 20
"""How long running requests may take after a signal to stop."""
MAX_CONNECTIONS = 2000
KEPT = timedelta(days=90)
"""How long an answer is repeated, and a ticket stays parked."""
TIDY_EVERY = timedelta(hours=6)

log = structlog.get_logger("gateway")


async def main(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT. Temporal and the database may be away at first."""
    stop = asyncio.Event()
    signatures = Signatures(settings.webhook_secret)
    links = tracking_links(settings)
    proxies = trusted(settings.trusted_proxies)
    transfers = TemporalTransfers()
    async with neighbours(settings) as near:
        desk = reception(settings, near, transfers)
        porter = Porter(near.tickets, desk, clock=utc_now)
        rt = RtHooks(porter, RtSignatures(settings.rt_hook_secret))
        server = Server(
            configured(
                traced(
                    build(
                        desk,
                        transfers,
                        near.arrivals,
                        near.figures,
                        signatures,
                        rt if settings.rt_hook_secret else None,
                        Tracker(links, near.tracking, utc_now) if links else None,
                    ),
                    settings,
                ),
                host=settings.gateway_host,
                port=settings.gateway_port,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

        def told_to_stop() -> None:
            stop.set()
            server.should_exit = True

        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, told_to_stop)
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(transfers.connect(settings, telemetry.runtime(), stop))
            tidying = tasks.create_task(_tidy(near, timedelta(days=settings.tracking_days)))
            log.info("gateway_started", host=settings.gateway_host, port=settings.gateway_port)
            await server.serve()
            stop.set()
            connecting.cancel()
            tidying.cancel()
            await porter.close()
    tracing.stop()
    log.info("gateway_stopped")


async def _tidy(near: Neighbours, links_last: timedelta) -> None:
    """Drop what is old, now and again; what a link may show, later than any link is valid."""
    while True:
        try:
            await near.arrivals.forget(utc_now() - KEPT)
            await near.tracking.forget(utc_now() - max(KEPT, 2 * links_last))
        except Unreachable as error:
            log.warning("tidying_failed", error=str(error))
        await asyncio.sleep(TIDY_EVERY.total_seconds())


def run() -> None:
    """Read the settings, set up the logs, and answer."""
    settings = load_settings()
    logs.configure(level=settings.log_level, style=settings.log_format)
    uvloop.run(main(settings))


if __name__ == "__main__":
    leave(run)
