"""A worker is killed with -9 while transfers are at every stage, twice; another one goes on.

One story, told once, since a worker that was killed in the middle of a commit is only missed when
the commit's time is up. Each test looks at one side of its end.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator

import pytest

from tests.e2e.installation import Installation, Program, Server, eventually

SLOTS = ("release", "authorize", "accept")
AT_ONCE = "at-once.example"  # killed right after the start, before anything was looked at
STARTED = "started.example"  # all three were asked
ONE, TWO = "one.example", "two.example"  # so many tickets were accepted
RUNG = "rung.example"  # killed right after a doorbell, before its ticket was read
SILENT = "silent.example"  # in mediation
GRACE = "grace.example"  # all three agreed
MOVING = "moving.example"  # billing is being moved: the worker waits for the database
MOVED = "moved.example"  # billing has moved, and this could not be recorded yet
TOLD = "told.example"  # over, and no mail has arrived
ALL = (AT_ONCE, STARTED, ONE, TWO, RUNG, SILENT, GRACE, MOVING, MOVED, TOLD)


def _kill_between_mails(panel: Installation, worker: Program) -> None:
    """Kill it where no delivery is under way: one that was sent might not have been noted."""

    def nothing_under_way() -> bool:
        worker.send(signal.SIGSTOP)
        if not panel.query("SELECT 1 FROM deliveries WHERE leased_until > datetime('now')"):
            return True
        worker.send(signal.SIGCONT)
        return False

    eventually(nothing_under_way, "no delivery is under way")
    worker.kill()


@pytest.fixture(scope="module")
def killed(server: Server, install: Callable[..., Installation]) -> Generator[Installation]:
    """The end of the story."""
    panel = install(server.address, namespace="kills").set_up(ALL)  # its mail server is away
    worker = panel.working()
    at_once, hasty = panel.policy(grace="0s"), panel.policy(grace="0s", release_deadline="1s")
    for domain in (STARTED, ONE, TWO, RUNG, MOVING, MOVED, TOLD):
        panel.done("start", domain, "--to", "globex", **at_once)
    panel.done("start", SILENT, "--to", "globex", **hasty)
    panel.done("start", GRACE, "--to", "globex")
    panel.query(
        "CREATE TRIGGER disk_full BEFORE INSERT ON evidence WHEN NEW.code = 'COMPLETED'"
        f" AND NEW.transfer_id = 'transfer-{MOVED}' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    for domain, count in ((ONE, 1), (TWO, 2), (MOVING, 2), (GRACE, 3), (MOVED, 3), (TOLD, 3)):
        for slot in SLOTS[:count]:
            panel.ring(domain, slot)
    panel.reaches("COMPLETED", TOLD)
    panel.reaches("READY", GRACE)
    panel.reaches("MEDIATION", SILENT)
    panel.authorized(ONE, "release")
    panel.authorized(TWO, "release", "authorize")
    panel.authorized(MOVING, "release", "authorize")
    eventually(lambda: len(panel.billing(MOVED)) == 2, "billing has moved")
    ticket, rung = panel.file(MOVING, "accept"), panel.file(RUNG, "release")
    with panel.locked():
        panel.done("ticket", MOVING, "accept", ticket)
        eventually(lambda: "move_billing" in panel.running_activities(MOVING), "billing moves")
        panel.done("ticket", RUNG, "release", rung)
        panel.done("start", AT_ONCE, "--to", "globex", **at_once)
        worker.kill()
    assert [row["reseller"] for row in panel.billing(MOVING)] == ["acme"]
    panel.query("DROP TRIGGER disk_full")

    worker = panel.working()
    for domain, missing in (
        *((AT_ONCE, SLOTS), (STARTED, SLOTS), (ONE, SLOTS[1:]), (TWO, SLOTS[2:])),
        *((RUNG, SLOTS[1:]), (SILENT, SLOTS)),
    ):
        for slot in missing:
            panel.ring(domain, slot)
    panel.fast_forward(GRACE, hours=24, minutes=1)
    panel.reaches("COMPLETED", *ALL)
    _kill_between_mails(panel, worker)

    panel.a_quarter_of_an_hour_passes()
    panel.sink.start()
    worker = panel.working()
    yield panel
    assert worker.stop() == 0


pytestmark = pytest.mark.timeout(150)


@pytest.mark.parametrize("domain", ALL)
def test_billing_moves_exactly_once_wherever_the_worker_was_killed(
    killed: Installation, domain: str
) -> None:
    """Half-open intervals that meet: no gap, no overlap, nobody billed twice."""
    killed.moved_once(domain)


@pytest.mark.parametrize("domain", ALL)
def test_every_reader_gets_one_mail_of_each_event(killed: Installation, domain: str) -> None:
    """Although none had arrived when the worker was killed for the second time."""
    killed.all_told(domain)


@pytest.mark.parametrize("domain", ALL)
def test_the_evidence_has_each_event_once(killed: Installation, domain: str) -> None:
    """In an unbroken row that ends with the commit."""
    rows = killed.done("evidence", domain, "--json").document
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    codes = [row["code"] for row in rows]
    assert codes[-1] == "COMPLETED"
    assert {codes.count(code) for code in ("OPENED", "READY", "COMPLETED")} == {1}
    assert codes.count("AUTHORIZED") == 3


def test_nobody_is_paged_for_what_mended_itself(killed: Installation) -> None:
    """The old reseller's silence is the only escalation there was."""
    rows = killed.query("SELECT DISTINCT key FROM deliveries WHERE reader = 'staff'")
    assert [key.split("/")[0] for (key,) in rows] == [f"transfer-{SILENT}"]
