"""Offers: which levers staff can pull now, each with a message that its rule was asked about.

What is offered works, since the rules themselves are asked; nothing here says when a lever may be
pulled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from transfer import levers
from transfer.case import MAX_DOUBTS, Case, Doubt
from transfer.errors import RuleBroken
from transfer.judging import NOES
from transfer.messages import (
    AdmitTicket,
    Cancel,
    Doorbell,
    ExtendDeadline,
    Hold,
    RejectTicket,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    StaffAction,
    StopCode,
    TakeCase,
    Which,
)
from transfer.parties import fold
from transfer.tickets import Intent

LATER = timedelta(days=7)
"""By how much the example moves a deadline, where the rules allow as much."""


class Offer(NamedTuple):
    """A lever that works now: its name, what it does, and messages that the rules would allow."""

    lever: str
    does: str
    messages: tuple[StaffAction, ...]


class _Lever(NamedTuple):
    does: str
    rule: Callable[[Case, Any, datetime], Case]
    probes: Callable[[Case, datetime], Iterable[StaffAction]]


def offers(case: Case, now: datetime) -> tuple[Offer, ...]:
    """The levers that staff can pull now: the rules themselves are asked, with a message each."""
    found: list[Offer] = []
    for name, lever in LEVERS.items():
        allowed = tuple(
            probe for probe in lever.probes(case, now) if _works(case, lever, probe, now)
        )
        if allowed:
            found.append(Offer(name, lever.does, allowed))
    return tuple(found)


# -- the messages that the rules are asked about -----------------------------------------------
_WHO = {"staff": "your name", "reason": "why"}


def _always(kind: type[StaffAction], **more: object) -> Callable[..., Iterator[StaffAction]]:
    def probes(_case: Case, _now: datetime) -> Iterator[StaffAction]:
        yield kind.model_validate(_WHO | more)

    return probes


def _extensions(case: Case, now: datetime) -> Iterator[StaffAction]:
    """For each deadline a week later, or as late as it may be."""
    presents: list[tuple[Which, datetime | None, datetime | None]] = [
        (Which(record.slot.value), record.deadline, case.expires_at) for record in case.slots
    ]
    presents.append((Which.TRANSFER, case.expires_at, case.extendable_to))
    for which, present, limit in presents:
        if present is None or limit is None:
            continue
        later = min(max(present, now) + LATER, limit)
        whole = later.replace(second=0, microsecond=0)
        until = whole if whole > max(present, now) else later
        yield ExtendDeadline(**_WHO, until=until, which=which)


def _admissions(case: Case, _now: datetime) -> Iterator[StaffAction]:
    for doubt in _decidable(case):
        for what in (Intent(doubt.slot.value), *NOES):
            yield AdmitTicket(**_WHO, ticket_id=doubt.ticket.id, what=what)


def _rejections(case: Case, _now: datetime) -> Iterator[StaffAction]:
    for doubt in _decidable(case):
        yield RejectTicket(**_WHO, ticket_id=doubt.ticket.id)


def _decidable(case: Case) -> list[Doubt]:
    """The unclear tickets whose ids a message can carry."""
    return [doubt for doubt in case.doubts[:MAX_DOUBTS] if _fits(doubt.ticket.id)]


def _fits(ticket_id: str) -> bool:
    try:
        Doorbell(ticket_id=ticket_id)
    except ValidationError:
        return False
    return True


def _releases(case: Case, _now: datetime) -> Iterator[StaffAction]:
    """By somebody who did not propose it."""
    proposed = case.proposal is not None and fold(case.proposal.staff) == fold(_WHO["staff"])
    who = _WHO | {"staff": "another name"} if proposed else _WHO
    yield ReleaseOnBehalf.model_validate(who)


LEVERS: Mapping[str, _Lever] = {
    "take_case": _Lever("you mediate", levers.take_case, _always(TakeCase)),
    "admit_ticket": _Lever("decide what an unclear ticket says", levers.admit_ticket, _admissions),
    "reject_ticket": _Lever(
        "decide that an unclear ticket does not count", levers.reject_ticket, _rejections
    ),
    "retry_commit": _Lever("try the commit again, now", levers.retry_commit, _always(RetryCommit)),
    "release_on_behalf": _Lever(
        "release in the old reseller's place: one proposes, another one confirms",
        levers.release_on_behalf,
        _releases,
    ),
    "extend_deadline": _Lever("move a deadline later", levers.extend_deadline, _extensions),
    "resume": _Lever("go on; every clock moves by the time held", levers.resume, _always(Resume)),
    "hold": _Lever(
        "stop every clock", levers.hold, _always(Hold, code=StopCode.OWNERSHIP_DISPUTED)
    ),
    "cancel": _Lever(
        "end the transfer, for good", levers.cancel, _always(Cancel, code=StopCode.CUSTOMER_OBJECTS)
    ),
}
"""Every lever, by the name of its update; those that staff need most stand first."""


def _works(case: Case, lever: _Lever, probe: StaffAction, now: datetime) -> bool:
    try:
        lever.rule(case, probe, now)
    except RuleBroken:
        return False
    return True
