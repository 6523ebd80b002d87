"""Alerts, their own tests, the runbook and the dashboard name only what there is.

What the alerts do is tested by Prometheus' own tool: ``make test-alerts``.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import temporalio.bridge
from ruamel.yaml import YAML
from typer.main import get_command

from gateway.health import CHECK_SECONDS
from gateway.metrics import READ_SECONDS, Metrics, States
from transfer.adapters.memory import MemoryFigures, MemoryLedger
from transfer.case import State
from transfer.clocks import RETRY_STUCK_COMMIT
from transfer.commands.app import app
from transfer.measures import METRICS, Kind
from transfer.temporal import COMMIT_WINDOW, TASK_QUEUE

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
RUNBOOK = ROOT / "docs/alerts.md"

JOBS = {"transfer-gateway", "transfer-worker"}
WORKER_LABELS = {"namespace", "task_queue", "service_name"}
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""
SDK = {
    "temporal_activity_execution_failed_total": {
        "activity_type",
        "workflow_type",
        "failure_reason",
    },
    "temporal_activity_execution_latency_seconds": {"activity_type", "workflow_type"},
    "temporal_activity_schedule_to_start_latency_seconds": set[str](),
    "temporal_activity_succeed_endtoend_latency_seconds": {"activity_type", "workflow_type"},
    "temporal_local_activity_execution_failed_total": {
        "activity_type",
        "workflow_type",
        "failure_reason",
    },
    "temporal_sticky_cache_hit_total": {"workflow_type"},
    "temporal_sticky_cache_miss_total": {"workflow_type"},
    "temporal_sticky_cache_size": set[str](),
    "temporal_sticky_cache_total_forced_eviction_total": set[str](),
    "temporal_worker_task_slots_available": {"worker_type"},
    "temporal_workflow_task_execution_failed_total": {"workflow_type", "failure_reason"},
    "temporal_workflow_task_execution_latency_seconds": {"workflow_type"},
    "temporal_workflow_task_queue_poll_empty_total": set[str](),
    "temporal_workflow_task_queue_poll_succeed_total": set[str](),
    "temporal_workflow_task_schedule_to_start_latency_seconds": set[str](),
}
"""The SDK's metrics that we rely on, as a worker was seen to show them, with their own labels."""

_STRING = re.compile(r'"[^"]*"')
_NAME = re.compile(r"\b(?:temporal|transfer)[a-z_]*[:_][a-z_:]+\b")
_SELECTOR = re.compile(r"\b((?:temporal_|transfer_|up\b)[a-z_]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


class Alert(NamedTuple):
    """One alerting rule."""

    name: str
    query: str
    waits: str
    severity: str
    notes: Mapping[str, str]


def _read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _read(PROMETHEUS / "rules.yml")["groups"] for rule in group["rules"]]


ALERTS = [
    Alert(rule["alert"], rule["expr"], rule["for"], rule["labels"]["severity"], rule["annotations"])
    for rule in _rules()
    if "alert" in rule
]
RECORDED = {rule["record"] for rule in _rules() if "record" in rule}
PANELS: list[dict[str, Any]] = [
    panel
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    if panel["type"] != "row"
]
QUERIES = {alert.name: alert.query for alert in ALERTS} | {
    f"panel {panel['id']}, {target['refId']}: {panel['title']}": target["expr"]
    for panel in PANELS
    for target in panel["targets"]
}


