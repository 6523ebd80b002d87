"""Each request has an id: in its log lines, and in its answer as ``X-Request-Id``."""

from __future__ import annotations

import re
import uuid

from starlette.types import Scope
from structlog.contextvars import bind_contextvars

HEADER = b"x-request-id"
MAX_REQUEST_ID = 100
"""Characters of an id that somebody else gave."""
_KEY = "transfer.request_id"
_UNWANTED = re.compile(r"[^A-Za-z0-9._:/+=@-]+")


def begin(scope: Scope) -> str:
    """Give a request its id: the one its sender or a proxy gave it, cleaned, or a new one."""
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return _kept(scope, given.decode("latin-1"))


def is_webhook(scope: Scope, webhook_id: str) -> None:
    """Call a request by the id of its webhook, now that it is known to be signed."""
    bind_contextvars(request_id=_kept(scope, webhook_id))


def of(scope: Scope) -> str:
    """The id that a request has now."""
    return str(scope[_KEY])


def _kept(scope: Scope, given: str) -> str:
    cleaned = _UNWANTED.sub("", given[: 2 * MAX_REQUEST_ID])[:MAX_REQUEST_ID]
    scope[_KEY] = cleaned or uuid.uuid4().hex
    return of(scope)
