"""What is measured here, for Prometheus: requests, by this process; and states, from the database.

Every application has a registry of its own. Labels have few values: a path is a route's template,
never what a stranger sent.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from time import perf_counter
from typing import NamedTuple

import structlog
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from gateway import request_ids
from gateway.health import OK, Checks, checked
from gateway.wire import Problem
from transfer.adapters.tools import utc_now
from transfer.errors import Unreachable
from transfer.figures import Reading
from transfer.messages import Reception
from transfer.ports import Figures

READ_EVERY_SECONDS = 10.0
"""How old a reading may be: whoever scrapes more often is told the same again."""
READ_SECONDS = 5.0
"""How long a reading may take: Prometheus waits for ten seconds."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
OTHER = "other"
"""The path of a request for something that is not here."""
WHY = {
    401: "unsigned",
    408: "too_slow",
    413: "too_large",
    422: "invalid",
    429: "limited",
    503: "away",
}
"""Why a request was refused, by the status of its answer."""
BUSY = ("/rt", 503)
"""A hook is answered before anybody else is asked: what is too busy for it is this process."""

FAILED = Problem(error="FAILED", fix="This is our mistake, and is in our log. Send it again later.")

log = structlog.get_logger("gateway")


class Metrics:
    """The metrics of one application."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "transfer_gateway_requests",
            "Requests that were answered, by route and status.",
            ["path", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "transfer_gateway_request_seconds",
            "How long requests took, by route.",
            ["path"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._tickets = Counter(
            "transfer_gateway_tickets",
            "Tickets that were received, by what became of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._refused = Counter(
            "transfer_gateway_refused",
            "Requests that were refused, by why.",
            ["why"],
            registry=self._registry,
        )
        # At zero from the start: a rate needs two points.
        for outcome in Reception:
            self._tickets.labels(outcome.value)
        for why in (*WHY.values(), "busy"):
            self._refused.labels(why)
        self._registry.register(states)

    async def page(self) -> tuple[bytes, str]:
        """All of it, as Prometheus reads it, and what kind of text that is. It never fails."""
        await self._states.refresh()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def ticket(self, outcome: Reception) -> None:
        """Count a ticket that was received."""
        self._tickets.labels(outcome.value).inc()

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; ``path`` is a route's template."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if status in WHY and path not in ("/healthz", "/readyz"):
            self._refused.labels("busy" if (path, status) == BUSY else WHY[status]).inc()


class _Seen(NamedTuple):
    """What was seen at the last look; no reading where the database was away."""

    at: float
    reading: Reading | None
    temporal: bool


class States(Collector):
    """The states, as the database tells them, at most every ten seconds.

    ``clock`` is the time of day, ``monotonic`` counts seconds.
    """

    def __init__(
        self,
        figures: Figures,
        temporal: Checks,
        *,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._figures = figures
        self._temporal = temporal
        self._clock = clock
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._seen: _Seen | None = None

    async def refresh(self) -> None:
        """Look again, where the last look is too old. Many at once look once."""
        async with self._turn:
            seen = self._seen
            if seen is None or self._monotonic() - seen.at >= READ_EVERY_SECONDS:
                reading, temporal = await asyncio.gather(self._read(), checked(self._temporal))
                up = all(said == OK for said in temporal.values())
                self._seen = _Seen(self._monotonic(), reading, up)

    def collect(self) -> Iterator[Metric]:
        """What was seen. What is not known is absent, and not zero."""
        if self._seen is None:
            return
        reading = self._seen.reading
        yield _gauge("transfer_database_up", "Whether our database answers.", reading is not None)
        yield _gauge("transfer_temporal_up", "Whether Temporal answers.", self._seen.temporal)
        if reading is not None:
            yield from _gauges(reading)

    async def _read(self) -> Reading | None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self._figures.read(self._clock())
        except (Unreachable, TimeoutError) as error:
            log.warning("figures_not_read", error=str(error) or type(error).__name__)
        except Exception:  # a scrape that fails would hide everything else
            log.exception("figures_not_read")
        return None


class Observed:
    """ASGI middleware: every request has an id, is timed and counted, and is answered."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._metrics = metrics
        self._templates = _Templates(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and look at its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, started = perf_counter(), 500, False

        async def answered(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                kept = (request_ids.HEADER, request_ids.of(scope).encode("ascii"))
                message["headers"] = [*message.get("headers", ()), kept]
            await send(message)

        with bound_contextvars(request_id=request_ids.begin(scope)):
            try:
                await self._app(scope, receive, answered)
            except Exception:
                log.exception("request_failed", path=self._templates.of(scope["path"]))
                if started:
                    raise  # too late to say so: the connection is closed
                await JSONResponse(FAILED.model_dump(), 500)(scope, receive, answered)
            finally:
                path = self._templates.of(scope["path"])
                self._metrics.request(path, status, perf_counter() - begun)


class _Templates:
    """The templates of routes, whether or not a request gets as far as its route."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        paths = [str(getattr(route, "path", "")) for route in routes]
        self._whole = frozenset(path for path in paths if "{" not in path)
        self._beginnings = tuple(
            (path.partition("{")[0], re.sub(r":\w+}", "}", path)) for path in paths if "{" in path
        )

    def of(self, path: str) -> str:
        """The template that a path fits."""
        if path in self._whole:
            return path
        fitting = (whole for begins, whole in self._beginnings if path.startswith(begins))
        return next(fitting, OTHER)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=float(value))


def _gauges(reading: Reading) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "transfer_open", "Transfers that are not over, by state.", labels=["state"]
    )
    for state, number in reading.of_state.items():
        states.add_metric([state.value], number)
    yield states
    yield _gauge(
        "transfer_escalated", "Transfers with a case in the staff queue.", reading.escalated
    )
    yield _gauge(
        "transfer_commit_overdue_seconds",
        "How long the oldest commit that is due has been due; 0 where none is.",
        _since(reading.commit_due_since, reading.at),
    )
    yield _gauge(
        "transfer_notices_waiting",
        "Notices that have not arrived yet.",
        reading.notices_waiting,
    )
    yield _gauge(
        "transfer_notices_oldest_seconds",
        "Age of the oldest notice that has not arrived yet; 0 where there is none.",
        _since(reading.waiting_since, reading.at),
    )
    yield _gauge(
        "transfer_notices_failed",
        "Notices of the last 7 days that were given up.",
        reading.notices_failed,
    )
    yield _gauge(
        "transfer_tickets_parked", "Tickets that wait for a transfer.", reading.tickets_parked
    )


def _since(instant: datetime | None, now: datetime) -> float:
    return max(0.0, (now - instant).total_seconds()) if instant else 0.0
