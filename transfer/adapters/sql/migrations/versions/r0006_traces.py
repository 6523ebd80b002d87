"""Traces: a notice carries on the trace of what it tells of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from transfer.adapters.sql.types import Txt

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a column that workers of the version before need not know."""
    op.add_column("deliveries", sa.Column("trace", Txt))
