"""A ticket's body as its filer wrote it: no markup, no former mails, no characters nobody sees.

What people are shown counts, and what they are not shown counts against the whole text.
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import NamedTuple

PARAGRAPH = "\u2029"
"""What two or more line breaks become, so that every white space is one character."""


class OwnWords(NamedTuple):
    """What the filer wrote. Where it is ``doubtful``, it may be a no, but never a yes."""

    text: str
    doubtful: bool = False


def own_words(body: str) -> OwnWords | None:
    """Return the filer's own words, or ``None`` where readers and machine may see different ones.

    Every run of white space is one character: a space, a line break, or ``PARAGRAPH``.
    """
    shown = _of_html(body) if _HTML.search(body) else body
    if shown is None or (shown := _visible(shown)) is None:
        return None
    text, doubtful = _without_former_mails(shown)
    return OwnWords(_spaced(text), doubtful)


def one_line(text: str) -> str:
    """Return a subject as people see it, on one line; what cannot be seen becomes a ``?``."""
    shown = _visible(text)
    return "?" if shown is None else _spaced(shown).replace("\n", " ").replace(PARAGRAPH, " ")


# -- characters --------------------------------------------------------------------------------
_QUOTES = str.maketrans(
    "“”„«»\u2033‘’‚\u2039\u203a\u2032`–—\u2010\u2011", "\"\"\"\"\"\"'''''''----"
)
_UNSEEN = re.compile(
    r"(?:(?<=[\s,;:!?\"'])|^)[\u200b\u2060\ufeff]+|[\u200b\u2060\ufeff]+(?=[.]?(?:[\s,;:!?\"']|$))"
)
"""Marks of no width at the edge of a word, as copying leaves them behind."""
_EMPHASIS = re.compile(r"(?<![^\s\"'(])[*_]{1,3}(?=\w)|(?<=[\w.,!])[*_]{1,3}(?![^\s\"').,;:!])")
_LINK = re.compile(r" ?<https?://([^<>\s]{1,260}?)/?>", re.IGNORECASE)
"""A name that a mail program made a link of: ``example.com<http://example.com>``."""


def _visible(text: str) -> str | None:
    folded = text
    if not text.isascii():
        folded = unicodedata.normalize("NFKC", text).translate(_QUOTES)
        folded = _UNSEEN.sub("", folded)
    folded = folded.replace("`", "'")
    # Anything left without a width, or turning the direction, splits or reorders what is read.
    if any(unicodedata.category(c) in _NEVER and c not in "\t\n\r\v\f\x85" for c in set(folded)):
        return None
    if "*" in folded or "_" in folded:
        folded = _EMPHASIS.sub("", folded)
    return _LINK.sub(_unlinked, folded) if "<" in folded else folded


_NEVER = ("Cc", "Cf", "Cs", "Co")


def _unlinked(link: re.Match[str]) -> str:
    before = link.string[max(0, link.start() - 260) : link.start()].casefold().split()
    host = link[1].casefold()
    return (
        "" if before and before[-1].strip("\"'") in (host, host.removeprefix("www.")) else link[0]
    )


def _spaced(text: str) -> str:
    def one(run: re.Match[str]) -> str:
        breaks = len(re.findall(r"\r\n|[\n\r\x85\u2028]", run[0]))
        return PARAGRAPH if breaks > 1 or PARAGRAPH in run[0] else "\n" if breaks else " "

    return re.sub(r"\s+", one, text.strip())


# -- former mails ------------------------------------------------------------------------------
_MARKED = re.compile(r"[ \t]*>")
_WROTE = re.compile(
    r"\s*(?:on\b.{5,300}\bwrote|am\b.{5,300}\bschrieb\b.{0,200}|le\b.{5,300}\ba écrit) ?:\s*",
    re.IGNORECASE | re.DOTALL,
)
_FORMER = re.compile(
    r"\s*(?:-{2,} ?(?:original message|forwarded message|original-nachricht) ?-{2,}|_{8,})\s*$",
    re.IGNORECASE,
)
_HEADER = re.compile(r"\s*(?:from|sent|date|to|cc|subject) ?:", re.IGNORECASE)
_TAKES_BACK = re.compile(
    r"\b(?:no|not|never|cannot|refus\w*|declin\w*|withdr[ae]w\w*|cancel\w*|revok\w*|stop|wait"
    r"|disagree\w*|object\w*)\b|n't\b",
    re.IGNORECASE,
)


