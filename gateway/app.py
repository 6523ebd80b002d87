"""The web application: which request is answered by what."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, NamedTuple

import structlog
from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway.health import all_ok, checked
from gateway.hooks import Hook, Noted, Porter
from gateway.limits import TOO_MANY, Limits
from gateway.metrics import Metrics, Observed, States
from gateway.reception import Desk
from gateway.signatures import MAX_ID, MAX_SIGNATURE, RtSignatures, Signatures
from gateway.signing import TOO_LARGE, TOO_SLOW, UNSIGNED, SignedOnly
from gateway.tracking import Tracker, add_tracking
from gateway.transfers import Transfers
from gateway.wire import Answer, Health, Invalid, Problem, Webhook
from transfer.errors import Unreachable
from transfer.ports import Arrivals, Figures

RETRY_AFTER_SECONDS = 5
"""When a sender is asked to try again."""
PATIENCE_SECONDS = 20.0
"""How long a request may take, its waiting for its turn included."""
AT_ONCE = 32
"""Tickets that are worked on at once; the others wait for their turn."""
MAX_FIELD_ERRORS = 20

AWAY = Problem(error="AWAY", fix="Temporal or the database does not answer. Send it again later.")

BUSY = Problem(error="BUSY", fix="Too many tickets wait. This one is found when reconciling.")

log = structlog.get_logger("gateway")


class RtHooks(NamedTuple):
    """The way in for Request Tracker's hooks, where it is the ticket system."""

    porter: Porter
    signatures: RtSignatures


def build(
    desk: Desk,
    transfers: Transfers,
    arrivals: Arrivals,
    figures: Figures,
    signatures: Signatures,
    rt: RtHooks | None = None,
    tracker: Tracker | None = None,
    *,
    limits: Limits | None = None,
) -> FastAPI:
    """The application over its neighbours. Building it does nothing else, but the desk tells it."""
    limits = limits or Limits()
    app = FastAPI(
        title="Customer Transfer",
        summary="Where a ticket system announces the tickets of resellers and customers.",
        version="1",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
    )
    turn = asyncio.Semaphore(AT_ONCE)

    @app.post(
        "/tickets",
        status_code=202,
        responses=_responses(),
        tags=["webhook"],
        summary="A ticket was filed or changed",
    )
    async def tickets(
        webhook: Webhook,
        webhook_id: Annotated[
            str, Header(min_length=1, max_length=MAX_ID, description="The same id is one event.")
        ],
        webhook_timestamp: Annotated[  # noqa: ARG001 - verified before; here it is documented
            str, Header(max_length=40, description="Unix seconds, at most 5 minutes off.")
        ],
        webhook_signature: Annotated[  # noqa: ARG001 - likewise
            str, Header(max_length=MAX_SIGNATURE, description="`v1,` and the HMAC-SHA256.")
        ],
    ) -> Answer:
        """Announce a ticket; any order, any number of times.

        The content is used to find the transfer and for nothing else: the ticket is read back. The
        answer comes when it is durable; send again, with the same id, until there is one.
        """
        async with asyncio.timeout(PATIENCE_SECONDS), turn:
            kept = await desk.receive(webhook_id, webhook.heard())
        return Answer(outcome=kept.outcome, transfer_id=kept.transfer_id)

    app.add_middleware(
        SignedOnly, path="/tickets", signatures=signatures, limits=limits, signs_id=True
    )
    if rt is not None:
        _add_rt(app, rt, limits)
    if tracker is not None:
        add_tracking(app, tracker, limits)

    @app.get("/healthz", tags=["health"], summary="The process answers")
    async def healthz() -> dict[str, str]:
        """Tell that this process answers."""
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Temporal and the database answer",
        responses={200: _example(Health, OK), 503: _example(Health, NOT_OK)},
    )
    async def readyz() -> JSONResponse:
        """Ask Temporal and the database."""
        said = await checked(
            {"temporal": transfers.check, "database": lambda: arrivals.answered("")}
        )
        return JSONResponse(Health(**said).model_dump(), 200 if all_ok(said) else 503)

    metrics = Metrics(States(figures, {"temporal": transfers.check}))
    desk.watch(metrics.ticket)

    @app.get("/metrics", include_in_schema=False)
    async def metrics_page() -> Response:
        """What is measured, for Prometheus."""
        page, kind = await metrics.page()
        return Response(page, headers={"Content-Type": kind})

    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unreadable)
    app.add_exception_handler(Unreachable, _away)
    app.add_exception_handler(TimeoutError, _away)
    app.add_middleware(Observed, metrics=metrics, routes=app.routes)  # the last is the outermost
    return app


