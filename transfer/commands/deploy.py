"""Deploying: which version of the worker gets the transfers."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from transfer.commands.console import document, err, run, say, table
from transfer.commands.context import temporal
from transfer.commands.transfers import AsJson, shown
from transfer.deploying import UNVERSIONED, Deployed, Role, Version, deployed
from transfer.deploying import deploy as let_have_them
from transfer.errors import InputInvalid

_NEEDED = {
    Role.CURRENT: "needed",
    Role.RAMPING: "needed",
    Role.DRAINING: "needed by what is pinned",
    Role.DRAINED: "may be stopped",
}


def deploy(
    build_id: Annotated[
        str,
        typer.Argument(
            help="TRANSFER_BUILD_ID of the workers that shall get the transfers; without it, the"
            " versions are shown.",
            metavar="[BUILD_ID]",
            show_default=False,
        ),
    ] = UNVERSIONED,
    ramp: Annotated[
        float | None,
        typer.Option("--ramp", min=1, max=99, help="Percent of the transfers; without it, all."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0, max=3600, help="Seconds to wait for such a worker."),
    ] = 60,
    unversioned: Annotated[
        bool, typer.Option("--unversioned", help="Back to workers without TRANSFER_BUILD_ID.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let a version of the worker get the transfers, or see which one does."""
    if unversioned and (build_id or ramp is not None):
        raise InputInvalid("--unversioned stands alone: it gives all transfers back.")
    if build_id and not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", build_id):
        raise InputInvalid("A BUILD_ID is of letters, digits, dots, dashes and underscores.")
    if ramp is not None and not build_id:
        raise InputInvalid("--ramp needs a BUILD_ID: whose share it is.")
    run(_deploy(build_id, ramp, timeout, only_look=not (build_id or unversioned), as_json=as_json))


async def _deploy(
    build_id: str, ramp: float | None, seconds: float, *, only_look: bool, as_json: bool
) -> None:
    client = await temporal()
    if not only_look:
        name = build_id or "no version"
        with err.status(f"Waiting for a worker of {name}…"):  # on a terminal only
            await let_have_them(client, build_id, percent=ramp, within=timedelta(seconds=seconds))
    found = await deployed(client)
    if as_json:
        document(found)
        return
    if not only_look:
        say_what_it_means(found, build_id, ramp)
    show(found)


def say_what_it_means(found: Deployed, build_id: str, ramp: float | None) -> None:
    """What becomes of open transfers, and how to go on or back."""
    name, current = build_id or "unversioned", found.current
    if ramp is not None:
        say(
            f"{name} gets {ramp:g} % of the transfers, new and open ones; which ones is decided by"
            f" their ids, and the rest is {current.name}'s."
        )
        back = current.build_id or "--unversioned"
        say(f"All: python starter.py deploy {name} · back: python starter.py deploy {back}")
    elif build_id == UNVERSIONED:
        say(
            "Workers without a version get every new transfer, and every open one as soon as the"
            " workers of versions are stopped: until then these keep what they remember."
        )
    else:
        say(f"{name} gets every new transfer, and every open one at its next step.")
    if build_id != found.newest and found.guards:
        say(
            f"Open transfers that came past a change ({_guards(found)}) stand still, unharmed, if"
            f" {name} does not know it, until a version that does is current again."
        )


def show(found: Deployed) -> None:
    """All versions, who is with each, and whether its workers are needed."""
    table(
        "",
        ("Version", "Role", "Workers", "Last asked (UTC)", "Open, by last step", "Its workers are"),
        (
            (
                one.name,
                f"{one.role} {one.percent:g} %" if one.role is Role.RAMPING else one.role.value,
                one.workers,
                shown(one.asked_at),
                f"{one.open}, {one.pinned} pinned" if one.pinned else one.open,
                _wanted(one),
            )
            for one in found.versions
        ),
    )
    if found.guards:
        say(f"Changes that open transfers keep to: {_guards(found)}.")


def _wanted(version: Version) -> str:
    if version.role is Role.WAITING:
        return f"idle until: python starter.py deploy {version.build_id}"
    if version.role in (Role.CURRENT, Role.RAMPING) and not version.workers:
        return "missing: nothing moves until one starts"
    return _NEEDED[version.role]


def _guards(found: Deployed) -> str:
    return ", ".join(f"{guard} ({count})" for guard, count in found.guards.items())
