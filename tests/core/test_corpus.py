"""The corpus: tickets as people write them, and as somebody would who wants them misread."""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.builders import ACME, EXAMPLE, GLOBEX, at, facts, opened, reading, ticket
from transfer import judging
from transfer.case import Case
from transfer.judging import Verdict
from transfer.parties import Slot
from transfer.reading import read
from transfer.tickets import MAX_BODY, Claim, Intent, Ticket

CORPUS = Path(__file__).parents[1] / "corpus" / "tickets.toml"
UNCLEAR = "ambiguous"
LABELS = [*(intent.value for intent in Intent), UNCLEAR]

OLD = ACME.model_copy(update={"name": "Acme Hosting Ltd.", "aliases": ("ACME", "Acme Hosting")})
NEW = GLOBEX.model_copy(update={"aliases": ("GLBX", "Globex GmbH", "Globex, Inc.")})
NAMES = (*OLD.account.names, *NEW.account.names)


class Entry(NamedTuple):
    """A ticket of the corpus, and what a person says that it says."""

    id: str
    by: Slot
    text: str
    expect: str
    code: str | None = None
    subject: str = ""
    adversarial: bool = False

    @property
    def ticket(self) -> Ticket:
        """As the ticket system has it."""
        return ticket(self.by, subject=self.subject, body=self.text)


def corpus() -> list[Entry]:
    """All entries; a misspelt field or value is an error here."""
    found = tomllib.loads(CORPUS.read_text(encoding="utf-8"))["ticket"]
    return [Entry(by=Slot(fields.pop("by")), **fields) for fields in found]


ENTRIES = corpus()
SAMPLE = {
    Slot.RELEASE: "I would like to request that example.com is to be transferred to Globex.",
    Slot.AUTHORIZE: "We, example.com, authorize the transfer of our account from ACME to Globex.",
    Slot.ACCEPT: "We, Globex, authorize example.com to be transferred from ACME to our account.",
}


def transfer() -> Case:
    """Acme's customer moves to Globex; all three are asked."""
    return opened(facts(old=OLD, new=NEW, customer=EXAMPLE))


def judged(entry: Entry) -> Verdict:
    """What becomes of the ticket, from end to end."""
    return judging.judge(transfer(), reading(entry.ticket), at(hours=2))


def says(filed: Ticket) -> Claim | None:
    """What a ticket says, between these two resellers."""
    return read(filed, NAMES)


def label(claim: Claim | None) -> str:
    """The corpus's word for it."""
    return claim.intent.value if claim else UNCLEAR


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.id for entry in ENTRIES])
def test_a_ticket_is_read_and_judged_as_a_person_would(entry: Entry) -> None:
    """Its intent by the text alone, and its code by all the rules."""
    assert label(says(entry.ticket)) == entry.expect
    verdict = judged(entry)
    assert verdict.code == (entry.code or ("TEXT_AMBIGUOUS" if entry.expect == UNCLEAR else None))
    if verdict.code is None:
        assert verdict.intent == entry.expect


def test_not_one_ticket_is_authorized_wrongly() -> None:
    """The one number that has to be zero, whatever else is misread."""
    wrongly = []
    for entry in ENTRIES:
        verdict = judged(entry)
        counts_as_yes = verdict.code is None and verdict.intent not in (
            None,
            Intent.REFUSE,
            Intent.WITHDRAW,
        )
        is_yes = entry.expect == entry.by.value and entry.code is None and not entry.adversarial
        if counts_as_yes and not is_yes:
            wrongly.append(entry.id)
    assert wrongly == []


def test_the_corpus_is_large_and_labelled_consistently() -> None:
    """At least 170 tickets, 50 of them hostile, each id and text once, each label there."""
    assert len(ENTRIES) >= 170
    assert sum(entry.adversarial for entry in ENTRIES) >= 50
    assert len({entry.id for entry in ENTRIES}) == len(ENTRIES)
    assert len({(entry.by, entry.subject, entry.text) for entry in ENTRIES}) == len(ENTRIES)
    assert {entry.expect for entry in ENTRIES} == set(LABELS)
    for entry in ENTRIES:
        assert entry.expect == UNCLEAR or entry.code or not entry.adversarial, entry.id


