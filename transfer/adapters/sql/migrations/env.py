"""What Alembic runs: the migrations, on the connection that ``setup`` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from transfer.adapters.sql.schema import metadata


def _run(connection: Connection) -> None:
    # One transaction around everything, on SQLite too: a schema is whole or not there.
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