def _without_former_mails(text: str) -> tuple[str, bool]:
    """Drop quoted mails. Words beneath a quoted one may answer it: they are doubtful."""
    lines = text.splitlines()
    own: list[str] = []
    quoted = doubtful = False
    at = 0
    while at < len(lines):
        line = lines[at]
        if _MARKED.match(line):
            quoted = True
        elif length := _introduces(lines, at):
            quoted = True
            at += length
            continue
        elif _begins_former(lines, at):
            # Nothing marks its end, so what may be the filer's own no is looked for in it.
            return "\n".join(own), doubtful or bool(_TAKES_BACK.search("\n".join(lines[at:])))
        else:
            doubtful = doubtful or (quoted and bool(line.strip()))
            own.append(line)
        at += 1
    return "\n".join(own), doubtful


def _introduces(lines: list[str], at: int) -> int:
    """How many lines say "On … wrote:" here, with a quoted line next; 0 if none do."""
    if lines[at].lstrip()[:2].casefold() not in ("on", "am", "le"):
        return 0
    for length in (1, 2, 3):
        if _WROTE.fullmatch("\n".join(lines[at : at + length])):
            rest = [line for line in lines[at + length : at + length + 3] if line.strip()]
            return length if rest and _MARKED.match(rest[0]) else 0
    return 0


def _begins_former(lines: list[str], at: int) -> bool:
    if _FORMER.match(lines[at]):
        return True
    headers = [line for line in lines[at : at + 4] if _HEADER.match(line)]
    return len(headers) >= 3 and bool(re.match(r"\s*from ?:", lines[at], re.IGNORECASE))


# -- HTML --------------------------------------------------------------------------------------
_INLINE = "a b big center code em font i img small span strong tt u o:p"
_BLOCKS = (
    "address article blockquote body center dd div dl dt footer h1 h2 h3 h4 h5 h6 head header hr"
    " html li main ol p pre section table tbody td tfoot th thead title tr ul"
)
_HTML = re.compile(
    rf"<(?:!--|!doctype|/?(?:style|script|br|{'|'.join((_INLINE + ' ' + _BLOCKS).split())})[\s/>])",
    re.IGNORECASE,
)
_HARMLESS_TAGS = {*_INLINE.split(), *_BLOCKS.split(), "br", "meta", "style"}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "hr"}
_LINES = {*_BLOCKS.split(), "br"} - _PARAGRAPHS
_QUOTING = re.compile(r"gmail_quote|yahoo_quoted|moz-cite|divrplyfwdmsg|appendonsend|gmail_attr")

_PLAIN_STYLES = re.compile(
    r"font-(?:family|weight|style)|padding\S*|border\S*|line-height|text-align"
    r"|vertical-align|white-space|word-(?:wrap|break)|overflow-wrap|mso-(?!hide)\S+|list-style\S*"
    r"|-webkit-(?:text-size-adjust|font-smoothing|nbsp-mode|line-break)|-ms-text-size-adjust"
    r"|orphans|widows|page|size|panose-1|caret-color|text-size-adjust|box-sizing"
)
_HIDING_VALUE = re.compile(r"none|hid|rtl|-\d|^0*[01]?(?:\.\d+)?(?:px|pt|em|rem|%)?$")


class _Shown(HTMLParser):
    """Collects what a reader sees. ``unclear`` is set by anything that may hide or forge it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unclear = False
        self._unshown = ""
        self._quotes: list[str] = []
        self._link: tuple[str, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in a tag with all that it may hide."""
        given = {name: (value or "").casefold() for name, value in attrs}
        if tag not in _HARMLESS_TAGS or len(given) != len(attrs) or _may_hide(given):
            self.unclear = True
        if tag in ("style", "title"):
            self._unshown = tag
        self._break(tag)
        marks = f"{given.get('class', '')} {given.get('id', '')}"
        if tag == "blockquote" or _QUOTING.search(marks):
            self._quotes.append(tag)
            self.parts.append("\n> ")
        elif self._quotes and tag == self._quotes[-1]:
            self._quotes.append(tag)
        if tag == "a":
            self._link = (given.get("href", ""), len(self.parts))

    def handle_endtag(self, tag: str) -> None:
        """Take in the end of a tag."""
        if tag == self._unshown:
            self._unshown = ""
        if tag == "a" and self._link is not None:
            href, start = self._link
            self._link = None
            self.unclear = self.unclear or _leads_elsewhere(href, "".join(self.parts[start:]))
        if self._quotes and tag == self._quotes[-1]:
            self._quotes.pop()
            if not self._quotes:
                self.parts.append("\n\n")
        if tag != "br":
            self._break(tag)

    def handle_data(self, data: str) -> None:
        """Take in text, or a style sheet."""
        if self._unshown == "style":
            blocks = re.findall(r"\{([^{}]*)\}", data)
            self.unclear = self.unclear or any(_style_hides(block) for block in blocks)
        elif not self._unshown:
            # Line breaks in the source are spaces; those of <br> and blocks are breaks.
            self.parts.append(re.sub(r"[ \t\r\n\f]+", " ", data))

    def _break(self, tag: str) -> None:
        breaks = "\n\n" if tag in _PARAGRAPHS else "\n" if tag in _LINES else ""
        self.parts.append(breaks + ("> " if breaks and self._quotes else ""))


