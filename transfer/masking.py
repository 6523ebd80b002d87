"""What a log line may hold: no mail address whole, no secret, nobody's words, no control character.

Masking is the last thing that happens to a line, so that it sees exceptions and what libraries say
too. It is done by what stands there, since a neighbour's error may quote anything: ``masked`` goes
through the values of a line, ``masked_text`` is for one text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, TypeVar, cast

_T = TypeVar("_T")

MAX_VALUE = 2000
"""Characters of a value in a log line."""
MAX_READ = 20_000
"""Characters of a text that are looked at, and of a stack trace that is logged."""
MAX_ITEMS = 50
MAX_DEPTH = 6
HIDDEN = "***"

_CONTENT = frozenset(
    (
        "administrators",
        "author",
        "bcc",
        "body",
        "cc",
        "content",
        "detail",
        "from",
        "headers",
        "html",
        "mail",
        "name",
        "names",
        "payload",
        "proposal",
        "reason",
        "replies",
        "reply",
        "subject",
        "text",
        "title",
        "words",
    )
)
"""Keys of what people wrote, and of who they are."""
_ADDRESSES = frozenset(("address", "email", "recipient", "recipients", "sender", "to"))
"""Keys of mail addresses: those can be recognised still, names beside them cannot."""
_SECRETS = ("password", "passwd", "secret", "secrets", "token", "authorization", "cookie")
"""How keys of secrets end."""
_LONG = frozenset(("exception", "stack"))
"""Keys of stack traces: their lines stay lines."""

_NOT_LOCAL = r"\s@\uff20<>()\[\]:;,\"\\"
_ADDRESS = re.compile(
    # Only from the beginning of a word, so that a long one is gone through once.
    rf"(?<![^{_NOT_LOCAL}])('{{0,2}})([^{_NOT_LOCAL}])[^{_NOT_LOCAL}]*(@|\uff20|%40)(?=\S)"
    r'|(")[^"\n]{1,64}"(?=@)'
)
_PUBLIC = r"https?|wss?|grpcs?|file|sqlite|postgres(?:ql)?|smtps?|rt"
"""Schemes of ordinary addresses. Others are apprise's, whose addresses are secrets all through."""
_PLAIN = re.compile(r"[\w.:+-]{0,40}")
"""Most values are ids and numbers."""
_RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "://",
        re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s\"'<>]{0,1000}@"),
        rf"\1{HIDDEN}@",
    ),
    (
        "://",
        re.compile(
            rf"(?<![A-Za-z0-9+.-])(?!(?:{_PUBLIC})(?:\+[a-z]+)?://)"
            r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s\"'<>]+"
        ),
        rf"\1{HIDDEN}",
    ),
    ("/track/", re.compile(r"/track/[^\s\"'<>?#/]+"), f"/track/{HIDDEN}"),
    ("whsec_", re.compile(r"whsec_[A-Za-z0-9+/_=-]+"), f"whsec_{HIDDEN}"),
    ("eyJ", re.compile(r"\beyJ[\w-]*\.[\w-]*(?:\.[\w-]*)*"), HIDDEN),
    (
        "",
        re.compile(
            r"\b(bearer|basic|token(?=\s{1,3}[^\s\"'<>,;0-9]*[0-9]))(\s{1,3})[^\s\"'<>,;]{8,}",
            re.IGNORECASE,
        ),
        rf"\1\2{HIDDEN}",
    ),
    (
        "=",
        re.compile(
            r"((?:password|passwd|secret|token|api_?key|signature)s?=)[^\s&;,\"']+", re.IGNORECASE
        ),
        rf"\1{HIDDEN}",
    ),
    (
        ":",
        re.compile(
            r"((?:password|passwd|secret|token|api_?key|authorization|cookie)s?[\"']\s?:\s?b?)"
            r"(?:\"[^\"\n]*\"|'[^'\n]*')",
            re.IGNORECASE,
        ),
        rf"\1'{HIDDEN}'",
    ),
    # A key as we ask for one: 32 bytes in base64, or 24 and more in hex.
    ("=", re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{43}=(?!=)"), HIDDEN),
    ("", re.compile(r"(?<![A-Za-z0-9])[0-9a-fA-F]{48,}(?![A-Za-z0-9])"), HIDDEN),
    # What libraries quote of what they were given.
    (
        "input_value=",
        re.compile(r"input_value=.*?(?=, input_type=|\Z)", re.DOTALL),
        f"input_value={HIDDEN}",
    ),
    (
        "Failing row contains",
        re.compile(
            r"Failing row contains .*?"
            r"(?=\n\[SQL: |\n\nThe above exception was|\n\nDuring handling of|\Z)",
            re.DOTALL,
        ),
        f"Failing row contains {HIDDEN}",
    ),
)