def _add_rt(app: FastAPI, rt: RtHooks, limits: Limits) -> None:
    responses = _responses()
    answers: dict[int | str, dict[str, Any]] = {
        202: {"description": "Understood; the ticket is fetched."},
        **{code: responses[code] for code in (401, 408, 413, 422, 429)},
        503: _example(Problem, BUSY.model_dump(), description="Too many tickets wait."),
    }

    @app.post(
        "/rt",
        status_code=202,
        responses=answers,
        tags=["webhook"],
        summary="Request Tracker has a ticket that was filed or changed",
    )
    async def rt_hook(
        hook: Hook,
        x_rt_signature: Annotated[  # noqa: ARG001 - verified before; here it is documented
            str, Header(max_length=100, description="`t=` Unix seconds `,v1=` HMAC-SHA256, hex.")
        ],
    ) -> Noted:
        """Announce a ticket by its number; it is read back by REST, a moment later.

        Request Tracker calls once and never again: what does not arrive is found when reconciling.
        """
        if not rt.porter.note(str(hook.ticket_id)):
            raise Busy
        return Noted()

    app.add_exception_handler(Busy, _busy)
    app.add_middleware(SignedOnly, path="/rt", signatures=rt.signatures, limits=limits)


async def _busy(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse(BUSY.model_dump(), 503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


class Busy(Exception):
    """Too many tickets wait to be fetched."""


OK = {"temporal": "ok", "database": "ok"}
NOT_OK = {"temporal": "away", "database": "ok"}


def _example(model: type[Any], example: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": model, "content": {"application/json": {"example": example}}, **more}


def _responses() -> dict[int | str, dict[str, Any]]:
    wrong = {"loc": ["body", "ticket", "id"], "msg": "Field required", "type": "missing"}
    later = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
    return {
        202: {"description": "What became of the ticket; it is durable."},
        401: _example(Problem, UNSIGNED.model_dump(), description="No, wrong or old signature."),
        408: _example(Problem, TOO_SLOW.model_dump(), description="The body came too slowly."),
        413: _example(Problem, TOO_LARGE.model_dump(), description="Larger than 256 KB."),
        422: _example(
            Invalid,
            Invalid.model_validate({"detail": [wrong]}).model_dump(),
            description="Signed, but not what is described here.",
        ),
        429: _example(
            Problem,
            TOO_MANY.model_dump(),
            description="Too many of your address within a minute, unsigned ones above all.",
            headers={"Retry-After": later},
        ),
        503: _example(
            Problem,
            AWAY.model_dump(),
            description="Temporal or the database is away: send it again.",
            headers={"Retry-After": later},
        ),
    }


async def _away(_request: Request, error: Exception) -> JSONResponse:
    log.warning("ticket_refused_for_now", error=str(error) or type(error).__name__)
    return JSONResponse(AWAY.model_dump(), 503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Say which fields are wrong, without repeating what is in them."""
    problems: list[Any] = []
    if isinstance(error, RequestValidationError):
        problems = list(error.errors())
    detail = [
        {"loc": list(p["loc"])[:10], "msg": p["msg"][:200], "type": p["type"]}
        for p in problems[:MAX_FIELD_ERRORS]
    ]
    return JSONResponse(Invalid.model_validate({"detail": detail}).model_dump(), 422)


async def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses by itself; a body that cannot be parsed is invalid."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 400:
        wrong = {"loc": ["body"], "msg": "not JSON that can be read", "type": "json_invalid"}
        return JSONResponse(Invalid.model_validate({"detail": [wrong]}).model_dump(), 422)
    headers = error.headers if isinstance(error, HTTPException) else None
    text = str(error.detail) if isinstance(error, HTTPException) else ""
    problem = Problem(error=text.upper().replace(" ", "_"), fix="See /openapi.json.")
    return JSONResponse(problem.model_dump(), status, headers=headers)
