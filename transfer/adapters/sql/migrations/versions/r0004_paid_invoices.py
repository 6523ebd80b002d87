"""Paid invoices: what an old reseller's refusal may wait for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from transfer.adapters.sql.types import Txt, UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a table."""
    op.create_table(
        "paid_invoices",
        sa.Column("reseller", Txt, nullable=False),
        sa.Column("invoice", Txt, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("reseller", "invoice", name="pk_paid_invoices"),
    )
