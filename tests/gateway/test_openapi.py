"""The description is true: whatever is made up by it is answered as it says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import BaseModel
from schemathesis.config import SchemathesisConfig

from gateway.limits import Limits
from gateway.wire import Answer, Invalid, Problem
from tests.e2e.installation import in_a_thread
from tests.gateway.panel import Gateway

MODELS: dict[int, type[BaseModel]] = {202: Answer, 413: Problem, 422: Invalid, 503: Problem}

# Two in three of what is made up is not signed, and all of it comes from one address.
gateway = Gateway(limits=Limits(unsigned=100_000))
# What is refused for being too large or unsigned is refused before it is found to be wrong.
refusals = {"expected-statuses": [401, 405, 413, 422]}
schema = schemathesis.openapi.from_asgi(
    "/openapi.json",
    gateway.app,
    config=SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": refusals}}),
)


@schema.parametrize()  # pyright: ignore[reportUntypedFunctionDecorator]
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_answer_is_as_described(case: schemathesis.Case[Any]) -> None:
    """Unsigned, whatever is sent is refused; nothing makes the gateway stumble."""
    case.call_and_validate()


@schema.include(path="/tickets", method="POST").parametrize()  # pyright: ignore[reportUntypedFunctionDecorator]
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_answer_to_a_signed_webhook_is_as_described(case: schemathesis.Case[Any]) -> None:
    """Signed, what fits the description is taken, and what does not is named."""
    raw = json.dumps(case.body, default=str).encode()
    answer = in_a_thread(lambda: asyncio.run(gateway.send(raw)))
    model = MODELS[answer.status_code]
    model.model_validate_json(answer.content, extra="forbid")
