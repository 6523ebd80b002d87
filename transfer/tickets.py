"""Tickets: what a party files, the texts of the procedure, and how they are read.

Reading is strict: one sentence of the procedure, once, and nothing beside it that could take it
back. Whatever else a person writes is unclear, and a person decides on it.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from transfer import domains
from transfer.errors import DomainInvalid
from transfer.parties import Account, Person, Slot
from transfer.values import Instant, Name, Value

MAX_SUBJECT = 300
MAX_BODY = 20_000
"""Characters of a ticket's body that are read; an adapter cuts the rest off."""


class Channel(StrEnum):
    """How a ticket was filed. Only the panel knows who its author is; mail can be forged."""

    PANEL = "panel"
    MAIL = "mail"


class Ticket(Value):
    """A ticket as the ticket system has it now.

    ``updated_at`` and ``revision`` change when its filer changes it, not when somebody replies.
    """

    id: Name
    account: str
    author: Person
    administrator: bool = False
    delegated: bool = False
    channel: Channel = Channel.PANEL
    subject: Annotated[str, StringConstraints(max_length=MAX_SUBJECT)] = ""
    body: Annotated[str, StringConstraints(max_length=MAX_BODY)] = ""
    open: bool = True
    created_at: Instant
    updated_at: Instant
    revision: int = 1
    url: Annotated[str, StringConstraints(max_length=1000)] = ""


class Intent(StrEnum):
    """What a ticket asks for, and what a doorbell says it would."""

    RELEASE = "release"
    AUTHORIZE = "authorize"
    ACCEPT = "accept"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"

    @property
    def slot(self) -> Slot | None:
        """The slot this intent fills; none for the two kinds of no."""
        return None if self in (Intent.REFUSE, Intent.WITHDRAW) else Slot(self.value)


class Reason(StrEnum):
    """Why an old reseller refuses. The first two may stop for a while, the rest only escalate."""

    PAST_DUE_BALANCE = "PAST_DUE_BALANCE"
    CONTRACT_TERM_ACTIVE = "CONTRACT_TERM_ACTIVE"
    NO_RESPONSE = "NO_RESPONSE"
    COMMERCIAL_OBJECTION = "COMMERCIAL_OBJECTION"
    UNRELATED_DEBT = "UNRELATED_DEBT"
    OTHER = "OTHER"


class Refusal(Value):
    """A refusal's reason and what it takes to clear it."""

    reason: Reason = Reason.OTHER
    amount: Decimal | None = None
    currency: str = ""
    invoices: tuple[str, ...] = ()
    ends_on: str = ""
    text: str = ""

    def __str__(self) -> str:
        parts = [self.reason.value]
        if self.amount is not None:
            parts.append(f"{self.amount} {self.currency}".strip())
        if self.invoices:
            parts.append("invoices " + ", ".join(self.invoices))
        if self.ends_on:
            parts.append(f"until {self.ends_on}")
        return ": ".join([parts[0], ", ".join(parts[1:])]) if parts[1:] else parts[0]


class Claim(Value):
    """What a ticket's text says: an intent, and the names it gives (``None``: it leaves it out)."""

    intent: Intent
    domain: str
    old: str | None = None
    new: str | None = None
    refusal: Refusal | None = None


def text_to_file(intent: Intent, domain: str, old: Account, new: Account) -> tuple[str, str]:
    """Return subject and body of the ticket that a party has to file, filled in."""
    end = "\nThank you"
    return {
        Intent.RELEASE: (
            "Transfer Customer",
            f"I would like to request that {domain} is to be transferred to {new}.{end}",
        ),
        Intent.AUTHORIZE: (
            "Authorize transfer of account",
            f"We, {domain}, authorize the transfer of our account from {old} to {new}.{end}",
        ),
        Intent.ACCEPT: (
            "Authorize Customer Transfer",
            f"We, {new}, authorize {domain} to be transferred from {old} to our account.{end}",
        ),
        Intent.REFUSE: (
            "Refuse Customer Transfer",
            f"We refuse the transfer of {domain} from {old} to {new}.",
        ),
        Intent.WITHDRAW: (
            "Withdraw Customer Transfer",
            f"We withdraw our authorization to transfer {domain} from {old} to {new}.",
        ),
    }[intent]


