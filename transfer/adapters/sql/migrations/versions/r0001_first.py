"""The first schema: accounts, the built-in desk, the ledger, the staff queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from transfer.adapters.sql.types import BigInt, Money, Txt, UtcDateTime

revision = "0001"
down_revision = None

# Billed twice is the one thing that must never happen, so the database itself refuses it.
# btree_gist is not in every installation: int8range stands in for `customer_no WITH =`.
_EXCLUDE = """
ALTER TABLE billing_assignments ADD CONSTRAINT ex_billing_assignments_overlap EXCLUDE USING gist (
    int8range(customer_no, customer_no, '[]') WITH &&,
    tstzrange(starts_at, ends_at, '[)') WITH &&
)
"""
_TRIGGER = """
CREATE TRIGGER billing_assignments_overlap_{event} BEFORE {event} ON billing_assignments
WHEN EXISTS (
    SELECT 1 FROM billing_assignments AS other
    WHERE other.customer_no = NEW.customer_no AND {other}
    AND (other.ends_at IS NULL OR NEW.starts_at < other.ends_at)
    AND (NEW.ends_at IS NULL OR other.starts_at < NEW.ends_at)
)
BEGIN
    SELECT RAISE(ABORT, 'billing assignments of one customer overlap');
END
"""
_FIRST_TICKET = "INSERT INTO sqlite_sequence (name, seq) VALUES ('tickets', 1000)"


def upgrade() -> None:
    """Create every table, and the guard against billing two resellers at one instant."""
    _accounts()
    _billing()
    _desk()
    _ledger()
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_TRIGGER.format(event="INSERT", other="TRUE"))
        op.execute(_TRIGGER.format(event="UPDATE", other="other.no <> NEW.no"))
        op.execute(_FIRST_TICKET)
    else:
        op.execute(_EXCLUDE)


def _accounts() -> None:
    op.create_table(
        "resellers",
        sa.Column("id", Txt, nullable=False),
        sa.Column("folded_id", Txt, nullable=False),
        sa.Column("name", Txt, nullable=False),
        sa.Column("folded_name", Txt, nullable=False),
        sa.Column("suspended", sa.Boolean, nullable=False),
        sa.Column("billing_account", Txt, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_resellers"),
    )
    op.create_index("ix_resellers_folded_id", "resellers", ["folded_id"])
    op.create_index("ix_resellers_folded_name", "resellers", ["folded_name"])
    op.create_table(
        "reseller_aliases",
        sa.Column("folded", Txt, nullable=False),
        sa.Column("alias", Txt, nullable=False),
        sa.Column("reseller", Txt, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("folded", name="pk_reseller_aliases"),
        _references("reseller_aliases", "reseller", "resellers.id"),
    )
    op.create_index("ix_reseller_aliases_reseller", "reseller_aliases", ["reseller"])
    op.create_table(
        "administrators",
        sa.Column("account", Txt, nullable=False),
        sa.Column("person", Txt, nullable=False),
        sa.Column("name", Txt, nullable=False),
        sa.Column("email", Txt, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("account", "person", name="pk_administrators"),
    )
    op.create_table(
        "customers",
        sa.Column("no", BigInt, sa.Identity(), nullable=False),
        sa.Column("id", Txt, nullable=False),
        sa.Column("name", Txt, nullable=False),
        sa.Column("reseller", Txt, nullable=False),
        sa.Column("billed_from", UtcDateTime, nullable=False),
        sa.Column("suspended", sa.Boolean, nullable=False),
        sa.Column("terminating", sa.Boolean, nullable=False),
        sa.Column("legal_hold", sa.Boolean, nullable=False),
        sa.Column("locked_until", UtcDateTime),
        sa.PrimaryKeyConstraint("no", name="pk_customers"),
        sa.UniqueConstraint("id", name="uq_customers_id"),
        _references("customers", "reseller", "resellers.id"),
    )
    op.create_index("ix_customers_reseller", "customers", ["reseller"])
    op.create_table(
        "customer_domains",
        sa.Column("a_label", Txt, nullable=False),
        sa.Column("customer_no", BigInt, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("a_label", name="pk_customer_domains"),
        _references("customer_domains", "customer_no", "customers.no"),
    )
    op.create_index("ix_customer_domains_customer_no", "customer_domains", ["customer_no"])


def _billing() -> None:
    op.create_table(
        "billing_assignments",
        sa.Column("no", BigInt, sa.Identity(), nullable=False),
        sa.Column("customer_no", BigInt, nullable=False),
        sa.Column("reseller", Txt, nullable=False),
        sa.Column("plan", Txt, nullable=False),
        sa.Column("price", Money, nullable=False),
        sa.Column("currency", Txt, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime),
        sa.Column("transfer_key", Txt),
        sa.PrimaryKeyConstraint("no", name="pk_billing_assignments"),
        sa.UniqueConstraint("transfer_key", name="uq_billing_assignments_transfer_key"),
        sa.CheckConstraint(
            "ends_at IS NULL OR starts_at < ends_at",
            name="ck_billing_assignments_begins_before_it_ends",
        ),
        _references("billing_assignments", "customer_no", "customers.no"),
        _references("billing_assignments", "reseller", "resellers.id"),
    )
    op.create_index("ix_billing_assignments_customer_no", "billing_assignments", ["customer_no"])
    _one_open("billing_assignments", "ends_at IS NULL")
    op.create_table(
        "panel_access",
        sa.Column("no", BigInt, sa.Identity(), nullable=False),
        sa.Column("customer_no", BigInt, nullable=False),
        sa.Column("reseller", Txt, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("until", UtcDateTime),
        sa.PrimaryKeyConstraint("no", name="pk_panel_access"),
        _references("panel_access", "customer_no", "customers.no"),
        _references("panel_access", "reseller", "resellers.id"),
    )
    op.create_index("ix_panel_access_customer_no", "panel_access", ["customer_no"])
    _one_open("panel_access", "until IS NULL")


def _desk() -> None:
    op.create_table(
        "tickets",
        sa.Column("no", BigInt, sa.Identity(start=1001), nullable=False),
        sa.Column("account", Txt, nullable=False),
        sa.Column("author", Txt, nullable=False),
        sa.Column("author_name", Txt, nullable=False),
        sa.Column("author_email", Txt, nullable=False),
        sa.Column("administrator", sa.Boolean, nullable=False),
        sa.Column("delegated", sa.Boolean, nullable=False),
        sa.Column("channel", Txt, nullable=False),
        sa.Column("subject", Txt, nullable=False),
        sa.Column("body", Txt, nullable=False),
        sa.Column("search", Txt, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("no", name="pk_tickets"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tickets_account_created_at", "tickets", ["account", "created_at"])
    op.create_table(
        "ticket_replies",
        sa.Column("no", BigInt, sa.Identity(), nullable=False),
        sa.Column("key", Txt, nullable=False),
        sa.Column("ticket_no", BigInt, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("text", Txt, nullable=False),
        sa.PrimaryKeyConstraint("no", name="pk_ticket_replies"),
        sa.UniqueConstraint("key", name="uq_ticket_replies_key"),
        _references("ticket_replies", "ticket_no", "tickets.no"),
    )
    op.create_index("ix_ticket_replies_ticket_no", "ticket_replies", ["ticket_no"])
    op.create_table(
        "escalations",
        sa.Column("key", Txt, nullable=False),
        sa.Column("transfer_id", Txt, nullable=False),
        sa.Column("state", Txt, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("why", Txt, nullable=False),
        sa.Column("detail", Txt, nullable=False),
        sa.Column("owner", Txt, nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("touch_by", UtcDateTime),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("ticket_no", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_escalations"),
        _references("escalations", "ticket_no", "tickets.no"),
    )
    op.create_index("ix_escalations_transfer_id", "escalations", ["transfer_id"])


def _ledger() -> None:
    op.create_table(
        "evidence",
        sa.Column("key", Txt, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("transfer_id", Txt, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("who", Txt, nullable=False),
        sa.Column("code", Txt, nullable=False),
        sa.Column("detail", Txt, nullable=False),
        sa.Column("ticket_id", Txt),
        sa.Column("slot", Txt),
        sa.PrimaryKeyConstraint("key", "seq", name="pk_evidence"),
    )
    op.create_index("ix_evidence_transfer_id", "evidence", ["transfer_id"])
    op.create_index("ix_evidence_at", "evidence", ["at"])
    op.create_table(
        "ticket_uses",
        sa.Column("ticket_id", Txt, nullable=False),
        sa.Column("key", Txt, nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", name="pk_ticket_uses"),
    )
    op.create_table(
        "deliveries",
        sa.Column("no", BigInt, sa.Identity(), nullable=False),
        sa.Column("id", Txt, nullable=False),
        sa.Column("key", Txt, nullable=False),
        sa.Column("event", Txt, nullable=False),
        sa.Column("reader", Txt, nullable=False),
        sa.Column("mail", Txt),
        sa.Column("ticket_id", Txt),
        sa.Column("reply", Txt, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("state", Txt, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", Txt, nullable=False),
        sa.Column("next_try_at", UtcDateTime),
        sa.Column("sent_at", UtcDateTime),
        sa.Column("leased_until", UtcDateTime),
        sa.PrimaryKeyConstraint("no", name="pk_deliveries"),
        sa.UniqueConstraint("id", name="uq_deliveries_id"),
    )
    op.create_index("ix_deliveries_key", "deliveries", ["key"])
    pending = sa.text("state = 'PENDING'")
    op.create_index(
        "ix_deliveries_pending",
        "deliveries",
        ["created_at", "no"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def _references(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _one_open(table: str, where: str) -> None:
    op.create_index(
        f"ix_{table}_open",
        table,
        ["customer_no"],
        unique=True,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
