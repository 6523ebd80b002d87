"""Links to the pages on which parties track their transfer: print one, revoke them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from transfer.adapters.wiring import tracking_links
from transfer.commands.console import document, note, run, say
from transfer.commands.context import database, now, workflow_id
from transfer.commands.transfers import AsJson, Domain, shown
from transfer.errors import InputInvalid, NotFound
from transfer.links import Links
from transfer.parties import Party
from transfer.settings import load_settings

tracking = typer.Typer(no_args_is_help=True, help="Links to the parties' tracking pages.")


@tracking.callback()
def begin() -> None:
    """Links to the parties' tracking pages."""


@tracking.command()
def link(
    domain: Domain,
    party: Annotated[Party, typer.Option("--party", help="Whose page.")],
    as_json: AsJson = False,
) -> None:
    """Print a new link to a party's page of the newest transfer: whoever has it reads the page."""
    run(_link(domain, party, _links(), as_json=as_json))


@tracking.command()
def revoke(
    domain: Domain,
    party: Annotated[
        Party | None, typer.Option("--party", help="Whose links; without it, everybody's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let no link of this customer's transfers count any more that was made until now."""
    run(_revoke(domain, [party] if party else list(Party), as_json=as_json))


def _links() -> Links:
    links = tracking_links(load_settings())
    if links is None:
        raise InputInvalid(
            "There are no tracking pages: set TRANSFER_TRACKING_KEYS and TRANSFER_PUBLIC_URL."
        )
    return links


async def _link(domain: str, party: Party, links: Links, *, as_json: bool) -> None:
    key = (await _keys(domain))[-1]
    async with database() as opened:
        known = await opened.tracking.tracked(key, party)
    if known.case is None:
        raise NotFound(
            f"Nothing is kept of {key} for a page: its last change is too long ago, or from before"
            " there were pages. The next thing that happens to it makes one."
        )
    made_at = max(now(), known.revoked_before or now())
    address = links.to(key, party, made_at)
    expires_at = links.expires_at(made_at)
    if as_json:
        document({"key": key, "party": party, "link": address, "expires_at": expires_at})
    else:
        say(address)
        # On stderr, so that a script has the link alone.
        note(f"For {known.case.account(party)} only, until {shown(expires_at)} UTC.")


async def _revoke(domain: str, parties: list[Party], *, as_json: bool) -> None:
    keys = await _keys(domain)
    # Links tell whole seconds: those of this very one are revoked with the rest.
    before = now().replace(microsecond=0) + timedelta(seconds=1)
    async with database() as opened:
        await opened.tracking.revoke(keys, parties, before)
    if as_json:
        document({"keys": keys, "parties": parties, "before": before})
        return
    say(f"Revoked: every link of {', '.join(parties)} made until now, in {len(keys)} transfer(s).")
    say("The next mail has a new one. Print one with: python starter.py tracking link")


async def _keys(domain: str) -> tuple[str, ...]:
    transfer_id = await workflow_id(domain)
    async with database() as opened:
        keys = await opened.ledger.keys(transfer_id)
    if not keys:
        raise NotFound(f"There is no evidence of {transfer_id}. Was it ever started?")
    return keys
