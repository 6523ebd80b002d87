"""Setting up and looking after: ``setup`` and ``doctor``.

Alembic is imported by those who need it: it would cost every other command a third of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from transfer.attributes import register_search_attributes
from transfer.commands.console import document, run, say, table
from transfer.commands.context import temporal
from transfer.commands.diagnosis import NEEDED_BY_A_WORKER, Check, Health, diagnose
from transfer.commands.transfers import AsJson
from transfer.errors import TransferError, Unreachable
from transfer.settings import load_settings
from transfer.starting import (
    DIGEST,
    schedule_digest,
    schedule_reconciliation,
    unschedule,
)


def setup() -> None:
    """Bring the database's schema up to date, register the search attributes, and the schedule."""
    run(_setup())


async def _setup() -> None:
    from transfer.adapters.sql.setup import upgrade  # noqa: PLC0415 - see the module's docstring

    settings = load_settings()
    await upgrade(settings.database_url.get_secret_value())
    say("The database's schema is current.")
    client = await temporal()
    added = await register_search_attributes(client)
    say(f"Registered in Temporal: {', '.join(added)}." if added else "Temporal knows all names.")
    await schedule_reconciliation(client, timedelta(seconds=settings.reconcile_seconds))
    say(f"Tickets nobody announced are looked for every {settings.reconcile_seconds} s.")
    if settings.digest_at is None:
        await unschedule(client, DIGEST)
        say("Staff get no daily digest.")
    else:
        zone = settings.policy().time_zone
        await schedule_digest(client, settings.digest_at, zone)
        say(f"Staff get a digest every day at {settings.digest_at:%H:%M} {zone}.")


def doctor(as_json: AsJson = False) -> None:
    """Connect to everything, and say what is wrong and how to mend it."""
    report(run(diagnose(load_settings())), as_json=as_json)


def check_worker(*, as_json: bool) -> None:
    """The same, for a worker that is about to start: only what it needs itself."""
    report(run(diagnose(load_settings(), NEEDED_BY_A_WORKER)), as_json=as_json)


def report(checks: Sequence[Check], *, as_json: bool) -> None:
    """Print what was found.

    Raises:
        Unreachable: Temporal or the database is wrong.
        TransferError: something else is.
    """
    if as_json:
        document(checks)
    else:
        table("", ("What", "", "Found"), ((c.what, c.health.value, c.found) for c in checks))
    wrong = [check for check in checks if check.health is Health.WRONG]
    if any(check.what in ("Temporal", "database") for check in wrong):
        raise Unreachable(f"{len(wrong)} of {len(checks)} checks failed; see above.")
    if wrong:
        raise TransferError(f"{len(wrong)} of {len(checks)} checks failed; see above.")
