"""Letters: templates filled in, as text and as HTML that is made from the same text.

A template's first line is the subject. What follows are paragraphs, rows of facts (``fact``) and
texts to copy (``quote``). Everything that is filled in is one bounded line without control
characters, and what makes a block are control characters: whatever a name or a reason holds, it
stays inside its sentence.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from transfer import values

MAX_SUBJECT = 120
MAX_LINE = 500
"""Characters of anything that is filled in."""
WIDTH = 76
LINK = "See at any time where it stands, and what to file:"
NOT_TO_OTHERS = "This page is for your account only: please do not pass its address on."
_FACT, _QUOTE = "\t", "\x1f"


class Letter(NamedTuple):
    """What one reader is told, ready to send."""

    subject: str
    text: str
    html: str


class _Block(NamedTuple):
    kind: str
    lines: tuple[str, ...]

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """Label and value of each row of facts."""
        parts = (line.partition(_FACT) for line in self.lines)
        return tuple((label, value) for label, _, value in parts)


class _Ours(str):
    """Text made here, whose control characters mean something."""

    __slots__ = ()


def one_line(value: object, limit: int = MAX_LINE) -> str:
    """Anything as one line of at most ``limit`` characters, without control characters.

    Marks that turn the direction of writing or have no width count as control characters: with
    them a name could show itself as another.
    """
    line = values.one_line(str(value)[: 4 * MAX_LINE])
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def day(instant: datetime) -> str:
    """A day in a subject: ``Mon 9 Nov 2026``."""
    at = instant.astimezone(UTC)
    return f"{at:%a} {at.day} {at:%b %Y}"


def moment(instant: datetime) -> str:
    """An exact instant: ``Monday 9 November 2026, 14:30 UTC``."""
    at = instant.astimezone(UTC)
    seconds = f":{at:%S}" if at.second else ""
    return f"{at:%A} {at.day} {at:%B %Y, %H:%M}{seconds} UTC"


def clock(instant: datetime) -> str:
    """The time of day of an instant in a subject: ``14:30 UTC``."""
    return f"{instant.astimezone(UTC):%H:%M} UTC"


def letter(
    template: str,
    facts: Mapping[str, object],
    *,
    to: str = "",
    footer: str = "",
    link: str = "",
) -> Letter:
    """Fill in a template: for the person named ``to``, with a last line in small print.

    ``link`` is the reader's own page. It is ours, and longer than what else is filled in.
    """
    filled = _environment().get_template(f"{template}.txt.j2").render({**_HELPERS, **facts})
    subject, _, body = filled.strip("\n").partition("\n")
    blocks = list(_blocks(body))
    if to:
        blocks.insert(0, _Block("paragraph", (f"Hello {one_line(to, 80)},",)))
    if link:
        blocks.append(_Block("link", (_Ours(link),)))
    if footer:
        blocks.append(_Block("footer", (one_line(footer),)))
    subject = one_line(subject, MAX_SUBJECT)
    html = (
        _environment()
        .get_template("letter.html.j2")
        .render(subject=subject, blocks=blocks, about_link=(LINK, NOT_TO_OTHERS))
    )
    return Letter(subject, "\n\n".join(_as_text(block) for block in blocks) + "\n", html)


def _blocks(body: str) -> Iterable[_Block]:
    kind, lines = "", list[str]()
    for line in [*body.split("\n"), ""]:
        found = {_FACT: "facts", _QUOTE: "quote"}.get(line[:1], "paragraph" if line.strip() else "")
        if found != kind and lines:
            yield _Block(kind, (" ".join(lines),) if kind == "paragraph" else tuple(lines))
            lines = []
        kind = found
        if found:
            lines.append(line.strip() if found == "paragraph" else line[1:])


def _as_text(block: _Block) -> str:
    match block.kind:
        case "quote":
            return "\n".join(f"    {line}".rstrip() for line in block.lines)
        case "facts":
            width = max(len(label) for label, _ in block.rows) + 2
            return "\n".join(f"  {label + ':':<{width}} {value}" for label, value in block.rows)
        case "link":
            return f"{LINK}\n{block.lines[0]}\n\n{NOT_TO_OTHERS}"
        case "footer":
            return "--\n" + _wrapped(block.lines[0])
        case _:
            return _wrapped(block.lines[0])


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _fact(label: str, value: object) -> str:
    return _Ours(f"{_FACT}{label}{_FACT}{one_line(value)}")


def _quote(*lines: str) -> str:
    return _Ours("\n".join(_QUOTE + one_line(line) for line in lines))


def _copy(ticket: tuple[str, str], *more: str) -> str:
    """A whole ticket to copy: subject and body."""
    subject, body = ticket
    return _quote(f"Subject: {subject}", "", *body.split("\n"), *more)


def _finalized(value: object) -> str:
    return value if isinstance(value, _Ours) else one_line(value)


_HELPERS: Mapping[str, object] = {
    "fact": _fact,
    "quote": _quote,
    "copy": _copy,
    "moment": moment,
}


def _is_html(template: str | None) -> bool:
    return template is not None and template.endswith(".html.j2")


@cache
def _environment() -> Environment:
    """Jinja, made when the first letter is written: importing this module reads no file."""
    environment = Environment(
        loader=PackageLoader("transfer", "templates"),
        undefined=StrictUndefined,
        autoescape=_is_html,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": clock,
        "day": day,
        "moment": moment,
        "short": one_line,
    }
    return environment
