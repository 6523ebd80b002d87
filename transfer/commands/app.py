"""The command line: which command is where."""

from __future__ import annotations

import typer

from transfer import logs
from transfer.commands import operations, transfers
from transfer.commands.accounts import accounts
from transfer.commands.announce import announce
from transfer.commands.console import leave
from transfer.commands.demo import demo
from transfer.commands.deploy import deploy
from transfer.commands.desk import desk
from transfer.commands.staff import staff
from transfer.commands.tickets import tickets
from transfer.commands.tracking import tracking

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Move customers from one reseller to another.",
)
app.command()(transfers.start)
app.command("list")(transfers.list_)
app.command()(transfers.show)
app.command()(transfers.watch)
app.command()(transfers.ticket)
app.command()(transfers.evidence)
app.add_typer(staff, name="staff")
app.add_typer(tickets, name="tickets")
app.add_typer(tracking, name="tracking")
app.add_typer(accounts, name="accounts")
desk.command()(announce)
app.add_typer(desk, name="desk")
app.command()(operations.setup)
app.command()(operations.doctor)
app.command()(deploy)
app.command()(demo)


@app.callback()
def begin(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what happens, to stderr."),
) -> None:
    """Move customers from one reseller to another."""
    logs.configure(level="INFO" if verbose else "ERROR", style="console")


__all__ = ["app", "leave"]
