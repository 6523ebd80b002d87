"""Writing what an accounts file changes. The caller has locked the customers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import BindParameter, Column, Table, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def write_changes(connection: AsyncConnection, change: Changes, now: datetime) -> None:
    """Write all of it; ``now`` is when a changed price begins to count."""
    known_resellers, known_customers = change.changed_resellers, change.changed_customers
    await _insert(connection, resellers, [_reseller(r) for r in change.new_resellers])
    await _update(connection, resellers, [_reseller(r) for r in known_resellers])
    await _insert(connection, customers, [_customer(c) for c in change.new_customers])
    await _update(connection, customers, [_customer(c) for c in known_customers])
    # A move between two owners must not meet itself: all old rows go before the first new one.
    ids = [*(record.id for record in known_resellers), *(record.id for record in known_customers)]
    await _forget(connection, administrators.c.account, ids)
    await _forget(connection, reseller_aliases.c.reseller, [r.id for r in known_resellers])
    numbers = await _numbers(connection)
    await _forget(
        connection, customer_domains.c.customer_no, [numbers[c.id] for c in known_customers]
    )
    written_resellers = (*change.new_resellers, *known_resellers)
    written_customers = (*change.new_customers, *known_customers)
    await _insert(connection, administrators, _people((*written_resellers, *written_customers)))
    await _insert(
        connection,
        reseller_aliases,
        [
            {"folded": fold(alias), "alias": alias, "reseller": record.id, "position": position}
            for record in written_resellers
            for position, alias in enumerate(record.aliases)
        ],
    )
    await _insert(
        connection,
        customer_domains,
        [
            {"a_label": domain, "customer_no": numbers[record.id], "position": position}
            for record in written_customers
            for position, domain in enumerate(record.domains)
        ],
    )
    for record in known_customers:
        await _reprice(connection, numbers[record.id], record.charges, now)
    await _insert(
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
    await _insert(
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


async def _reprice(
    connection: AsyncConnection, number: int, charges: Charges, now: datetime
) -> None:
    """Split the open assignment where the charges change; one not begun yet is simply changed."""
    billed = billing_assignments
    opened = (billed.c.customer_no == number) & billed.c.ends_at.is_(None)
    row = (await connection.execute(select(billed).where(opened))).mappings().one()
    if Charges.model_validate(dict(row)) == charges:
        return
    if row["starts_at"] >= now:
        await connection.execute(update(billed).where(opened).values(**charges.model_dump()))
        return
    await connection.execute(update(billed).where(opened).values(ends_at=now))
    await connection.execute(
        insert(billed).values(
            customer_no=number, reseller=row["reseller"], starts_at=now, **charges.model_dump()
        )
    )


async def _numbers(connection: AsyncConnection) -> dict[str, int]:
    rows = (await connection.execute(select(customers.c.id, customers.c.no))).mappings()
    return {row["id"]: row["no"] for row in rows}


async def _insert(connection: AsyncConnection, table: Table, rows: _Rows) -> None:
    if rows:
        await connection.execute(insert(table), list(map(dict, rows)))


async def _update(connection: AsyncConnection, table: Table, rows: _Rows) -> None:
    if rows:
        values: dict[str, BindParameter[object]] = {
            name: bindparam(name) for name in rows[0] if name != "id"
        }
        await connection.execute(
            update(table).where(table.c.id == bindparam("at_id")).values(values),
            [{**row, "at_id": row["id"]} for row in rows],
        )


async def _forget(
    connection: AsyncConnection, column: Column[object], owners: Sequence[object]
) -> None:
    if owners:
        await connection.execute(
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
