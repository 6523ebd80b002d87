"""What a bare version does to the world: mails, tickets read, rows written.

Plain blocking calls and one small table for each thing, as a first version would have them. The
same for each engine.
"""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime
from email.message import EmailMessage

from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

SLOTS = ("release", "authorize", "accept")
PARTIES = ("old", "customer", "new")

_TABLES = (
    "CREATE TABLE tickets (id TEXT PRIMARY KEY, slot TEXT, author TEXT, body TEXT, at TEXT)",
    "CREATE TABLE authorizations (domain TEXT, slot TEXT, ticket TEXT, at TEXT)",
    "CREATE UNIQUE INDEX one_a_slot ON authorizations (domain, slot)",
    "CREATE TABLE billing (domain TEXT, reseller TEXT, starts_at TEXT, ends_at TEXT)",
    "CREATE UNIQUE INDEX one_a_reseller ON billing (domain, reseller)",
)


class Deeds:
    """The database and the mail server of a bare version."""

    def __init__(self, url: str, smtp_port: int) -> None:
        self._engine = _engine(url)
        self._smtp_port = smtp_port

    def set_up(self, domains: list[str]) -> None:
        """Make the tables, and bill every customer to the old reseller."""
        with self._engine.begin() as connection:
            for table in _TABLES:
                connection.execute(text(table))
            rows = [{"domain": domain, "at": _now()} for domain in domains]
            connection.execute(
                text("INSERT INTO billing VALUES (:domain, 'acme', :at, NULL)"), rows
            )

    def file(self, ticket: str, domain: str, slot: str) -> None:
        """File a party's ticket: what the ticket system does."""
        row = {
            "ticket": ticket,
            "slot": slot,
            "author": f"{slot}@customer.example",
            "body": f"We agree that {domain} is transferred from Acme Hosting to Globex.",
            "at": _now(),
        }
        with self._engine.begin() as connection:
            connection.execute(
                text("INSERT INTO tickets VALUES (:ticket, :slot, :author, :body, :at)"), row
            )

    def notify(self, domain: str, party: str, what: str) -> None:
        """Send one mail."""
        mail = EmailMessage()
        mail["Subject"] = f"Transfer of {domain}: {what}"
        mail["From"] = "transfers@panel.example"
        mail["To"] = f"{party}@customer.example"
        mail.set_content(f"The transfer of {domain} from Acme Hosting to Globex: {what}.")
        with smtplib.SMTP("127.0.0.1", self._smtp_port, timeout=10) as server:
            server.send_message(mail)

    def verify(self, domain: str, slot: str, ticket: str) -> bool:
        """Read a ticket, and see whether it says what its party must say."""
        with self._engine.connect() as connection:
            row = connection.execute(
                text("SELECT slot, author, body FROM tickets WHERE id = :ticket"),
                {"ticket": ticket},
            ).first()
        return (
            row is not None and row.slot == slot and f" {domain} " in row.body and "@" in row.author
        )

    def record(self, domain: str, slot: str, ticket: str) -> None:
        """Write down that a party agreed; again, nothing happens."""
        with self._engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO authorizations VALUES (:domain, :slot, :ticket, :at)"
                    " ON CONFLICT DO NOTHING"
                ),
                {"domain": domain, "slot": slot, "ticket": ticket, "at": _now()},
            )

    def commit(self, domain: str) -> None:
        """Move billing to the new reseller; again, nothing happens."""
        values = {"domain": domain, "at": _now()}
        with self._engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE billing SET ends_at = :at"
                    " WHERE domain = :domain AND reseller = 'acme' AND ends_at IS NULL"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO billing VALUES (:domain, 'globex', :at, NULL)"
                    " ON CONFLICT DO NOTHING"
                ),
                values,
            )

    def recorded(self) -> dict[str, int]:
        """How many tickets of each transfer are written down, and one more where billing moved."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT domain, COUNT(*) FROM (SELECT domain FROM authorizations UNION ALL"
                    " SELECT domain FROM billing WHERE reseller = 'globex') AS all_of_it"
                    " GROUP BY domain"
                )
            )
            return {str(domain): int(count) for domain, count in rows}

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_size=20)
    engine = create_engine(parsed, connect_args={"timeout": 30})
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _now() -> str:
    return datetime.now(UTC).isoformat()
