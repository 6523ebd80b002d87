"""Rows into records: resellers and customers with all that belongs to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, select, true

from transfer.adapters.moves import PanelAccess
from transfer.adapters.sql.schema import (
    administrators,
    billing_assignments,
    customer_domains,
    customers,
    panel_access,
    reseller_aliases,
    resellers,
)
from transfer.parties import Assignment, Charges, CustomerRecord, Person, ResellerRecord


def read_resellers(
    connection: Connection, where: ColumnElement[bool] | None = None
) -> list[ResellerRecord]:
    """Read the resellers that fulfil ``where``; all without it. In the order of their ids."""
    where = true() if where is None else where
    chosen = select(resellers.c.id).where(where)
    aliases = _grouped(
        _rows(
            connection,
            select(reseller_aliases.c.reseller.label("owner"), reseller_aliases.c.alias)
            .where(reseller_aliases.c.reseller.in_(chosen))
            .order_by(reseller_aliases.c.position),
        ),
        "alias",
    )
    people = read_people(connection, chosen)
    return [
        ResellerRecord.model_validate(
            {
                **row,
                "aliases": tuple(aliases[row["id"]]),
                "administrators": people[row["id"]],
            }
        )
        for row in _rows(connection, select(resellers).where(where).order_by(resellers.c.id))
    ]


def read_customers(
    connection: Connection, where: ColumnElement[bool] | None = None
) -> list[CustomerRecord]:
    """Read the customers that fulfil ``where``; all without it. In the order of their ids.

    Their charges are those of the open assignment: there is no second place to look.
    """
    where = true() if where is None else where
    billed = billing_assignments
    domains = _grouped(
        _rows(
            connection,
            select(customers.c.id.label("owner"), customer_domains.c.a_label)
            .join(customers, customers.c.no == customer_domains.c.customer_no)
            .where(where)
            .order_by(customer_domains.c.position),
        ),
        "a_label",
    )
    people = read_people(connection, select(customers.c.id).where(where))
    found = _rows(
        connection,
        select(customers, billed.c.plan, billed.c.price, billed.c.currency)
        .join(billed, (billed.c.customer_no == customers.c.no) & billed.c.ends_at.is_(None))
        .where(where)
        .order_by(customers.c.id),
    )
    return [
        CustomerRecord.model_validate(
            {
                **row,
                "domains": tuple(domains[row["id"]]),
                "charges": _charges(row),
                "administrators": people[row["id"]],
            }
        )
        for row in found
    ]


def read_assignments(connection: Connection, customer: str) -> tuple[Assignment, ...]:
    """Read all billing assignments of a customer id, oldest first."""
    billed = billing_assignments
    found = _rows(
        connection,
        select(billed)
        .join(customers, customers.c.no == billed.c.customer_no)
        .where(customers.c.id == customer)
        .order_by(billed.c.starts_at),
    )
    return tuple(
        Assignment.model_validate(
            {**row, "charges": _charges(row), "transfer": row["transfer_key"]}
        )
        for row in found
    )


def read_panel(connection: Connection, customer: str) -> tuple[PanelAccess, ...]:
    """Read which resellers reached a customer's control panel, oldest first."""
    found = _rows(
        connection,
        select(panel_access)
        .join(customers, customers.c.no == panel_access.c.customer_no)
        .where(customers.c.id == customer)
        .order_by(panel_access.c.since),
    )
    return tuple(PanelAccess.model_validate(dict(row)) for row in found)


def read_people(
    connection: Connection, accounts: Collection[str] | Select[str]
) -> defaultdict[str, tuple[Person, ...]]:
    """Read the administrators of resellers' and customers' ids, in the order of the file.

    Whoever has none, or is unknown, has none in the answer, too.
    """
    people: defaultdict[str, tuple[Person, ...]] = defaultdict(tuple)
    for row in _rows(
        connection,
        select(administrators)
        .where(administrators.c.account.in_(accounts))
        .order_by(administrators.c.position),
    ):
        person = Person(id=row["person"], name=row["name"], email=row["email"])
        people[row["account"]] += (person,)
    return people


def _rows(connection: Connection, statement: Select[*tuple[object, ...]]) -> Sequence[RowMapping]:
    return connection.execute(statement).mappings().all()


def _charges(row: RowMapping) -> Charges:
    return Charges(plan=row["plan"], price=row["price"], currency=row["currency"])


def _grouped(rows: Iterable[RowMapping], column: str) -> Mapping[str, Sequence[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        groups[row["owner"]].append(row[column])
    return groups
