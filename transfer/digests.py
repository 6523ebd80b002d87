"""The daily digest: one mail to staff about every open transfer that needs somebody."""

from __future__ import annotations

from collections.abc import Sequence

from transfer import domains, notices
from transfer.messages import Delivery, Mail
from transfer.overview import Digest, Need, Needing, OpenTransfer
from transfer.parties import Person
from transfer.templates import letter
from transfer.values import fingerprint

KEY = "staff-digest"
"""Begins the key of a digest's deliveries; its day follows."""
MAX_NAMED = 50
"""Transfers that are named under one need."""

_HEADINGS = {
    Need.STUCK: ("Billing could not be moved", "stuck-commits"),
    Need.ESCALATED: ("In the staff queue", "escalated"),
    Need.WAITING: ("Waiting for staff", "needs-a-person"),
    Need.DUE: ("Due within a day", "due-this-week"),
}
"""What stands over each need, and the saved view that has all of it."""


def digest_mails(digest: Digest, staff: Sequence[str], mail_domain: str) -> tuple[Delivery, ...]:
    """Return the digest of a day as a mail to each of staff; none where nothing needs anybody.

    The same day always gives the same ids and Message-IDs, so that no digest comes twice.
    """
    if not digest.needing:
        return ()
    key = f"{KEY}/{digest.day.isoformat()}"
    written = letter(
        "digest", {"digest": digest, "sections": [_section(n) for n in digest.needing]}
    )
    mails: list[Delivery] = []
    for address in notices.reachable(Person(id=a, email=a) for a in staff):
        identity = fingerprint(key, notices.STAFF, "mail", address.casefold())
        mail = Mail(
            message_id=f"<{identity}@{mail_domain}>",
            to=address,
            subject=written.subject,
            text=written.text,
            html=written.html,
        )
        mails.append(
            Delivery(
                id=identity,
                key=key,
                event="DIGEST",
                reader=notices.STAFF,
                mail=mail,
                created_at=digest.at,
            )
        )
    return tuple(mails)


def _section(needing: Needing) -> dict[str, object]:
    heading, view = _HEADINGS[needing.need]
    return {
        "heading": heading,
        "view": view,
        "rows": [_row(one) for one in needing.transfers[:MAX_NAMED]],
        "more": needing.more or len(needing.transfers) > MAX_NAMED,
    }


def _row(transfer: OpenTransfer) -> dict[str, str]:
    next_at = transfer.next_deadline
    facts = [f"{transfer.old} to {transfer.new}", transfer.state]
    if transfer.waiting_on:
        facts.append(f"waits for {', '.join(transfer.waiting_on)}")
    if next_at is not None:
        facts.append(f"next {next_at:%Y-%m-%d %H:%M} UTC")
    return {"domain": domains.display(transfer.domain), "says": "; ".join(facts)}