def test_the_confusion_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed in every run: a row for what a person says, a column for what was read."""
    counts = Counter((entry.expect, label(says(entry.ticket))) for entry in ENTRIES)
    codes = Counter(judged(entry).code or "accepted" for entry in ENTRIES)
    width = max(map(len, LABELS))
    table = [" " * width + "".join(f"{name:>{width + 1}}" for name in LABELS)]
    for row in LABELS:
        cells = "".join(f"{counts[row, column] or '.':>{width + 1}}" for column in LABELS)
        table.append(f"{row:<{width}}{cells}")
    title = f"{len(ENTRIES)} tickets: a row what they say, a column what was read"
    judgements = "judged: " + ", ".join(f"{code} {n}" for code, n in sorted(codes.items()))
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join([title, *table, judgements]) + "\n")
    assert sum(counts[name, name] for name in LABELS) == len(ENTRIES)


@pytest.mark.parametrize(
    "part",
    [
        *(
            "<",
            "<a ",
            "<!-- ",
            "<p ",
            "<p>",
            "</p>",
            "<![if ",
            "<style>a{",
            "&#",
            "<a href='",
            "> ",
        ),
        *("On a wrote", "On a\n", "From:\n", "___", "example.com<http://example.com>", "\u200b "),
        *(
            "Please cancel the transfer of ",
            "cancel the transfer of a.b ",
            "please do not release ",
        ),
        *("we do not want a.b to be ", "we, x, do not ", "Hello ", "Carl ", "Carl 1 ", "thanks, "),
        *("let us know when ", ". ", "*", '"', "I request that a.b ", "no longer agree to ", "a."),
    ],
)
@pytest.mark.timeout(30)  # a text that takes exponential time would hang
def test_no_hostile_text_says_yes_or_hangs_its_reader(part: str) -> None:
    """A workflow reads dozens of tickets at a time, and has two seconds for all."""
    for text in (part * MAX_BODY, "<p>" + part * MAX_BODY):
        claim = says(ticket(Slot.RELEASE, body=text[:MAX_BODY]))
        assert claim is None or claim.intent.slot is None
    says(ticket(Slot.RELEASE, body=(SAMPLE[Slot.RELEASE] + part * MAX_BODY)[:MAX_BODY]))


# -- noise around a valid text -----------------------------------------------------------------
NOISE = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *("not", "never ", "n't", "if ", "?", " but ", "\n", "\n\n", "> ", ">", "-- \n", "<p>"),
            *(
                "</p>",
                "<!-- ",
                " -->",
                "<b>",
                "<s>",
                "&nbsp;",
                "\u200b",
                "\u202e",
                "\u00ad",
                "\x00",
            ),
            *("example.org", " and example.org", "www.", ".", ",", '"', "“", "*", " to ", " from "),
            *("Hello,\n", "Thanks you", "Kind regards\nAnn", "Initech", " Ltd.", "next month"),
            *(
                "On Monday Carl wrote:\n",
                "-----Original Message-----\n",
                "From: x\nTo: y\nDate: z\n",
            ),
            *("We refuse the transfer of example.com.", "Please cancel the transfer of "),
            *SAMPLE.values(),
        ]
    ),
)


def the_same_or_unclear(slot: Slot, text: str) -> None:
    claim = says(ticket(slot, subject="", body=text))
    if claim is None or claim.intent.slot is None:
        return  # unclear; or a no, which the noise had in so many words
    plain = says(ticket(slot, subject="", body=SAMPLE[slot]))
    assert plain is not None
    verdict = judging.judge(transfer(), reading(ticket(slot, subject="", body=text)), at(hours=2))
    if verdict.code is None:
        assert (verdict.intent, claim.domain) == (plain.intent, plain.domain)
        assert claim.old is None or OLD.account.goes_by(claim.old)
        assert claim.new is None or NEW.account.goes_by(claim.new)


@settings(max_examples=300)
@given(slot=st.sampled_from(list(Slot)), before=NOISE, after=NOISE)
def test_noise_around_a_valid_text_leaves_it_or_makes_it_unclear(
    slot: Slot, before: str, after: str
) -> None:
    """It is never another party's yes, nor a yes for another domain."""
    claim = says(ticket(slot, subject="", body=f"{before}{SAMPLE[slot]}{after}"))
    if claim is not None and claim.intent.slot is not None:
        plain = says(ticket(slot, subject="", body=SAMPLE[slot]))
        assert plain is not None
        assert (claim.intent, claim.domain) == (plain.intent, plain.domain)


@settings(max_examples=400)
@given(slot=st.sampled_from(list(Slot)), noise=NOISE, where=st.integers(0, 90))
def test_noise_inside_a_valid_text_authorizes_nothing_else(
    slot: Slot, noise: str, where: int
) -> None:
    """Whatever is put into it: this domain and these resellers, or nothing."""
    text = SAMPLE[slot]
    the_same_or_unclear(slot, text[:where] + noise + text[where:])


@settings(max_examples=200)
@given(
    slot=st.sampled_from(list(Slot)),
    word=st.sampled_from(["not", "never", "if", "unless", "but", "cannot", "wait", "refuse", "no"]),
    data=st.data(),
)
def test_a_word_that_takes_it_back_stops_a_yes_wherever_it_stands(
    slot: Slot, word: str, data: st.DataObject
) -> None:
    """Between any two words, before the first and after the last."""
    words = SAMPLE[slot].split()
    at_word = data.draw(st.integers(0, len(words)))
    text = " ".join([*words[:at_word], word, *words[at_word:]])
    verdict = judging.judge(transfer(), reading(ticket(slot, subject="", body=text)), at(hours=2))
    assert verdict.code is not None or verdict.intent in (Intent.REFUSE, Intent.WITHDRAW)
