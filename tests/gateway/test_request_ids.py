"""Each request has an id, in its answer and in its log lines."""

from __future__ import annotations

import re
from collections.abc import Generator, MutableMapping
from typing import Any

import pytest
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from tests.conftest import assert_eventually
from tests.gateway.panel import HOME, Gateway, announced

NEW = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def lines() -> Generator[list[MutableMapping[str, Any]]]:
    """What the gateway logs, with what is bound to it."""
    with capture_logs(processors=[merge_contextvars]) as captured:
        yield captured


async def test_every_answer_has_an_id_of_its_own(gateway: Gateway) -> None:
    asked = [
        await gateway.client.get("/healthz"),
        await gateway.client.get("/none"),
        await gateway.client.get("/track/none"),
        await gateway.client.post("/tickets"),
        await gateway.client.get("/metrics"),
    ]
    ids = [one.headers["x-request-id"] for one in asked]
    assert all(NEW.fullmatch(one) for one in ids)
    assert len(set(ids)) == len(ids)


async def test_a_signed_webhook_is_called_as_its_sender_calls_it(
    gateway: Gateway, lines: list[MutableMapping[str, Any]]
) -> None:
    gateway.transfers.open_ones.add(HOME)
    answer = await gateway.send(announced(), webhook_id="msg_1", x_request_id="another")
    assert answer.headers["x-request-id"] == "msg_1"
    (received,) = [one for one in lines if one["event"] == "ticket_received"]
    assert received["request_id"] == "msg_1"
    assert get_contextvars() == {}


async def test_an_id_that_is_not_signed_is_nobodys(gateway: Gateway) -> None:
    """Not where the webhook's signature is wrong, nor where it is another that signs no id."""
    unsigned = await gateway.client.post("/tickets", headers={"webhook-id": "msg_1"})
    assert NEW.fullmatch(unsigned.headers["x-request-id"])
    hook = await gateway.hook({"ticket_id": 1}, webhook_id="msg_1")
    assert hook.status_code == 202
    assert NEW.fullmatch(hook.headers["x-request-id"])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("4f1c-a.b_c:d/e+f=@", "4f1c-a.b_c:d/e+f=@"),
        ('a"b\x01c <d>\xe9', "abcd"),
        ("x" * 1000, "x" * 100),
    ],
)
async def test_an_id_that_somebody_gave_is_cleaned_and_bounded(
    gateway: Gateway, given: str, kept: str
) -> None:
    headers = [(b"X-Request-Id", given.encode("latin-1"))]
    answer = await gateway.client.get("/healthz", headers=headers)
    assert answer.headers["x-request-id"] == kept


@pytest.mark.parametrize("given", ["", "   ", "\xe9\xe8", '"' * 500])
async def test_one_of_which_nothing_is_left_is_replaced(gateway: Gateway, given: str) -> None:
    headers = [(b"X-Request-Id", given.encode("latin-1"))]
    answer = await gateway.client.get("/healthz", headers=headers)
    assert NEW.fullmatch(answer.headers["x-request-id"])


async def test_a_log_line_about_a_refused_request_names_it(
    gateway: Gateway, lines: list[MutableMapping[str, Any]]
) -> None:
    gateway.arrivals.away = True
    answer = await gateway.send(announced(), webhook_id="msg_7")
    assert answer.status_code == 503
    (refused,) = [one for one in lines if one["event"] == "ticket_refused_for_now"]
    assert refused["request_id"] == "msg_7"


async def test_a_hook_is_followed_to_the_ticket_that_it_fetches(
    gateway: Gateway, lines: list[MutableMapping[str, Any]]
) -> None:
    """What is done beside the request has its id, too."""
    answer = await gateway.hook({"ticket_id": 404_404}, x_request_id="hook-1")
    assert answer.status_code == 202

    async def left() -> None:
        said = [(one["event"], one.get("request_id")) for one in lines]
        assert said == [("ticket_left_to_reconciliation", "hook-1")]

    await assert_eventually(left)
