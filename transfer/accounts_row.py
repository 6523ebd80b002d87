"""One reseller or customer of an accounts file, and all that is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import cast

from transfer import domains
from transfer.errors import DomainInvalid
from transfer.parties import Charges, CustomerRecord, Person, ResellerRecord, fold

_BOTH = ("id", "name", "status", "administrators")
RESELLER_KEYS = (*_BOTH, "aliases", "billing_account")
CUSTOMER_KEYS = (
    *_BOTH,
    *("domains", "reseller", "plan", "price", "currency", "billed_from", "legal_hold"),
)
CSV_COLUMNS = ("kind", *dict.fromkeys((*RESELLER_KEYS, *CUSTOMER_KEYS)))
PERSON_KEYS = ("id", "name", "email")

_ID = re.compile(r"[^\s\x00-\x1f\x7f]{1,64}")
_NOT_IN_MAIL = r"\s@<>()\[\]\\,;:\"\x00-\x1f\x7f"
_MAIL = re.compile(rf"[^{_NOT_IN_MAIL}]{{1,64}}@[^{_NOT_IN_MAIL}]+\.[^{_NOT_IN_MAIL}.]+")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"\d{1,9}(\.\d{1,4})?")
_MAX_LINE = 200
_MAX_MAIL = 254
_YEARS = (1971, 2999)  # well inside what an ``Instant`` holds, whatever its time zone
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def unknown(name: str, known: Iterable[str]) -> str:
    """Say that a key is unknown, and which one may have been meant."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
    return f'"{name[:60]}" is unknown. {hint}'


