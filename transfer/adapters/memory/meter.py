"""A meter in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from transfer.measures import Kind, Measure


class MemoryMeter:
    """``transfer.ports.Meter``: sums of counters and lists of durations, by name and labels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.durations: dict[tuple[str, ...], list[float]] = {}

    def record(self, measures: Iterable[Measure]) -> None:
        """See ``Meter.record``."""
        for metric, labels, value in measures:
            key = (metric.name, *(labels[label] for label in metric.labels))
            if metric.kind is Kind.COUNTER:
                self.counts[key] += int(value)
            else:
                self.durations.setdefault(key, []).append(value)
