"""Traces by OpenTelemetry: from a webhook through its transfer to the mails that it leads to.

Without an endpoint (``OTEL_EXPORTER_OTLP_ENDPOINT``) nothing of this does anything, and the larger
part is not even imported. A transfer is one trace, that of whatever started it; a webhook that only
rings has its own, to which the signal's span links.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from temporalio.contrib.opentelemetry import TracingInterceptor

HEADER = "_tracer-data"
"""Where the SDK's interceptor looks for the trace that a signal belongs to."""
MAX_HEADER = 500
LONGEST_FAREWELL = 2_000
"""Milliseconds for which a process that ends tries to hand in its last spans."""
_PARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("transfer")


def start(program: str) -> None:
    """Send spans, as OpenTelemetry's own variables say, under this program's name.

    Called again, it changes nothing.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    class Belonging(BatchSpanProcessor):
        """All spans but statements that belong to nothing: looks into the outbox, all day long."""

        def on_end(self, span: ReadableSpan) -> None:
            if span.parent is not None or "db.system" not in (span.attributes or {}):
                super().on_end(span)

    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    named = Resource.create({"service.name": f"customer-transfer-{program}"})
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    provider.add_span_processor(Belonging(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    HTTPXClientInstrumentor().instrument()


def stop() -> None:
    """Hand in what is left, for a moment at most; where nothing was started, nothing is done."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        flush(LONGEST_FAREWELL)


def interceptor() -> TracingInterceptor:
    """What gives workflows and activities their spans."""
    from temporalio.contrib.opentelemetry import TracingInterceptor  # noqa: PLC0415

    return TracingInterceptor()


def watch_sql(engine: Engine) -> None:
    """Give every statement a span: its text, never its values."""
    from opentelemetry.instrumentation import (  # noqa: PLC0415
        sqlalchemy,  # pyright: ignore[reportMissingTypeStubs]
    )

    sqlalchemy.SQLAlchemyInstrumentor().instrument(engine=engine, skip_dep_check=True)


@contextmanager
def span(name: str, *, within: str = "", **attributes: str) -> Generator[Span]:
    """A span around what is done here, under ``within``: a ``traceparent`` that was kept."""
    parent = _propagator.extract({"traceparent": within}) if within else None
    with _tracer.start_as_current_span(
        name,
        parent,
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield opened
        except Exception as error:
            failed(opened, error)
            raise


def failed(opened: Span, why: Exception) -> None:
    """Mark a span as failed. Only the error's name: its text may name people."""
    opened.set_status(Status(StatusCode.ERROR, type(why).__name__))


def here() -> str:
    """The ``traceparent`` of what is done now, to go on with later; empty where none is traced."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


def headers() -> dict[str, Payload]:
    """The header by which a signal's span links to what is done now."""
    parent = here()
    if not parent:
        return {}
    return {HEADER: PayloadConverter.default.to_payloads([{"traceparent": parent}])[0]}


def believable(headers: Mapping[str, Payload]) -> dict[str, Payload]:
    """The header of a trace, if it is one. A garbled one would fail the workflow task."""
    header = headers.get(HEADER)
    if header is None or len(header.data) > MAX_HEADER:
        return {}
    try:
        (carrier,) = PayloadConverter.default.from_payloads([header])
        parent = carrier["traceparent"]
        if not _PARENT.fullmatch(parent):
            return {}
    except Exception:  # noqa: BLE001 - whatever a stranger sent, it is no trace
        return {}
    return {HEADER: PayloadConverter.default.to_payloads([{"traceparent": parent}])[0]}
