"""What a ticket's text says, and what nobody may guess."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.core.builders import ACME, GLOBEX, PROCEDURE, REFUSE_TEXT, WITHDRAW_TEXT, ticket
from transfer import domains
from transfer.parties import Account, Slot
from transfer.reading import may_be_about_transfers, read
from transfer.tickets import MAX_BODY, Claim, Intent, Reason, text_to_file

RELEASE, AUTHORIZE, ACCEPT = (PROCEDURE[slot][1] for slot in Slot)


def says(body: str, subject: str = "") -> Claim | None:
    """What a ticket with this text says."""
    return read(ticket(Slot.RELEASE, body=body, subject=subject))


@pytest.mark.parametrize(
    ("slot", "old", "new"),
    [
        (Slot.RELEASE, None, "Globex"),
        (Slot.AUTHORIZE, "Acme Hosting", "Globex"),
        (Slot.ACCEPT, "Acme Hosting", "Globex"),
    ],
)
def test_the_procedures_text_is_read_letter_by_letter(
    slot: Slot, old: str | None, new: str
) -> None:
    """With its "Thanks you", its odd comma and its capital Authorize."""
    expected = Claim(intent=Intent(slot.value), domain="example.com", old=old, new=new)
    assert read(ticket(slot)) == expected


@pytest.mark.parametrize("intent", list(Intent))
@pytest.mark.parametrize("shown", ["example.com", "straße.de", domains.display("xn--strae-oqa.de")])
def test_the_text_we_send_is_understood_as_it_is_sent(intent: Intent, shown: str) -> None:
    """A party that does exactly what it was told is never sent back."""
    subject, body = text_to_file(intent, shown, ACME.account, GLOBEX.account)
    claim = says(body, subject)
    assert claim is not None
    assert claim.intent is intent
    assert claim.domain == domains.to_a_label(shown.split(" ", maxsplit=1)[0])
    assert claim.new == "Globex"


@pytest.mark.parametrize(
    ("intent", "subject", "body"),
    [
        (
            Intent.RELEASE,
            "Transfer Customer",
            "I would like to request that example.com is to be transferred to Globex.",
        ),
        (
            Intent.AUTHORIZE,
            "Authorize transfer of account",
            "We, example.com, authorize the transfer of our account from Acme Hosting to Globex.",
        ),
        (
            Intent.ACCEPT,
            "Authorize Customer Transfer",
            "We, Globex, authorize example.com to be transferred from Acme Hosting to our account.",
        ),
        (
            Intent.REFUSE,
            "Refuse Customer Transfer",
            "We refuse the transfer of example.com from Acme Hosting to Globex.",
        ),
        (
            Intent.WITHDRAW,
            "Withdraw Customer Transfer",
            "We withdraw our authorization to transfer example.com from Acme Hosting to Globex.",
        ),
    ],
)
def test_a_party_is_told_the_texts_of_the_procedure(
    intent: Intent, subject: str, body: str
) -> None:
    """Subject and body; who agrees says thank you, who does not need not."""
    thanks = "" if intent in {Intent.REFUSE, Intent.WITHDRAW} else "\nThank you"
    shown = text_to_file(intent, "example.com", ACME.account, GLOBEX.account)
    assert shown == (subject, body + thanks)


NAMES = st.sampled_from(
    [
        *("Acme Hosting", "Back to Basics", "Dr. Web", "Acme, Inc.", "From Us to You Ltd."),
        *("Thank You Hosting", "We, the Hosters", "1&1", "not.so.fast", "Ümlaut (EU) GmbH", "a"),
        *("Reason Hosting", "Regards & Sons", "A.B. to C.D., Inc. to E.", "transferred from Z"),
    ]
)


@settings(max_examples=200)
@given(intent=st.sampled_from(list(Intent)), old=NAMES, new=NAMES)
def test_known_names_are_understood_whatever_they_contain(
    intent: Intent, old: str, new: str
) -> None:
    """ "Back to Basics" is one name, "Dr. Web" does not end at its dot."""
    subject, body = text_to_file(
        intent, "example.com", Account(id="o", name=old), Account(id="n", name=new)
    )
    claim = read(ticket(Slot.RELEASE, subject=subject, body=body), (old, new))
    assert claim is not None
    assert Account(id="n", name=new).goes_by(claim.new or "")
    assert claim.old is None or Account(id="o", name=old).goes_by(claim.old)


@pytest.mark.parametrize(
    "body",
    [
        RELEASE.upper(),
        RELEASE.replace(" ", "\n"),
        "Hello,\n\n" + RELEASE + "\nAnn Old, Acme Hosting, +49 30 1234",
        RELEASE.replace("is to be transferred", "be transferred"),
        RELEASE.replace("example.com", "“example.com”").replace("Globex", "'Globex'"),
        RELEASE.replace("example.com", "<example.com>").replace("Globex", "<Globex>"),
        RELEASE.replace("example.com", "ｅｘａｍｐｌｅ.com"),
        RELEASE.replace("Globex.", "Globex"),
        RELEASE.replace("Globex.\nThanks you", "Globex, kind regards, Ann"),
    ],
)
def test_case_quotes_spacing_and_a_signature_do_not_count(body: str) -> None:
    """People copy the text, and greet."""
    claim = says(body)
    assert claim is not None
    assert (claim.intent, claim.domain) == (Intent.RELEASE, "example.com")
    assert (claim.new or "").casefold() == "globex"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "yes",
        "Please move example.com to Globex.",
        "We do not authorize the transfer of our account from Acme Hosting to Globex.",
        "We ,<customers domain>, authorize the transfer of our account from Acme to Globex.",
        AUTHORIZE + " This is not what we want.",
        AUTHORIZE + " But only when the invoice is paid.",
        AUTHORIZE + " Unless you hear from us.",
        AUTHORIZE + " We cannot agree to more.",
        AUTHORIZE + " We won’t pay for it.",
        AUTHORIZE + " As soon as possible, after May.",
        AUTHORIZE + " Is this right?",
        AUTHORIZE + " I declined it by phone.",
        AUTHORIZE + " Please disregard.",
        "I never said: " + AUTHORIZE,
        "It is false that " + AUTHORIZE,
        "They sent me this:\n> " + AUTHORIZE,
        RELEASE + "\n" + RELEASE,
        RELEASE + "\n" + AUTHORIZE,
        AUTHORIZE + "\n" + REFUSE_TEXT,
        AUTHORIZE + "\n" + WITHDRAW_TEXT,
        "I would like to request that example.com and example.org is to be transferred to Globex.",
    ],
)
def test_what_may_mean_something_else_is_unclear(body: str) -> None:
    """A person decides; the machine never guesses."""
    assert says(body) is None


def test_a_subject_that_takes_it_back_makes_it_unclear_too() -> None:
    """The subject is part of what was said."""
    assert says(RELEASE, "Do NOT transfer") is None
    assert says(RELEASE, "Transfer Customer") is not None


@pytest.mark.parametrize(
    ("body", "domain"),
    [
        (RELEASE.replace("example.com", "http://example.com"), "http://example.com"),
        (RELEASE.replace("example.com", "EXAMPLE.ORG"), "example.org"),
        (RELEASE.replace("example.com", "straße.de (strasse.de)"), "straße.de (strasse.de)"),
    ],
)
def test_a_domain_is_kept_as_it_was_named(body: str, domain: str) -> None:
    """A name that does not normalise, or two that differ, match nothing."""
    claim = says(body)
    assert claim is not None
    assert claim.domain == domain


def test_a_no_is_a_no_whatever_stands_beside_it() -> None:
    """Stopping needs no perfect grammar."""
    for text, intent in ((REFUSE_TEXT, Intent.REFUSE), (WITHDRAW_TEXT, Intent.WITHDRAW)):
        claim = says(text + " But call us if that is wrong?")
        assert claim is not None
        assert claim.intent is intent


@pytest.mark.parametrize(
    ("beside", "reason", "shown"),
    [
        ("", Reason.OTHER, "OTHER"),
        (
            "Reason: PAST_DUE_BALANCE. Amount: 120.50 EUR. Invoices: R-1, R-2.",
            Reason.PAST_DUE_BALANCE,
            "PAST_DUE_BALANCE: 120.50 EUR, invoices R-1, R-2",
        ),
        ("Reason: PAST_DUE_BALANCE. Amount: 120.50 EUR.", Reason.OTHER, "OTHER: 120.50 EUR"),
        ("Reason: PAST_DUE_BALANCE. Invoices: R-1", Reason.OTHER, "OTHER: invoices R-1"),
        ("Reason: past_due_balance amount:7 invoice:9", Reason.PAST_DUE_BALANCE, None),
        ("Reason: PAST_DUE_BALANCE. Amount: 1,234.50 EUR. Invoices: R-1", Reason.OTHER, None),
        (
            "Reason: CONTRACT_TERM_ACTIVE. Ends: 2026-12-31",
            Reason.CONTRACT_TERM_ACTIVE,
            "CONTRACT_TERM_ACTIVE: until 2026-12-31",
        ),
        ("Reason: CONTRACT_TERM_ACTIVE", Reason.OTHER, "OTHER"),
        ("Reason: CONTRACT_TERM_ACTIVE. Ends: 2026-02-31", Reason.OTHER, "OTHER"),
        ("Reason: COMMERCIAL_OBJECTION", Reason.COMMERCIAL_OBJECTION, "COMMERCIAL_OBJECTION"),
        ("Reason: UNRELATED_DEBT", Reason.UNRELATED_DEBT, "UNRELATED_DEBT"),
        ("Reason: NO_RESPONSE", Reason.NO_RESPONSE, "NO_RESPONSE"),
        ("Reason: OTHER we like them", Reason.OTHER, "OTHER"),
        ("Reason: FRAUD_SUSPECTED", Reason.OTHER, "OTHER"),
        ("Reason: BECAUSE", Reason.OTHER, "OTHER"),
    ],
)
def test_a_refusals_reason_needs_what_it_takes_to_clear_it(
    beside: str, reason: Reason, shown: str | None
) -> None:
    """Amount and invoices, or an end date; what staff alone may say counts as OTHER."""
    claim = says(f"{REFUSE_TEXT} {beside}")
    assert claim is not None
    assert claim.refusal is not None
    assert claim.refusal.reason is reason
    assert shown is None or str(claim.refusal) == shown
    assert beside in claim.refusal.text


def test_an_amount_is_read_as_it_stands() -> None:
    """With or without a currency."""
    claim = says(f"{REFUSE_TEXT} Reason: PAST_DUE_BALANCE, amount: 7, invoices: 1")
    assert claim is not None
    assert claim.refusal is not None
    assert (claim.refusal.amount, claim.refusal.currency) == (Decimal(7), "")


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("please do not MOVE us", True),
        ("we withdrew our consent", True),
        ("my mailbox is full", False),
        ("remove the spam filter", False),
    ],
)
def test_an_unclear_ticket_that_could_mean_a_transfer_is_told_apart(
    text: str, may_be: bool
) -> None:
    """Nobody wants an answer on a ticket about something else."""
    assert may_be_about_transfers(ticket(Slot.RELEASE, subject="", body=text)) is may_be


@pytest.mark.parametrize(
    "body",
    [
        "we refuse the transfer of a.b from x " + "to " * 16,
        "We, a.b, authorize the transfer of our account from " + "x to " * 40,
        "we, a, authorize a.b to be transferred from ",
        "we, ",
        '"' + "we,'" * 5,
        " ",
    ],
)
@pytest.mark.timeout(30)  # a text that takes exponential time would hang
def test_no_hostile_text_says_yes_or_hangs_its_reader(body: str) -> None:
    """A workflow must answer within two seconds, and reads dozens of tickets at a time."""
    for text in (body * MAX_BODY, "we, " * 3000 + body + " to " * 2000):
        claim = says(text[:MAX_BODY])
        assert claim is None or claim.intent.slot is None


@settings(max_examples=200)
@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from([RELEASE, AUTHORIZE, "?", "not"]))))
def test_any_text_is_read_without_an_error(parts: list[str]) -> None:
    """Whatever a stranger types."""
    claim = says(" ".join(parts)[:MAX_BODY])
    if claim is not None:
        assert len(claim.domain) <= 600
        assert len(claim.new or "") <= 200


def test_a_strangers_name_becomes_one_short_line_and_a_long_body_is_refused() -> None:
    """Adapters cut the body; a name is cut here, since it would be refused too late."""
    author = {
        "id": "x",
        "name": "Eve\r\nBcc: all\u202e\x00" + "e" * 500,
        "email": " eve@x.example\n",
    }
    filed = ticket(Slot.RELEASE).model_dump() | {"author": author}
    read_back = type(ticket(Slot.RELEASE)).model_validate(filed)
    assert read_back.author.name.startswith("Eve Bcc: all eee")
    assert len(read_back.author.name) == 200
    assert read_back.author.email == "eve@x.example"
    with pytest.raises(ValidationError):
        type(read_back).model_validate(filed | {"body": "x" * (MAX_BODY + 1)})