_WE = r"\bwe ?, ?"
_SHOWN = r"(?: \((?P<shown>[^\s()]{1,260})\))?"
_DOMAIN = rf"[\"'<]?(?P<domain>[^\s\"',;]{{1,260}}?)[\"'>]?{_SHOWN}"
_END = r"(?=\s*[.!,;]?\s*(?:$|(?:many |kind )?thank|(?:best |kind )?regards|reason\b|--)|[.!]\s)"
_HEADS = (
    rf"\bi would like to request that {_DOMAIN} (?:is to )?be transferred to ",
    rf"{_WE}{_DOMAIN} ?,? authori[sz]e the transfer of our account from ",
    rf", authori[sz]e {_DOMAIN} to be transferred from ",
    rf"\bwe refuse the transfer of {_DOMAIN} from ",
    rf"\bwe withdraw our authori[sz]ation to transfer {_DOMAIN} from ",
)
_BEGINNINGS = tuple(re.compile(head, re.IGNORECASE) for head in _HEADS)
"""What each sentence cannot do without. Found first, so that no text takes long to read."""


@functools.lru_cache(maxsize=256)
def _patterns(known: frozenset[str]) -> dict[Intent, re.Pattern[str]]:
    """The sentences of the procedure. Names in ``known`` may contain what else would end a name."""
    longest_first = sorted({_flatten(name) for name in known if name.strip()}, key=len)[::-1]
    either = "".join(f"{re.escape(name)}|" for name in longest_first)

    def name(group: str) -> str:
        return rf"[\"'<]?(?P<{group}>{either}[^\n]{{1,200}}?)[\"'>]?"

    release, authorize, accept, refuse, withdraw = _HEADS
    from_old_to_new = rf"{name('old')} to {name('new')}{_END}"
    sentences = {
        Intent.RELEASE: rf"{release}{name('new')}{_END}",
        Intent.AUTHORIZE: rf"{authorize}{from_old_to_new}",
        Intent.ACCEPT: rf"{_WE}{name('new')} ?{accept}{name('old')} to our account\b",
        Intent.REFUSE: rf"{refuse}{from_old_to_new}",
        Intent.WITHDRAW: rf"{withdraw}{from_old_to_new}",
    }
    return {intent: re.compile(text, re.IGNORECASE) for intent, text in sentences.items()}


_DOUBT = re.compile(
    r"\?|n't\b|\b(?:not|never|no|nor|none|nothing|nobody|neither|cannot|cant|dont|wont|without|unable"
    r"|refus\w*|withdr[ae]w\w*|cancel\w*|revok\w*|rescind\w*|retract\w*|declin\w*|den(?:y|ie[sd])"
    r"|reject\w*|disagree\w*|oppos\w*|object\w*|disput\w*|against|void|undo|ignore|disregard"
    r"|unless|until|if|when|once|while|before|after|but|however|only|except|provided|condition\w*"
    r"|subject to|assum\w+|should|stop|wait|hold|pending|later|instead|mistake\w*|wrong|false"
    r"|untrue|fraud\w*|forged)\b",
    re.IGNORECASE,
)
"""Words beside an authorization that may take it back. One of them makes a text unclear."""
_QUOTED = re.compile(r"^[ \t]*>", re.MULTILINE)
"""A line out of somebody else's mail."""

_TRANSFER_WORDS = re.compile(
    r"\b(?:transfer|reseller|releas|withdr[ae]w|authori[sz]|migrat|refus|revok|consent|object"
    r"|mov(?:e|es|ed|ing)\b)",
    re.IGNORECASE,
)

