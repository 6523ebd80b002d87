"""What a command prints of strangers is text: nothing that a terminal obeys, no markup."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from transfer.commands import console

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m[bold]yes[/bold]\u202ecod\x00\x08"


def printed(monkeypatch: pytest.MonkeyPatch, show: Callable[[], None]) -> str:
    """What is printed on a terminal without colours."""
    stream = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(console, "out", Console(file=stream, color_system=None, width=500))
        patched.setattr("sys.stdout", stream)
        show()
    return stream.getvalue()


SHOWN: dict[str, Callable[[str], None]] = {
    "a line": console.say,
    "a table": lambda text: console.table(text, ["What"], [[text]]),
    "a document": lambda text: console.document({"what": [text]}),
}


@pytest.mark.parametrize("way", SHOWN)
def test_what_a_stranger_wrote_is_text(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    text = printed(monkeypatch, lambda: SHOWN[way](HOSTILE))
    assert text.replace("\n", "").isprintable()
    assert "[bold]yes[/bold]" in text, "no markup of its own"


@given(text=st.text())
def test_a_document_says_what_it_was_given(text: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = printed(monkeypatch, lambda: console.document({"what": text}))
    assert json.loads(shown) == {"what": text}
    assert shown.replace("\n", "").isprintable()


def test_an_error_that_nobody_foresaw_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("postgresql://transfer:s3cr3t@db.example/x of carl@example.com \x1b[2J")

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(console, "err", Console(stderr=True, color_system=None))
        assert console.finished(fail) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ValueError" in said
    assert "s3cr3t" not in said.split("ValueError: ")[-1]
    assert "c…@example.com" in said
    assert "\x1b" not in said
