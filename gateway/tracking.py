"""The tracking page: a signed link is answered with what its party may see.

All of it comes from our own database, where the last thing that was told is kept: a page that
anybody can load must not reach Temporal, and there is one whether a worker runs or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import NamedTuple

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.limits import Limits, address_of
from transfer.errors import Unreachable
from transfer.links import Links
from transfer.ports import Tracking
from transfer.templates import moment
from transfer.tracking import PageView, tracking_page

AT_ONCE = 4
"""Pages that read the database at once: tickets that come in must not wait for them."""
PATIENCE_SECONDS = 5.0
RETRY_AFTER_SECONDS = 10
SIGNS = {"done": "✓", "open": "○", "yours": "➜", "staff": "…", "no": "✕", "over": "–"}
"""What is seen of a mark beside its words, whatever the colours are."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
_FILES = {"style.css": "text/css", "copy.js": "text/javascript"}
_FILE_HEADERS = HEADERS | {"Cache-Control": "public, max-age=300"}

log = structlog.get_logger("gateway")


class Tracker(NamedTuple):
    """What the page needs: who made links, where cases are, and what time it is."""

    links: Links
    tracking: Tracking
    clock: Callable[[], datetime]


def add_tracking(app: FastAPI, tracker: Tracker, limits: Limits) -> None:
    """Answer below ``/track/``. The two files cost nothing, and are not limited."""
    turn = asyncio.Semaphore(AT_ONCE)

    @app.api_route("/track/{token:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def track(request: Request, token: str) -> Response:
        """A party's page, or one of the two files beside it."""
        if token in _FILES:
            kind = f"{_FILES[token]}; charset=utf-8"
            return Response(_file(token), media_type=kind, headers=_FILE_HEADERS)
        if (wait := await limits.page(address_of(request.scope))) is not None:
            return HTMLResponse(_too_many(), 429, headers=HEADERS | {"Retry-After": str(wait)})
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), turn:
                page = await _seen(tracker, token)
        except (Unreachable, TimeoutError) as error:
            log.warning("page_not_read", error=str(error) or type(error).__name__)
            later = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return HTMLResponse(_away(), 503, headers=HEADERS | later)
        if page is None:
            return HTMLResponse(_nothing(), 404, headers=HEADERS)
        return HTMLResponse(rendered(page), headers=HEADERS)


async def _seen(tracker: Tracker, token: str) -> PageView | None:
    """What a token shows; ``None`` where it is none of ours, expired, revoked, or of no transfer.

    Whatever we signed costs one read, so that nobody learns from the time why it shows nothing.
    """
    now = tracker.clock()
    grant = tracker.links.read(token, now)
    if grant is None:
        return None
    known = await tracker.tracking.tracked(grant.key, grant.party)
    revoked = known.revoked_before is not None and grant.made_at < known.revoked_before
    if revoked or not tracker.links.is_valid(grant, now):
        return None
    if known.case is None or known.at is None:
        return None
    return tracking_page(known.case, grant.party, known.at, now)


def rendered(page: PageView) -> str:
    """The page in HTML. Whatever was filled in is escaped."""
    return _environment().get_template("page.html.j2").render(page=page, signs=SIGNS)


@cache
def _nothing() -> str:
    return _plain(
        "There is nothing here",
        "This address shows no transfer. Take the newest mail about your transfer and open the"
        " address in it, or ask our support.",
    )


@cache
def _away() -> str:
    return _plain("Please try again", "We cannot read this at the moment. Load it again later.")


@cache
def _too_many() -> str:
    return _plain(
        "Please wait a minute",
        "Your network has asked for many pages within a minute. Then load this one again.",
    )


def _plain(heading: str, text: str) -> str:
    return _environment().get_template("plain.html.j2").render(heading=heading, text=text)


@cache
def _file(name: str) -> str:
    return resources.files("gateway").joinpath("templates", name).read_text("utf-8")


def _iso(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@cache
def _environment() -> Environment:
    """Jinja, made when the first page is asked for: importing this module reads no file."""
    environment = Environment(
        loader=PackageLoader("gateway", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"iso": _iso, "moment": moment}
    return environment
