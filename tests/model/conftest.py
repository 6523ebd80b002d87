"""A profile for ``make fuzz``: other histories in every run."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fuzz", deadline=None, derandomize=False, print_blob=True)
