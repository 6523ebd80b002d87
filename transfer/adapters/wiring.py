"""Which adapter stands behind which port, by the settings. Built here, used by the entry points."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from transfer.adapters.smtp_mailer import SmtpMailer
from transfer.adapters.sql.accounts import SqlAccounts
from transfer.adapters.sql.arrivals import SqlArrivals
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.ledger import SqlLedger
from transfer.adapters.sql.staff_queue import SqlStaffQueue
from transfer.errors import InputInvalid
from transfer.settings import Settings


class Neighbours(NamedTuple):
    """Every neighbour of this service, behind its port."""

    accounts: SqlAccounts
    tickets: SqlDesk
    ledger: SqlLedger
    arrivals: SqlArrivals
    staff_queue: SqlStaffQueue
    mailer: SmtpMailer


@asynccontextmanager
async def neighbours(settings: Settings) -> AsyncGenerator[Neighbours]:
    """Open the neighbours, and close their connections in the end.

    Nothing is connected yet: a neighbour that is away shows when it is asked.

    Raises:
        InputInvalid: a URL of the settings is of no kind we know.
    """
    if settings.tickets_url != "database:":
        raise InputInvalid(
            "TRANSFER_TICKETS_URL: only the built-in desk is known. Set it to database:"
        )
    smtp = mailer(settings)
    database = Database(settings.database_url.get_secret_value())
    try:
        yield Neighbours(
            accounts=SqlAccounts(database),
            tickets=SqlDesk(database),
            ledger=SqlLedger(database),
            arrivals=SqlArrivals(database),
            staff_queue=SqlStaffQueue(database),
            mailer=smtp,
        )
    finally:
        await database.close()


def mailer(settings: Settings) -> SmtpMailer:
    """The way out for mails.

    Raises:
        InputInvalid: its URL or the sender's address is none.
    """
    try:
        return SmtpMailer(settings.smtp_url.get_secret_value(), settings.mail_from)
    except ValueError as error:
        raise InputInvalid(f"TRANSFER_SMTP_URL, TRANSFER_MAIL_FROM: {error}") from None
