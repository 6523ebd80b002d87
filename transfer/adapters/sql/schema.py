"""The tables. The migrations build them, and what only a migration can say: see the first one."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    text,
)

from transfer.adapters.sql.types import BigInt, Money, Txt, UtcDateTime

FIRST_TICKET = 1001
"""The desk's first ticket id."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# -- accounts ------------------------------------------------------------------------------------
resellers = Table(
    "resellers",
    metadata,
    Column("id", Txt, primary_key=True),
    Column("folded_id", Txt, nullable=False, index=True),
    Column("name", Txt, nullable=False),
    Column("folded_name", Txt, nullable=False, index=True),
    Column("suspended", Boolean, nullable=False),
    Column("billing_account", Txt, nullable=False),
)

reseller_aliases = Table(
    "reseller_aliases",
    metadata,
    Column("folded", Txt, primary_key=True),
    Column("alias", Txt, nullable=False),
    Column("reseller", Txt, ForeignKey("resellers.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
)

# `account` is a reseller's or a customer's id: they share one name space.
administrators = Table(
    "administrators",
    metadata,
    Column("account", Txt, primary_key=True),
    Column("person", Txt, primary_key=True),
    Column("name", Txt, nullable=False),
    Column("email", Txt, nullable=False),
    Column("position", Integer, nullable=False),
)

# `no` never leaves the database: PostgreSQL's exclusion constraint below needs an integer.
customers = Table(
    "customers",
    metadata,
    Column("no", BigInt, Identity(), primary_key=True),
    Column("id", Txt, nullable=False, unique=True),
    Column("name", Txt, nullable=False),
    Column("reseller", Txt, ForeignKey("resellers.id"), nullable=False, index=True),
    Column("billed_from", UtcDateTime, nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("terminating", Boolean, nullable=False),
    Column("legal_hold", Boolean, nullable=False),
    Column("locked_until", UtcDateTime),
)

customer_domains = Table(
    "customer_domains",
    metadata,
    Column("a_label", Txt, primary_key=True),
    Column("customer_no", BigInt, ForeignKey("customers.no"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
)

# Half-open: billed from starts_at up to, not including, ends_at; open where ends_at is NULL.
billing_assignments = Table(
    "billing_assignments",
    metadata,
    Column("no", BigInt, Identity(), primary_key=True),
    Column("customer_no", BigInt, ForeignKey("customers.no"), nullable=False, index=True),
    Column("reseller", Txt, ForeignKey("resellers.id"), nullable=False),
    Column("plan", Txt, nullable=False),
    Column("price", Money, nullable=False),
    Column("currency", Txt, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime),
    Column("transfer_key", Txt, unique=True),
    CheckConstraint("ends_at IS NULL OR starts_at < ends_at", name="begins_before_it_ends"),
    Index(
        "ix_billing_assignments_open",
        "customer_no",
        unique=True,
        sqlite_where=text("ends_at IS NULL"),
        postgresql_where=text("ends_at IS NULL"),
    ),
)

# Folded ids: people write them in many ways.
paid_invoices = Table(
    "paid_invoices",
    metadata,
    Column("reseller", Txt, primary_key=True),
    Column("invoice", Txt, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

panel_access = Table(
    "panel_access",
    metadata,
    Column("no", BigInt, Identity(), primary_key=True),
    Column("customer_no", BigInt, ForeignKey("customers.no"), nullable=False, index=True),
    Column("reseller", Txt, ForeignKey("resellers.id"), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Index(
        "ix_panel_access_open",
        "customer_no",
        unique=True,
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
)

# -- the built-in desk ---------------------------------------------------------------------------
tickets = Table(
    "tickets",
    metadata,
    Column("no", BigInt, Identity(start=FIRST_TICKET), primary_key=True),
    Column("account", Txt, nullable=False),
    Column("author", Txt, nullable=False),
    Column("author_name", Txt, nullable=False),
    Column("author_email", Txt, nullable=False),
    Column("administrator", Boolean, nullable=False),
    Column("delegated", Boolean, nullable=False),
    Column("channel", Txt, nullable=False),
    Column("subject", Txt, nullable=False),
    Column("body", Txt, nullable=False),
    Column("search", Txt, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("revision", Integer, nullable=False),
    Index(None, "account", "created_at"),
    sqlite_autoincrement=True,
)

ticket_replies = Table(
    "ticket_replies",
    metadata,
    Column("no", BigInt, Identity(), primary_key=True),
    Column("key", Txt, nullable=False, unique=True),
    Column("ticket_no", BigInt, ForeignKey("tickets.no"), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("text", Txt, nullable=False),
)

# -- the ledger ----------------------------------------------------------------------------------
evidence = Table(
    "evidence",
    metadata,
    Column("key", Txt, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("mark", Txt, primary_key=True),
    Column("transfer_id", Txt, nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("who", Txt, nullable=False),
    Column("code", Txt, nullable=False),
    Column("detail", Txt, nullable=False),
    Column("ticket_id", Txt),
    Column("slot", Txt),
)

ticket_uses = Table(
    "ticket_uses",
    metadata,
    Column("ticket_id", Txt, primary_key=True),
    Column("key", Txt, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("no", BigInt, Identity(), primary_key=True),
    Column("id", Txt, nullable=False, unique=True),
    Column("key", Txt, nullable=False, index=True),
    Column("event", Txt, nullable=False),
    Column("reader", Txt, nullable=False),
    Column("mail", Txt),
    Column("ticket_id", Txt),
    Column("reply", Txt, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", Txt, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Txt, nullable=False),
    Column("next_try_at", UtcDateTime),
    Column("sent_at", UtcDateTime),
    Column("leased_until", UtcDateTime),
    Column("trace", Txt),
    Index(
        "ix_deliveries_pending",
        "created_at",
        "no",
        sqlite_where=text("state = 'PENDING'"),
        postgresql_where=text("state = 'PENDING'"),
    ),
)

# -- the tracking page ---------------------------------------------------------------------------
# `told` is the number of the newest evidence in it, `case` the whole of it as JSON.
tracked_cases = Table(
    "tracked_cases",
    metadata,
    Column("key", Txt, primary_key=True),
    Column("told", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("case", Txt, nullable=False),
)

# Links of this party that were made before count no more.
tracking_revocations = Table(
    "tracking_revocations",
    metadata,
    Column("key", Txt, primary_key=True),
    Column("party", Txt, primary_key=True),
    Column("before", UtcDateTime, nullable=False),
)

# -- the gateway ---------------------------------------------------------------------------------
webhook_events = Table(
    "webhook_events",
    metadata,
    Column("webhook_id", Txt, primary_key=True),
    Column("ticket_id", Txt, nullable=False),
    Column("outcome", Txt, nullable=False),
    Column("transfer_id", Txt),
    Column("received_at", UtcDateTime, nullable=False, index=True),
    Column("ticket_updated_at", UtcDateTime),
    Index(None, "ticket_id"),
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("name", Txt, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

parked_tickets = Table(
    "parked_tickets",
    metadata,
    Column("ticket_id", Txt, primary_key=True),
    Column("account", Txt, nullable=False),
    Column("transfer_id", Txt, index=True),
    Column("why", Txt, nullable=False),
    Column("subject", Txt, nullable=False),
    Column("url", Txt, nullable=False),
    Column("parked_at", UtcDateTime, nullable=False, index=True),
    Column("picked_up_at", UtcDateTime),
)

# -- the staff queue -----------------------------------------------------------------------------
escalations = Table(
    "escalations",
    metadata,
    Column("key", Txt, primary_key=True),
    Column("transfer_id", Txt, nullable=False, index=True),
    Column("state", Txt, nullable=False),
    Column("level", Integer, nullable=False),
    Column("why", Txt, nullable=False),
    Column("detail", Txt, nullable=False),
    Column("owner", Txt, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("touch_by", UtcDateTime),
    Column("at", UtcDateTime, nullable=False),
    Column("ticket_no", BigInt, ForeignKey("tickets.no"), nullable=False),
)