@cache
def _shown_by_gateways() -> Mapping[str, Mapping[str, set[str]]]:
    """What a gateway shows: each metric's labels with their values, from its own page."""
    metrics = Metrics(States(MemoryFigures(MemoryLedger()), {}))
    metrics.request("/tickets", 202, 0.01)
    page, _ = asyncio.run(metrics.page())
    shown: dict[str, dict[str, set[str]]] = {}
    for line in page.decode().splitlines():
        if found := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            labels = shown.setdefault(found[1], {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', found[2] or ""):
                labels.setdefault(label, set()).add(value)
    return shown


def _shown() -> Mapping[str, set[str]]:
    """Every metric that is shown to Prometheus, with its labels."""
    shown = {name: set(labels) | SCRAPED for name, labels in _shown_by_gateways().items()}
    for metric in METRICS:
        labels = {*metric.labels, *SCRAPED}
        if metric.kind is Kind.COUNTER:
            shown[f"{metric.name}_total"] = labels
        else:
            shown |= _histogram(metric.name, labels)
    for name, own in SDK.items():
        labels = own | WORKER_LABELS | SCRAPED
        shown |= _histogram(name, labels) if name.endswith("_seconds") else {name: labels}
    return shown | {"up": SCRAPED} | {name: set[str]() for name in RECORDED}


def _histogram(name: str, labels: set[str]) -> dict[str, set[str]]:
    return {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}


def _matchers(query: str) -> Iterator[tuple[str, str, str, str]]:
    """Each condition on a label in a query: metric, label, operator, value."""
    for metric, inside in _SELECTOR.findall(query):
        for label, operator, value in _MATCHER.findall(inside):
            yield metric, label, operator, value


@pytest.mark.parametrize("who", QUERIES)
def test_every_query_names_only_metrics_and_labels_that_there_are(who: str) -> None:
    query = QUERIES[who]
    shown = _shown()
    asked = set(_NAME.findall(_STRING.sub('""', query)))
    assert asked or "up" in query, who
    assert asked <= shown.keys(), f"{who}: {asked - shown.keys()}"
    for metric, label, _, _ in _matchers(query):
        assert label in shown[metric], f"{who}: {metric} has no label {label}"
    for grouped in _GROUPED.findall(query):
        for label in filter(None, re.split(r"[,\s]+", grouped)):
            assert any(label in shown[name] for name in asked or {"up"}), f"{who}: {label}"


@pytest.mark.parametrize("who", QUERIES)
def test_every_value_that_a_query_asks_for_can_occur(who: str) -> None:
    query = QUERIES[who]
    known: dict[str, set[str]] = {
        "task_queue": {TASK_QUEUE},
        "job": JOBS,
        "state": {state.value for state in State},
        "activity_type": _activities(),
        "slot": {"release", "authorize", "accept"},
        "outcome": {"delayed", "delivered", "given_up", "failed", "COMPLETED"},
        "path": {"/tickets", "/rt"},
        "status": {"500"},
        "reason": {"COMMIT_STUCK"},
        "why": _shown_by_gateways()["transfer_gateway_refused_total"]["why"],
    }
    for _, label, operator, value in _matchers(query):
        for one in value.split("|") if "~" in operator else [value]:
            fits = [k for k in known[label] if re.fullmatch(one, k)]
            assert fits, f"{who}: {label} is never {one}"


def _activities() -> set[str]:
    source = "".join(path.read_text() for path in (ROOT / "activities").glob("*.py"))
    return set(re.findall(r'activity\.defn\(name="(\w+)"\)', source))


def test_the_sdk_still_has_the_metrics_that_we_rely_on() -> None:
    """Their names are in its library as they stand; units and suffixes are added when shown."""
    folder = Path(temporalio.bridge.__file__).parent
    (library,) = [p for p in folder.iterdir() if p.suffix in (".so", ".dylib", ".pyd")]
    inside = library.read_bytes()
    for name in SDK:
        bare = name.removeprefix("temporal_").removesuffix("_total").removesuffix("_seconds")
        assert bare.encode() in inside, name


def test_states_are_never_added_up_over_gateways() -> None:
    """Each gateway reads the same database: two of them would double every figure."""
    gauges = [
        name
        for name in _shown_by_gateways()
        if not name.startswith("transfer_gateway_") and not name.endswith(("_total", "_created"))
    ]
    assert "transfer_open" in gauges
    added = re.compile(rf"\b(?:sum|count|avg)(?: by \([^)]*\))? ?\(\s*(?:{'|'.join(gauges)})\b")
    for who, query in QUERIES.items():
        assert not added.search(query), f"{who}: {query}"


def test_alerts_have_a_name_once_and_say_what_to_do() -> None:
    names = [alert.name for alert in ALERTS]
    assert len(names) == len(set(names))
    for alert in ALERTS:
        assert alert.name.startswith("Transfer")
        assert alert.severity in {"page", "ticket"}, alert.name
        assert re.fullmatch(r"\d+[mh]", alert.waits), alert.name
        assert set(alert.notes) == {"summary", "description", "runbook_url"}, alert.name
        assert alert.notes["runbook_url"] == f"docs/alerts.md#{alert.name.lower()}"


def test_every_alert_has_its_section_in_the_runbook_and_the_reverse() -> None:
    runbook = RUNBOOK.read_text(encoding="utf-8")
    sections = dict(
        re.findall(r"^### (\S+)\n\n(.+?)(?=\n##|\Z)", runbook, re.MULTILINE | re.DOTALL)
    )
    assert list(sections) == [alert.name for alert in ALERTS], "the same, in the same order"
    for alert in ALERTS:
        text = sections[alert.name]
        assert text.startswith(f"**{alert.severity}.** "), alert.name
        assert "**Look first.**" in text, alert.name
        assert "**Mend.**" in text, alert.name


def test_every_command_in_the_runbook_is_understood() -> None:
    text = " ".join(RUNBOOK.read_text(encoding="utf-8").split())
    named = {"WHAT": "authorize", "TICKET_ID": "1001", "RESELLER": "globex"}
    commands = {tuple(one.split()) for one in re.findall(r"`transfer ([a-z][^`]*)`", text)}
    assert ("staff", "retry", "DOMAIN", "--by", "YOU") in commands
    for words in commands:
        arguments = [named.get(word, word) for word in words]
        command: Any = get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context("transfer", arguments).close()


def test_every_alert_is_tested_to_fire_and_to_be_silent() -> None:
    fires, silent = set[str](), set[str]()
    for path in PROMETHEUS.glob("*_test.yml"):
        for test in _read(path)["tests"]:
            looked_at: dict[str, bool] = {}
            for check in test["promql_expr_test"]:
                if found := re.search(r'alertname="(\w+)"', check["expr"]):
                    fired = bool(check.get("exp_samples"))
                    looked_at[found[1]] = looked_at.get(found[1], False) or fired
            fires |= {name for name, fired in looked_at.items() if fired}
            silent |= {name for name, fired in looked_at.items() if not fired}
    names = {alert.name for alert in ALERTS}
    assert fires == names
    assert silent == names, "each in a test of its own, in which it never fires"


def test_the_times_that_alerts_speak_of_are_the_code_s() -> None:
    assert COMMIT_WINDOW.total_seconds() == 10 * 60
    assert RETRY_STUCK_COMMIT.total_seconds() == 15 * 60
    notes = {alert.name: alert.notes["description"] for alert in ALERTS}
    assert "ten minutes" in notes["TransferBillingNotMoving"]
    assert "every 15 minutes" in notes["TransferCommitStuck"]


def test_the_example_configurations_have_the_jobs_that_alerts_ask_for() -> None:
    example = _read(PROMETHEUS / "prometheus.yml")
    assert {job["job_name"] for job in example["scrape_configs"]} == JOBS
    (pods,) = _read(PROMETHEUS / "kubernetes.yml")["scrape_configs"]
    keep, name, _ = pods["relabel_configs"]
    named = {one.partition(";")[0] for one in keep["regex"].split("|")}
    assert {name["replacement"].replace("$1", one) for one in named} == JOBS


def test_prometheus_waits_longer_than_a_gateway_does() -> None:
    """A scrape that is given up tells nothing, and so would not tell that Temporal is away."""
    for name in ("prometheus.yml", "kubernetes.yml"):
        patience = float(_read(PROMETHEUS / name)["global"]["scrape_timeout"].removesuffix("s"))
        assert patience >= 2 * max(CHECK_SECONDS, READ_SECONDS), name


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_every_panel_says_what_it_shows_and_asks_the_chosen_data_source(
    panel: dict[str, Any],
) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["targets"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    for asking in (panel, *panel["targets"]):
        assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        assert target["expr"]
        assert target["legendFormat"]


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert dashboard["title"] == "Customer Transfer"
    assert {"datasource", "docs"} == {one["name"] for one in dashboard["templating"]["list"]}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken = set[tuple[int, int]]()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        place = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not place & taken, f"{panel['title']} lies over another one"
        taken |= place


def test_every_link_of_the_dashboard_leads_into_the_docs() -> None:
    anchors = {alert.name.lower() for alert in ALERTS}
    links = json.loads(DASHBOARD.read_text(encoding="utf-8"))["links"]
    links += [link for panel in PANELS for link in panel.get("links", [])]
    assert links
    for link in links:
        name, _, anchor = link["url"].removeprefix("${docs}/").partition("#")
        assert (ROOT / "docs" / name).is_file(), link["url"]
        assert not anchor or anchor in anchors, link["url"]
