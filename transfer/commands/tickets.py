"""Tickets that the gateway took in, and that no transfer has read yet."""

from __future__ import annotations

import typer

from transfer.commands.console import document, run, say, table
from transfer.commands.context import database
from transfer.commands.transfers import AsJson, shown
from transfer.messages import ParkedTicket

tickets = typer.Typer(no_args_is_help=True, help="Tickets that came in by the webhook.")


@tickets.callback()
def begin() -> None:
    """Tickets that came in by the webhook."""


@tickets.command()
def parked(as_json: AsJson = False) -> None:
    """List the tickets that wait: for their transfer to start, or for staff to see why not."""
    found = run(_parked())
    if as_json:
        document(found)
        return
    if not found:
        say("No ticket waits.")
        return
    table(
        "",
        ("Ticket", "Account", "Transfer", "Why", "Since (UTC)", "Subject"),
        (
            (t.ticket_id, t.account, t.transfer_id or "", t.why, shown(t.parked_at), t.subject)
            for t in found
        ),
    )


async def _parked() -> tuple[ParkedTicket, ...]:
    async with database() as opened:
        return await opened.arrivals.parked()
