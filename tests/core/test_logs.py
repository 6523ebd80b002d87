"""Logs: one line an event, and nothing in it that is private, whoever says it and however."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from temporalio.testing import ActivityEnvironment

from transfer import logs
from transfer.masking import HIDDEN, MAX_READ, MAX_VALUE, masked, masked_text

STYLES = ("json", "console")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Logger = structlog.stdlib.BoundLogger


class Written:
    """What a process would write to stderr."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def by(self, say: Callable[[Logger], object]) -> str:
        """What is written when something is said."""
        self.stream.seek(0)
        self.stream.truncate()
        # A new logger each time: one that was used keeps the settings of then.
        say(structlog.get_logger("test"))
        assert "--- Logging error ---" not in self.stream.getvalue()
        return COLOUR.sub("", self.stream.getvalue())


def configured(style: str) -> Generator[Written]:
    """Logs as a program sets them up, and afterwards as they were."""
    root, stderr = logging.getLogger(), sys.stderr
    handlers, level = root.handlers[:], root.level
    written = Written()
    sys.stderr = written.stream
    try:
        logs.configure(level="INFO", style=style)
        yield written
    finally:
        sys.stderr = stderr
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


@pytest.fixture(params=STYLES, scope="module")
def written(request: pytest.FixtureRequest) -> Generator[Written]:
    """In both styles."""
    yield from configured(request.param)


@pytest.fixture
def as_json() -> Generator[Written]:
    """In the style of production."""
    yield from configured("json")


def fail(message: str) -> None:
    try:
        float(f" {message} ")
    except ValueError as error:
        raise RuntimeError(f"because of {message}") from error


def failed(message: str) -> Callable[[Logger], None]:
    """An error inside an error, logged with its stack trace."""

    def say(log: Logger) -> None:
        try:
            fail(message)
        except RuntimeError:
            log.exception("it_failed")

    return say


