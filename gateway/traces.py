"""Traces of requests, where they are switched on."""

from __future__ import annotations

from fastapi import FastAPI

from transfer import tracing
from transfer.settings import Settings

UNTRACED = "healthz,readyz,metrics,track"
"""Paths without spans: nobody's business, and links that are secrets."""


def traced(app: FastAPI, settings: Settings) -> FastAPI:
    """The application, with a span for each request if traces are wanted."""
    if settings.otlp_endpoint:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415

        tracing.start("gateway")
        FastAPIInstrumentor.instrument_app(
            app, excluded_urls=UNTRACED, exclude_spans=["receive", "send"]
        )
    return app
