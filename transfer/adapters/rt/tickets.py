"""Tickets in Request Tracker 5."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast
from urllib.parse import quote

import structlog
from pydantic import ValidationError

from transfer.adapters.desk import MAX_FOUND, names_of, searchable, ticket_number
from transfer.adapters.rt.client import Item, RtClient, objects
from transfer.adapters.rt.mapping import Filed, Filer, Mapping, User, quoted
from transfer.adapters.tools import holdable, utc_now
from transfer.conversation import Altered, Conversation, Said, folded
from transfer.errors import TicketNotFound, Unreachable
from transfer.messages import Changed
from transfer.reading import is_courtesy
from transfer.tickets import MAX_BODY, MAX_SUBJECT, Channel, Ticket

PAGE = 100
"""Items on one page: RT gives no more."""
MAX_TRANSACTIONS = 200
"""Transactions that count and are read, the newest ones of a ticket."""
MAX_TEXTS = 5
"""Texts of a filer that are read until one says something, from the newest back."""
MAX_PARTS = 3
"""Parts of one text that are read."""
MAX_TEXT_BYTES = 400_000
"""Bytes of a part that is read; of it, MAX_BODY characters count."""
IDS_AT_ONCE = 50
"""Tickets that one search asks for by their ids."""
SLACK = timedelta(hours=1, minutes=1)
"""Searched this much further back: RT counts back on its own clock, over a change to summer time
an hour wrong. What is too old is left out here."""
PANEL_INTERFACES = frozenset({"Web", "REST", "REST2", "API"})
"""How a ticket may be filed in the control panel. All else counts as mail, which proves nothing."""
DEFAULT_CLOSED = ("resolved", "rejected", "deleted")
"""Statuses in which a ticket is closed, in RT's own lifecycle."""
_LARGEST_ID = 2**31 - 1
_USER = "Name,EmailAddress,RealName,Organization"
_HEAD = {
    "fields": "Subject,Status,Created,LastUpdated,Creator,Requestor,CustomFields",
    "fields[Creator]": _USER,
    "fields[Requestor]": _USER,
}
_HISTORY = {
    "fields": "Type,Field,OldValue,NewValue,Creator,Created",
    "fields[Creator]": "Name,EmailAddress",
}
_THAT_COUNT = [
    {"field": "Type", "value": kind, "entry_aggregator": "OR"}
    for kind in ("Create", "Correspond", "Status", "Set")
]
"""Transactions that can change what a ticket says: most are records of mails that RT sent."""
_READABLE = ("text/plain", "text/html")
CUT = "\n[cut off here]"
"""Ends a text that is too long: what was cut off could take back the rest, so it is no yes."""

_INTERFACE = "x-rt-interface:"

T = TypeVar("T")
log = structlog.get_logger("request_tracker")


