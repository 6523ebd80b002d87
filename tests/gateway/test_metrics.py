"""What Prometheus is told, and what it must not be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics as gateway_metrics
from gateway.limits import Limits
from gateway.metrics import READ_EVERY_SECONDS, Metrics, States
from tests.adapters.stores import NOW, delivery
from tests.adapters.test_arrivals import parked
from tests.adapters.test_figures import every_case
from tests.adapters.test_tracking import told
from tests.conftest import assert_eventually
from tests.gateway.panel import HOME, Gateway, announced
from transfer.errors import Unreachable
from transfer.figures import OPEN_STATES, Reading
from transfer.parties import Slot

Scraped = dict[tuple[str, ...], float]


def read(text: str) -> Scraped:
    """Every sample: its name and the values of its labels, and what it says."""
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


async def scraped(gateway: Gateway) -> Scraped:
    """What a scrape says."""
    answer = await gateway.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text)


class Fake:
    """Figures and clocks that do as they are told."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.looks = 0
        self.reading = Reading(at=NOW, of_state=dict.fromkeys(OPEN_STATES, 0))
        self.error: Exception | None = None
        self.silent = False
        self.temporal_is_away = False
        states = States(
            self, {"temporal": self.check}, clock=lambda: NOW, monotonic=lambda: self.seconds
        )
        self.metrics = Metrics(states)

    async def read(self, now: datetime) -> Reading:
        self.looks += 1
        await asyncio.sleep(0)
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.reading

    async def check(self) -> None:
        if self.temporal_is_away:
            raise Unreachable("away")

    async def scraped(self) -> Scraped:
        page, _ = await self.metrics.page()
        return read(page.decode())


@pytest.fixture
def fake() -> Fake:
    """Metrics over a fake database."""
    return Fake()


