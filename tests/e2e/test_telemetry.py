"""What operators see of a running installation: traces, metrics, health."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.installation import Installation, Program, eventually, free_port
from tests.e2e.web import Web
from transfer.measures import METRICS, Kind

DOMAIN, TRACED = "orchard.example", "traced.example"


class Tap:
    """A collector of traces that prints what it gets."""

    def __init__(self, folder: Path) -> None:
        port = str(free_port())
        program = str(Path(sys.executable).parent / "oteltap")
        self.endpoint = f"http://127.0.0.1:{port}"
        self._program = Program(folder / "spans.log", {}, program, "--port", port)

    def spans(self) -> list[dict[str, Any]]:
        """The spans so far."""
        lines = self._program.log.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def stop(self) -> None:
        self._program.kill()


def way(spans: list[dict[str, Any]], *ends: str) -> list[str]:
    """The names of spans from the first one down to one that is named so, and so is its parent."""
    by_id = {span["spanId"]: span for span in spans}

    def up(span: dict[str, Any]) -> list[str]:
        above = by_id.get(span["parentSpanId"])
        return [span["name"], *(up(above) if above else ())]

    ways = [up(span) for span in spans if span["name"] == ends[0]]
    return next(list(reversed(found)) for found in ways if ends[-1] in found)


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_one_trace_leads_from_a_webhook_to_the_mails(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    """Through the transfer that it opens, activities, SQL, the outbox and SMTP."""
    tap = Tap(tmp_path)
    try:
        installed = install()
        installed.set_up([TRACED])
        installed.sink.start()
        worker = installed.working(OTEL_EXPORTER_OTLP_ENDPOINT=tap.endpoint)
        installed.settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": tap.endpoint}
        web = Web(installed)
        del installed.settings["OTEL_EXPORTER_OTLP_ENDPOINT"]
        web.ready()
        status, answer = web.announce(installed.file(TRACED, "authorize"))
        assert (status, answer["outcome"]) == (202, "opened")
        installed.all_told(TRACED)
        web.announce(installed.file(TRACED, "accept"))
        installed.authorized(TRACED, "accept")
        assert web.program.stop() == 0
        assert worker.stop() == 0
        spans = tap.spans()
        opening = next(span for span in spans if span["name"] == "StartWorkflow:CustomerTransfer")
        trace = [span for span in spans if span["traceId"] == opening["traceId"]]
        assert way(trace, "smtp", "deliver OPENED") == [
            *("POST /tickets", "StartWorkflow:CustomerTransfer", "StartActivity:publish"),
            *("RunActivity:publish", "deliver OPENED", "smtp"),
        ]
        statements = [span for span in trace if "INSERT INTO deliveries" in str(span)]
        assert "RunActivity:publish" in way(trace, statements[0]["name"], "RunActivity:publish")
        ringing = [span for span in spans if span["name"] == "POST /tickets" and span not in trace]
        (accepted,) = (span for span in trace if span["name"] == "HandleSignal:accept")
        assert [link["traceId"] for link in accepted["links"]] == [ringing[0]["traceId"]]
        # Looking into the outbox now and again belongs to nothing.
        assert all("SELECT" not in span["name"] or span["parentSpanId"] for span in spans)
        told = json.dumps(spans)
        assert "carl@customer.example" not in told
        assert "authorize the transfer of our account" not in told
    finally:
        tap.stop()


def test_a_worker_shows_its_metrics_and_its_health(install: Callable[..., Installation]) -> None:
    """Its health before Temporal answers, and its measures under the names that alerts have."""
    installed = install()
    installed.set_up([DOMAIN])
    installed.sink.start()
    health, metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
    shown = {"TRANSFER_HEALTH_ADDRESS": health, "TRANSFER_METRICS_ADDRESS": metrics}
    lost = installed.worker(TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}", **shown)
    eventually(lambda: get(f"http://{health}/healthz")[0] == 200, "the worker lives")
    status, said = get(f"http://{health}/readyz")
    assert (status, json.loads(said)) == (503, {"temporal": "away", "database": "ok"})
    assert lost.stop() == 0
    worker = installed.working(**shown)
    eventually(lambda: get(f"http://{health}/readyz")[0] == 200, "the worker is ready")
    assert get(f"http://{health}/metrics")[0] == 404

    installed.done("start", DOMAIN, "--to", "globex", **installed.policy(grace="0s"))
    for slot in ("release", "authorize", "accept"):
        installed.ring(DOMAIN, slot)
    installed.reaches("COMPLETED", DOMAIN)
    installed.all_told(DOMAIN)
    _, told = get(f"http://{metrics}/metrics")
    assert 'transfer_events_total{event="COMPLETED"} 1' in told
    assert 'transfer_duration_seconds_count{outcome="COMPLETED"} 1' in told
    assert 'transfer_authorization_seconds_count{slot="release"} 1' in told
    assert 'transfer_notices_total{channel="mail",outcome="delivered"}' in told
    assert "temporal_workflow_task_execution_latency_seconds_bucket" in told
    names = {metric.name for metric in METRICS if metric.kind is Kind.SECONDS}
    assert all(f"# TYPE {name} histogram" in told for name in names)
    assert worker.stop() == 0
