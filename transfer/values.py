"""The base of every value: frozen, bounded, tolerant of unknown fields on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""A name, an id, a mail address: one short line."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
"""A sentence or a few, written by a person."""
Instant = AwareDatetime
"""A timezone-aware instant, UTC inside."""


class Value(BaseModel):
    """An immutable value. Fields are only ever added, and then optional: transfers live for weeks."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
