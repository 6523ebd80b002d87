"""Who is who in Request Tracker: accounts, their administrators, persons, and delegation.

All of it is configuration, since each installation of RT has its own habits. What is read as
authority must be writable by none but RT's administrators, or by the control panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from transfer.parties import Person
from transfer.values import MAX_LINE, one_line

Kind = Literal["group", "field", "organization", "all", "none"]
_HINT = {
    "group": "group:NAME, where * in the name stands for the account's id",
    "field": "field:NAME, the name of a custom field",
    "organization": "organization",
    "all": "all",
    "none": "nothing at all",
}
_NO = frozenset({"", "0", "no", "false"})


class Source(NamedTuple):
    """Where something is read from: a kind, and the name of the group or field."""

    kind: Kind
    name: str = ""


class User(NamedTuple):
    """A user of RT, as a ticket shows it."""

    name: str
    email: str
    real_name: str
    organization: str


class Filed(NamedTuple):
    """How a ticket stands in RT. ``fields`` are its custom fields, by name in small letters."""

    creator: User
    requestors: tuple[User, ...]
    fields: dict[str, tuple[str, ...]]


class Filer(NamedTuple):
    """Who filed a ticket, and whether in somebody else's name.

    ``speaks`` are the RT users whose words on the ticket are the filer's.
    """

    user: User
    delegated: bool
    speaks: frozenset[str]


class Standing(NamedTuple):
    """For which account somebody filed, and whether as its administrator; ``""`` is for none."""

    account: str
    administrator: bool


class Mapping(NamedTuple):
    """How this installation's Request Tracker says who is who.

    ``panels`` are RT users under which a control panel files for people: there the author is the
    ticket's requestor. ``person`` is what a person's id is: RT's user name, or the mail address.
    """

    account: Source = Source("group", "account *")
    administrators: Source = Source("group", "administrators of *")
    delegated: Source = Source("none")
    person: Literal["name", "email"] = "name"
    panels: frozenset[str] = frozenset()

    @property
    def needs_groups(self) -> bool:
        """Whether the groups of a ticket's author have to be known."""
        return "group" in (self.account.kind, self.administrators.kind)

    def filer(self, filed: Filed) -> Filer:
        """Who filed a ticket.

        Whoever files in the name of somebody else is a delegate, unless it is a panel, which says
        in a custom field whether its user was one.
        """
        marked = self.delegated.kind == "field" and any(
            value.strip().lower() not in _NO
            for value in filed.fields.get(self.delegated.name.lower(), ())
        )
        creator = filed.creator
        if creator.name in self.panels and len(filed.requestors) == 1:
            person = filed.requestors[0]
            return Filer(person, marked, frozenset({creator.name, person.name}))
        others = bool(filed.requestors) and creator.name not in {r.name for r in filed.requestors}
        by_panel = creator.name in self.panels
        return Filer(creator, marked or others or by_panel, frozenset({creator.name}))

    def standing(self, filed: Filed, filer: Filer, groups: Sequence[str]) -> Standing:
        """For which account the filer speaks. One of several accounts is no answer."""
        administered = _accounts_in(groups, self.administrators)
        match self.account.kind:
            case "field":
                accounts = {v.strip() for v in filed.fields.get(self.account.name.lower(), ())}
            case "organization":
                accounts = {filer.user.organization.strip()}
            case _:
                accounts = _accounts_in(groups, self.account) | administered
        accounts = {account for account in accounts if account and len(account) <= MAX_LINE}
        if len(accounts) != 1:
            return Standing("", administrator=False)
        (account,) = accounts
        match self.administrators.kind:
            case "field":
                values = filed.fields.get(self.administrators.name.lower(), ())
                administrator = any(value.strip().lower() not in _NO for value in values)
            case "all":
                administrator = True
            case _:
                administrator = account in administered
        return Standing(account, administrator=administrator)

    def author(self, user: User) -> Person:
        """A user of RT as a person. Who has no mail address where that is the id, is nobody."""
        person = user.email.strip().lower() if self.person == "email" else user.name.strip()
        person = one_line(person)[:MAX_LINE] or "(nobody)"
        return Person(id=person, name=user.real_name or user.name, email=user.email)

    def query(self, account: str) -> str:
        """The part of a ticket query that means "of this account"; empty if there is none."""
        match self.account.kind:
            case "field":
                return f"CF.{{{self.account.name}}} = {quoted(account)}"
            case "organization":
                return f"Requestor.Organization = {quoted(account)}"
            case _:
                names = [
                    source.name.replace("*", account)
                    for source in (self.account, self.administrators)
                    if source.kind == "group"
                ]
                return " OR ".join(f"RequestorGroup = {quoted(name)}" for name in names)


def mapping(
    account: str, administrators: str, delegated: str, person: str, panels: Sequence[str]
) -> Mapping:
    """Read the mapping from its settings.

    Raises:
        ValueError: one of them cannot be read; the message names it and says what it may be.
    """
    return Mapping(
        account=_source("TRANSFER_RT_ACCOUNT", account, ("group", "field", "organization")),
        administrators=_source(
            "TRANSFER_RT_ADMINISTRATORS", administrators, ("group", "field", "all")
        ),
        delegated=_source("TRANSFER_RT_DELEGATED", delegated, ("field", "none")),
        person="email" if person == "email" else "name",
        panels=frozenset(panels),
    )


def quoted(text: str) -> str:
    """A text in quotation marks, as RT's queries have it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _source(setting: str, text: str, kinds: Sequence[Kind]) -> Source:
    given, colon, name = text.strip().partition(":")
    name = name.strip()
    for kind in kinds:
        if kind == "none" and not text.strip():
            return Source("none")
        if given != kind:
            continue
        if kind == "group" and name.count("*") == 1 and len(name) > 1:
            return Source(kind, name)
        if kind == "field" and name and not set(name) & set("{}'\"\\"):
            return Source(kind, name)
        if kind in ("organization", "all") and not colon:
            return Source(kind)
    raise ValueError(f"{setting}: give {' or '.join(_HINT[kind] for kind in kinds)}.")


def _accounts_in(groups: Sequence[str], source: Source) -> set[str]:
    """The accounts whose group is among these. RT compares the names of groups without case."""
    if source.kind != "group":
        return set()
    before, _, after = source.name.partition("*")
    return {
        name[len(before) : len(name) - len(after)]
        for name in groups
        if len(name) > len(before) + len(after)
        and name.lower().startswith(before.lower())
        and name.lower().endswith(after.lower())
    }
