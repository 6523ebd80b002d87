"""A no: a refusal or a withdrawal, its own sentence plain, and its domain named."""

from __future__ import annotations

import functools
import re
from datetime import date
from decimal import Decimal

from transfer.beside import SAYS
from transfer.mailtext import PARAGRAPH
from transfer.parties import fold
from transfer.tickets import Claim, Intent, Reason, Refusal
from transfer.wording import (
    A_CUSTOMER,
    HOST,
    MOVED,
    OUR_ACCOUNT,
    RESELLER,
    SHOWN,
    WE,
    compiled,
    either_of,
    flat,
    normalised,
    tidied,
)

_NO_DOMAIN = rf"{A_CUSTOMER}[\"'<(]{{0,2}}(?P<domain>{HOST})[\"'>)]{{0,2}}{SHOWN}"
_MOVE = (
    r"(?:the |this |any |our |that )?(?:transfer|migration|move|release|transferal)(?: request)?"
)
_OF_IT = rf"{_MOVE},? (?:of|for) {_NO_DOMAIN}"
_NOT = (
    r"(?:do not|don't|dont|cannot|can not|can't|will not|won't|shall not|(?:are|am) not willing to"
    r"|(?:are|am) not going to|refuse to|decline to)(?: currently| hereby)?"
)
_AGREE = (
    r"(?:agree (?:to|with)|consent to|authori[sz]e|approve(?: of)?|allow|permit|accept"
    r"|support|want)"
)
_DO = r"(?:transfer|move|migrate|release|accept|authori[sz]e|give up|hand over)"
_DOING = r"(?:transferring|moving|migrating|releasing)"
_YES = (
    r"(?:authori[sz]ation|consent|approval|permission|agreement|acceptance|release|request|ticket)"
)
_STOP = r"(?:cancel|stop|abort|halt|call off|discontinue)"
_TO_MOVE = r"(?:to (?:transfer|move|migrate|release|accept)|for|of|to|regarding|concerning)"
_REFUSE = r"(?:refuse|decline|reject|deny|oppose|veto|object to|disagree with|(?:are|am) against)"
_TAKE_BACK = (
    r"(?:withdraw|revoke|rescind|retract|cancel|take back|(?:are|am) (?:withdraw|revok)ing)"
)

