"""What may stand beside a yes: greetings, thanks, signatures, and what takes nothing back."""

from __future__ import annotations

import re

from transfer.mailtext import PARAGRAPH
from transfer.tickets import Claim, Ticket
from transfer.wording import compiled

DOUBT = re.compile(
    r"\?|n't\b|\b(?:not|never|no|nor|none|nothing|nobody|neither|cannot|cant|dont|wont|without"
    r"|unable"
    r"|refus\w*|withdr[ae]w\w*|cancel\w*|revok\w*|rescind\w*|retract\w*|declin\w*|den(?:y|ie[sd])"
    r"|reject\w*|disagree\w*|oppos\w*|object\w*|disput\w*|against|void|undo|ignore|disregard"
    r"|unless|until|if|when|once|while|before|after|but|however|only|except|provided|condition\w*"
    r"|subject to|assum\w+|should|stop|wait|hold|pending|later|instead|mistake\w*|wrong|false"
    r"|untrue|fraud\w*|forged|nicht|nein|kein\w*|nie|niemals|widerruf\w*|storn\w*|ablehn\w*|wenn"
    r"|falls|aber|jamais|mais|niet|geen|nunca|pero)\b",
    re.IGNORECASE,
)
"""Words that may take an authorization back."""
LATER = re.compile(
    r"\b(?:next|tomorrow|soon|eventually|someday|sometime|later|as of|starting|effective|draft|test"
    r"|sample|template|jokes?|kidding|(?:jan|febr)uary|march|april|june|july|august|(?:septem|octo"
    r"|novem|decem)ber|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|months?|weeks?|years?"
    r"|quarter)\b",
    re.IGNORECASE,
)
SAYS = re.compile(
    rf"{LATER.pattern}|\b(?:i|we|us|me|my|our|you|your|he|she|they|them|their|it|this|that|these"
    r"|those|who|which|what|why|how|where|as|is|are|was|were|am|be|been|being|do|does|did|done|have"
    r"|has|had|will|would|shall|can|could|may|might|must|need|want|wish|let|make|get|go|please|also"
    r"|just|really|actually|maybe|perhaps|probably|possibly|sure|yeah|yes|ok|okay|right|nope|nah"
    r"|lol|ha|haha|fools?|psych|sarcas\w*|iron(?:y|ic\w*)|obviously|supposed\w*|alleged\w*|today"
    r"|tonight|day|days|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|since|by|till|pay\w*|paid"
    r"|fees?|invoices?|balance|due|first|then|the|an?|because|so|or|else|than|too|very|much"
    r"|transfer\w*|migrat\w*|authori[sz]\w*|releas\w*|accept\w*|agree\w*|consent\w*|approv\w*"
    r"|protest\w*|duress|threat\w*|coerc\w*|forced?|pressure|eur|euros?|usd|gbp|dollars?|price"
    r"|costs?"
    r"|net|gross|per|percent|demand\w*|quot\w*|forward\w*|copy|copied|said|says?|told|asked"
    r"|wrote|writes?|claim\w*"
    r"|pretend\w*|fake\w*|nur|erst|noch|ne|pas|si|sauf|maar|solo)\b",
    re.IGNORECASE,
)
"""Words that no signature needs: whoever uses them says something."""


