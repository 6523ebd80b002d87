"""Marks: two pieces of evidence of one number are two, if a lost workflow task decided anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from transfer.adapters.sql.types import Txt

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Widen the key of evidence. What is there keeps an empty mark."""
    with op.batch_alter_table("evidence", recreate="auto") as evidence:
        evidence.add_column(sa.Column("mark", Txt, nullable=False, server_default=""))
        evidence.drop_constraint("pk_evidence", type_="primary")
        evidence.create_primary_key("pk_evidence", ["key", "seq", "mark"])