_SAYS_SO = "we"
_ASKS_FOR = "please"
_ITSELF = ""
_NO_TEXTS: tuple[tuple[Intent, tuple[str, ...], str], ...] = (
    (Intent.REFUSE, (_SAYS_SO,), rf"{_REFUSE} {_OF_IT}"),
    (Intent.REFUSE, (_SAYS_SO,), rf"{_NOT} {_AGREE} {_OF_IT}"),
    (Intent.REFUSE, (_SAYS_SO,), rf"{_NOT} (?:{_AGREE} )?{_DOING} {_NO_DOMAIN}"),
    (Intent.REFUSE, (_SAYS_SO,), rf"{_NOT} (?:(?:want|wish|agree) to )?{_DO} {_NO_DOMAIN}"),
    (
        Intent.REFUSE,
        (_SAYS_SO,),
        (
            rf"{_NOT} (?:want|agree|allow|wish)(?: that| for)? {_NO_DOMAIN} (?:to be|is|being|be)"
            rf" {MOVED}"
        ),
    ),
    (
        Intent.REFUSE,
        (_ITSELF,),
        rf"{WE}(?P<domain>{HOST}) ?,? {_NOT} {_AGREE} the transfer of {OUR_ACCOUNT}",
    ),
    (Intent.REFUSE, (_ASKS_FOR,), rf"(?:do not|don't|dont) {_DO} {_NO_DOMAIN}"),
    (Intent.REFUSE, (_SAYS_SO,), rf"(?:are|am) not {_DOING} {_NO_DOMAIN}"),
    (Intent.WITHDRAW, (_SAYS_SO, _ASKS_FOR), rf"{_STOP} {_OF_IT}"),
    (Intent.WITHDRAW, (_ASKS_FOR,), rf"{_STOP} {_DOING} {_NO_DOMAIN}"),
    (
        Intent.WITHDRAW,
        (_SAYS_SO, _ASKS_FOR),
        (
            rf"{_TAKE_BACK} (?:our|my|the) (?:(?:earlier|previous|former|given) )?{_YES}(?:"
            rf" \#?\w{{1,12}})?"
            rf" {_TO_MOVE} (?:{_MOVE} (?:of|for) )?{_NO_DOMAIN}"
        ),
    ),
    (Intent.WITHDRAW, (_SAYS_SO,), rf"no longer {_AGREE} {_OF_IT}"),
    (Intent.WITHDRAW, (_SAYS_SO,), rf"no longer (?:want|wish|agree) to {_DO} {_NO_DOMAIN}"),
    (
        Intent.WITHDRAW,
        (_SAYS_SO,),
        rf"no longer (?:want|wish|agree)(?: that)? {_NO_DOMAIN} (?:to be|is|being) {MOVED}",
    ),
    (
        Intent.WITHDRAW,
        (_SAYS_SO,),
        rf"(?:(?:have|'ve) )?changed (?:our|my) minds? (?:about|on|regarding) {_OF_IT}",
    ),
)
_NOES = tuple((intent, ways, compiled(rf"(?<!\w){text}")) for intent, ways, text in _NO_TEXTS)
_STATES = compiled(
    r"(?:^|[\s\"'(,:;.-])(?:we|i)(?: ?,[^,]{1,80},)?"
    r"(?: (?:hereby|also|therefore|formally|strictly|clearly|explicitly|firmly|definitely|do|must)"
    r"|(?: have| had|'ve)? decided to| have to| need to|(?: would|'d) like to| want to| wish to"
    r"| (?:ask|request|instruct) you to)* ?$"
)
_BEGS = compiled(
    r"(?:^|[\s\"'(,:;.-])(?:please|kindly)(?: immediately)? ?$|^(?:hello|hi|dear [^,]{1,40}),?"
    r" ?$|^$"
)
_BEGS_POLITELY = compiled(r"(?:can|could|would|will) you (?:please|kindly) ?$")
_NOT_PLAIN = re.compile(
    r"\?|n't\b|\b(?:not|never|no|nor|neither|nobody|if|unless|whether|until|when|may|might|maybe"
    r"|perhaps|why|how|who|what|said|says?|told|tell|tells|claim\w*|wrote|writes?|they|he|she"
    r"|someone"
    r"|somebody|anyone|without|before|rather|instead|or|asked|wants?|thought|think|suppos\w*"
    r"|example"
    r"|joke|yesterday|once|should|otherwise|impossible|false|wrong|untrue|pretend\w*)\b",
    re.IGNORECASE,
)
_OPEN_END = re.compile(
    r"\?|\b(?:if|unless|until|till|provided|except|yet|for now|right now|at the moment|for the"
    r" moment|otherwise|or|once|when|before|after)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(rf"[.!?]+[\"')]*(?=\s|$)|{PARAGRAPH}")
_GOES_ON = r"(?=[\"'.!,;:?)]{0,3}(?:\s|$))"
_NAME_ENDS = (
    rf"(?=[\"'.!,;:?)]{{1,3}}(?:\s|$)|$|[\n{PARAGRAPH}]"
    r"| (?:because|since|as|and|but|due|for|until|if|unless|when|reason|to|we|they)\b)"
)
_MAX_NOES = 20
_STEMS = (
    *(
        "refuse",
        "decline",
        "reject",
        "deny",
        "oppose",
        "veto",
        "object",
        "disagree",
        "against",
        "not",
    ),
    *(
        "don't",
        "dont",
        "can't",
        "won't",
        "withdraw",
        "revok",
        "rescind",
        "retract",
        "take",
        "cancel",
    ),
    *("stop", "abort", "halt", "call", "discontinue", "longer", "changed"),
)
"""One of these is in every no: looked for first, since a flood of long texts has none of them."""


@functools.lru_cache(maxsize=256)
def _from_to(names: frozenset[str]) -> re.Pattern[str]:
    known = either_of(names)

    def name(group: str) -> str:
        either = f"(?:{RESELLER})?(?:{known}){_GOES_ON}|" if known else ""
        return rf"[\"'<]?(?P<{group}>{either}[^{PARAGRAPH}]{{1,80}}?{_NAME_ENDS})[\"'>]?"

    return compiled(rf"(?: ?,? (?:away )?from {name('old')})?(?: ?,? to {name('new')})?")


def noes_in(text: str, names: frozenset[str]) -> list[tuple[Claim, tuple[int, int]]]:
    """Every plain no in a text, with where it stands."""
    lower = text.casefold()
    if not any(word in lower for word in _STEMS):
        return []
    claims: list[tuple[Claim, tuple[int, int]]] = []
    for intent, ways, pattern in _NOES:
        for match in pattern.finditer(text):
            if len(claims) < _MAX_NOES and (claim := _no(text, intent, ways, match, names)):
                claims.append((claim, match.span()))
    return claims


def _no(
    text: str, intent: Intent, ways: tuple[str, ...], match: re.Match[str], names: frozenset[str]
) -> Claim | None:
    start = max(0, match.start() - 300)
    before = text[start : match.start()]
    ends = [end.end() for end in _SENTENCE_END.finditer(before)]
    if start and not ends:
        return None
    before = before[ends[-1] if ends else 0 :].strip()
    politely = _ASKS_FOR in ways and bool(_BEGS_POLITELY.search(before))
    said = (
        politely
        or (_SAYS_SO in ways and _STATES.search(before))
        or (_ASKS_FOR in ways and _BEGS.search(before))
        or _ITSELF in ways
    )
    inside_quotes = before.lstrip().find('"') > 0 and before.count('"') % 2 == 1
    if not said or inside_quotes or _NOT_PLAIN.search(before):
        return None
    named = match["domain"].rstrip(".!?:")
    shown = match.groupdict().get("shown")
    # Up to its last dot, a domain is the end of its sentence, too.
    end = match.end("domain") if named != match["domain"] else match.end()
    if named != match["domain"]:
        tail, resellers = match["domain"][len(named) :], None
    else:
        resellers = _from_to(names).match(text, end)
        end = resellers.end() if resellers else end
        stop = _SENTENCE_END.search(text, end)
        tail = text[end : stop.end() if stop else len(text)]
    domain = normalised(re.sub(r"^https?://", "", named, flags=re.IGNORECASE).rstrip("/"), shown)
    if "." not in domain or _OPEN_END.search(tail.replace("?", "") if politely else tail):
        return None
    return Claim(
        intent=intent,
        domain=domain,
        old=_plain_name(resellers["old"] if resellers else None, names),
        new=_plain_name(resellers["new"] if resellers else None, names),
        refusal=_refusal(flat(text)) if intent is Intent.REFUSE else None,
    )


def _plain_name(name: str | None, names: frozenset[str]) -> str | None:
    """A reseller's name in a no; what may be none ("another provider") is left out."""
    tidy = tidied(name or "", names)
    if fold(tidy) in {fold(known) for known in names}:
        return tidy
    is_name = tidy[:1].isupper() and len(tidy.split()) <= 5 and not SAYS.search(tidy)
    return tidy if is_name else None


# -- an old reseller's reason ------------------------------------------------------------------
_REASON = re.compile(r"\breason ?: ?(?P<reason>[a-z_]{2,40})", re.IGNORECASE)
_AMOUNT = re.compile(
    r"\bamount ?: ?(?P<amount>\d{1,9}(?:\.\d{1,2})?)(?![.,]?\d) ?(?P<currency>[a-z]{3}\b)?",
    re.IGNORECASE,
)
_INVOICES = re.compile(
    r"\binvoices? ?: ?(?P<ids>[\w./-]{1,40}(?:, ?[\w./-]{1,40}){0,19})", re.IGNORECASE
)
_ENDS = re.compile(r"\bends? ?: ?(?P<date>\d{4}-\d{2}-\d{2})\b", re.IGNORECASE)


def _refusal(text: str) -> Refusal:
    """Read the reason. A no without a clear reason is still a no: it counts as OTHER."""
    reason = _REASON.search(text)
    amount, invoices, ends = _AMOUNT.search(text), _INVOICES.search(text), _ENDS.search(text)
    code = reason["reason"].upper() if reason else ""
    known = Reason(code) if code in Reason.__members__ else Reason.OTHER
    ends_on = ends["date"] if ends and _is_a_date(ends["date"]) else ""
    incomplete = (known is Reason.PAST_DUE_BALANCE and not (amount and invoices)) or (
        known is Reason.CONTRACT_TERM_ACTIVE and not ends_on
    )
    return Refusal(
        reason=Reason.OTHER if incomplete else known,
        amount=Decimal(amount["amount"]) if amount else None,
        currency=(amount["currency"] or "").upper() if amount else "",
        invoices=tuple(i.strip(" .") for i in invoices["ids"].split(",")) if invoices else (),
        ends_on=ends_on,
        text=text[:500],
    )


def _is_a_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
