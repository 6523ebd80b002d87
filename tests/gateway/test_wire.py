"""What a webhook has to look like, and how it is told what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.wire import EXAMPLE, Webhook
from tests.gateway.panel import Gateway, announced


def without(field: str) -> dict[str, Any]:
    """A ticket that lacks a field."""
    body = announced()
    del body["ticket"][field]
    return body


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (announced("ticket.deleted"), ["body", "event"]),
        (announced() | {"more": 1}, ["body", "more"]),
        (announced(more=1), ["body", "ticket", "more"]),
        (announced(id="two words"), ["body", "ticket", "id"]),
        (announced(id="x" * 65), ["body", "ticket", "id"]),
        (announced(id=1002), ["body", "ticket", "id"]),
        (announced(account=" "), ["body", "ticket", "account"]),
        (announced(created_at="yesterday"), ["body", "ticket", "created_at"]),
        (announced(created_at="2026-11-23T09:30:00"), ["body", "ticket", "created_at"]),
        (announced(administrator="yes"), ["body", "ticket", "author", "administrator"]),
        (announced(subject="x" * 10_001), ["body", "ticket", "subject"]),
        (announced(body="\ud800"), ["body", "ticket", "body"]),
        (without("account"), ["body", "ticket", "account"]),
    ],
)
async def test_what_does_not_fit_is_named_and_not_repeated(
    gateway: Gateway, body: dict[str, Any], where: list[str]
) -> None:
    answer = await gateway.send(body)
    assert answer.status_code == 422, answer.text
    (wrong,) = answer.json()["detail"]
    assert wrong["loc"] == where
    assert set(wrong) == {"loc", "msg", "type"}
    assert gateway.arrivals.answers == {}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"[" * 60_000, b'{"event": NaN}'])
async def test_what_is_no_json_object_is_invalid(gateway: Gateway, raw: bytes) -> None:
    answer = await gateway.send(raw)
    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID")


async def test_thousands_of_wrong_fields_get_a_short_answer(gateway: Gateway) -> None:
    answer = await gateway.send(announced() | {f"f{n}": n for n in range(5_000)})
    assert len(answer.json()["detail"]) == 20


async def test_very_long_texts_are_cut_and_a_line_break_in_an_id_is_none(gateway: Gateway) -> None:
    answer = await gateway.send(announced(body="x" * 200_000, subject="y" * 9_000))
    assert answer.status_code == 202
    assert (await gateway.send(announced(id="1\n2"))).status_code == 422


def test_a_closed_ticket_is_heard_as_closed() -> None:
    for status, is_open in (("Resolved", False), ("closed ", False), ("new", True), ("", True)):
        heard = Webhook.model_validate(announced(status=status)).heard()
        assert heard.ticket.open is is_open
    assert Webhook.model_validate(EXAMPLE).heard().created


async def test_other_paths_and_methods_are_refused_as_json(gateway: Gateway) -> None:
    assert (await gateway.client.get("/tickets")).status_code == 405
    assert (await gateway.client.get("/")).json()["error"] == "NOT_FOUND"


async def test_health_says_what_is_away(gateway: Gateway) -> None:
    assert (await gateway.client.get("/healthz")).json() == {"status": "ok"}
    assert (await gateway.client.get("/readyz")).json() == {"temporal": "ok", "database": "ok"}
    gateway.transfers.away = True
    answer = await gateway.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"temporal": "away", "database": "ok"})
    assert (await gateway.client.get("/healthz")).status_code == 200


async def test_the_description_is_complete(gateway: Gateway) -> None:
    """Every answer of the webhook has a schema and an example, and so has the request."""
    page = (await gateway.client.get("/openapi.json")).json()
    post = page["paths"]["/tickets"]["post"]
    assert set(post["responses"]) == {"202", "401", "408", "413", "422", "429", "503"}
    schemas = page["components"]["schemas"]
    assert schemas["Webhook"]["examples"] == [EXAMPLE]
    for status, answer in post["responses"].items():
        content = answer["content"]["application/json"]
        assert "$ref" in content["schema"], status
        assert "example" in content or schemas["Answer"]["examples"], status
    for status in ("429", "503"):
        assert post["responses"][status]["headers"]["Retry-After"]
    names = {parameter["name"] for parameter in post["parameters"]}
    assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}