_GREETING = (
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings|to whom it may concern)"
    r"(?: (?:there|all|both|everyone|everybody|team|support(?: team| staff)?|sirs?(?: or madam)?"
    r"|sir ?/ ?madam|madam|colleagues|folks|ladies and gentlemen))?"
)
_SUBJECTS = r"(?:transfer customer|authori[sz]e transfer of account|authori[sz]e customer transfer)"
_DONE = r"(?:done|complete|completed|finished|through|in place)"
_IT = r"(?:it|this|that|the transfer|the move|everything|all)"
_HARMLESS = (
    rf"(?:subject ?: ?)?{_SUBJECTS}(?= ?[\n{PARAGRAPH}]| ?(?:we|i)\b)",
    (
        r"(?:please (?:find|see) )?(?:our|my|the) (?:request|authori[sz]ation|ticket|text"
        r"|statement)"
        r"(?: is| as)? (?:below|follows)"
    ),
    r"(?:as|like) (?:requested|discussed|agreed|described)(?: by (?:phone|mail|e-mail|you))?",
    (
        r"(?:as per|as described in|according to|following) (?:your|the) (?:instructions|procedure"
        r"|request|e-?mail|mail|letter)"
    ),
    r"i hope (?:you are|you're|this finds you|all is) (?:doing )?well",
    (
        rf"(?:please |kindly )?(?:let (?:us|me) know|inform (?:us|me)|tell (?:us|me)|notify"
        rf" (?:us|me)"
        rf"|confirm)(?: (?:here|by mail|by e-mail|by email))? (?:when|once|as soon as) {_IT}"
        rf" (?:is|has been|was) (?:all )?{_DONE}"
    ),
    (
        r"(?:please |kindly )?(?:let (?:us|me) know|contact (?:us|me)|call (?:us|me)|tell"
        r" (?:us|me)) if"
        r" you (?:need|require|want|have) (?:any ?(?:thing|more|further|other|additional)?"
        r"(?: (?:information|details|documents|questions?))?)(?: else)?(?: from (?:us|me))?"
    ),
    (
        r"(?:if|should) you have any (?:further )?questions?,? (?:please )?(?:do not hesitate"
        r" to|feel free"
        r" to|just)? ?(?:call|contact|ask|mail) (?:us|me)"
    ),
    r"please (?:confirm|acknowledge)(?: (?:the )?receipt)?(?: of this ticket)?",
    (
        r"(?:please |kindly )?(?:process|handle|proceed with) (?:this|it|our request|the transfer)"
        r"(?: (?:quickly|soon|as soon as possible|asap|at your earliest convenience))?"
    ),
    (
        r"(?:we|i) (?:look|are looking|am looking) forward to (?:hearing from you|your"
        r" (?:reply|answer"
        r"|confirmation))"
    ),
    r"have a (?:nice|great|good|lovely) (?:day|week|weekend|evening)",
    (
        r"(?:many |with )?(?:thanks you|thank you|thanks|thank u|thx)(?: (?:very much|so much"
        r"|a lot|again"
        r"|all|team|support))?(?: in advance)?(?: (?:for|and) (?:your|the) (?:help|support"
        r"|assistance"
        r"|time|(?:quick |kind )?(?:help|reply|service)|patience))?(?: and(?= (?:best|kind|warm)))?"
    ),
    r"thanking you(?: in advance)?",
    r"(?:with )?(?:(?:my |our )?(?:best|kind|kindest|warm|many) )?(?:regards|wishes|greetings)",
    (
        r"(?:yours |very )?(?:sincerely|truly|faithfully|respectfully)(?: yours)?|best|cheers|all"
        r" the best"
    ),
    (
        r"(?:sent|get) (?:from|outlook for) (?:my |mail for )?(?:iphone|ipad|ios|android(?:"
        r" device)?|phone"
        r"|mobile|samsung(?: galaxy)?(?: smartphone)?|windows(?: 1\d)?|blackberry)"
    ),
    (
        r"this (?:e-?mail|message)(?: and (?:any|its|all) (?:attachments?|files?)(?:"
        r" transmitted with it)?)?"
        r" (?:is|are|may be) (?:strictly )?(?:confidential|intended)(?: and (?:intended|is"
        r" intended))?"
        r"(?: (?:only|solely))? for (?:the )?(?:use of (?:the )?)?(?:named |intended"
        r" )?(?:addressee|recipient)"
        r"s?(?: only)?"
    ),
    (
        r"if you (?:are not the intended recipient|(?:have )?received (?:it|this (?:e-?mail"
        r"|message)) in"
        r" error),? please (?:delete it|notify the sender|notify us)(?: and delete it)?"
    ),
    r"please consider the environment before printing this (?:e-?mail|message|mail)",
)
_GREETINGS = compiled(rf"{_GREETING}(?=[\s,.!:;-]|$)")
_PHRASES = compiled(rf"(?:{'|'.join(_HARMLESS)})(?=[\s,.!:;)\"'-]|$)")
_BETWEEN = re.compile(r"[\s\"',.;:!|/()&·•=\-]+|[🙂😊👍🙏](?:\ufe0f)?")
_WORDS_OF_SIGNATURES = frozenset(
    [
        "of",
        "and",
        "on",
        "behalf",
        "for",
        "von",
        "van",
        "de",
        "der",
        "den",
        "del",
        "la",
        "le",
        "tel",
        "telephone",
        "phone",
        "fax",
        "mobile",
        "mob",
        "cell",
        "email",
        "e-mail",
        "mail",
        "web",
        "website",
        "ext",
        "c/o",
        "domain",
        "mr",
        "mrs",
        "ms",
        "dr",
        "managing",
        "director",
        "ceo",
        "cto",
        "cfo",
        "coo",
        "owner",
        "founder",
        "president",
        "chairman",
        "secretary",
        "head",
        "sales",
        "support",
        "account",
        "accounts",
        "accounting",
        "manager",
        "management",
        "administrator",
        "administration",
        "admin",
        "it",
        "team",
        "department",
        "operations",
        "finance",
        "customer",
        "service",
        "services",
        "technical",
        "office",
        "hosting",
        "gmbh",
        "ltd",
        "limited",
        "inc",
        "incorporated",
        "llc",
        "ag",
        "kg",
        "ohg",
        "co",
        "corp",
        "corporation",
        "company",
        "bv",
        "nv",
        "sa",
        "sarl",
        "srl",
        "oy",
        "ab",
        "plc",
    ]
)
"""What people write beneath a mail besides their names: titles, departments, kinds of companies."""
_A_NUMBER = re.compile(r"\+?[\d()/.x-]+[a-z]{0,2}", re.IGNORECASE)
_A_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|(?:19|20)\d\d")
_AN_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:https?://|www\.)[\w./-]+", re.IGNORECASE)
_A_WORD = re.compile(r"[^\W\d_][^\W_]*(?:[.'&-][^\W_]*)*")
_OF_A_STREET = re.compile(
    r"\b(?!(?:19|20)\d\d\b)\d{4,5}\b|(?:str\.|stra(?:ss|ß)e|street|road|avenue|lane|platz)(?!\w)"
    r"|\b(?:po box|rue|boulevard|suite)\b",
    re.IGNORECASE,
)
_A_TOKEN = re.compile(r"[^\s,;|]+")
_WORDS_OF_A_SIGNATURE = 40


