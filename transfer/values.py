"""The base of every value: frozen, bounded, tolerant of unknown fields on the wire."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

MAX_LINE = 200
"""Characters of a name, an id or a mail address."""


def one_line(text: str) -> str:
    """Return a stranger's text without line breaks and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def fingerprint(*parts: str) -> str:
    """Thirty-two characters that stand for these parts, and for no others."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


def _one_short_line(text: str) -> str:
    return one_line(text)[:MAX_LINE]


def _in_utc(instant: datetime) -> datetime:
    if not 1970 <= instant.year < 3000:
        raise ValueError("an instant lies between the years 1970 and 3000")
    return instant.astimezone(UTC)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""A name, an id, a mail address: one short line."""
Line = Annotated[str, AfterValidator(_one_short_line)]
"""What a stranger calls itself: made one short line, where refusing it would help nobody."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
"""A sentence or a few, written by a person."""
Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A timezone-aware instant, UTC inside."""


class Value(BaseModel):
    """An immutable value. Fields are only added, and then optional: transfers live for weeks."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
