"""Small things that the database and its fakes share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from transfer.messages import EscalationState, EscalationUpdate, EvidenceRow
from transfer.tickets import MAX_BODY, MAX_SUBJECT

LEASE = timedelta(minutes=1)
"""How long a delivery that was taken from the outbox is nobody else's."""
_SERVED = frozenset({"AUTHORIZED", "SLOT_REFUSED", "SLOT_WITHDRAWN"})
"""A yes or a no that counted: it is used up, and speaks in no other transfer."""
_MAX_ERROR = 500
MAX_PARKED = 500
"""Parked tickets in one answer."""


def utc_now() -> datetime:
    """The clock of an adapter that is given none."""
    return datetime.now(UTC)


def holdable(text: str) -> str:
    """Replace what no database can hold by U+FFFD: NUL, and halves of characters."""
    if text.isascii() and "\0" not in text:
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


def one_line(text: str) -> str:
    """A neighbour's error as one line of at most 500 characters."""
    return " ".join(text.split())[:_MAX_ERROR]


def use_of(evidence: Sequence[EvidenceRow]) -> list[dict[str, str]]:
    """Which tickets this evidence used up: those that said a valid yes or no."""
    return [
        {"ticket_id": row.ticket_id, "key": row.key}
        for row in evidence
        if row.code in _SERVED and row.ticket_id
    ]


def opened_in(evidence: Sequence[EvidenceRow]) -> list[tuple[str, datetime]]:
    """Which transfers this evidence opens, and when: each picks up the tickets parked for it."""
    return [(row.transfer_id, row.at) for row in evidence if row.code == "OPENED"]


def staff_ticket(escalation: EscalationUpdate) -> tuple[str, str]:
    """Subject and body of an escalation's ticket in the staff's queue."""
    subject = f"{escalation.transfer_id}: {escalation.why}"
    what, _, more = escalation.detail.partition("\n\n")
    body = "\n\n".join(part for part in (what, _standing(escalation), more) if part)
    return subject[:MAX_SUBJECT], body[:MAX_BODY]


def staff_reply(escalation: EscalationUpdate) -> str:
    """How an escalation stands, as a reply on its ticket: with what has changed about its reason.

    What staff can do about it is in the ticket already.
    """
    if escalation.state is EscalationState.CLOSED:
        return _standing(escalation)
    _, _, more = escalation.detail.partition("\n\n")
    reason = more.partition("\n\n")[0]
    return "\n\n".join(part for part in (_standing(escalation), reason) if part)


def staff_reply_key(escalation: EscalationUpdate) -> str:
    """What makes an update of an escalation another one."""
    return f"{escalation.key}:{escalation.at.isoformat()}:{_standing(escalation)}"


def _standing(escalation: EscalationUpdate) -> str:
    parts = [f"{escalation.state}, level {escalation.level}: {escalation.why}."]
    if escalation.owner:
        parts.append(f"Owner: {escalation.owner}.")
    if escalation.touch_by and escalation.state is EscalationState.OPEN:
        parts.append(f"First touch by {escalation.touch_by:%Y-%m-%dT%H:%MZ}.")
    return " ".join(parts)
