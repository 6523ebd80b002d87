"""Column types that mean the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from transfer.adapters.tools import holdable

BigInt = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts up only in a column that is called exactly INTEGER."""

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, timezone-aware, UTC inside. A naive one is a programming error.

    On SQLite it is text of fixed width, so that it sorts and compares as the instant does.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        """Text on SQLite, ``timestamptz`` elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Bring an aware instant to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A naive datetime is no instant. Give it a time zone.")
        utc = value.astimezone(UTC)
        return utc.strftime(_FORMAT).rjust(27, "0") if dialect.name == "sqlite" else utc

    def process_result_value(
        self, value: datetime | str | None, dialect: Dialect
    ) -> datetime | None:
        """Return an aware instant in UTC."""
        if isinstance(value, str):
            return datetime.strptime(value, _FORMAT).replace(tzinfo=UTC)
        return None if value is None else value.astimezone(UTC)


class Money(TypeDecorator[Decimal]):
    """An exact amount. SQLite has no exact decimals, so there it is text."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Decimal] | TypeEngine[str]:
        """Text on SQLite, ``numeric`` elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        """Write every digit."""
        if value is not None and dialect.name == "sqlite":
            return format(value, "f")
        return value

    def process_result_value(self, value: Decimal | str | None, dialect: Dialect) -> Decimal | None:
        """Read every digit."""
        return Decimal(value) if isinstance(value, str) else value


class Txt(TypeDecorator[str]):
    """Text of any length; see ``holdable``."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be held; an enum's member becomes its value."""
        return None if value is None else holdable(str(value))