_REASON = re.compile(r"\breason ?: ?(?P<reason>[a-z_]{2,40})", re.IGNORECASE)
_AMOUNT = re.compile(
    r"\bamount ?: ?(?P<amount>\d{1,9}(?:\.\d{1,2})?)(?![.,]?\d) ?(?P<currency>[a-z]{3}\b)?",
    re.IGNORECASE,
)
_INVOICES = re.compile(
    r"\binvoices? ?: ?(?P<ids>[\w./-]{1,40}(?:, ?[\w./-]{1,40}){0,19})", re.IGNORECASE
)
_ENDS = re.compile(r"\bends? ?: ?(?P<date>\d{4}-\d{2}-\d{2})\b", re.IGNORECASE)


def read(ticket: Ticket, known: Iterable[str] = ()) -> Claim | None:
    """Read what a ticket says, or return ``None`` where it is unclear.

    Case, quotes, line breaks and spacing do not count. A second sentence of the procedure, or a
    word beside it that may take it back, makes it unclear. ``known`` are names that may be meant:
    with them, "Back to Basics" is one name, where otherwise " to " separates two.
    """
    text = _flatten(ticket.body)
    if sum(1 for beginning in _BEGINNINGS for _ in beginning.finditer(text)) != 1:
        return None
    patterns = _patterns(frozenset(known))
    found = [(intent, m) for intent, pattern in patterns.items() for m in pattern.finditer(text)]
    if len(found) != 1:
        return None
    intent, match = found[0]
    names = {key: _tidy(value) for key, value in match.groupdict().items() if value}
    if intent.slot is not None:
        beside = text[: match.start()] + " " + text[match.end() :]
        if _DOUBT.search(f"{ticket.subject} {beside}") or _QUOTED.search(ticket.body):
            return None
    return Claim(
        intent=intent,
        domain=_domain(names["domain"], names.get("shown")),
        old=names.get("old"),
        new=names.get("new"),
        refusal=_refusal(text) if intent is Intent.REFUSE else None,
    )


def may_be_about_transfers(ticket: Ticket) -> bool:
    """Tell whether an unclear ticket could mean a transfer, so that a person should read it."""
    return bool(_TRANSFER_WORDS.search(f"{ticket.subject} {ticket.body}"))


def _flatten(text: str) -> str:
    """Fold width, typographic quotes and white space; everything becomes one line."""
    folded = unicodedata.normalize("NFKC", text[:MAX_BODY])
    folded = folded.translate(str.maketrans("“”„‘’‚", "\"\"\"'''"))
    return " ".join(folded.split())


def _tidy(name: str) -> str:
    return name.strip(" \"',;:!<>").removesuffix(".")[:200]


def _domain(name: str, shown: str | None) -> str:
    """Normalise a domain; a name in brackets beside it has to be the same one."""
    try:
        a_label = domains.to_a_label(name)
        if shown is None or domains.to_a_label(shown) == a_label:
            return a_label
    except DomainInvalid:
        pass
    return f"{name} ({shown})" if shown else name[: domains.MAX_LENGTH].casefold()


def _refusal(text: str) -> Refusal:
    """Read the reason. A no without a clear reason is still a no: it counts as OTHER."""
    reason = _REASON.search(text)
    amount, invoices, ends = _AMOUNT.search(text), _INVOICES.search(text), _ENDS.search(text)
    code = reason["reason"].upper() if reason else ""
    known = Reason(code) if code in Reason.__members__ else Reason.OTHER
    ends_on = ends["date"] if ends and _is_a_date(ends["date"]) else ""
    incomplete = (known is Reason.PAST_DUE_BALANCE and not (amount and invoices)) or (
        known is Reason.CONTRACT_TERM_ACTIVE and not ends_on
    )
    return Refusal(
        reason=Reason.OTHER if incomplete else known,
        amount=Decimal(amount["amount"]) if amount else None,
        currency=(amount["currency"] or "").upper() if amount else "",
        invoices=tuple(i.strip(" .") for i in invoices["ids"].split(",")) if invoices else (),
        ends_on=ends_on,
        text=text[:500],
    )


def _is_a_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
