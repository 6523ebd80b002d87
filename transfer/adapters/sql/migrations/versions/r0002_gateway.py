"""The gateway: answered webhooks, and tickets that wait for their transfer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from transfer.adapters.sql.types import Txt, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two tables; nothing that is there changes."""
    op.create_table(
        "webhook_events",
        sa.Column("webhook_id", Txt, nullable=False),
        sa.Column("ticket_id", Txt, nullable=False),
        sa.Column("outcome", Txt, nullable=False),
        sa.Column("transfer_id", Txt),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", name="pk_webhook_events"),
    )
    op.create_index("ix_webhook_events_received_at", "webhook_events", ["received_at"])
    op.create_table(
        "parked_tickets",
        sa.Column("ticket_id", Txt, nullable=False),
        sa.Column("account", Txt, nullable=False),
        sa.Column("transfer_id", Txt),
        sa.Column("why", Txt, nullable=False),
        sa.Column("subject", Txt, nullable=False),
        sa.Column("url", Txt, nullable=False),
        sa.Column("parked_at", UtcDateTime, nullable=False),
        sa.Column("picked_up_at", UtcDateTime),
        sa.PrimaryKeyConstraint("ticket_id", name="pk_parked_tickets"),
    )
    op.create_index("ix_parked_tickets_transfer_id", "parked_tickets", ["transfer_id"])
    op.create_index("ix_parked_tickets_parked_at", "parked_tickets", ["parked_at"])