class Row:
    """The cells of one reseller or customer; ``problems`` grows while they are read."""

    def __init__(
        self, kind: str, cells: Mapping[str, object], keys: Sequence[str], lines: Mapping[str, int]
    ) -> None:
        self.kind = kind
        self.problems: list[tuple[int, str]] = []
        self._cells = cells
        self._lines = lines
        for key in cells:
            if key not in keys:
                self.wrong(key, unknown(key, keys))

    @property
    def line(self) -> int:
        """The line on which it begins, counted from 1."""
        return self._lines[""]

    def wrong(self, key: str, text: str) -> None:
        """Note what is wrong with the cell ``key``, and how to mend it."""
        end = "" if text.endswith((".", "?")) else "."
        self.problems.append((self._lines.get(key, self.line), text + end))

    def record(self) -> ResellerRecord | CustomerRecord | None:
        """Read all cells. ``None`` if any of them is wrong; ``problems`` then says what."""
        record: ResellerRecord | CustomerRecord | None = None
        if self.kind == "reseller":
            record = self._reseller()
        elif self.kind == "customer":
            record = self._customer()
        return None if self.problems else record

    def text(self, key: str) -> str:
        """The cell as one line of text; empty if it is not there or not text."""
        value = self._cells.get(key, "")
        return value.strip() if isinstance(value, str) else ""

    def _reseller(self) -> ResellerRecord | None:
        status = self._status("active", "suspended")
        values = {
            "id": self._id(),
            "name": self._line("name"),
            "aliases": self._aliases(),
            "suspended": status == "suspended",
            "billing_account": self._line("billing_account", needed=False),
            "administrators": self._administrators(),
        }
        return None if self.problems else ResellerRecord.model_validate(values)

    def _customer(self) -> CustomerRecord | None:
        status = self._status("active", "suspended", "terminating")
        charges = {
            "plan": self._line("plan"),
            "price": self._price(),
            "currency": self._currency(),
        }
        values = {
            "id": self._id(),
            "name": self._line("name"),
            "domains": self._domains(),
            "reseller": self._line("reseller"),
            "billed_from": self._instant("billed_from"),
            "suspended": status == "suspended",
            "terminating": status == "terminating",
            "legal_hold": self._truth("legal_hold"),
            "administrators": self._administrators(),
        }
        if self.problems:
            return None
        return CustomerRecord.model_validate({**values, "charges": Charges.model_validate(charges)})

    def _id(self) -> str:
        account = self._line("id")
        if account and not _ID.fullmatch(account):
            self.wrong("id", "an id has 1 to 64 characters and no spaces")
        return account

    def _line(self, key: str, *, needed: bool = True) -> str:
        value = self._cells.get(key)
        if value is None:
            if needed:
                self.wrong(key, f"{key} is missing. Add it")
            return ""
        if not isinstance(value, str):
            self.wrong(key, f'{key} is not text. Put it in quotes, like "{str(value)[:40]}"')
            return ""
        return self._short(key, key, value, needed=needed)

    def _short(self, key: str, what: str, value: str, *, needed: bool = True) -> str:
        text = value.strip()
        if needed and not text:
            self.wrong(key, f"{what} is empty. Fill it in")
        elif len(text) > _MAX_LINE or not text.isprintable():
            self.wrong(key, f"{what} is not one line of at most {_MAX_LINE} characters. Shorten it")
        return text

    def _list(self, key: str) -> list[object]:
        value = self._cells.get(key, [])
        if isinstance(value, list):
            return cast("list[object]", value)
        self.wrong(key, f"{key} is not a list. Put it in brackets, like [...]")
        return []

    def _status(self, *allowed: str) -> str:
        status = self._line("status") if "status" in self._cells else "active"
        if status and status not in allowed:
            self.wrong(
                "status", f'status "{status}" is unknown. Write one of: {", ".join(allowed)}'
            )
        return status

    def _aliases(self) -> tuple[str, ...]:
        aliases: dict[str, str] = {}
        for value in self._list("aliases"):
            if not isinstance(value, str) or not fold(value):
                self.wrong("aliases", f'"{str(value)[:40]}" is no name. Give text in quotes')
            else:
                aliases.setdefault(fold(value), self._short("aliases", "an alias", value))
        return tuple(aliases.values())

    def _domains(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        values = self._list("domains")
        if not values and not self.problems:
            self.wrong("domains", "domains is empty. Give at least the primary domain")
        for value in values:
            try:
                found[domains.to_a_label(value if isinstance(value, str) else str(value))] = None
            except DomainInvalid as error:
                self.wrong("domains", str(error))
        return tuple(found)

    def _price(self) -> Decimal | None:
        value = self._cells.get("price")
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            self.wrong("price", 'price is missing or not an amount. Write it like "12.50"')
            return None
        try:
            price = Decimal(value.strip() if isinstance(value, str) else value)
        except InvalidOperation:
            price = Decimal("NaN")
        if not price.is_finite() or not _PRICE.fullmatch(format(price, "f")):
            self.wrong(
                "price", f'price {str(value)[:40]!r} is not an amount. Write it like "12.50"'
            )
        return price

    def _currency(self) -> str:
        currency = self._line("currency")
        if currency and not _CURRENCY.fullmatch(currency):
            self.wrong("currency", f'currency "{currency}" is not a code. Write it like "EUR"')
        return currency

    def _instant(self, key: str) -> datetime | None:
        value = self._cells.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                value = None
        if not isinstance(value, datetime):
            self.wrong(
                key, f"{key} is missing or not an instant. Write it like 2026-01-01T00:00:00Z"
            )
            return None
        if value.tzinfo is None:
            self.wrong(key, f"{key} has no time zone. Add Z for UTC, like 2026-01-01T00:00:00Z")
        elif not _YEARS[0] <= value.year < _YEARS[1]:
            self.wrong(key, f"{key} lies in the year {value.year}. Check it")
        return value

    def _truth(self, key: str) -> bool:
        value = self._cells.get(key, False)
        truth = value if isinstance(value, bool) else _TRUTHS.get(str(value).lower())
        if truth is None:
            self.wrong(key, f"{key} is neither true nor false. Write one of them")
        return bool(truth)

    def _administrators(self) -> tuple[Person, ...]:
        people: dict[str, Person] = {}
        key = "administrators"
        for value in self._list(key):
            if not isinstance(value, dict):
                self.wrong(
                    key, 'an administrator is no table. Write {id = "…", name = "…", email = "…"}'
                )
                continue
            given = cast("dict[str, object]", value)
            for name in given:
                if name not in PERSON_KEYS:
                    self.wrong(key, unknown(name, PERSON_KEYS))
            texts = {name: str(given.get(name, "")) for name in PERSON_KEYS}
            for name, text in texts.items():
                texts[name] = self._short(key, f"administrator {name}", text, needed=name == "id")
            mail = texts["email"]
            if mail and (len(mail) > _MAX_MAIL or not _MAIL.fullmatch(mail)):
                self.wrong(
                    key, f'"{mail[:60]}" is not a mail address. Write it like ann@acme.example'
                )
            if texts["id"] in people:
                self.wrong(key, f'administrator "{texts["id"]}" is there twice. Drop one')
            elif texts["id"]:
                people[texts["id"]] = Person.model_validate(texts)
        return tuple(people.values())
