"""A process's Temporal runtime: where its metrics and the SDK's go, and its core's log lines."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from temporalio.common import MetricCounter, MetricHistogramFloat, MetricMeter
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from transfer.errors import InputInvalid
from transfer.measures import BUCKETS, METRICS, Kind, Measure


def runtime(metrics_address: str = "") -> Runtime:
    """A runtime that logs through Python, and shows metrics at ``host:port`` if that is given.

    By default the SDK's core logs to stdout, which belongs to what a script reads.

    Raises:
        InputInvalid: nothing can listen at the address.
    """
    try:
        return Runtime(
            telemetry=TelemetryConfig(
                logging=_LOGGING, metrics=_metrics(metrics_address), attach_service_name=False
            )
        )
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputInvalid(f"TRANSFER_METRICS_ADDRESS: {metrics_address}: {why}.") from None


class SdkMeter:
    """``transfer.ports.Meter`` by the SDK: our metrics stand beside its own."""

    def __init__(self, meter: MetricMeter) -> None:
        self._counters: dict[str, MetricCounter] = {}
        self._seconds: dict[str, MetricHistogramFloat] = {}
        for metric in METRICS:
            if metric.kind is Kind.COUNTER:
                counter = meter.create_counter(metric.name, metric.meaning)
                for values in metric.known:
                    counter.add(0, dict(zip(metric.labels, values, strict=True)))
                self._counters[metric.name] = counter
            else:
                # Its name has the unit already; the SDK would add it once more.
                self._seconds[metric.name] = meter.create_histogram_float(
                    metric.name, metric.meaning
                )

    def record(self, measures: Iterable[Measure]) -> None:
        """See ``Meter.record``."""
        for metric, labels, value in measures:
            if metric.kind is Kind.COUNTER:
                self._counters[metric.name].add(int(value), labels)
            else:
                self._seconds[metric.name].record(value, labels)


_LOGGING = LoggingConfig(
    filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
    forwarding=LogForwardingConfig(
        logger=logging.getLogger("temporal.core"),
        append_target_to_name=True,
        prepend_target_on_message=False,
        append_log_fields_to_message=False,
    ),
)


def _metrics(address: str) -> PrometheusConfig | None:
    if not address:
        return None
    return PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides={
            metric.name: BUCKETS for metric in METRICS if metric.kind is Kind.SECONDS
        },
    )
