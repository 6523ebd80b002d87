"""The demo itself, on real counterparts: several at a time, and nothing left of them."""

from __future__ import annotations

import io
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from tests.e2e.installation import Installation, Program, in_a_thread
from transfer.commands import app
from transfer.commands.console import Exit, finished, say
from transfer.commands.demo.stack import Stack

pytestmark = pytest.mark.timeout(180)


class Demo:
    """A demo that runs as a program, with a folder for temporary files to itself."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.place = folder / "tmp"
        self.place.mkdir(parents=True)
        self.program = Program(
            folder / "demo.log",
            {"TMPDIR": str(self.place), "PYTHONUNBUFFERED": "1"},
            *(sys.executable, "-m", "starter", "demo", *options),
        )
        self._started: set[psutil.Process] = set()

    def has_said(self, text: str) -> None:
        """Wait for a text, and note which processes it has started by then."""
        self.program.has_said(text, within=150)
        self._started |= set(psutil.Process(self.program.pid).children(recursive=True))

    def left_nothing(self) -> None:
        """No process and no folder. Those it had were seen, so that there was something to end."""
        assert len(self._started) >= 2
        assert [process for process in self._started if _runs(process)] == []
        assert list(self.place.iterdir()) == []


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder for demos."""
    with tempfile.TemporaryDirectory(prefix="e2e-demo-") as folder:
        yield Path(folder)


def _runs(process: psutil.Process) -> bool:
    """Whether it does anything still: what nobody has buried yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _typed(_stack: Stack, *arguments: str, expect: Exit = Exit.DONE, quiet: bool = False) -> str:
    """What the demo does with a command, without the second that a process of its own takes."""
    out = io.StringIO()
    with redirect_stdout(out):
        code = in_a_thread(lambda: finished(partial(app, list(arguments), prog_name="starter.py")))
    assert code == expect, out.getvalue()
    say(out.getvalue())
    return out.getvalue()


def test_demos_run_side_by_side_and_leave_nothing_behind(folder: Path) -> None:
    """One in this process, and one as a program, which is kept until Ctrl-C."""
    kept = Demo(folder / "kept", "--keep")
    try:
        inside = folder / "inside"
        inside.mkdir()
        with (
            patch.object(tempfile, "tempdir", str(inside)),
            patch("signal.signal"),
            patch.object(Stack, "starter", _typed),
        ):
            ran = Installation(folder, "").run("demo")
        assert (ran.code, ran.err) == (0, "")
        assert "24 hours of grace pass" in ran.out
        assert "DOMAIN_MISMATCH" in ran.out
        assert "Billing before and after" in ran.out
        assert list(inside.iterdir()) == []

        kept.has_said("Running. Ctrl-C ends it.")
        kept.program.send(signal.SIGINT)
        assert kept.program.ended() == 0
        kept.left_nothing()
    finally:
        kept.program.stop()


def test_a_demo_that_is_stopped_in_the_middle_cleans_up(folder: Path) -> None:
    """By SIGTERM, while a transfer is under way."""
    demo = Demo(folder / "stopped")
    try:
        demo.has_said("wants to move from Acme Hosting to Globex")
        demo.program.send(signal.SIGTERM)
        assert demo.program.ended() != 0
        assert "Traceback" not in demo.program.log
        demo.left_nothing()
    finally:
        demo.program.stop()
