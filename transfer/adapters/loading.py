"""What loading an accounts file would change. Pure, so that no fake differs from the database."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from transfer.accounts_file import AccountsFile, LoadReport
from transfer.errors import AccountsFileInvalid
from transfer.parties import CustomerRecord, ResellerRecord, fold


class Changes(NamedTuple):
    """What to write, and the report about it. ``customers`` holds the new and the changed ones."""

    new_resellers: tuple[ResellerRecord, ...]
    changed_resellers: tuple[ResellerRecord, ...]
    new_customers: tuple[CustomerRecord, ...]
    changed_customers: tuple[CustomerRecord, ...]
    report: LoadReport


def find(name: str, resellers: Iterable[ResellerRecord]) -> ResellerRecord | None:
    """Return the reseller of this id or, if only one goes by it, of this name or alias."""
    known = list(resellers)
    by_id = [record for record in known if record.id == name.strip()]
    found = by_id or [record for record in known if fold(name) and record.account.goes_by(name)]
    return found[0] if len(found) == 1 else None


def changes(
    file: AccountsFile,
    resellers: Mapping[str, ResellerRecord],
    customers: Mapping[str, CustomerRecord],
) -> Changes:
    """Compare a file with the records in store, both by id.

    Raises:
        AccountsFileInvalid: it does not go together with what is in store; all errors at once.
    """
    # The lock is ours, not the file's.
    wanted = [
        record.model_copy(update={"locked_until": customers[record.id].locked_until})
        if record.id in customers
        else record
        for record in file.customers
    ]
    after_resellers = {**resellers, **{record.id: record for record in file.resellers}}
    after_customers = {**customers, **{record.id: record for record in wanted}}
    errors = [
        *_id_errors(file, resellers, customers),
        *_alias_errors(file, after_resellers.values()),
        *_domain_errors(file, after_customers.values()),
        *(error for record in wanted for error in _history_errors(file, record, customers)),
        *(error for record in wanted for error in _reseller_errors(file, record, after_resellers)),
    ]
    if errors:
        raise AccountsFileInvalid(sorted(errors, key=_line))
    return Changes(
        new_resellers=tuple(r for r in file.resellers if r.id not in resellers),
        changed_resellers=tuple(
            r for r in file.resellers if r.id in resellers and r != resellers[r.id]
        ),
        new_customers=tuple(c for c in wanted if c.id not in customers),
        changed_customers=tuple(c for c in wanted if c.id in customers and c != customers[c.id]),
        report=_report([*file.resellers, *wanted], {**resellers, **customers}),
    )


def _line(error: str) -> tuple[int, str]:
    numbered = re.match(r"line (\d+):", error)
    return int(numbered[1]) if numbered else 0, error


def _report(
    wanted: Sequence[ResellerRecord | CustomerRecord],
    known: Mapping[str, ResellerRecord | CustomerRecord],
) -> LoadReport:
    return LoadReport(
        added=tuple(r.id for r in wanted if r.id not in known),
        updated=tuple(r.id for r in wanted if r.id in known and r != known[r.id]),
        unchanged=tuple(r.id for r in wanted if r.id in known and r == known[r.id]),
    )


def _id_errors(
    file: AccountsFile,
    resellers: Mapping[str, ResellerRecord],
    customers: Mapping[str, CustomerRecord],
) -> list[str]:
    return [
        f'{file.where(record.id)}"{record.id}" is the id of a {other} already. Choose another id.'
        for records, others, other in (
            (file.resellers, customers, "customer"),
            (file.customers, resellers, "reseller"),
        )
        for record in records
        if record.id in others
    ]


def _alias_errors(file: AccountsFile, resellers: Iterable[ResellerRecord]) -> list[str]:
    """An alias must lead to one reseller, or a ticket that uses it would be a guess."""
    owners: dict[str, set[str]] = {}
    for record in resellers:
        for name in (record.id, record.name, *record.aliases):
            owners.setdefault(fold(name), set()).add(record.id)
    in_file = {record.id for record in file.resellers}
    errors: list[str] = []
    for record in resellers:
        for alias in record.aliases:
            others = sorted(owners[fold(alias)] - {record.id})
            if others and (record.id in in_file or in_file.intersection(others)):
                place = file.where(record.id) or file.where(others[0])
                errors.append(
                    f'{place}"{alias}", an alias of {record.id}, also names {others[0]}. Drop one.'
                )
    return errors


def _domain_errors(file: AccountsFile, customers: Iterable[CustomerRecord]) -> list[str]:
    owners: dict[str, set[str]] = {}
    for record in customers:
        for domain in record.domains:
            owners.setdefault(domain, set()).add(record.id)
    return [
        f'{file.where(record.id)}"{domain}" belongs to {other} already. A domain has one owner.'
        for record in file.customers
        for domain in record.domains
        for other in sorted(owners[domain] - {record.id})
    ]


def _history_errors(
    file: AccountsFile, record: CustomerRecord, customers: Mapping[str, CustomerRecord]
) -> list[str]:
    known = customers.get(record.id)
    if known is None:
        return []
    errors: list[str] = []
    if record.reseller != known.reseller:
        errors.append(
            f"{file.where(record.id)}{record.id} is with {known.reseller}. Only a transfer moves it"
            f' to {record.reseller}: write reseller = "{known.reseller}", and start a transfer.'
        )
    if record.billed_from != known.billed_from:
        errors.append(
            f"{file.where(record.id)}{record.id} has been billed from"
            f" {known.billed_from.isoformat()}. The past does not change: write that instant."
        )
    return errors


def _reseller_errors(
    file: AccountsFile, record: CustomerRecord, resellers: Mapping[str, ResellerRecord]
) -> list[str]:
    if record.reseller in resellers:
        return []
    close = difflib.get_close_matches(record.reseller, list(resellers), 1)
    hint = f"Did you mean {close[0]}?" if close else "Add it to the file."
    return [f'{file.where(record.id)}the reseller "{record.reseller}" is unknown. {hint}']