# -- requests ----------------------------------------------------------------------------------
async def test_requests_are_counted_by_route_and_status(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    await gateway.send(announced())
    await gateway.send(announced())
    await gateway.client.post("/tickets")
    await gateway.client.get("/healthz")
    said = await scraped(gateway)
    assert said["transfer_gateway_requests_total", "/tickets", "202"] == 2
    assert said["transfer_gateway_requests_total", "/tickets", "401"] == 1
    assert said["transfer_gateway_requests_total", "/healthz", "200"] == 1
    assert said["transfer_gateway_request_seconds_count", "/tickets"] == 3
    assert said["transfer_gateway_request_seconds_bucket", "+Inf", "/tickets"] == 3
    assert (await scraped(gateway))["transfer_gateway_requests_total", "/metrics", "200"] == 1


async def test_what_a_stranger_asks_for_makes_no_new_series(gateway: Gateway) -> None:
    """A secret in an address would stay in Prometheus, and a thousand addresses would fill it."""
    for number in range(5):
        await gateway.client.get(f"/track/secret-{number}")
        await gateway.client.get(f"/guess-{number}.php")
        await gateway.client.request(f"GUESS{number}", "/tickets")
        await gateway.client.get("//tickets/%2e%2e/secret")
    answer = await gateway.client.get("/metrics")
    assert "secret" not in answer.text
    assert "uess" not in answer.text.casefold()
    requests = {
        key[1:]: value
        for key, value in read(answer.text).items()
        if key[0] == "transfer_gateway_requests_total"
    }
    assert requests == {
        ("/track/{token}", "404"): 5,
        ("other", "404"): 10,
        ("/tickets", "405"): 5,
    }


async def test_what_became_of_tickets_is_counted_by_whatever_way_they_came(
    gateway: Gateway,
) -> None:
    gateway.transfers.open_ones.add(HOME)
    await gateway.send(announced())
    filed = await gateway.file(Slot.AUTHORIZE)
    await gateway.hook({"ticket_id": filed["ticket"]["id"]})

    async def both_are_counted() -> None:
        said = await scraped(gateway)
        assert said["transfer_gateway_tickets_total", "signalled"] == 2
        assert said["transfer_gateway_tickets_total", "ignored"] == 0

    await assert_eventually(both_are_counted)


REFUSALS = ["unsigned", "too_slow", "too_large", "invalid", "limited", "away", "busy"]


async def test_why_requests_were_refused_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Gateway(limits=Limits(pages=1))
    monkeypatch.setattr("gateway.signing.READ_SECONDS", 0.01)
    monkeypatch.setattr("gateway.hooks.MAX_WAITING", 0)

    async def silence() -> AsyncGenerator[bytes]:
        await asyncio.sleep(0.1)
        yield b"{}"

    async with made.client:
        zero = await scraped(made)
        assert [zero["transfer_gateway_refused_total", why] for why in REFUSALS] == [0] * 7
        await made.client.post("/tickets")
        await made.client.post("/tickets", content=silence())
        await made.client.post("/tickets", content=b" " * 300_000)
        await made.client.get("/track/1")
        await made.client.get("/track/2")
        await made.send({})
        await made.hook({"ticket_id": 1})
        made.arrivals.away = True
        await made.send(announced())
        await made.client.get("/readyz")
        said = await scraped(made)
    await made.porter.close()
    assert [said["transfer_gateway_refused_total", why] for why in REFUSALS] == [1] * 7


async def test_a_mistake_of_ours_is_answered_and_counted(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumbles(*_: object) -> None:
        raise RuntimeError("a mistake with a secret in it")

    monkeypatch.setattr(gateway.arrivals, "answered", stumbles)
    answer = await gateway.send(announced(), webhook_id="msg_1")
    assert (answer.status_code, answer.json()["error"]) == (500, "FAILED")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == "msg_1"
    assert (await scraped(gateway))["transfer_gateway_requests_total", "/tickets", "500"] == 1


async def test_every_application_counts_for_itself(gateway: Gateway) -> None:
    another = Gateway()
    async with another.client:
        await another.client.get("/healthz")
        await another.porter.close()
        assert ("transfer_gateway_requests_total", "/healthz", "200") in await scraped(another)
    assert ("transfer_gateway_requests_total", "/healthz", "200") not in await scraped(gateway)


async def test_metrics_are_no_part_of_what_integrators_read(gateway: Gateway) -> None:
    assert "/metrics" not in (await gateway.client.get("/openapi.json")).json()["paths"]


# -- states ------------------------------------------------------------------------------------
async def test_states_are_told_as_the_database_has_them(gateway: Gateway) -> None:
    for number, case in enumerate(every_case()):
        await gateway.ledger.publish([], [], told(case.having(key=f"key-{number}")))
    await gateway.ledger.publish([], [delivery("d1"), delivery("d2"), delivery("d3")])
    await gateway.ledger.failed("d3", "no such address", None)
    await gateway.arrivals.park(parked("7"))
    reading = await gateway.figures.read(datetime.now(NOW.tzinfo))
    said = await scraped(gateway)
    for state, number in reading.of_state.items():
        assert said["transfer_open", state.value] == number > 0
    assert said["transfer_escalated",] == reading.escalated > 0
    assert said["transfer_notices_waiting",] == 2
    assert said["transfer_tickets_parked",] == 1
    assert said["transfer_database_up",] == said["transfer_temporal_up",] == 1


async def test_ages_are_seconds_and_zero_where_nothing_waits(fake: Fake) -> None:
    said = await fake.scraped()
    assert said["transfer_commit_overdue_seconds",] == 0
    assert said["transfer_notices_oldest_seconds",] == 0
    fake.reading = fake.reading.model_copy(
        update={
            "commit_due_since": NOW - timedelta(minutes=2),
            "waiting_since": NOW - timedelta(hours=1),
            "notices_failed": 3,
        }
    )
    fake.seconds += READ_EVERY_SECONDS
    said = await fake.scraped()
    assert said["transfer_commit_overdue_seconds",] == 120
    assert said["transfer_notices_oldest_seconds",] == 3600
    assert said["transfer_notices_failed",] == 3


async def test_the_database_is_asked_once_in_ten_seconds(fake: Fake) -> None:
    """Also where many scrape at once, and where it is away."""
    for error in (None, Unreachable("away")):
        fake.error, fake.looks = error, 0
        fake.seconds += READ_EVERY_SECONDS
        await asyncio.gather(*(fake.scraped() for _ in range(20)))
        fake.seconds += READ_EVERY_SECONDS - 0.01
        await fake.scraped()
        assert fake.looks == 1
    fake.seconds += 0.01
    await fake.scraped()
    assert fake.looks == 2


async def test_while_the_database_is_away_states_are_unknown_and_not_zero(fake: Fake) -> None:
    """Whatever is wrong with it; and the rest is told."""
    for error in (Unreachable("away"), RuntimeError("a mistake of ours")):
        fake.error = error
        fake.seconds += READ_EVERY_SECONDS
        fake.metrics.request("/tickets", 503, 0.1)
        said = await fake.scraped()
        assert said["transfer_database_up",] == 0
        assert said["transfer_temporal_up",] == 1
        names = {name for name, *_ in said}
        assert not {one for one in names if one.startswith(("transfer_open", "transfer_not"))}
        assert "transfer_commit_overdue_seconds" not in names
        assert said["transfer_gateway_requests_total", "/tickets", "503"] > 0
    fake.error = None
    fake.seconds += READ_EVERY_SECONDS
    assert (await fake.scraped())["transfer_database_up",] == 1


async def test_a_database_that_says_nothing_is_away(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_metrics, "READ_SECONDS", 0.05)
    fake.silent = True
    assert (await fake.scraped())["transfer_database_up",] == 0


async def test_while_temporal_is_away_states_are_told(fake: Fake) -> None:
    fake.temporal_is_away = True
    said = await fake.scraped()
    assert said["transfer_temporal_up",] == 0
    assert said["transfer_open", "READY"] == 0
