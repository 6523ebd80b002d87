"""A day at support: Temporal with its UI, a worker, and transfers that need a person or do not."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.installation import Installation, Server, customer_of

WAITING = "orchard.example"  # two of the three have not answered
SILENT = "bakery.example"  # in mediation: the old reseller said nothing
REFUSED = "clinic.example"  # in mediation: the old reseller said no
RIVALS = "brewery.example"  # in mediation, for tests that change it
TAKEN = "tailor.example"  # in mediation, and somebody has taken the case
DOUBTFUL = "harbour.example"  # a ticket that staff have to read
TWICE = "academy.example"  # another one, for tests that decide it
AGREED = "museum.example"  # all three agreed; its grace runs
HELD = "library.example"  # on hold
STUCK = "foundry.example"  # billing could not be moved
DOMAINS = (WAITING, SILENT, REFUSED, RIVALS, TAKEN, DOUBTFUL, TWICE, AGREED, HELD, STUCK)
SLOTS = ("release", "authorize", "accept")

HOSTILE = "[click](http://evil.example) <img src=x onerror=alert(1)> # h"
"""What a stranger writes to be more than text."""


class Scene(Installation):
    """The installation; entering it makes all the transfers, leaving it ends everything."""

    def __init__(self, folder: Path) -> None:
        self._server = Server(folder, ui=True).start()
        super().__init__(folder, self._server.address)

    @property
    def ui(self) -> str:
        """Where the Temporal UI is."""
        return self._server.ui

    def __enter__(self) -> Self:
        """Bring every transfer to its state."""
        try:
            self._play()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything, by its own process ids."""
        self.close()

    def close(self) -> None:
        """End the worker, the sink and the server."""
        super().close()
        self._server.kill()

    def status(self, domain: str) -> dict[str, Any]:
        """What the status query says."""
        found: dict[str, Any] = self.done("show", domain, "--json").document
        return found

    def unclear(self, domain: str, body: str, subject: str = "Transfer") -> str:
        """A customer's ticket that only a person can read; its id."""
        filed = self.done(
            *("desk", "file", "--account", customer_of(domain), "--by", "carl"),
            *("--subject", subject, "--body", body),
        )
        ticket = filed.out.strip()
        answer = self.run("ticket", domain, "authorize", ticket, "--wait", "--json").document
        assert answer["code"] == "TEXT_AMBIGUOUS", answer
        return ticket

    def mend(self) -> None:
        """Take away what stands against the stuck commit."""
        self.query("DROP TRIGGER stuck")

    def codes(self, domain: str) -> list[str]:
        """What has happened, by code, with who did it."""
        rows = self.done("evidence", domain, "--json").document
        return [f"{row['code']} {row['who']}" for row in rows]

    def _play(self) -> None:
        self.set_up(DOMAINS)
        self.sink.start()
        self.working()
        at_once, hasty = self.policy(grace="0s"), self.policy(release_deadline="1s")
        for domain in (SILENT, RIVALS, TAKEN):
            self.done("start", domain, "--to", "globex", "--by", "olga", **hasty)
        self.query(
            "CREATE TRIGGER stuck BEFORE INSERT ON billing_assignments WHEN NEW.transfer_key LIKE"
            f" '%{STUCK}/%' BEGIN SELECT RAISE(ABORT, 'an invoice run holds the customer'); END"
        )
        self.done("start", STUCK, "--to", "globex", "--by", "olga", **at_once)
        for domain in (WAITING, REFUSED, TWICE, AGREED, HELD):
            self.done("start", domain, "--to", "globex", "--by", "olga")
        self.done("start", DOUBTFUL, "--to", "globex", "--by", HOSTILE)
        for slot in SLOTS:
            self.ring(STUCK, slot)
            self.ring(AGREED, slot)
        self.ring(WAITING, "release")
        self._refuse()
        body = "Could somebody please move us to our new reseller, whoever that is by now?"
        self.unclear(DOUBTFUL, body, HOSTILE)
        self.unclear(TWICE, body)
        self.done(
            *("staff", "hold", HELD, "--by", "mira", "--code", "OWNERSHIP_DISPUTED"),
            *("--reason", "the chamber of commerce knows two owners"),
        )
        self.reaches("MEDIATION", SILENT, RIVALS, TAKEN, REFUSED)
        self.done("staff", "take", TAKEN, "--by", "mira", "--reason", "I know them")
        self.ring(TAKEN, "authorize")
        self.authorized(TAKEN, "authorize")
        self.reaches("COMMIT_STUCK", STUCK)
        self.reaches("READY", AGREED)

    def _refuse(self) -> None:
        body = (
            f"We refuse the transfer of {REFUSED} from Acme Hosting to Globex.\n"
            "Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: 1001, 1002"
        )
        filed = self.done(
            *("desk", "file", "--account", "acme", "--by", "ann"),
            *("--subject", "Refuse Customer Transfer", "--body", body),
        )
        self.done("ticket", REFUSED, "refuse", filed.out.strip())
