"""What the tracking page reads: the case as it was last told of, and which links are revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import product

from sqlalchemy import Connection, and_, delete, literal, select

from transfer.adapters.sql.engine import Database, replace
from transfer.adapters.sql.schema import tracked_cases, tracking_revocations
from transfer.case import Case, Publication
from transfer.parties import Party
from transfer.ports import Tracked


class SqlTracking:
    """``transfer.ports.Tracking`` in our own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tracked(self, key: str, party: Party) -> Tracked:
        """See ``Tracking.tracked``. One statement, whatever there is."""
        case, revoked = tracked_cases.c, tracking_revocations.c
        asked = select(literal(key).label("key")).subquery()
        wanted = (
            select(case.case, case.at, revoked.before)
            .select_from(asked)
            .outerjoin(tracked_cases, case.key == asked.c.key)
            .outerjoin(
                tracking_revocations,
                and_(revoked.key == asked.c.key, revoked.party == party.value),
            )
        )
        (row,) = await self._database.rows(wanted)
        known = None if row["case"] is None else Case.model_validate_json(row["case"])
        return Tracked(case=known, at=row["at"], revoked_before=row["before"])

    async def revoke(self, keys: Sequence[str], parties: Sequence[Party], before: datetime) -> None:
        """See ``Tracking.revoke``."""

        def all_of_them(connection: Connection) -> None:
            for key, party in product(keys, parties):
                row = {"key": key, "party": party.value, "before": before}
                replace(connection, tracking_revocations, row, "before")

        await self._database.write(all_of_them)

    async def forget(self, before: datetime) -> None:
        """See ``Tracking.forget``."""
        for table, at in (
            (tracked_cases, tracked_cases.c.at),
            (tracking_revocations, tracking_revocations.c.before),
        ):
            await self._database.execute(delete(table).where(at < before))


# -- what the ledger uses, too -------------------------------------------------------------------
def track(connection: Connection, told: Publication) -> None:
    """Keep a case as its parties are told of it now, unless a later one is kept.

    Its time comes before its number: a workflow task that is run again may count anew.
    """
    row = {
        "key": told.case.key,
        "told": told.events[-1].seq,
        "at": told.events[-1].at,
        "case": told.case.model_dump_json(exclude={"evidence"}),
    }
    replace(connection, tracked_cases, row, "at", "told")