class RtTickets:
    """``transfer.ports.Tickets`` on a Request Tracker.

    ``own`` are the RT users, by name or mail address, under which this service itself writes; what
    they do to a ticket changes nothing about what it says. ``closed`` are the statuses in which a
    ticket is closed. ``clock`` is ours, and should be RT's within a minute.
    """

    def __init__(
        self,
        client: RtClient,
        mapping: Mapping,
        *,
        own: Iterable[str] = (),
        closed: Iterable[str] = DEFAULT_CLOSED,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.client = self._rt = client
        self._mapping = mapping
        self._own = frozenset(one.lower() for one in own)
        self._closed = frozenset(closed)
        self._clock = clock

    async def close(self) -> None:
        """Close the connections."""
        await self._rt.close()

    async def check(self, staff_queue: str = "") -> None:
        """Ask for something small, for what the mapping needs, and for the staff's queue.

        Raises:
            Unreachable: RT is away, or does not let us; the message says what to do.
        """
        await self._rt.items("tickets", {"query": "id = 1", "per_page": "1"})
        if self._mapping.needs_groups:
            await self._groups("Nobody")
        if staff_queue and await self._rt.get(f"queue/{quote(staff_queue, safe='')}") is None:
            raise Unreachable(
                f'{self} has no queue "{staff_queue}" for our user. Make it, give our user the'
                " rights there that docs/request-tracker.md lists, or mend TRANSFER_RT_STAFF_QUEUE."
            )

    async def read(self, ids: Sequence[str]) -> dict[str, Ticket]:
        """See ``Tickets.read``. A ticket that was merged into another is not there any more."""
        heads = await self._heads(ids)
        found = await self._tickets(list(heads.values()))
        return {ticket.id: ticket for ticket in found}

    async def about(
        self, domain: str, accounts: Sequence[str], since: datetime
    ) -> tuple[Ticket, ...]:
        """See ``Tickets.about``. Without full-text search, RT only finds what subjects name."""
        names = names_of(domain)
        named = " OR ".join(
            f"{field} LIKE {quoted(pattern)}"
            for pattern in dict.fromkeys(_pattern(name) for name in names)
            for field in ("Subject", "Content")
        )
        of_them = " OR ".join(filter(None, (self._mapping.query(one) for one in accounts)))
        if not of_them:
            return ()
        query = f"({named}) AND ({of_them}) AND Created >= {self._back_to(since)}"
        newest_first = {"orderby": "id", "order": "DESC", "per_page": str(PAGE)}
        heads = await self._rt.items("tickets", {"query": query, **newest_first, **_HEAD})
        found = await self._tickets(heads)
        fitting = [
            ticket
            for ticket in found
            if ticket.account in accounts
            and ticket.created_at >= since
            and any(name in searchable(ticket.subject, ticket.body) for name in names)
        ]
        fitting.sort(key=lambda ticket: (ticket.created_at, int(ticket.id)), reverse=True)
        return tuple(fitting[:MAX_FOUND])

    async def changed(self, since: datetime, after: str = "") -> tuple[Changed, ...]:
        """See ``Tickets.changed``. RT's instants are whole seconds, the one of ``since`` counts."""
        since = since.replace(microsecond=0)
        last = ticket_number(after) or 0
        while True:
            query = f"id > {last} AND LastUpdated >= {self._back_to(since)}"
            in_order = {"orderby": "id", "order": "ASC", "per_page": str(PAGE)}
            page = await self._rt.items(
                "tickets", {"query": query, "fields": "LastUpdated", **in_order}
            )
            seen = [Changed(ticket_id=_text(one, "id"), at=_instant(one)) for one in page]
            found = tuple(one for one in seen if one.at >= since)[:MAX_FOUND]
            if found or not seen:
                return found
            last = max(last + 1, *(ticket_number(one.ticket_id) or 0 for one in seen))

    async def reply(self, ticket_id: str, key: str, text: str) -> None:
        """See ``Tickets.reply``.

        RT knows no repeated request, so each reply ends in a reference made of its key, and is
        sent only where no text on the ticket has that. Two callers at the very same time could
        both send it.
        """
        head = (await self._heads([ticket_id])).get(ticket_id)
        if head is None:
            raise TicketNotFound(
                f'Request Tracker has no ticket "{ticket_id[:60]}". Check its number.'
            )
        reference = reference_of(key)
        filters = [{"field": "Content", "operator": "LIKE", "value": reference}]
        if await self._rt.items(f"ticket/{ticket_id}/attachments", {"per_page": "1"}, filters):
            return
        body: dict[str, object] = {
            "Content": referring(text, key),
            "ContentType": "text/plain",
        }
        status = _text(head, "Status")
        if status in self._closed:
            # RT opens a ticket that is replied to; a closed one is not opened by our own words.
            body["Status"] = status
        await self._rt.post(f"ticket/{ticket_id}/correspond", body)

    # -- tickets ---------------------------------------------------------------------------------
    async def _heads(self, ids: Sequence[str]) -> dict[str, Item]:
        """What RT has on tickets without their history, by id."""
        numbers = {number for number in map(ticket_number, ids) if number is not None}
        possible = sorted(number for number in numbers if number <= _LARGEST_ID)
        heads: dict[str, Item] = {}
        for start in range(0, len(possible), IDS_AT_ONCE):
            some = possible[start : start + IDS_AT_ONCE]
            query = " OR ".join(f"id = {number}" for number in some)
            params = {"query": query, "per_page": str(PAGE), **_HEAD}
            found = await self._rt.items("tickets", params)
            heads |= {_text(one, "id"): one for one in found}
        return heads

    async def _tickets(self, heads: Sequence[Item]) -> list[Ticket]:
        """Read the rest of these tickets; the groups of each author once."""
        filed = [_filed(head) for head in heads]
        filers = [self._mapping.filer(one) for one in filed]
        groups: dict[str, Sequence[str]] = {}
        if self._mapping.needs_groups:
            names = list(dict.fromkeys(filer.user.name for filer in filers))
            groups = dict(zip(names, await _all(self._groups(name) for name in names), strict=True))
        found = await _all(
            self._ticket(head, one, filer, groups.get(filer.user.name, ()))
            for head, one, filer in zip(heads, filed, filers, strict=True)
        )
        return [ticket for ticket in found if ticket is not None]

    async def _ticket(
        self, head: Item, filed: Filed, filer: Filer, groups: Sequence[str]
    ) -> Ticket | None:
        ticket_id = _text(head, "id")
        author = self._mapping.author(filer.user)
        conversation = await self._conversation(ticket_id, filer, author.name)
        standing = self._mapping.standing(filed, filer, groups)
        if conversation is None:
            # Its filer said nothing, as where it was split off another: nobody can be held to it.
            created = _instant(head, "Created")
            conversation = Conversation(
                body="", channel=Channel.MAIL, updated_at=created, revision=1
            )
        try:
            return Ticket(
                id=ticket_id,
                account=standing.account,
                author=author,
                administrator=standing.administrator,
                delegated=filer.delegated,
                channel=conversation.channel,
                subject=holdable(_text(head, "Subject"))[:MAX_SUBJECT],
                body=conversation.body,
                open=_text(head, "Status") not in self._closed and not conversation.closed,
                created_at=_instant(head, "Created"),
                updated_at=conversation.updated_at,
                revision=conversation.revision,
                url=f"{self._rt.base}Ticket/Display.html?id={ticket_id}",
            )
        except ValidationError as error:
            log.warning("ticket_skipped", ticket_id=ticket_id, problems=error.error_count())
            return None

    async def _groups(self, user: str) -> list[str]:
        """The groups that an RT user is in, by the resource that we ship for RT."""
        answer = await self._rt.get("transfer/memberships", {"user": user})
        if answer is None or not isinstance(answer.get("groups"), list):
            raise Unreachable(
                f"{self._rt} does not know transfer/memberships. Install what is in"
                " deploy/request-tracker, and start RT again."
            )
        return _strings(answer["groups"])

    # -- what its filer says on it ---------------------------------------------------------------
    async def _conversation(self, ticket_id: str, filer: Filer, name: str) -> Conversation | None:
        history, complete = await self._history(ticket_id)
        spoken = [one for one in history if self._is_word_of(one, filer)]
        said: list[Said] = []
        for one in spoken[:MAX_TEXTS]:
            said.insert(0, await self._said(one))
            if not is_courtesy(said[0].text, name):
                break  # what was said before does not count any more
        complete = complete and len(spoken) == len(said)
        altered = [a for one in history if (a := self._altered(one, filer)) is not None]
        return folded(said, altered, filer=name, complete=complete)

    async def _history(self, ticket_id: str) -> tuple[list[Item], bool]:
        """The newest transactions, newest first, and whether these are all."""
        newest_first = {"orderby": "id", "order": "DESC", "per_page": str(PAGE)}
        history: list[Item] = []
        for page in range(1, MAX_TRANSACTIONS // PAGE + 1):
            params = {"page": str(page), **newest_first, **_HISTORY}
            found = await self._rt.items(f"ticket/{ticket_id}/history", params, _THAT_COUNT)
            history += found
            # A page may lack what our user may not see, so that a short one need not be the last.
            if not found or found[-1].get("Type") == "Create":
                return history, True
        return history, False

    def _is_word_of(self, transaction: Item, filer: Filer) -> bool:
        is_word = transaction.get("Type") in ("Create", "Correspond")
        return is_word and _user(transaction.get("Creator")).name in filer.speaks

    def _altered(self, transaction: Item, filer: Filer) -> Altered | None:
        creator = _user(transaction.get("Creator"))
        is_ours = not self._own.isdisjoint((creator.name.lower(), creator.email.lower()))
        match transaction.get("Type"), transaction.get("Field"):
            case "Status", _:
                was_closed = _text(transaction, "OldValue") in self._closed
                is_closed = _text(transaction, "NewValue") in self._closed
                counts = closes = is_closed and not was_closed and not is_ours
            case "Set", "Subject":
                counts, closes = creator.name in filer.speaks, False
            case _:
                counts = closes = False
        if not counts:
            return None
        at = _instant(transaction, "Created")
        return Altered(number=_number(transaction), at=at, closes=closes)

    async def _said(self, transaction: Item) -> Said:
        number = _number(transaction)
        parts = await self._rt.items(
            f"transaction/{number}/attachments",
            {
                "fields": "ContentType,Filename,ContentLength,Headers",
                "orderby": "id",
                "per_page": str(PAGE),
            },
        )
        texts = await _all(self._text_of(part) for part in _texts_among(parts))
        return Said(
            number=number,
            at=_instant(transaction, "Created"),
            text=_cut("\n\n".join(texts)),
            channel=_channel(parts),
        )

    async def _text_of(self, part: Item) -> str:
        size = ticket_number(_text(part, "ContentLength")) or 0
        if size > MAX_TEXT_BYTES:
            return f"[a text of {size} bytes is not read]"
        found = await self._rt.get(f"attachment/{_number(part)}") or {}
        try:
            text = base64.b64decode(_text(found, "Content")).decode(errors="replace")
        except ValueError:
            raise Unreachable(f"{self} gives no text that can be decoded.") from None
        if part.get("ContentType") == "text/html":
            return f"<div>{text}</div>"
        return text

    def _back_to(self, instant: datetime) -> str:
        """An instant in a query: RT reads any other form in the time zone of our user there."""
        ago = self._clock() - instant + SLACK
        # Digits enough that no number is taken for a year.
        return quoted(f"{max(0, math.ceil(ago.total_seconds())):010d} seconds ago")

    def __str__(self) -> str:
        """Where it is, without the token."""
        return str(self._rt)


# -- what tells that something of ours is there already -------------------------------------------
def referring(text: str, key: str) -> str:
    """A text of ours that ends in the reference made of its key."""
    return f"{holdable(text).rstrip()}\n\n{reference_of(key)}\n"


def reference_of(key: str) -> str:
    """The line by which a text of ours is found again."""
    return f"Reference: {hashlib.sha256(key.encode(errors='replace')).hexdigest()[:24]}"


# -- RT's words in ours --------------------------------------------------------------------------
def _filed(head: Item) -> Filed:
    fields: dict[str, tuple[str, ...]] = {}
    for field in objects(head.get("CustomFields")):
        values = tuple(value for value in _strings(field.get("values")))
        fields[_text(field, "name").lower()] = values
    requestors = tuple(_user(one) for one in objects(head.get("Requestor")))
    return Filed(_user(head.get("Creator")), requestors, fields)


def _user(given: object) -> User:
    item = cast("Item", given) if isinstance(given, dict) else {}
    return User(
        name=_text(item, "Name") or _text(item, "id"),
        email=_text(item, "EmailAddress"),
        real_name=_text(item, "RealName"),
        organization=_text(item, "Organization"),
    )


def _texts_among(parts: Sequence[Item]) -> list[Item]:
    """The parts that are the message itself: files that came with it are none.

    Of alternatives, the plain one is taken: only mails have any.
    """
    kinds = [_text(part, "ContentType").lower() for part in parts]
    readable = [
        part
        for part, kind in zip(parts, kinds, strict=True)
        if kind in _READABLE and not _text(part, "Filename")
    ]
    if "multipart/alternative" in kinds:
        plain = [part for part in readable if _text(part, "ContentType") == "text/plain"]
        return (plain or readable)[:1]
    return readable[:MAX_PARTS]


def _channel(parts: Sequence[Item]) -> Channel:
    """How something was sent: RT notes it in the first part, over what a mail may claim."""
    headers = _text(parts[0], "Headers").splitlines() if parts else []
    noted = [
        line.partition(":")[2].strip() for line in headers if line.lower().startswith(_INTERFACE)
    ]
    is_panel = len(noted) == 1 and noted[0] in PANEL_INTERFACES
    return Channel.PANEL if is_panel else Channel.MAIL


def _cut(text: str) -> str:
    text = holdable(text)
    return text if len(text) <= MAX_BODY else text[: MAX_BODY - len(CUT)] + CUT


def _pattern(name: str) -> str:
    """What a search looks for. No database folds the case of all letters, and HTML may name them.

    Whatever is found is looked at again, so a wider search does no harm.
    """
    return re.sub(r"[^\x21-\x7e]+", "%", name)


async def _all(reading: Iterable[Awaitable[T]]) -> list[T]:
    """Do these side by side; if one fails, the others are stopped, and that error is raised."""

    async def one(work: Awaitable[T]) -> T:
        return await work

    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(one(work)) for work in reading]
    except* Unreachable as group:
        raise _first(group) from None
    return [task.result() for task in started]


def _first(group: BaseExceptionGroup[Unreachable]) -> Unreachable:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return Unreachable(str(found))


def _number(item: Item) -> int:
    return ticket_number(_text(item, "id")) or 0


def _text(item: Item, key: str) -> str:
    value = item.get(key)
    return str(value) if isinstance(value, (str, int)) else ""


def _strings(value: object) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def _instant(item: Item, key: str = "LastUpdated") -> datetime:
    """An instant as REST2 writes it, always in UTC.

    Raises:
        Unreachable: it is none.
    """
    try:
        return datetime.strptime(_text(item, key), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Unreachable(f"Request Tracker gives no {key} that is an instant.") from None
