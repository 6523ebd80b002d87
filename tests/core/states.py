"""Every state in a picture and a sentence, for docs/states.md: the customer's tracking page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from gateway.tracking import rendered
from tests.core.stories import MONDAY
from tests.core.test_tracking import CASES
from transfer.case import State
from transfer.details import MEANS
from transfer.parties import Party
from transfer.tracking import tracking_page

STYLE = resources.files("gateway.templates").joinpath("style.css").read_text(encoding="utf-8")

_INTRODUCTION = """\
What each state means, and what the customer sees of it on its tracking page. `make pictures` writes
this page. What staff do in a state is in [staff.md](staff.md#what-each-state-asks-of-you), how
states follow each other in the [README](../README.md#the-states).\
"""


class Shown(NamedTuple):
    """A state, and the page that the customer sees in it."""

    state: State
    html: str

    @property
    def name(self) -> str:
        """The picture's name."""
        return f"state-{self.state.value.lower().replace('_', '-')}"

    @property
    def digest(self) -> str:
        """What the picture is made of, in short."""
        return hashlib.sha256(f"{self.html}{STYLE}".encode()).hexdigest()[:16]


def states() -> Iterator[Shown]:
    """Every state, in the order of the diagram."""
    for state, case in CASES.items():
        view = tracking_page(case(), Party.CUSTOMER, MONDAY, MONDAY)
        yield Shown(state, rendered(view))


def page() -> str:
    """The page docs/states.md."""
    parts = ["# The states, in pictures", _INTRODUCTION]
    for one in states():
        means = MEANS[one.state]
        parts.append(f"## `{one.state.value}`\n\n{means[:1].upper()}{means[1:]}.")
        parts.append(f"![What the customer sees in {one.state.value}](pictures/{one.name}.png)")
    return "\n\n".join(parts) + "\n"
