"""The accounts file: resellers and customers, written as TOML or CSV. Pure parsing.

TOML is the form in the contract. CSV has one line for each reseller or customer and these columns;
a cell that does not apply is left empty::

    kind             reseller or customer
    id, name         both
    aliases          resellers; separated by ;
    status           active, suspended; customers also: terminating. Empty means active
    billing_account  resellers
    domains          customers; separated by ; the first is the primary one
    reseller         customers; a reseller's id
    plan, price, currency, billed_from, legal_hold    customers
    administrators   both; id|name|email, separated by ;

Every error of a file is reported at once, as ``line N: what is wrong, how to mend``.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import cast

from transfer.accounts_row import (
    CSV_COLUMNS,
    CUSTOMER_KEYS,
    PERSON_KEYS,
    RESELLER_KEYS,
    Row,
    unknown,
)
from transfer.errors import AccountsFileInvalid
from transfer.parties import CustomerRecord, ResellerRecord, fold
from transfer.values import Value

RESERVED = "staff"
"""The id of the desk's own account: no reseller and no customer may have it."""


class AccountsFile(Value):
    """What an accounts file says. ``lines`` tells on which line an account begins."""

    resellers: tuple[ResellerRecord, ...] = ()
    customers: tuple[CustomerRecord, ...] = ()
    lines: Mapping[str, int] = {}

    def where(self, account: str) -> str:
        """``line N: `` for an id of the file; nothing where the line is not known."""
        return f"line {self.lines[account]}: " if account in self.lines else ""


class LoadReport(Value):
    """What a load changed: ids of resellers and customers, in the file's order."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def parse(source: str | bytes, filename: str = "accounts.toml") -> AccountsFile:
    """Read an accounts file. ``filename`` tells the form: CSV if it ends in ``.csv``, else TOML.

    Raises:
        AccountsFileInvalid: all that is wrong with it, at once.
    """
    source = source if isinstance(source, str) else _decoded(source)
    source = source.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    errors: list[tuple[int, str]] = []
    rows = _csv_rows(source) if filename.lower().endswith(".csv") else _toml_rows(source, errors)
    resellers: list[tuple[Row, ResellerRecord]] = []
    customers: list[tuple[Row, CustomerRecord]] = []
    for row in rows:
        record = row.record()
        if isinstance(record, ResellerRecord):
            resellers.append((row, record))
        elif record is not None:
            customers.append((row, record))
    _unique_ids(rows)
    _unique_names(resellers)
    _unique_domains(customers)
    errors += (problem for row in rows for problem in row.problems)
    if errors:
        raise AccountsFileInvalid([f"line {line}: {text}" for line, text in sorted(set(errors))])
    return AccountsFile(
        resellers=tuple(record for _, record in resellers),
        customers=tuple(record for _, record in customers),
        lines={row.text("id"): row.line for row in rows},
    )


def _decoded(source: bytes) -> str:
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        line = source[: error.start].count(b"\n") + 1
        problem = f"line {line}: not UTF-8. Save the file as UTF-8."
        raise AccountsFileInvalid([problem]) from error


# -- what only the whole file can tell -----------------------------------------------------------
def _unique_ids(rows: Iterable[Row]) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        account = row.text("id")
        if account == RESERVED:
            row.wrong("id", f'"{RESERVED}" is the desk\'s own account. Choose another id')
        elif account and seen.setdefault(account, row.line) != row.line:
            row.wrong("id", f'"{account}" is taken on line {seen[account]}. Give each its own id')


def _unique_names(resellers: Iterable[tuple[Row, ResellerRecord]]) -> None:
    """An alias leads to one reseller. Two of the same *name* are allowed: it then leads to none."""
    known = [(row, record, {fold(record.id), fold(record.name)}) for row, record in resellers]
    owners: dict[str, Row] = {}
    for row, record, _ in known:
        for alias in record.aliases:
            folded = fold(alias)
            others = [other for other, _, names in known if other is not row and folded in names]
            first = owners.setdefault(folded, row)
            if others or first is not row:
                line = (others or [first])[0].line
                row.wrong("aliases", f'"{alias}" also names the reseller on line {line}. Drop one')


def _unique_domains(customers: Iterable[tuple[Row, CustomerRecord]]) -> None:
    seen: dict[str, int] = {}
    for row, record in customers:
        for domain in record.domains:
            if seen.setdefault(domain, row.line) != row.line:
                row.wrong("domains", f'"{domain}" is on line {seen[domain]}, too. It has one owner')


# -- TOML ----------------------------------------------------------------------------------------
_TABLE = re.compile(r"\s*\[\[?\s*(resellers|customers)\s*(\.?)[^\]]*\]")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*=")
_SYNTAX_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")
_QUOTES = re.compile(r'"""|' + r"'''")


