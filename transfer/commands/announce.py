"""Announcing the built-in desk's tickets to the gateway, as a real ticket system would."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer
from standardwebhooks import Webhook

from transfer.commands.console import checked, document, run, say
from transfer.commands.context import database, now
from transfer.commands.desk import TicketId
from transfer.commands.transfers import AsJson
from transfer.errors import InputInvalid, TicketNotFound, TransferError, Unreachable
from transfer.messages import Doorbell
from transfer.settings import load_settings
from transfer.tickets import Ticket

PATIENCE_SECONDS = 30.0
"""How long the gateway may take: longer than it gives itself."""


def announce(
    ticket: TicketId,
    to: Annotated[str | None, typer.Option("--to", help="The gateway's address.")] = None,
    as_json: AsJson = False,
) -> None:
    """Announce a ticket to the gateway, signed; the same revision again is the same event."""
    run(_announce(ticket, to, as_json=as_json))


async def _announce(ticket_id: str, to: str | None, *, as_json: bool) -> None:
    checked(Doorbell, ticket_id=ticket_id)
    settings = load_settings()
    if not settings.webhook_secret:
        raise InputInvalid("TRANSFER_WEBHOOK_SECRET is not set. Give it the gateway's.")
    async with database() as opened:
        found = (await opened.tickets.read([ticket_id])).get(ticket_id)
    if found is None:
        raise TicketNotFound(f"There is no ticket {ticket_id}. See: python starter.py desk list")
    url = to or f"http://{settings.gateway_host}:{settings.gateway_port}"
    if not url.startswith(("http://", "https://")):
        raise InputInvalid(f"--to {url[:100]}: give an address like https://gateway.example")
    secret = settings.webhook_secret[0].get_secret_value()
    answer = await asyncio.to_thread(_posted, f"{url.rstrip('/')}/tickets", found, secret)
    if as_json:
        document(answer)
    else:
        transfer = answer["transfer_id"]
        say(f"Ticket {ticket_id}: {answer['outcome']}{f', {transfer}' if transfer else ''}.")


def _posted(url: str, ticket: Ticket, secret: str) -> dict[str, Any]:
    """The gateway's answer.

    Raises:
        Unreachable: nobody answers there, or only that it should be tried later.
        TransferError: the gateway refuses.
    """
    body, at = json.dumps(announcement(ticket)), now()
    webhook_id = f"desk_{ticket.id}_{ticket.revision}"
    headers = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
    }
    request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 - looked at above
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - likewise
            outcome: dict[str, Any] = json.load(answer)
            return outcome
    except urllib.error.HTTPError as refusal:
        said = refusal.read(2000).decode(errors="replace")
        kind = Unreachable if refusal.code == 503 else TransferError
        raise kind(f"The gateway answers {refusal.code}: {said}") from None
    except (OSError, ValueError) as error:
        raise Unreachable(
            f"No gateway answers at {url}: {error}. Start it: python -m gateway"
        ) from None


def announcement(ticket: Ticket) -> dict[str, Any]:
    """What a webhook says of a ticket."""
    fields = {"id", "account", "subject", "body", "created_at", "updated_at", "url"}
    said = ticket.model_dump(mode="json", include=fields)
    author = ticket.author.model_dump()
    author |= {"administrator": ticket.administrator, "delegated": ticket.delegated}
    said |= {"author": author, "status": "open" if ticket.open else "closed"}
    is_new = ticket.revision == 1
    return {"event": "ticket.created" if is_new else "ticket.updated", "ticket": said}
