"""Exit codes of real, short-lived processes: the SDK can abort one at its end."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from temporalio.service import RPCError, RPCStatusCode

from tests.e2e.installation import Installation, free_port
from transfer.commands.console import Exit, finished

OPEN, OTHER = "open.example", "other.example"


@pytest.mark.timeout(150)
def test_twenty_short_lived_processes_leave_with_the_right_codes(
    install: Callable[..., Installation],
) -> None:
    """Two at a time; each says at most one line on what went wrong, and shows no stack trace."""
    panel = install().set_up([OPEN, OTHER])
    panel.sink.start()
    panel.done("start", OPEN, "--to", "globex")
    worker = panel.working()
    panel.all_told(OPEN)
    nobody = f"127.0.0.1:{free_port()}"
    cases: list[tuple[int, list[str], dict[str, str]]] = [
        (0, ["list", "--json"], {}),
        (0, ["show", OPEN], {}),
        (0, ["evidence", OPEN], {}),
        (0, ["start", OPEN, "--to", "globex"], {}),
        (0, ["start", OTHER, "--to", "globex", "--dry-run"], {}),
        (0, ["accounts", "show", OPEN], {"PYTHONIOENCODING": "ascii"}),
        (0, ["ticket", OPEN, "release", "1001"], {}),
        (0, ["setup"], {}),
        (0, ["doctor"], {}),
        (1, ["show", OTHER], {}),
        (1, ["doctor"], {"TRANSFER_SMTP_URL": f"smtp://{nobody}"}),
        (2, ["start", OPEN], {}),
        (2, ["list", "--waiting-on", "nobody"], {}),
        (2, ["start", OPEN, "--to", "globex"], {"TRANSFER_DATABASE_URL": "mysql://x"}),
        (3, ["start", OPEN, "--to", "initech"], {}),
        (3, ["start", "nobody.example", "--to", "globex"], {}),
        (3, ["staff", "resume", OPEN, "--by", "sam", "--reason", "r"], {}),
        (4, ["list"], {"TEMPORAL_ADDRESS": nobody}),
        (4, ["desk", "list"], {"TRANSFER_DATABASE_URL": "sqlite:////proc/none/x.db"}),
        (4, ["show", OPEN], {"TEMPORAL_NAMESPACE": "nowhere"}),
    ]
    for pair in zip(cases[::2], cases[1::2], strict=True):
        running = [
            (code, arguments, panel.program(*arguments, **settings))
            for code, arguments, settings in pair
        ]
        for code, arguments, program in running:
            assert program.ended() == code, (arguments, program.log)
            assert "Traceback" not in program.log
    assert worker.stop() == 0


def test_a_worker_can_be_checked_before_it_is_started(install: Callable[..., Installation]) -> None:
    """It needs no other worker, and ends with a code that a script can read."""
    panel = install().set_up([OPEN])
    panel.sink.start()
    right = panel.worker_with("--check", "--json")
    away = panel.worker_with("--check", TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}")
    assert (right.ended(), away.ended()) == (0, 4)
    found = {check["what"]: check["health"] for check in json.loads(right.log)}
    assert set(found.values()) == {"ok"}
    assert "workers" not in found
    assert "Temporal does not answer" in away.log
    assert "Traceback" not in away.log
    nonsense = panel.worker_with("--chekc")
    assert nonsense.ended() == 2


def test_a_connection_that_breaks_in_the_middle_of_a_call_is_temporal_away() -> None:
    """Not a refusal; and a worker that begins just then waits, and does not end."""

    def broken() -> None:
        raise RPCError("transport error", RPCStatusCode.UNKNOWN, b"")

    assert finished(broken) == Exit.AWAY
