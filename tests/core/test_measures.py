"""What is counted of what happens: every event once, with labels of few values."""

from __future__ import annotations

import urllib.request
from datetime import timedelta

import pytest
from hypothesis import given

from tests.core.acts import Act
from tests.core.histories import HISTORIES, play
from tests.core.stories import CHANGES
from tests.e2e.installation import free_port
from transfer import measures
from transfer.adapters.memory import MemoryMeter
from transfer.case import Case, Publication
from transfer.errors import InputInvalid
from transfer.measures import METRICS, NOTICES, Kind, Measure
from transfer.telemetry import SdkMeter, runtime


def measured(before: Case, after: Case) -> MemoryMeter:
    events = tuple(e for e in after.evidence if e.seq > before.evidence_count)
    meter = MemoryMeter()
    meter.record(measures.told(Publication(case=after.having(evidence=()), events=events)))
    return meter


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("REJECTED", ("transfer_rejections", "DELEGATED_SESSION")),
        ("REJECTED, stranger", ("transfer_rejections", "WRONG_ACCOUNT")),
        ("AMBIGUOUS", ("transfer_rejections", "TEXT_AMBIGUOUS")),
        ("SLOT_REFUSED, past due", ("transfer_escalations", "PAST_DUE_BALANCE")),
        ("SLOT_REFUSED, own words", ("transfer_escalations", "OTHER")),
        ("MEDIATION", ("transfer_escalations", "LAPSED")),
        ("COMMIT_STUCK", ("transfer_escalations", "COMMIT_STUCK")),
        ("COMPLETED", ("transfer_events", "COMPLETED")),
    ],
)
def test_what_happens_is_counted_by_its_code(change: str, expected: tuple[str, str]) -> None:
    assert measured(*CHANGES[change]()).counts[expected] == 1


def test_the_time_to_each_authorization_counts_from_the_request() -> None:
    meter = measured(*CHANGES["AUTHORIZED"]())
    waited = {("transfer_authorization_seconds", "accept"): [timedelta(hours=1).total_seconds()]}
    assert meter.durations == waited


def test_a_transfer_lasts_from_its_start_to_its_end() -> None:
    before, after = CHANGES["WITHDRAWN"]()
    lasted = after.evidence[-1].at - after.received_at
    meter = measured(before, after)
    assert meter.durations == {("transfer_duration_seconds", "WITHDRAWN"): [lasted.total_seconds()]}


@given(HISTORIES)
def test_every_event_is_counted_once_and_no_label_names_anybody(history: list[Act]) -> None:
    for step in play(history).steps:
        meter = measured(step.before, step.after)
        events = sum(n for (name, *_), n in meter.counts.items() if name == "transfer_events")
        assert events == step.after.evidence_count - step.before.evidence_count
        labels = [label for key in (*meter.counts, *meter.durations) for label in key[1:]]
        assert all(label.replace("_", "").isalpha() and len(label) < 40 for label in labels)
        assert all(value >= 0 for values in meter.durations.values() for value in values)


def test_a_worker_shows_all_of_them_to_prometheus() -> None:
    """By the SDK, beside its own, under the names that dashboards and alerts have."""
    address = f"127.0.0.1:{free_port()}"
    kept = runtime(address)
    meter = SdkMeter(kept.metric_meter)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        assert 'transfer_notices_total{channel="mail",outcome="given_up"} 0' in (
            answer.read().decode()
        )
    meter.record(
        Measure(metric, dict.fromkeys(metric.labels, "some"), 90_000) for metric in METRICS
    )
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        shown = answer.read().decode()
    for metric in METRICS:
        labels = ",".join(f'{label}="some"' for label in sorted(metric.labels))
        if metric.kind is Kind.COUNTER:
            assert f"{metric.name}_total{{{labels}}} 90000" in shown
        else:
            assert f'{metric.name}_bucket{{{labels},le="86400"}} 0' in shown
            assert f'{metric.name}_bucket{{{labels},le="172800"}} 1' in shown
    assert NOTICES.meaning in shown


def test_an_address_that_is_taken_is_said() -> None:
    address = f"127.0.0.1:{free_port()}"
    kept = runtime(address)
    with pytest.raises(InputInvalid, match="TRANSFER_METRICS_ADDRESS"):
        runtime(address)
    del kept
