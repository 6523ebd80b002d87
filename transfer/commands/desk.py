"""The built-in desk: tickets for trying out, for tests, and where there is no ticket system.

Filing a ticket tells nobody of it: that is what ``announce`` and ``ticket`` are for.
"""

from __future__ import annotations

from typing import Annotated

import typer

from transfer.commands.console import checked, document, run, say, table
from transfer.commands.context import database
from transfer.commands.transfers import AsJson, shown
from transfer.errors import InputInvalid, TicketNotFound, UnknownAccount
from transfer.messages import Doorbell
from transfer.tickets import Channel, Intent, Ticket, text_to_file

desk = typer.Typer(no_args_is_help=True, help="The built-in ticket desk.")

TicketId = Annotated[str, typer.Argument(metavar="TICKET")]


@desk.command()
def file(
    account: Annotated[str, typer.Option("--account", help="A reseller's or customer's id.")],
    by: Annotated[str, typer.Option("--by", help="The person's id.")],
    for_: Annotated[
        tuple[Intent, str] | None,
        typer.Option("--for", help="Take the procedure's text: release example.com"),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="The new reseller, with --for.")] = None,
    subject: Annotated[str | None, typer.Option("--subject")] = None,
    body: Annotated[str | None, typer.Option("--body")] = None,
    via: Annotated[Channel, typer.Option("--via")] = Channel.PANEL,
    delegated: Annotated[
        bool, typer.Option("--delegated", help="In somebody else's session.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """File a ticket, and print its id."""
    run(_file(account, by, for_, to, subject, body, via, delegated=delegated, as_json=as_json))


async def _file(
    account: str,
    by: str,
    for_: tuple[Intent, str] | None,
    to: str | None,
    subject: str | None,
    body: str | None,
    via: Channel,
    *,
    delegated: bool,
    as_json: bool,
) -> None:
    async with database() as opened:
        if for_ is not None:
            if to is None or subject is not None or body is not None:
                raise InputInvalid(
                    "--for INTENT DOMAIN needs --to, and takes no --subject, --body."
                )
            facts = await opened.accounts.facts(for_[1], to)
            if facts.customer is None or facts.old is None or facts.new is None:
                raise UnknownAccount(f"No customer has {for_[1]}, or no reseller is {to}.")
            subject, body = text_to_file(for_[0], for_[1], facts.old.account, facts.new.account)
        if subject is None or body is None:
            raise InputInvalid("Give --for INTENT DOMAIN --to RESELLER, or --subject and --body.")
        ticket = await opened.desk.file(
            account, by, subject, body, channel=via, delegated=delegated
        )
    if as_json:
        document(ticket)
    else:
        say(ticket.id)


@desk.command()
def show(ticket: TicketId, as_json: AsJson = False) -> None:
    """Show a ticket and the replies on it."""
    run(_show(ticket, as_json=as_json))


async def _show(ticket_id: str, *, as_json: bool) -> None:
    checked(Doorbell, ticket_id=ticket_id)
    async with database() as opened:
        found = (await opened.desk.read([ticket_id])).get(ticket_id)
        if found is None:
            raise TicketNotFound(
                f"There is no ticket {ticket_id}. See: python starter.py desk list"
            )
        replies = await opened.desk.replies(ticket_id)
    if as_json:
        document({"ticket": found.model_dump(), "replies": [r.model_dump() for r in replies]})
        return
    state = "open" if found.open else "closed"
    say(f"Ticket {found.id}, {state}, account {found.account}, by {found.author.id}")
    say(f"Filed {shown(found.created_at)}, changed {shown(found.updated_at)} UTC, {found.channel}")
    say(f"Subject: {found.subject}")
    say(found.body)
    for reply in replies:
        say(f"-- reply, {shown(reply.at)} UTC\n{reply.text}")


@desk.command()
def edit(
    ticket: TicketId, body: Annotated[str, typer.Option("--body")], as_json: AsJson = False
) -> None:
    """Change a ticket's body, as its filer."""
    run(_changed(ticket, body, as_json=as_json))


@desk.command()
def close(ticket: TicketId, as_json: AsJson = False) -> None:
    """Close a ticket, as its filer."""
    run(_changed(ticket, None, as_json=as_json))


async def _changed(ticket_id: str, body: str | None, *, as_json: bool) -> None:
    async with database() as opened:
        desk = opened.desk
        changed = await (desk.close(ticket_id) if body is None else desk.edit(ticket_id, body=body))
    if as_json:
        document(changed)
    else:
        say(f"{changed.id} is at revision {changed.revision}.")


@desk.command("list")
def list_(
    account: Annotated[str | None, typer.Option("--account")] = None, as_json: AsJson = False
) -> None:
    """List tickets, the newest first."""
    run(_list(account, as_json=as_json))


async def _list(account: str | None, *, as_json: bool) -> None:
    async with database() as opened:
        tickets = await opened.desk.list_tickets(account)
    if as_json:
        document(tickets)
        return
    table(
        "",
        ("Ticket", "Account", "By", "", "Filed (UTC)", "Subject"),
        (
            (t.id, t.account, t.author.id, _state(t), shown(t.created_at), t.subject)
            for t in tickets
        ),
    )


def _state(ticket: Ticket) -> str:
    return "open" if ticket.open else "closed"
