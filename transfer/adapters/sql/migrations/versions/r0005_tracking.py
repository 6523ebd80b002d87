"""Tracking: the case as its parties were last told of it, and links that count no more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from transfer.adapters.sql.types import Txt, UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two tables. Transfers that are open get their first row by the next thing they tell."""
    op.create_table(
        "tracked_cases",
        sa.Column("key", Txt, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("case", Txt, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_tracked_cases"),
    )
    op.create_table(
        "tracking_revocations",
        sa.Column("key", Txt, nullable=False),
        sa.Column("party", Txt, nullable=False),
        sa.Column("before", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("key", "party", name="pk_tracking_revocations"),
    )