class Shown:
    """Something that no renderer knows."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"Shown({self._text!r})"


WAYS: dict[str, Callable[[str], Callable[[Logger], object]]] = {
    "the event": lambda text: lambda log: log.info(f"said {text} once"),
    "a value": lambda text: lambda log: log.info("said", why=f"it was {text}."),
    "a key of people": lambda text: lambda log: log.info("said", to=f"Carl <{text}>"),
    "the name of a key": lambda text: lambda log: log.info("said", **{text: 1}),
    "deep inside": lambda text: lambda log: log.info("said", a={"b": [{text: (text,)}]}),
    "bytes": lambda text: lambda log: log.info("said", raw=text.encode()),
    "an object": lambda text: lambda log: log.info("said", it=Shown(text)),
    "an exception": failed,
    "a library": lambda text: lambda _: logging.getLogger("library").warning("to %s", text),
    "a library's extra": lambda text: (
        lambda _: logging.getLogger("library").warning("said", extra={"it": [text]})
    ),
}


@pytest.mark.parametrize("way", WAYS)
@given(address=st.emails())
def test_no_mail_address_comes_out_whole(written: Written, way: str, address: str) -> None:
    line = written.by(WAYS[way](address))
    assert line
    for text in (line, line.encode().decode("unicode_escape")):
        assert address not in text


@pytest.mark.parametrize("way", WAYS)
@given(
    local=st.from_regex(r"[a-z][a-z0-9]{5,12}([._+-][a-z0-9]{1,9}){0,2}", fullmatch=True),
    at=st.sampled_from("@\uff20"),
    before=st.sampled_from(("", " ", "<", "'", '"', "(", "mailto:", "[", "x: ", ", ")),
)
def test_nor_does_what_stands_before_its_sign(
    written: Written, way: str, local: str, at: str, before: str
) -> None:
    line = written.by(WAYS[way](f"{before}{local}{at}kunde.example"))
    assert local not in line


def test_an_address_can_still_be_recognised() -> None:
    assert masked_text("carl@example.com refused it") == "c…@example.com refused it"
    assert masked({"to": "Carl Carlson <carl@example.com>"}) == {"to": "c…@example.com"}
    assert masked_text('"carl carlson"@example.com') == '"…"@example.com'


@pytest.mark.parametrize("key", ["subject", "body", "text", "html", "name", "reply", "reason"])
def test_what_people_wrote_is_hidden_by_its_key(written: Written, key: str) -> None:
    def say(log: Logger, values: dict[str, object]) -> None:
        log.info("said", **values)

    words = "Wir stimmen zu"
    for value in (words, [words], {"inside": words}, Shown(words)):
        line = written.by(partial(say, values={key: value}))
        assert words not in line
        assert HIDDEN in line
    nested = written.by(lambda log: log.info("said", ticket={"id": "1001", key: words}))
    assert words not in nested
    assert "1001" in nested


SECRETS = {
    "the password of a URL": ("postgresql://transfer:s3cr3t-value@db.example/transfer", "db."),
    "a password with an at sign": ("smtp://user:s3@cr3t-value@mail.example", "mail.example"),
    "a password with a slash": ("smtp://user:s3/s3cr3t-value@mail.example", "mail.example"),
    "a channel's address": ("tgram://123456:s3cr3t-value/987", "tgram://"),
    "a bearer": ("Authorization: Bearer s3cr3t-value", "Authorization"),
    "basic": ("got 'Basic dXNlcjpzs3cr3t-value=='", "Basic"),
    "a Request Tracker's token": ("Authorization: token 1-14-s3cr3t-value", "token"),
    "a JSON web token": ("sent eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.s3cr3t-value", "sent"),
    "a link to a page": (
        "https://panel.example/track/WyJ4.s3cr3t-value.AbC",
        "panel.example/track",
    ),
    "a webhook's secret": ("key whsec_s3cr3t-value+/Z=", "key whsec_"),
    "a connection's parameters": ("host=db user=x password=s3cr3t-value dbname=y", "host=db"),
    "a mapping": ("{'user': 'x', 'password': 's3cr3t-value', 'n': 1}", "'n': 1"),
    "an encryption key": (f"2026-01:s3cr3t-value{'A' * 31}= is used", "2026-01"),
    "a key in hex": (f"signed by {'0f1e2d3c' * 8}", "signed by"),
    "what pydantic quotes": ("[type=x, input_value='a s3cr3t-value', input_type=str]", "type=x"),
    "what PostgreSQL quotes": (
        "null value\nDETAIL:  Failing row contains (1, a s3cr3t-value,\n\nb).\n[SQL: INSERT",
        "[SQL: INSERT",
    ),
}


@pytest.mark.parametrize("what", SECRETS)
@pytest.mark.parametrize(
    "way", ["the event", "a value", "deep inside", "an exception", "a library"]
)
def test_a_secret_is_hidden_and_what_it_is_of_is_not(written: Written, way: str, what: str) -> None:
    text, left = SECRETS[what]
    line = written.by(WAYS[way](text))
    assert "s3cr3t-value" not in line
    assert "0f1e2d3c" not in line
    assert left in line.replace("\\'", "'")


@pytest.mark.parametrize(
    "key", ["password", "smtp_password", "rt-token", "Authorization", "secret"]
)
def test_the_key_of_a_secret_hides_it(key: str) -> None:
    assert masked({key: "x"}) == {key: HIDDEN}
    assert masked({"headers_": {key: b"x"}}) == {"headers_": {key: HIDDEN}}


def test_what_is_asked_for_in_an_emergency_is_still_there(as_json: Written) -> None:
    facts = {
        "key": "transfer-example.com/0198c5e0-1111-7222-8333-444455556666/12",
        "delivery": "0123456789abcdef" * 2,
        "error": "Unreachable: The mail server mail.example:25 answered 454 TLS not available",
        "retry_at": "2026-11-23T09:30:00+00:00",
        "ticket_id": "1002",
        "url": "http://127.0.0.1:8000/tickets?page=2",
        "attempt": 3,
        "late": True,
        "why": None,
    }
    line = json.loads(as_json.by(lambda log: log.warning("notice_delayed", **facts)))
    assert {key: line[key] for key in facts} == facts
    assert (line["event"], line["level"], line["logger"]) == ("notice_delayed", "warning", "test")


@given(text=st.text(max_size=60), control=st.sampled_from("\n\r\x1b\x07\x9b\u2028\u202e\x00"))
def test_a_stranger_writes_no_line_of_its_own(written: Written, text: str, control: str) -> None:
    hostile = f"{text}{control}2026-11-23T09:30:00Z [info] billing_moved"
    line = written.by(lambda log: log.info(hostile, signal=hostile, why=[hostile]))
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_a_stack_trace_keeps_its_lines_and_nothing_else(written: Written) -> None:
    trace = written.by(failed("\x1b[2J\x07gone"))
    assert "ValueError" in trace
    assert "\x1b" not in trace
    assert "\x07" not in trace


def test_of_a_long_stack_trace_the_end_is_kept() -> None:
    trace = masked({"exception": "carl@example.com\n" * 3000 + "ValueError: the end"})["exception"]
    assert trace.endswith("ValueError: the end")
    assert len(trace) <= MAX_READ
    assert "carl" not in trace


def test_a_line_is_bounded_whatever_is_in_it(as_json: Written) -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = {"deeper": [deep]}
    wide = {
        "many": list(range(10_000)),
        "long": "x" * 1_000_000,
        "deep": deep,
        "raw": b"y" * 99_999,
    }
    line = as_json.by(lambda log: log.info("said", **wide))
    assert len(line) < 10 * MAX_VALUE
    assert json.loads(line)["many"] == list(range(50))


def test_a_secret_at_the_edge_is_not_cut_into_something_unknown() -> None:
    for length in range(MAX_VALUE - 60, MAX_VALUE + 1):
        text = "x" * length + " postgresql://user:s3cr3t@db.example/x"
        assert "s3cr3t" not in masked_text(text)
        assert "s3c" not in masked_text(text)


def test_what_cannot_be_shown_costs_no_line() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("carl@example.com")

    assert masked({"it": Broken()}) == {"it": "<Broken that raises ValueError>"}


async def test_a_line_says_which_attempt_of_which_run_and_request_it_is_of(
    as_json: Written,
) -> None:
    async def activity() -> dict[str, Any]:
        with structlog.contextvars.bound_contextvars(request_id="msg_1"):
            line: dict[str, Any] = json.loads(as_json.by(lambda log: log.info("said")))
            return line

    environment = ActivityEnvironment()
    line = await environment.run(activity)
    assert line["request_id"] == "msg_1"
    assert line["workflow_id"] == environment.info.workflow_id
    assert line["run_id"] == environment.info.workflow_run_id
    assert line["activity"] == environment.info.activity_type
    assert line["attempt"] == 1