def masked(event: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a log line, fit to be kept where many can read them."""
    return {
        masked_text(key): masked_trace(value)
        if key in _LONG and isinstance(value, str)
        else _of_key(key, value, MAX_DEPTH)
        for key, value in event.items()
    }


def masked_text(text: str) -> str:
    """A text on one line, at most ``MAX_VALUE`` long, without addresses and secrets."""
    text = _without_secrets(text[:MAX_READ])
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "…"
    return text if text.isprintable() else "".join(map(_visible, text))


def visible(text: str) -> str:
    """A text on its own lines, without anything that a terminal would obey."""
    return "\n".join(
        line if line.isprintable() else "".join(map(_visible, line))
        for line in text.replace("\r\n", "\n").split("\n")
    )


def masked_trace(text: str) -> str:
    """A stack trace, on its lines; of a long one the end, which says what happened."""
    if len(text) > MAX_READ:
        # From the next line on: what is cut in the middle would not be known for what it is.
        text = "…\n" + text[-MAX_READ:].partition("\n")[2]
    return visible(_without_secrets(text))


def _without_secrets(text: str) -> str:
    if _PLAIN.fullmatch(text) and "whsec_" not in text and "eyJ" not in text:
        return text
    if "@" in text or "\uff20" in text or "%40" in text:
        text = _ADDRESS.sub(_recognisable, text)
    for part, pattern, instead in _RULES:
        if part in text:
            text = pattern.sub(instead, text)
    return text


def _recognisable(found: re.Match[str]) -> str:
    quotes, first, at, quoted = found.groups()
    return f"{quotes}{first}…{at}" if quoted is None else '"…"'


def _visible(character: str) -> str:
    """A character that can be seen: no line of a stranger's own, no escape to a terminal."""
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _of_key(key: object, value: Any, depth: int) -> Any:
    name = str(key).lower().replace("-", "_")
    if value is None or isinstance(value, bool | int | float) or value in ("", [], ()):
        return value
    if name in _CONTENT or name.endswith(_SECRETS):
        return HIDDEN
    if name in _ADDRESSES:
        return _addresses(value)
    return _of(value, depth)


def _addresses(value: Any) -> str:
    """The addresses in a value alone: a name beside one is a person's."""
    words = re.split(r"[\s<>,;:\"'()\[\]]+", str(value)[:MAX_VALUE])
    found = [masked_text(word) for word in words if "@" in word]
    return ", ".join(found) or HIDDEN


def _of(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return masked_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, Any]", value).items()
        return {masked_text(str(key)): _of_key(key, one, depth - 1) for key, one in _some(pairs)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_of(one, depth - 1) for one in _some(cast("Iterable[Any]", value))]
    if isinstance(value, date):
        return value.isoformat()
    return masked_text(_shown(value))


def _some(values: Iterable[_T]) -> Iterable[_T]:
    return (one for _, one in zip(range(MAX_ITEMS), values, strict=False))


def _shown(value: object) -> str:
    if isinstance(value, bytes):  # a repr would hide an address behind its escapes
        return repr(value[:MAX_READ].decode(errors="replace"))
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a line about it is better than none
        return f"<{type(value).__name__} that raises {type(error).__name__}>"