def own_names(ticket: Ticket, claim: Claim, names: frozenset[str]) -> frozenset[str]:
    """Words that the filer may sign with in any case: its own and the parties' names."""
    author = ticket.author.name
    initials = ".".join(word[0] for word in author.split())
    label = claim.domain.split(".", maxsplit=1)[0]
    given = (author, initials, ticket.author.id, ticket.account, claim.domain, label, *names)
    words = {word.strip(" .,()\"'") for name in given for word in name.casefold().split()}
    return frozenset(word for word in words if not DOUBT.search(word))


def is_harmless(text: str, own: frozenset[str], *, before: bool = False) -> bool:
    """Whether text beside a yes is made of greetings, thanks, a signature and the like alone."""
    at, greeted, left = 0, 0, 0 if before else _WORDS_OF_A_SIGNATURE
    while at < len(text):
        if between := _BETWEEN.match(text, at):
            greeted = greeted if between[0] in (" ", ". ") else 0
            found = between
        elif greeting := _GREETINGS.match(text, at):
            greeted, found = 3 if before else 0, greeting
        elif phrase := _PHRASES.match(text, at):
            found = phrase
        else:
            word = _A_TOKEN.match(text, at)
            if word is None or not (greeted or left):
                return False
            line = text[_line_start(text, at) : _line_end(text, at)]
            is_address = bool(_OF_A_STREET.search(line)) and len(line.split()) <= 10
            if not _signs(word[0].strip(".:()\"'!<>-"), own, named=bool(greeted) or is_address):
                return False
            greeted, left, found = max(0, greeted - 1), max(0, left - 1), word
        at = found.end()
    return True


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind(PARAGRAPH, 0, at)) + 1


def _line_end(text: str, at: int) -> int:
    return min(i for i in (text.find("\n", at), text.find(PARAGRAPH, at), len(text)) if i >= 0)


def _signs(word: str, own: frozenset[str], *, named: bool) -> bool:
    """Whether this is a word of a signature: the filer's own name or title, a number, an address.

    Other names may stand after a greeting, and in a line of an address: a street, a town.
    """
    plain = word.casefold()
    if not word or plain in own or plain in _WORDS_OF_SIGNATURES:
        return True
    if _AN_ADDRESS.fullmatch(word):
        return True
    if _A_NUMBER.fullmatch(word):
        return not _A_DATE.fullmatch(word)
    if (
        not named
        or not word[0].isupper()
        or not _A_WORD.fullmatch(word)
        or re.search(r"\w{2}\.\w{2}", word)
    ):
        return False
    # Latin letters only, up to U+024F: a look-alike of another script may hide a word.
    return max(word) < "\u0250" and not DOUBT.search(word) and not SAYS.search(word)
