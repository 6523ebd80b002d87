"""What staff hear of, on installed programs: the daily digest by its schedule, and a chat."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from temporalio.client import Client, ScheduleDescription, WorkflowExecutionStatus

from tests.e2e.installation import Installation, eventually
from transfer.starting import DIGEST

# The doctor asks apprise, which imports modules that Python will drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ESCALATED, QUIET = "escalated.example", "quiet.example"
STAFF = "support@panel.example"


@pytest.fixture(scope="module")
def heard() -> list[dict[str, Any]]:
    """What the chat of staff has heard."""
    return []


@pytest.fixture(scope="module")
def chat(heard: list[dict[str, Any]]) -> Generator[str]:
    """The URL of a chat."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/staff"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def panel(install: Callable[..., Installation], chat: str) -> Installation:
    """An installation whose worker works, and whose staff have a chat."""
    installed = install()
    installed.sink.start()
    installed.settings |= installed.policy(reminders_after=[], reminders_before_deadline=[])
    installed.settings |= {"TRANSFER_STAFF_CHANNELS": chat}
    installed.set_up([ESCALATED, QUIET])
    installed.working()
    return installed


def _described(installed: Installation) -> ScheduleDescription:
    async def describe(client: Client) -> ScheduleDescription:
        return await client.get_schedule_handle(DIGEST).describe()

    return installed.asked(describe)


def _morning(installed: Installation) -> dict[str, Any]:
    """Let the schedule's time come, wait for the end, and return what became of it."""

    async def results(client: Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async for one in client.list_workflows('WorkflowType="StaffDigest"'):
            if one.status is WorkflowExecutionStatus.COMPLETED:
                handle = client.get_workflow_handle(one.id, run_id=one.run_id)
                found.append(await handle.result())
        return found

    async def trigger(client: Client) -> None:
        await client.get_schedule_handle(DIGEST).trigger()

    before = len(installed.asked(results))
    installed.asked(trigger)
    eventually(lambda: len(installed.asked(results)) > before, "a digest was looked for")
    return installed.asked(results)[0]


def _digests(installed: Installation) -> list[str]:
    """The subjects of the digests that have come."""
    return [m["Subject"] for m in installed.sink.mails if "for staff to look at" in m["Subject"]]


def test_setup_schedules_it_as_the_settings_say_and_the_doctor_looks(panel: Installation) -> None:
    """Once, changed, paused, and not at all."""

    def doctor() -> tuple[str, str]:
        checks = panel.run("doctor", "--json").document
        return next((c["health"], c["found"]) for c in checks if c["what"] == "digest")

    assert doctor() == ("ok", "none is wanted")
    panel.settings["TRANSFER_DIGEST_AT"] = "07:00"
    assert doctor()[0] == "wrong"
    assert "Staff get a digest every day at 07:00 UTC." in panel.done("setup").words
    assert doctor() == ("ok", f"schedule staff-digest, to {STAFF}")
    first = _described(panel)
    panel.done("setup")
    assert _described(panel).info.last_updated_at == first.info.last_updated_at, "left alone"

    async def pause(client: Client) -> None:
        await client.get_schedule_handle(DIGEST).pause()

    panel.asked(pause)
    panel.settings |= {"TRANSFER_DIGEST_AT": "06:30"}
    zone = panel.policy(time_zone="Europe/Berlin", reminders_after=[], reminders_before_deadline=[])
    said = panel.done("setup", **zone).words
    assert "every day at 06:30 Europe/Berlin" in said
    changed = _described(panel).schedule
    assert changed.spec.time_zone_name == "Europe/Berlin"
    assert changed.state.paused, "whoever paused it had a reason"
    assert doctor() == ("wrong", "The schedule staff-digest is paused. Unpause it in Temporal.")
    assert "no daily digest" in panel.done("setup", TRANSFER_DIGEST_AT="").words
    assert doctor()[0] == "wrong"
    panel.done("setup")
    assert not _described(panel).schedule.state.paused
    next_time = _described(panel).info.next_action_times[0]
    assert (next_time.hour, next_time.minute) == (6, 30)


@pytest.mark.parametrize("text", ["7", "25:00", "07:00:00", "noon"])
def test_a_time_that_is_none_is_named(panel: Installation, text: str) -> None:
    ran = panel.run("setup", TRANSFER_DIGEST_AT=text)
    assert ran.code == 2
    assert "TRANSFER_DIGEST_AT" in ran.err


def test_where_nothing_needs_staff_there_is_no_mail(panel: Installation) -> None:
    """A transfer that waits for its parties is none of theirs."""
    panel.done("setup")
    panel.done("start", QUIET, "--to", "globex")
    panel.reaches("AWAITING", QUIET)
    assert _morning(panel)["mails"] == 0
    assert _digests(panel) == []


def test_an_escalated_transfer_is_one_mail_a_day_and_is_told_on_the_chat(
    panel: Installation, heard: list[dict[str, Any]]
) -> None:
    """However often the schedule comes to its time."""
    panel.done("start", ESCALATED, "--to", "globex")
    panel.reaches("AWAITING", ESCALATED)
    panel.fast_forward(ESCALATED, days=7)
    panel.reaches("MEDIATION", ESCALATED)
    for _ in range(2):
        assert _morning(panel)["named"] == {"ESCALATED": 1}
    eventually(lambda: _digests(panel), "the digest has come")
    (subject,) = _digests(panel)
    assert subject.startswith("1 transfer for staff to look at")
    (mail,) = (m for m in panel.sink.mails if m["Subject"] == subject)
    assert mail["To"] == STAFF
    body = mail.get_body(("plain",))
    assert body is not None
    assert f"{ESCALATED}:" in body.get_content()
    assert QUIET not in body.get_content()
    eventually(lambda: heard, "the chat has heard of it")
    assert [one["title"].partition(":")[0] for one in heard] == [ESCALATED]
    assert f"transfer show {ESCALATED}" in heard[0]["message"]


def test_an_alert_that_does_not_arrive_is_seen_by_staff(panel: Installation) -> None:
    """Beside the mails that have not; by the channel's name, which says no secret."""
    names = panel.done("doctor", "--json").document
    (name,) = (c["found"] for c in names if c["what"] == "staff's channels")
    panel.query(
        "UPDATE deliveries SET state = 'FAILED', last_error = 'away', sent_at = NULL"
        " WHERE reader = ?",
        f"channel {name}",
    )
    assert f"channel {name}" in panel.done("show", ESCALATED).words