def _toml_rows(source: str, errors: list[tuple[int, str]]) -> list[Row]:
    try:
        data: dict[str, object] = tomllib.loads(source, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        at = _SYNTAX_LINE.search(str(error))
        line = int(at[1]) if at else source.count("\n") + 1
        what = _SYNTAX_LINE.sub("", str(error)).removesuffix(" (at end of document)")
        raise AccountsFileInvalid([f"line {line}: not TOML: {what}."]) from error
    rows: list[Row] = []
    places = _places(source)
    for kind, value in data.items():
        top = next((n for n, text in enumerate(source.splitlines(), 1) if kind in text), 1)
        if kind not in places:
            errors.append((top, unknown(kind, places)))
            continue
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        found = places[kind] if len(places[kind]) == len(items) else []
        for index, item in enumerate(items):
            lines = found[index] if found else {"": top}
            if isinstance(item, dict) and isinstance(value, list):
                cells = cast("dict[str, object]", item)
                keys = RESELLER_KEYS if kind == "resellers" else CUSTOMER_KEYS
                rows.append(Row(kind.removesuffix("s"), cells, keys, lines))
            else:
                errors.append((lines[""], f"write [[{kind}]] and its keys below it."))
    return rows


def _places(source: str) -> dict[str, list[dict[str, int]]]:
    """Find the lines of every ``[[…]]`` and of the keys below it: tomllib does not tell."""
    places: dict[str, list[dict[str, int]]] = {"resellers": [], "customers": []}
    current: dict[str, int] = {}
    inside = False
    for number, line in enumerate(source.splitlines(), 1):
        if not inside:
            table, key = _TABLE.match(line), _KEY.match(line)
            if table and not table[2]:
                current = {"": number}
                places[table[1]].append(current)
            elif table:
                current.setdefault(line.strip(" \t[]").rpartition(".")[2].strip(), number)
            elif key:
                current.setdefault(key[1], number)
        inside ^= len(_QUOTES.findall(line)) % 2 == 1
    return places


# -- CSV -----------------------------------------------------------------------------------------
def _csv_rows(source: str) -> list[Row]:
    reader = csv.reader(io.StringIO(source, newline=""), strict=True)
    rows: list[Row] = []
    errors: list[str] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            if not any(values):
                continue
            if header is None:
                header = [name.lower() for name in values]
                errors += [unknown(name, CSV_COLUMNS) for name in header if name not in CSV_COLUMNS]
                errors += [
                    f'column "{name}" is missing or twice. Have it once.'
                    for name in ("kind", *CSV_COLUMNS[1:])
                    if header.count(name) > 1
                    or (name in ("kind", "id", "name") and name not in header)
                ]
                if errors:
                    raise AccountsFileInvalid([f"line {reader.line_num}: {e}" for e in errors])
                continue
            rows.append(_csv_row(header, values, reader.line_num))
    except csv.Error as error:
        raise AccountsFileInvalid([f"line {reader.line_num}: not CSV: {error}."]) from error
    return rows


def _csv_row(header: list[str], values: list[str], line: int) -> Row:
    named = dict(zip(header, values, strict=False))
    kind = named.pop("kind", "").lower()
    cells: dict[str, object] = {}
    for name, text in named.items():
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if not parts:
            continue
        if name in ("aliases", "domains"):
            cells[name] = parts
        elif name == "administrators":
            cells[name] = [_person(part) for part in parts]
        else:
            cells[name] = text
    keys = CUSTOMER_KEYS if kind == "customer" else RESELLER_KEYS
    row = Row(kind, cells, keys if kind in ("reseller", "customer") else CSV_COLUMNS, {"": line})
    if kind not in ("reseller", "customer"):
        row.wrong("kind", f'kind is "{kind}". Write reseller or customer')
    if len(values) > len(header):
        row.wrong("kind", "more cells than columns. Put quotes around a cell with a comma in it")
    return row


def _person(text: str) -> dict[str, object]:
    cells = (cell.strip() for cell in text.split("|", 3))
    return dict(zip((*PERSON_KEYS, "more"), cells, strict=False))
