"""Accounts: load resellers and customers, and see who is billed for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from transfer.accounts_file import AccountsFile, parse
from transfer.commands.console import document, run, say, table
from transfer.commands.context import database
from transfer.commands.transfers import AsJson, Domain, shown
from transfer.errors import InputInvalid, UnknownAccount

accounts = typer.Typer(no_args_is_help=True, help="Resellers, customers and their billing.")


@accounts.command()
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML or CSV.")],
    as_json: AsJson = False,
) -> None:
    """Load resellers and customers; the same file again changes nothing."""
    try:
        content = parse(file.read_bytes(), file.name)
    except OSError as error:
        raise InputInvalid(f"{file}: {error.strerror}. Name a TOML or CSV file.") from error
    run(_load(content, as_json=as_json))


async def _load(content: AccountsFile, *, as_json: bool) -> None:
    async with database() as opened:
        report = await opened.accounts.load(content)
    if as_json:
        document(report)
    else:
        say(
            f"{len(report.added)} added, {len(report.updated)} updated,"
            f" {len(report.unchanged)} unchanged."
        )


@accounts.command()
def show(domain: Domain, as_json: AsJson = False) -> None:
    """Show a customer, its reseller, and its billing assignments."""
    run(_show(domain, as_json=as_json))


async def _show(domain: str, *, as_json: bool) -> None:
    async with database() as opened:
        facts = await opened.accounts.facts(domain, "")
        customer, reseller = facts.customer, facts.old
        if customer is None or reseller is None:
            raise UnknownAccount(f"No customer has {domain}. Check it, or load the accounts first.")
        assignments = await opened.accounts.assignments(customer.id)
    if as_json:
        document(
            {
                "customer": customer.model_dump(),
                "reseller": reseller.id,
                "assignments": [assignment.model_dump() for assignment in assignments],
            }
        )
        return
    say(f"{customer.name} ({customer.id}): {', '.join(customer.domains)}")
    say(f"Reseller: {reseller.name} ({reseller.id}). Charges: {customer.charges}.")
    if customer.locked_until:
        say(f"Locked until {shown(customer.locked_until)} UTC.")
    table(
        "Billing assignments (from, up to and not including)",
        ("Reseller", "From (UTC)", "To (UTC)", "Charges", "Moved by"),
        (
            (a.reseller, shown(a.starts_at), shown(a.ends_at) or "open", a.charges, a.transfer)
            for a in assignments
        ),
    )
