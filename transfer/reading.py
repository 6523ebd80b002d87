"""Reading tickets: which of the five things a text says, and of which domain and resellers.

A yes is read by grammar alone: one sentence of the procedure, and around it nothing but greetings,
thanks, a signature and a few sentences known to be harmless. Nothing is scored and nothing is
guessed; what does not fit is unclear, and a person decides. A no may stand beside anything, but its
own sentence has to be plain and to name the domain.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from transfer import mailtext
from transfer.beside import DOUBT, LATER, SAYS, is_harmless, own_names
from transfer.parties import fold
from transfer.refusing import noes_in
from transfer.tickets import MAX_BODY, Claim, Intent, Ticket
from transfer.wording import (
    BARE_DOMAIN,
    DOMAIN,
    END,
    MOVED,
    OUR_ACCOUNT,
    WE,
    WE_OR_I,
    compiled,
    either_of,
    flat,
    name_in,
    normalised,
    tidied,
)


def read(ticket: Ticket, known: Iterable[str] = ()) -> Claim | None:
    """Read what a ticket says, or return ``None`` where it is unclear.

    ``known`` are names that may be meant: with them, "Back to Basics" is one name, where otherwise
    " to " separates two.
    """
    names = frozenset(flat(name) for name in known if name.strip())
    own = mailtext.own_words(ticket.body[:MAX_BODY])
    if own is None:
        return None
    said = noes_in(own.text, names)
    noes = [claim for claim, _ in said]
    heads = _SPEAKS_OF_IT.search(own.text) is not None and sum(
        not any(start <= m.start() < end for _, (start, end) in said)
        for _, head in _BEGINNINGS
        for m in head.finditer(own.text)
    )
    if noes:
        same = all(claim.domain == noes[0].domain for claim in noes)
        withdrawn = [claim for claim in noes if claim.intent is Intent.WITHDRAW]
        return (*withdrawn, *noes)[0] if same and not heads else None
    if heads != 1 or own.doubtful:
        return None
    return _yes(ticket, own.text, names)


def is_courtesy(text: str, filer: str = "") -> bool:
    """Tell whether a text is thanks, a greeting, a signature of ``filer``, and nothing else.

    An empty text is none: what came with it, or without it, may have been meant.
    """
    own = mailtext.own_words(text[:MAX_BODY])
    if own is None or own.doubtful or not own.text or len(text) > MAX_BODY:
        return False
    names = frozenset(word.strip(" .,()\"'") for word in filer.casefold().split())
    names = frozenset(word for word in names if not DOUBT.search(word))
    greeting, *rest = re.split(f"[\n{mailtext.PARAGRAPH}]", own.text, maxsplit=1)
    return is_harmless(own.text, names) or (
        is_harmless(greeting, names, before=True) and is_harmless("".join(rest), names)
    )


def may_be_about_transfers(ticket: Ticket) -> bool:
    """Tell whether an unclear ticket could mean a transfer, so that a person should read it."""
    return bool(_TRANSFER_WORDS.search(f"{ticket.subject} {ticket.body}"))


_TRANSFER_WORDS = re.compile(
    r"\b(?:transfer|reseller|releas|withdr[ae]w|authori[sz]|migrat|refus|revok|consent|object"
    r"|mov(?:e|es|ed|ing)\b)",
    re.IGNORECASE,
)


_REQUEST = (
    r"(?:(?: would like| wish| want|'d like)(?: hereby)? to request| hereby request| request)"
    r"(?: that| the transfer of| the release of) "
)
_AUTHORIZE = r"(?:hereby )?(?:authori[sz]e|approve|consent to|agree to) "
_TAKE_OVER = r"(?:hereby )?(?:authori[sz]e|accept|approve) "
_BEING = r"(?:to be|being) (?:transferred|moved|migrated) from "
_HEADS = {
    "release": rf"{WE_OR_I}{_REQUEST}{DOMAIN}"
    rf" (?:(?:(?:is to |to |may |shall )?be|is) {MOVED} )?(?=to |from )",
    "release, short": rf"{WE_OR_I} (?:hereby )?release {DOMAIN} (?=to |from )",
    "authorize": rf"{WE}{DOMAIN} ?,? {_AUTHORIZE}the transfer of {OUR_ACCOUNT} from ",
    "authorize, ours": rf"{WE_OR_I} {_AUTHORIZE}the transfer of (?:our|my) (?:account|domain),?"
    rf" {BARE_DOMAIN},? from ",
    "accept": rf"(?<!\w){_TAKE_OVER}{DOMAIN} {_BEING}",
}
"""How each sentence of a yes begins. Counted first, so that no text takes long to read."""
_SPEAKS_OF_IT = compiled("request|release|authori[sz]e|approve|consent|agree|accept")
_BEGINNINGS = tuple((kind, compiled(head)) for kind, head in _HEADS.items())


@functools.lru_cache(maxsize=256)
def _sentences(names: frozenset[str]) -> tuple[tuple[Intent, re.Pattern[str]], ...]:
    """The sentences of the procedure, up to their ends."""
    old, new = name_in("old", names), name_in("new", names)
    to_us = rf"{old} (?:in|on)?to (?:our|my) (?:own |reseller )?account{END}"
    tails = {
        "release": rf"(?:from (?:(?:our|my) account|{old}) )?to {new}{END}",
        "authorize": rf"{old} to {new}{END}",
        "accept": to_us,
    }
    sentences: list[tuple[Intent, re.Pattern[str]]] = []
    for kind, head in _HEADS.items():
        intent = Intent(kind.split(",", maxsplit=1)[0])
        named = (rf"{WE}{new} ?,? ", f"{WE_OR_I} ") if intent is Intent.ACCEPT else ("",)
        sentences.extend((intent, compiled(who + head + tails[intent])) for who in named)
    return tuple(sentences)


def _yes(ticket: Ticket, text: str, names: frozenset[str]) -> Claim | None:
    found = [(i, m) for i, sentence in _sentences(names) for m in sentence.finditer(text)]
    if len(found) != 1:
        return None
    intent, match = found[0]
    given = {key: value for key, value in match.groupdict().items() if value}
    claim = Claim(
        intent=intent,
        domain=normalised(given["domain"], given.get("shown")),
        old=tidied(given["old"], names) if "old" in given else None,
        new=tidied(given["new"], names) if "new" in given else None,
    )
    unclear = (
        any(_is_no_name(given.get(group, ""), names) for group in ("old", "new"))
        or _subject_doubts(ticket.subject, claim.domain, names)
        or not is_harmless(text[: match.start()], own_names(ticket, claim, names), before=True)
        or not is_harmless(text[match.end() :], own_names(ticket, claim, names))
    )
    return None if unclear else claim


def _is_no_name(name: str, names: frozenset[str]) -> bool:
    """Whether more than a name stands where one should: "Globex, once they have paid"."""
    if not name or fold(tidied(name, names)) in {fold(known) for known in names}:
        return False
    return "\n" in name or bool(DOUBT.search(name) or SAYS.search(name))


def _subject_doubts(subject: str, domain: str, names: frozenset[str]) -> bool:
    """Whether the subject takes back what the body says, or speaks of another domain."""
    text = mailtext.one_line(subject)
    if known := either_of(names):
        text = compiled(rf"(?<!\w)(?:{known})(?!\w)").sub(" ", text)
    others = {normalised(m[0], None) for m in re.finditer(r"(?:[\w-]+\.)+[^\W\d][\w-]+", text)}
    return bool(DOUBT.search(text) or LATER.search(text)) or bool(others - {domain})
