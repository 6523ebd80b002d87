"""A worker is killed with -9 while transfers are at every stage, twice; another one goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.e2e.installation import Installation, Program, Server, eventually
from tests.e2e.valve import Valve

SLOTS = ("release", "authorize", "accept")
AT_ONCE = "at-once.example"  # killed right after the start, before anything was looked at
STARTED = "started.example"  # all three were asked
ONE, TWO = "one.example", "two.example"  # so many tickets were accepted
RUNG = "rung.example"  # killed right after a doorbell, before its ticket could be noted
SILENT = "silent.example"  # in mediation
GRACE = "grace.example"  # all three agreed
MOVING = "moving.example"  # billing is being moved: the worker waits for the database
MOVED = "moved.example"  # billing has moved, and this could not be recorded yet
TOLD = "told.example"  # over, and no mail has arrived
ALL = (AT_ONCE, STARTED, ONE, TWO, RUNG, SILENT, GRACE, MOVING, MOVED, TOLD)


@pytest.mark.timeout(150)
def test_a_transfer_survives_a_worker_that_is_killed_at_any_stage(
    install: Callable[..., Installation],
) -> None:
    """Billing moves once, each event is evidence once, and each reader gets one mail of it."""
    panel = install().set_up(ALL)  # its mail server is away
    worker = panel.working()
    accepted = _each_at_its_stage(panel)
    ticket, rung = panel.file(MOVING, "accept"), panel.file(RUNG, "release")
    with panel.locked():
        panel.done("ticket", MOVING, "accept", ticket)
        eventually(lambda: "move_billing" in panel.running_activities(MOVING), "billing moves")
        panel.done("ticket", RUNG, "release", rung)
        panel.done("start", AT_ONCE, "--to", "globex", **panel.policy(grace="0s"))
        worker.kill()
    assert [row["reseller"] for row in panel.billing(MOVING)] == ["acme"]
    panel.query("DROP TRIGGER disk_full")
    panel.a_quarter_of_an_hour_passes()
    for domain in (MOVING, RUNG, AT_ONCE):
        panel.attempt_is_given_up(domain)

    worker = panel.working()
    for domain, missing in (
        *((AT_ONCE, SLOTS), (STARTED, SLOTS), (ONE, SLOTS[1:]), (TWO, SLOTS[2:])),
        *((RUNG, SLOTS[1:]), (SILENT, SLOTS)),
    ):
        for slot in missing:
            panel.ring(domain, slot)
    # The server offers each transfer to its dead worker first, for ten seconds: let it find out.
    panel.done("ticket", GRACE, "accept", accepted)
    panel.reaches("COMPLETED", *(domain for domain in ALL if domain != GRACE))
    panel.fast_forward(GRACE, hours=24, minutes=1)
    panel.reaches("COMPLETED", GRACE)
    _kill_between_mails(panel, worker)

    panel.a_quarter_of_an_hour_passes()
    panel.sink.start()
    worker = panel.working()
    for domain in ALL:
        panel.moved_once(domain)
        _is_in_evidence_once(panel, domain)
    panel.all_told(*ALL)
    paged = panel.query("SELECT DISTINCT key FROM deliveries WHERE reader = 'staff'")
    assert [key.split("/")[0] for (key,) in paged] == [f"transfer-{SILENT}"]
    assert worker.stop() == 0


def _each_at_its_stage(panel: Installation) -> str:
    """Bring them there, and return the acceptance of the one that has its grace."""
    at_once, hasty = panel.policy(grace="0s"), panel.policy(grace="0s", release_deadline="1s")
    for domain in (STARTED, ONE, TWO, RUNG, MOVING, MOVED, TOLD):
        panel.done("start", domain, "--to", "globex", **at_once)
    panel.done("start", SILENT, "--to", "globex", **hasty)
    panel.done("start", GRACE, "--to", "globex")
    *_, accepted = (panel.ring(GRACE, slot) for slot in SLOTS)
    panel.query(
        "CREATE TRIGGER disk_full BEFORE INSERT ON evidence WHEN NEW.code = 'COMPLETED'"
        f" AND NEW.transfer_id = 'transfer-{MOVED}' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    for domain, count in ((ONE, 1), (TWO, 2), (MOVING, 2), (TOLD, 3), (MOVED, 3)):
        for slot in SLOTS[:count]:
            panel.ring(domain, slot)
    panel.reaches("COMPLETED", TOLD)
    panel.reaches("READY", GRACE)
    panel.reaches("MEDIATION", SILENT)
    panel.reaches("AWAITING", STARTED, RUNG)
    panel.authorized(ONE, "release")
    panel.authorized(TWO, "release", "authorize")
    panel.authorized(MOVING, "release", "authorize")
    eventually(lambda: len(panel.billing(MOVED)) == 2, "billing has moved")
    return accepted


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


def _is_in_evidence_once(panel: Installation, domain: str) -> None:
    """An unbroken row of events that ends with the commit."""
    rows = panel.done("evidence", domain, "--json").document
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    codes = [row["code"] for row in rows]
    assert codes[-1] == "COMPLETED"
    assert {codes.count(code) for code in ("OPENED", "READY", "COMPLETED")} == {1}
    assert codes.count("AUTHORIZED") == 3


@pytest.mark.timeout(150)
def test_a_worker_killed_between_the_database_and_temporal_loses_nothing_it_told(
    server: Server, install: Callable[..., Installation]
) -> None:
    """What it wrote down stays; the next worker finds the ticket changed, and writes that beside.

    The first one has read a yes and told of it, while Temporal can no longer be told.
    """
    panel = install().set_up([ONE])
    panel.sink.start()
    valve = Valve(server.address)
    worker = panel.working(TEMPORAL_ADDRESS=valve.address)
    panel.done("start", ONE, "--to", "globex")
    panel.reaches("AWAITING", ONE)
    panel.all_told(ONE)
    ticket = panel.file(ONE, "release")
    valve.close()  # a task still comes to the worker, and what becomes of it goes nowhere
    panel.done("ticket", ONE, "release", ticket)

    def noted() -> bool:
        return "AUTHORIZED" in codes(panel, ONE)

    eventually(noted, "the yes is in the evidence")
    _kill_between_mails(panel, worker)
    valve.remove()
    panel.done("desk", "edit", ticket, "--body", "We do not release it after all, I fear.")
    panel.a_quarter_of_an_hour_passes()
    worker = panel.working()
    eventually(lambda: "AMBIGUOUS" in codes(panel, ONE), "the ticket was read anew")
    status = panel.done("show", ONE, "--json").document
    assert status["slots"]["release"]["state"] == "REQUESTED"
    assert codes(panel, ONE).count("AUTHORIZED") == 1
    events = panel.history_evidence(ONE)
    assert "AUTHORIZED" not in [event["code"] for event in events]
    told = {(row["seq"], row["code"]) for row in panel.done("evidence", ONE, "--json").document}
    assert {(event["seq"], event["code"]) for event in events} < told
    panel.ring(ONE, "accept")
    panel.authorized(ONE, "accept")
    panel.all_told(ONE)
    assert worker.stop() == 0


def codes(panel: Installation, domain: str) -> list[str]:
    """What happened, as the evidence has it."""
    return [row["code"] for row in panel.done("evidence", domain, "--json").document]
