"""The figures, counted by the database. Of cases, only the few are read whole that may be due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSON

from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.schema import deliveries, parked_tickets, tracked_cases
from transfer.case import Case, State
from transfer.figures import (
    FAILED_WITHIN,
    OPEN_STATES,
    RECENT_NOTICES,
    Reading,
    commit_due_since,
)
from transfer.messages import DeliveryState

MOST_DUE = 50
"""Cases read whole to find the oldest due commit."""
_TO_THE_SECOND = 19
"""Characters of an instant in JSON before its fraction: they sort as the instants do."""


class SqlFigures:
    """``transfer.ports.Figures`` in our own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, now: datetime) -> Reading:
        """See ``Figures.read``."""
        cases = _Cases(is_sqlite=self._database.is_sqlite)

        def read(connection: Connection) -> Reading:
            of_state, escalated = dict.fromkeys(OPEN_STATES, 0), 0
            for state, number, in_queue in connection.execute(cases.counted()):
                of_state[State(state)] = number
                escalated += in_queue
            due = connection.scalars(cases.maybe_due(now))
            since = [commit_due_since(Case.model_validate_json(text), now) for text in due]
            waiting, waiting_since = connection.execute(_waiting()).one()
            return Reading(
                at=now,
                of_state=of_state,
                escalated=escalated,
                commit_due_since=min((one for one in since if one), default=None),
                notices_waiting=waiting,
                waiting_since=waiting_since,
                notices_failed=connection.scalars(_failed(now)).one(),
                tickets_parked=connection.scalars(_parked()).one(),
            )

        return await self._database.read(read)


class _Cases:
    """The open cases, by what their JSON says: ``Case.state`` in the database's words.

    A test holds the two to each other for every story and for random histories.
    """

    def __init__(self, *, is_sqlite: bool) -> None:
        self._is_sqlite = is_sqlite
        stored: ColumnElement[str] = tracked_cases.c.case
        # PostgreSQL's JSON cannot hold NUL, which a stranger's ticket can.
        text = stored if is_sqlite else cast(func.replace(stored, r"\u0000", r"\ufffd"), JSON)
        # One row's JSON is read once, whatever is asked of it.
        self._open = (
            select(
                tracked_cases.c.key,
                *(
                    self._field(text, name).label(name)
                    for name in ("commit_at", "committing_since", "stuck", "hold", "mediation")
                ),
                self._length(text, "slots").label("slots"),
                self._length(text, "doubts").label("doubts"),
            )
            .where(self._field(text, "outcome").is_(None))
            .subquery()
        )

    def counted(self) -> Select[str, int, int]:
        """How many are in which state, and how many of these are escalated."""
        at = self._open.c
        state = case(
            (at.slots == 0, State.VALIDATING.value),
            (at.stuck.is_not(None), State.COMMIT_STUCK.value),
            (at.committing_since.is_not(None), State.COMMITTING.value),
            (at.hold.is_not(None), State.ON_HOLD.value),
            (at.commit_at.is_not(None), State.READY.value),
            (at.mediation.is_not(None), State.MEDIATION.value),
            else_=State.AWAITING.value,
        ).label("state")
        in_queue = case((or_(at.mediation.is_not(None), at.stuck.is_not(None)), 1), else_=0)
        # By its place, since its values are parameters, and PostgreSQL takes each for another.
        return select(state, func.count(), func.sum(in_queue)).group_by(literal_column("1"))

    def maybe_due(self, now: datetime) -> Select[str]:
        """The cases whose commit may be due, the longest first; a few too many, never too few."""
        at = self._open.c
        since = func.substr(func.coalesce(at.commit_at, at.committing_since), 1, _TO_THE_SECOND)
        ready = and_(at.commit_at.is_not(None), at.hold.is_(None), at.doubts == 0)
        return (
            select(tracked_cases.c.case)
            .join(self._open, at.key == tracked_cases.c.key)
            .where(
                or_(at.committing_since.is_not(None), ready),
                since <= f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
            )
            .order_by(since)
            .limit(MOST_DUE)
        )

    def _field(self, text: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        if self._is_sqlite:
            return func.json_extract(text, f"$.{name}")
        return text.op("->>")(name)

    def _length(self, text: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        if self._is_sqlite:
            return func.json_array_length(text, f"$.{name}")
        return func.json_array_length(text.op("->")(name))


def _waiting() -> Select[int, datetime | None]:
    # The state as in the index, word for word: with a parameter, SQLite does not use it.
    pending: ColumnElement[bool] = literal_column(f"state = '{DeliveryState.PENDING.value}'")
    return select(func.count(), func.min(deliveries.c.created_at)).where(pending)


def _failed(now: datetime) -> Select[int]:
    newest = (
        select(deliveries.c.state, deliveries.c.created_at)
        .order_by(deliveries.c.no.desc())
        .limit(RECENT_NOTICES)
        .subquery()
    )
    return select(func.count()).where(
        newest.c.state == DeliveryState.FAILED, newest.c.created_at > now - FAILED_WITHIN
    )


def _parked() -> Select[int]:
    return (
        select(func.count())
        .select_from(parked_tickets)
        .where(parked_tickets.c.picked_up_at.is_(null()))
    )
