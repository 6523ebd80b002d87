"""Words that every sentence of a ticket is made of: domains, names of resellers, their ends.

Patterns are written with plain spaces. ``compiled`` lets each stand for one white space.
"""

from __future__ import annotations

import re

from transfer import domains, mailtext
from transfer.errors import DomainInvalid
from transfer.mailtext import PARAGRAPH
from transfer.parties import fold


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which a space is any white space, of which there is one in a row."""
    return re.compile(pattern.replace("\\ ", " ").replace(" ", r"\s"), re.IGNORECASE)


_OUR = "(?:(?:the|our|my|their|this) )?"
RESELLER = rf"{_OUR}(?:(?:old|new|current|former|existing|previous) )?(?:reseller|provider):? "
A_CUSTOMER = rf"{_OUR}(?:(?:customer|client|account|domain|website)(?: name| account)?:? )?"
HOST = r"[^\s\"',;<>()]{1,260}"
SHOWN = r"(?: \((?P<shown>[^\s()]{1,260})\))?"
WE = r"(?<!\w)(?:we|i) ?, ?"
WE_OR_I = r"(?<!\w)(?:we|i)"
MOVED = r"(?:transferred|moved|migrated|released)"
OUR_ACCOUNT = r"(?:our|my) (?:hosting |customer |whole |entire )?account"
BARE_DOMAIN = rf"[\"'<(]{{0,2}}(?P<domain>[^\s\"',;]{{1,260}}?)[\"'>)]{{0,2}}{SHOWN}"
DOMAIN = rf"(?:{A_CUSTOMER})??{BARE_DOMAIN}"
_CLOSING = (
    r"(?:many |kind |with )?thank(?:s|ing)?\b|thx\b|(?:with )?(?:(?:best|kind|warm|many)"
    r" )?regards\b"
    r"|sincerely\b|yours\b|best\b|cheers\b|please let\b|sent from\b"
)
END = rf"(?= ?[\"'.!,;]{{0,4}} ?(?:$|{_CLOSING}|--)|[.!]{{1,3}}[\"']? |[\"'.!,;]{{0,3}}{PARAGRAPH})"


def name_in(group: str, names: frozenset[str]) -> str:
    """A name: a known one, whatever it contains; else all up to where its sentence goes on."""
    known = either_of(names)
    either = f"{known}|{RESELLER}(?:{known})|" if known else ""
    return rf"[\"'<]?(?P<{group}>{either}[^{PARAGRAPH}]{{1,200}}?)[\"'>]?"


def either_of(names: frozenset[str]) -> str:
    """Return a pattern of all known names, the longest first; empty where there are none."""
    variants = {variant for name in names for variant in (name, name.rstrip("."))}
    return "|".join(re.escape(n) for n in sorted(variants, key=len, reverse=True) if n)


def tidied(name: str, names: frozenset[str]) -> str:
    """Return a name without quotes, its sentence's end, and "the new reseller" before it."""
    tidy = flat(name).strip(" \"',;:!<>").removesuffix(".")
    if fold(tidy) not in {fold(n) for n in names}:
        tidy = compiled(f"^{RESELLER}").sub("", tidy)
    return tidy[:200]


def normalised(name: str, shown: str | None) -> str:
    """Normalise a domain; a name in brackets beside it has to be the same one."""
    try:
        a_label = _without_www(domains.to_a_label(name))
        if shown is None or _without_www(domains.to_a_label(shown)) == a_label:
            return a_label
    except DomainInvalid:
        pass
    return f"{name} ({shown})" if shown else name[: domains.MAX_LENGTH].casefold()


def _without_www(a_label: str) -> str:
    bare = a_label.removeprefix("www.")
    return bare if "." in bare else a_label


def flat(text: str) -> str:
    """Return a text on one line, with single spaces."""
    return " ".join(mailtext.one_line(text).split())
