"""Alerts: what is said on staff's own channels, such as a chat or a pager, beside their mails.

Only what cannot wait is told there, in few words: a case that was opened, one that goes to second
level, a commit that is stuck. Nothing that a stranger wrote is in it: a channel may read marks of
its own into a text.
"""

from __future__ import annotations

from collections.abc import Sequence

from transfer.case import Case, Evidence, Publication
from transfer.messages import CHANNEL, Delivery
from transfer.notices import STAFF
from transfer.templates import letter
from transfer.templates.phrases import staff_heading
from transfer.values import fingerprint

TOLD = ("COMMIT_STUCK", "SECOND_LEVEL", "MEDIATION")
"""The events that are told; of several at once, the one that stands first here."""


def alerts(publication: Publication, channels: Sequence[str]) -> tuple[Delivery, ...]:
    """Return a delivery for each channel, where a change cannot wait.

    The same publication always gives the same ids.
    """
    case = publication.case
    found = [e for e in publication.events if e.code in TOLD and _stands(case, e)]
    if not found:
        return ()
    event = min(found, key=lambda e: (TOLD.index(e.code), -e.seq))
    text = _text(case, event)
    return tuple(
        Delivery(
            id=fingerprint(case.key, event.mark, STAFF, "channel", channel),
            key=case.key,
            event=event.code,
            reader=f"{CHANNEL}{channel}",
            reply=text,
            created_at=event.at,
        )
        for channel in dict.fromkeys(channels)
    )


def _stands(case: Case, event: Evidence) -> bool:
    """Whether a person is still needed at the end of the change that the event is a part of."""
    needed = case.stuck if event.code == "COMMIT_STUCK" else case.mediation
    return needed is not None and not case.is_terminal


def _text(case: Case, event: Evidence) -> str:
    mediation = case.mediation if event.code != "COMMIT_STUCK" else None
    facts = {
        "case": case,
        "domain": case.shown_domain,
        "heading": staff_heading(case, event),
        "event": event,
        "why": mediation.why.partition(":")[0] if mediation else event.code,
        "mediation": mediation,
    }
    written = letter("alert", facts)
    return f"{written.subject}\n\n{written.text}"
