"""Writing what an accounts file changes. The caller has locked the customers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from transfer.adapters.loading import Changes
from transfer.adapters.sql.schema import (
    administrators,
    billing_assignments,
    customer_domains,
    customers,
    panel_access,
    reseller_aliases,
    resellers,
)
from transfer.parties import Charges, CustomerRecord, ResellerRecord, fold

_Rows = Sequence[Mapping[str, object]]


def write_changes(connection: Connection, change: Changes, now: datetime) -> None:
    """Write all of it; ``now`` is when a changed price begins to count."""
    known_resellers, known_customers = change.changed_resellers, change.changed_customers
    _insert(connection, resellers, [_reseller(r) for r in change.new_resellers])
    _update(connection, resellers, [_reseller(r) for r in known_resellers])
    _insert(connection, customers, [_customer(c) for c in change.new_customers])
    _update(connection, customers, [_customer(c) for c in known_customers])
    # A move between two owners must not meet itself: all old rows go before the first new one.
    ids = [*(record.id for record in known_resellers), *(record.id for record in known_customers)]
    _forget(connection, administrators.c.account, ids)
    _forget(connection, reseller_aliases.c.reseller, [r.id for r in known_resellers])
    numbers = _numbers(connection)
    _forget(connection, customer_domains.c.customer_no, [numbers[c.id] for c in known_customers])
    written_resellers = (*change.new_resellers, *known_resellers)
    written_customers = (*change.new_customers, *known_customers)
    _insert(connection, administrators, _people((*written_resellers, *written_customers)))
    _insert(
        connection,
        reseller_aliases,
        [
            {"folded": fold(alias), "alias": alias, "reseller": record.id, "position": position}
            for record in written_resellers
            for position, alias in enumerate(record.aliases)
        ],
    )
    _insert(
        connection,
        customer_domains,
        [
            {"a_label": domain, "customer_no": numbers[record.id], "position": position}
            for record in written_customers
            for position, domain in enumerate(record.domains)
        ],
    )
    for record in known_customers:
        _reprice(connection, numbers[record.id], record.charges, now)
    _insert(
        connection,
        billing_assignments,
        [
            {
                "customer_no": numbers[record.id],
                "reseller": record.reseller,
                "starts_at": record.billed_from,
                **record.charges.model_dump(),
            }
            for record in change.new_customers
        ],
    )
    _insert(
        connection,
        panel_access,
        [
            {
                "customer_no": numbers[record.id],
                "reseller": record.reseller,
                "since": record.billed_from,
            }
            for record in change.new_customers
        ],
    )


def _reprice(connection: Connection, number: int, charges: Charges, now: datetime) -> None:
    """Split the open assignment where the charges change; one not begun yet is simply changed."""
    billed = billing_assignments
    opened = (billed.c.customer_no == number) & billed.c.ends_at.is_(None)
    row = (connection.execute(select(billed).where(opened))).mappings().one()
    if Charges.model_validate(dict(row)) == charges:
        return
    if row["starts_at"] >= now:
        connection.execute(update(billed).where(opened).values(**charges.model_dump()))
        return
    connection.execute(update(billed).where(opened).values(ends_at=now))
    connection.execute(
        insert(billed).values(
            customer_no=number, reseller=row["reseller"], starts_at=now, **charges.model_dump()
        )
    )


def _numbers(connection: Connection) -> dict[str, int]:
    rows = (connection.execute(select(customers.c.id, customers.c.no))).mappings()
    return {row["id"]: row["no"] for row in rows}


def _insert(connection: Connection, table: Table, rows: _Rows) -> None:
    if rows:
        connection.execute(insert(table), list(map(dict, rows)))


def _update(connection: Connection, table: Table, rows: _Rows) -> None:
    if rows:
        values: dict[str, BindParameter[object]] = {
            name: bindparam(name) for name in rows[0] if name != "id"
        }
        connection.execute(
            update(table).where(table.c.id == bindparam("at_id")).values(values),
            [{**row, "at_id": row["id"]} for row in rows],
        )


def _forget(connection: Connection, column: Column[object], owners: Sequence[object]) -> None:
    if owners:
        connection.execute(
            delete(column.table).where(column == bindparam("owner")),
            [{"owner": owner} for owner in owners],
        )


def _people(records: Iterable[ResellerRecord | CustomerRecord]) -> _Rows:
    return [
        {
            "account": record.id,
            "person": person.id,
            "name": person.name,
            "email": person.email,
            "position": position,
        }
        for record in records
        for position, person in enumerate(record.administrators)
    ]


def _reseller(record: ResellerRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "folded_id": fold(record.id),
        "name": record.name,
        "folded_name": fold(record.name),
        "suspended": record.suspended,
        "billing_account": record.billing_account,
    }


def _customer(record: CustomerRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "reseller": record.reseller,
        "billed_from": record.billed_from,
        "suspended": record.suspended,
        "terminating": record.terminating,
        "legal_hold": record.legal_hold,
        "locked_until": record.locked_until,
    }
