"""Which adapter stands behind which port, by the settings. Built here, used by the entry points."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

from transfer import tracing
from transfer.adapters.channels import AppriseChannels
from transfer.adapters.rt import RtClient, RtStaffQueue, RtTickets, mapping
from transfer.adapters.smtp_mailer import SmtpMailer
from transfer.adapters.sql.accounts import SqlAccounts
from transfer.adapters.sql.arrivals import SqlArrivals
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.figures import SqlFigures
from transfer.adapters.sql.ledger import SqlLedger
from transfer.adapters.sql.staff_queue import SqlStaffQueue
from transfer.adapters.sql.tracking import SqlTracking
from transfer.errors import InputInvalid
from transfer.links import Links
from transfer.ports import StaffQueue, Tickets
from transfer.settings import Settings


class Neighbours(NamedTuple):
    """Every neighbour of this service, behind its port."""

    accounts: SqlAccounts
    tickets: Tickets
    ledger: SqlLedger
    arrivals: SqlArrivals
    staff_queue: StaffQueue
    mailer: SmtpMailer
    tracking: SqlTracking
    figures: SqlFigures

    @property
    def desk(self) -> SqlDesk:
        """The built-in desk.

        Raises:
            InputInvalid: tickets are in a ticket system instead.
        """
        if not isinstance(self.tickets, SqlDesk):
            raise InputInvalid(
                "The built-in desk is not in use: TRANSFER_TICKETS_URL names a ticket system. File"
                " tickets there, or set it to database:"
            )
        return self.tickets


@asynccontextmanager
async def neighbours(settings: Settings) -> AsyncGenerator[Neighbours]:
    """Open the neighbours, and close their connections in the end.

    Nothing is connected yet: a neighbour that is away shows when it is asked.

    Raises:
        InputInvalid: a URL of the settings is of no kind we know, or lacks a setting beside it.
    """
    tracker = None if settings.tickets_url == "database:" else request_tracker(settings)
    smtp = mailer(settings)
    database = Database(settings.database_url.get_secret_value())
    if settings.otlp_endpoint:
        tracing.watch_sql(database.engine)
    try:
        yield Neighbours(
            accounts=SqlAccounts(database),
            tickets=tracker or SqlDesk(database),
            ledger=SqlLedger(database),
            arrivals=SqlArrivals(database),
            staff_queue=_staff_queue(settings, tracker, SqlStaffQueue(database)),
            mailer=smtp,
            tracking=SqlTracking(database),
            figures=SqlFigures(database),
        )
    finally:
        await database.close()
        if tracker is not None:
            await tracker.close()


def tracking_links(settings: Settings) -> Links | None:
    """Who makes and reads links to tracking pages; nobody without keys or a public address.

    Raises:
        InputInvalid: a key is too short.
    """
    if not settings.tracking_keys or not settings.public_url:
        return None
    return Links(
        [key.get_secret_value() for key in settings.tracking_keys],
        settings.public_url,
        timedelta(days=settings.tracking_days),
    )


def mailer(settings: Settings) -> SmtpMailer:
    """The way out for mails.

    Raises:
        InputInvalid: its URL or the sender's address is none.
    """
    try:
        return SmtpMailer(settings.smtp_url.get_secret_value(), settings.mail_from)
    except ValueError as error:
        raise InputInvalid(f"TRANSFER_SMTP_URL, TRANSFER_MAIL_FROM: {error}") from None


def channels(settings: Settings) -> AppriseChannels:
    """Staff's other channels.

    Raises:
        InputInvalid: one of them is no URL that apprise knows.
    """
    try:
        return AppriseChannels(url.get_secret_value() for url in settings.staff_channels)
    except ValueError as error:
        raise InputInvalid(f"TRANSFER_STAFF_CHANNELS: {error}") from None


def request_tracker(settings: Settings) -> RtTickets:
    """The tickets in a Request Tracker.

    Raises:
        InputInvalid: its URL is none, or a setting that it needs is missing or cannot be read.
    """
    if not settings.tickets_url.startswith(("rt+https:", "rt+http:")):
        raise InputInvalid(
            "TRANSFER_TICKETS_URL: give database: for the built-in desk, or a Request Tracker's"
            " address like rt+https://rt.example.com/"
        )
    if settings.rt_token is None or not settings.rt_token.get_secret_value().strip():
        raise InputInvalid(
            "TRANSFER_RT_TOKEN is not set, though TRANSFER_TICKETS_URL names a Request Tracker."
            " Give the token of our user there."
        )
    if not settings.own_authors:
        raise InputInvalid(
            "TRANSFER_OWN_AUTHORS is not set, though TRANSFER_TICKETS_URL names a Request Tracker."
            " Give the name of our user there."
        )
    try:
        who_is_who = mapping(
            settings.rt_account,
            settings.rt_administrators,
            settings.rt_delegated,
            settings.rt_person,
            settings.rt_panels,
        )
    except ValueError as error:
        raise InputInvalid(str(error)) from None
    try:
        client = RtClient(settings.tickets_url, settings.rt_token.get_secret_value().strip())
    except ValueError as error:
        raise InputInvalid(f"TRANSFER_TICKETS_URL: {error}") from None
    return RtTickets(client, who_is_who, own=settings.own_authors, closed=settings.rt_closed)


def _staff_queue(settings: Settings, tracker: RtTickets | None, rows: SqlStaffQueue) -> StaffQueue:
    """Escalations are rows; in a Request Tracker they are tickets too, where a queue is named."""
    if tracker is None or not settings.rt_staff_queue:
        return rows
    return RtStaffQueue(
        rows,
        tracker,
        queue=settings.rt_staff_queue,
        own=settings.own_authors,
        closed=settings.rt_closed,
    )