def _of_html(body: str) -> str | None:
    """The text that is shown, or ``None`` where something may be hidden, or is no clean HTML."""
    parser = _Shown()
    try:
        # Not closed: what is incomplete at the end stays unread, and makes the text unclear.
        parser.feed(body + "\n<br>")
    except AssertionError:  # how html.parser says that a declaration is none
        return None
    if parser.unclear or parser.rawdata.strip():
        return None
    return "".join(parser.parts)


def _may_hide(given: dict[str, str]) -> bool:
    light = any(not _is_dark(given[key]) for key in ("color", "text") if key in given)
    small = any(given.get(key, "").strip() in ("0", "0px", "1") for key in ("width", "height"))
    return (
        _style_hides(given.get("style", ""))
        or light
        or small
        or not _is_white(given.get("bgcolor", ""))
        or given.get("dir", "ltr") not in ("ltr", "auto", "")
        or not {"hidden", "aria-hidden", "background", "inert", "popover"}.isdisjoint(given)
    )


def _style_hides(style: str) -> bool:
    """Whether a style may hide, strike or move text: whatever is not known to be plain may."""
    for declaration in re.sub(r"/\*.*?\*/|<!--|-->", "", style.casefold()).split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        value = value.removesuffix("!important").strip()
        if name == "color":
            plain = _is_dark(value)
        elif name in ("background", "background-color"):
            plain = _is_white(value)
        elif name == "font-size":
            plain = _is_readable(value)
        elif name in ("width", "min-width", "max-width", "display", "direction"):
            plain = not _HIDING_VALUE.search(value)
        elif name == "text-decoration":
            plain = value in ("none", "underline", "inherit", "initial")
        elif name.startswith("margin"):
            plain = not re.search(r"-[\d.]", value)
        else:
            plain = not name or bool(_PLAIN_STYLES.fullmatch(name))
        if not plain:
            return True
    return False


def _is_dark(color: str) -> bool:
    color = re.sub(r"\s+", "", color)
    if re.fullmatch(
        r"black|navy|windowtext|inherit|initial|currentcolor|blue|purple|maroon", color
    ):
        return True
    if re.fullmatch(r"#[0-9a-f]{3}", color):
        color = "#" + "".join(digit * 2 for digit in color[1:])
    if re.fullmatch(r"#[0-9a-f]{6}", color):
        parts = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    elif match := re.fullmatch(r"rgba?\((\d{1,3}),(\d{1,3}),(\d{1,3})(?:,1)?\)", color):
        parts = [int(part) for part in match.groups()]
    else:
        return False
    return sum(parts) / 3 <= 0x99


def _is_white(color: str) -> bool:
    plain = r"(?:white|#fff|#ffffff|none|transparent|inherit|initial|rgb\(255,255,255\))?"
    return bool(re.fullmatch(plain, re.sub(r"\s+", "", color)))


def _is_readable(size: str) -> bool:
    words = r"small|medium|large|x-large|x-small|smaller|larger|inherit|initial"
    if re.fullmatch(words, size):
        return True
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)(px|pt|em|rem|%)", size)
    least = {"px": 6, "pt": 6, "em": 0.6, "rem": 0.6, "%": 60}
    return match is not None and float(match[1]) >= least[match[2]]


def _leads_elsewhere(href: str, text: str) -> bool:
    """Whether a link shows one domain and leads to another."""
    shown = text.strip().casefold().rstrip("/.")
    if "." not in shown or " " in shown:
        return False
    host = re.sub(r"^(?:https?://|mailto:)", "", href).split("/")[0].split("?")[0]
    shown = re.sub(r"^https?://", "", shown).split("/")[0]
    bare = host.removeprefix("www.")
    return bool(href) and bare.rstrip(".") != shown.removeprefix("www.")
