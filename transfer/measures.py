"""What is counted and timed, for dashboards and alerts: names, units, and what they mean.

These are events, told by the worker that lives through them. How many transfers are where right now
is read from the database instead, by the gateway: ``figures``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from transfer.case import TERMINAL, Case, Evidence, Publication, SlotState
from transfer.parties import Slot
from transfer.tickets import Reason


class Kind(StrEnum):
    """How measures of one metric add up."""

    COUNTER = "counter"
    SECONDS = "seconds"
    """A histogram of durations."""


class Metric(NamedTuple):
    """One metric. ``labels`` have few values each, none of which names a person or a domain.

    Those of ``known`` begin at zero: an increase from nothing to one is none to Prometheus.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    known: tuple[tuple[str, ...], ...] = ()


class Measure(NamedTuple):
    """One measurement: a metric, its labels, and a count or seconds."""

    metric: Metric
    labels: Mapping[str, str]
    value: float = 1


EVENTS = Metric("transfer_events", Kind.COUNTER, ("event",), "What happened, by evidence code.")
REJECTIONS = Metric("transfer_rejections", Kind.COUNTER, ("code",), "Tickets that do not count.")
ESCALATIONS = Metric(
    *("transfer_escalations", Kind.COUNTER, ("reason",), "Cases for staff."),
    known=(("COMMIT_STUCK",), (SlotState.LAPSED.value,), *((reason.value,) for reason in Reason)),
)
AUTHORIZATION = Metric(
    "transfer_authorization_seconds", Kind.SECONDS, ("slot",), "From the request until the yes."
)
DURATION = Metric(
    "transfer_duration_seconds", Kind.SECONDS, ("outcome",), "From the start until the end."
)
NOTICES = Metric(
    *("transfer_notices", Kind.COUNTER, ("channel", "outcome"), "Attempts to deliver a notice."),
    known=tuple(product(("mail", "ticket", "staff"), ("delivered", "delayed", "given_up"))),
)
RECONCILED = Metric(
    *("transfer_reconciled_tickets", Kind.COUNTER, ("outcome",), "Changed tickets looked at."),
    known=(("found",), ("delivered",), ("failed",)),
)
METRICS = (EVENTS, REJECTIONS, ESCALATIONS, AUTHORIZATION, DURATION, NOTICES, RECONCILED)

_DAY = 86_400.0
_DAYS = (1, 2, 3, 5, 7, 10, 14, 30, 60)
BUCKETS = (60.0, 600.0, 3600.0, 21_600.0, *(days * _DAY for days in _DAYS))
"""Upper bounds of the histograms, in seconds: a minute to the longest life of a transfer."""

_ENDED = frozenset(state.value for state in TERMINAL)


def told(publication: Publication) -> tuple[Measure, ...]:
    """What is measured of a publication. A rejection is of a ticket, so its code is one of ours."""
    return tuple(m for event in publication.events for m in _measured(publication, event))


def _measured(publication: Publication, event: Evidence) -> Iterable[Measure]:
    case = publication.case
    yield Measure(EVENTS, {"event": event.code})
    match event.code:
        case "REJECTED" | "AMBIGUOUS" | "TICKET_UNKNOWN":
            yield Measure(REJECTIONS, {"code": _code(case, event)})
        case "MEDIATION":
            yield Measure(ESCALATIONS, {"reason": _reason(case)})
        case "COMMIT_STUCK":
            yield Measure(ESCALATIONS, {"reason": event.code})
        case "AUTHORIZED" if event.slot is not None:
            asked = case.slot(event.slot).requested_at or case.received_at
            # A ticket filed before the start was never waited for.
            waited = max(0.0, (event.at - asked).total_seconds())
            yield Measure(AUTHORIZATION, {"slot": event.slot.value}, waited)
        case outcome if outcome in _ENDED:
            lasted = (event.at - case.received_at).total_seconds()
            yield Measure(DURATION, {"outcome": outcome}, lasted)
        case _:
            pass


def _code(case: Case, event: Evidence) -> str:
    """Why a ticket does not count, as its slot has it."""
    rejected = [r for record in case.slots for r in record.rejected] + list(case.strangers)
    codes = [r.code for r in rejected if r.ticket_id == event.ticket_id]
    return codes[-1] if codes else event.code


def _reason(case: Case) -> str:
    """Why the old reseller has not released: its reason, or where its slot is."""
    record = case.slot(Slot.RELEASE)
    refused = record.state in (SlotState.REFUSED, SlotState.WITHDRAWN) and record.refusal
    return refused.reason.value if refused else record.state.value
