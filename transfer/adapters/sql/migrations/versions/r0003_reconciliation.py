"""Reconciliation: as of when each ticket was received, and up to when changes were looked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from transfer.adapters.sql.types import Txt, UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column, an index and a table; what is there keeps its meaning."""
    op.add_column("webhook_events", sa.Column("ticket_updated_at", UtcDateTime))
    op.create_index("ix_webhook_events_ticket_id", "webhook_events", ["ticket_id"])
    op.create_table(
        "watermarks",
        sa.Column("name", Txt, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_watermarks"),
    )
