"""What staff read in Temporal's pages: true, complete, bounded, and text only."""

from __future__ import annotations

import inspect
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.core.acts import Act
from tests.core.builders import GLOBEX, REFUSE_TEXT, at, facts, opened, ready, submit, ticket
from tests.core.histories import HISTORIES, play
from tests.core.test_views import EVERY_STATE, cancelled, held, mediating, stuck
from transfer import levers, messages, notices, views
from transfer.case import TERMINAL, Case, Evidence, Finding, SlotState, State
from transfer.details import (
    HAPPENED,
    MAX_DETAILS,
    MEANS,
    asked_for,
    details,
    escaped,
    happened,
)
from transfer.errors import RuleBroken
from transfer.messages import Hold, ReleaseOnBehalf, StopCode, TakeCase
from transfer.offers import LEVERS
from transfer.parties import Account, Party, Slot
from transfer.tickets import Intent
from transfer.tracking import Mark, tracking_page
from transfer.values import one_line

WHO = {"staff": "sue", "reason": "they called"}
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What GitHub's dialect links though it is no markup: it looks at the text after reading escapes.
LINKED_ANYWAY = re.compile(
    r"(https?|ftp|file)://|mailto:[^\s\u200b]|www\.|[-.\w+]@[-\w]+\.[-\w]", re.IGNORECASE
)

HOSTILE = [
    *("[x](http://e.example)", "![](http://e.example/i.png)", "[x][y]", "[x]: http://e", "[^1]"),
    *(
        "<img src=x onerror=alert(1)>",
        "<script>",
        "<!-- ",
        "<http://evil.example>",
        "<a@b.example>",
    ),
    *("# h", "## h", "- li", "* li", "+ li", "1. one", "2) two", "> q", "---", "===", "***", ": d"),
    *("`code`", "``", "```\nfence", "~~~", "| a | b |", "a | b", "|---|", "a\n\n# two\n- li", "\\"),
    *("http://evil.example/x", "HTTPS://EVIL.example", "www.evil.example", "Www.Evil.Example"),
    *("ann@acme.example", "mailto:a@b.example", "xmpp:a@b.example", "ftp://e.example", "file:///e"),
    *("**bold**", "_it_", "__b__", "a_b_c", "*a* *b", "~~s~~", "~x~", "e^2^", "$x$", "{#id}", "**"),
    *(
        "&lt;b&gt;",
        "&#35; h",
        "&amp;",
        "!",
        "![",
        "](",
        "\\*x\\*",
        "\\[x](y)",
        "javascript:alert(1)",
    ),
    *(
        "\u202egpj.exe",
        "a\u200bb",
        "\x00",
        "\x1b[31m",
        "\u2028# h",
        "\t    code",
        "",
        "…",
        "@",
        "://",
    ),
]
PLACES = [
    "{}",
    "## {}",
    "- **x** {}",
    "> {}",
    "**{}**",
    "[{}](https://desk.example)",
    "| x |\n|-|\n| {} |",
]


def read(markdown: str) -> tuple[list[str], str]:
    """What a reader of Markdown makes of it: the markup, and the text."""
    kinds: list[str] = []
    words: list[str] = []
    for block in READER.parse(markdown):
        kinds.append(block.type)
        for token in block.children or []:
            if token.type in ("text", "code_inline", "html_inline"):
                words.append(token.content)
            if token.type not in ("text", "text_special"):
                kinds.append(token.type)
            elif token.type == "text_special":
                words.append(token.content)
        if block.type in ("fence", "code_block", "html_block"):
            words.append(block.content)
    return kinds, "".join(words)


def is_text_alone(hostile: str) -> None:
    """Wherever it stands, there is the markup that was there without it, and the text itself."""
    shown = one_line(hostile)
    for place in PLACES:
        kinds, words = read(place.format(escaped(hostile, 10_000)))
        if shown:
            expected, around = read(place.format("Z"))
            assert kinds == expected, place
            assert words.replace("\u200b", "") == around.replace("Z", shown), place
        assert not LINKED_ANYWAY.search(words), place


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_what_comes_from_outside_is_text_and_nothing_else(hostile: str) -> None:
    """No link, image, heading, list, HTML, code or table comes of it."""
    is_text_alone(hostile)


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8))).map("".join))
def test_whatever_is_put_together_of_it_is_text_too(hostile: str) -> None:
    """Two harmless halves make nothing either."""
    is_text_alone(hostile)


@given(st.text(), st.integers(1, 50))
def test_it_is_as_short_as_wanted(text: str, limit: int) -> None:
    """Cut before it is escaped, so that no escape is cut."""
    kinds, words = read("x " + escaped(text, limit))
    assert len(words.replace("\u200b", "")) <= limit + 2
    assert set(kinds) == {"paragraph_open", "inline", "paragraph_close"}


@pytest.mark.parametrize(
    ("url", "is_linked"),
    [
        ("https://desk.example/Ticket/Display.html?id=7", True),
        ("http://127.0.0.1:8080/t/7#last", True),
        ("", False),
        ("javascript:alert(1)", False),
        ("https://desk.example/t/7) ![](http://evil.example", False),
        ("https://desk.example/<b>", False),
        ("https://desk.example/a|b", False),
        ("https://ann@evil.example/", False),
        ("https://desk.example/&#41;", False),
        ("https://desk.example/\n# h", False),
    ],
)
def test_a_ticket_is_linked_where_its_address_is_plain(url: str, is_linked: bool) -> None:
    """Ours to link is only what cannot end the link."""
    case = submit(opened(), ticket(Slot.AUTHORIZE, "7", body="hm", url=url))
    assert (f"[7]({url})" in details(case, at(hours=2))) is is_linked
    assert ("link_open" in read(details(case, at(hours=2)))[0]) is is_linked


# -- every state -------------------------------------------------------------------------------
def every_message(case: Case, now: datetime) -> dict[str, list[Any]]:
    """For each lever all that staff might send, put together apart from what is offered."""
    ids = [doubt.ticket.id for doubt in case.doubts] or ["none"]
    untils = [now + timedelta(hours=hours) for hours in (1, 24, 100, 300, 800, 1400)]
    names = ("sue", "tom")
    return {
        "extend_deadline": [
            messages.ExtendDeadline(**WHO, until=until, which=which)
            for until in untils
            for which in messages.Which
        ],
        "hold": [Hold.model_validate(WHO)],
        "resume": [messages.Resume.model_validate(WHO)],
        "cancel": [messages.Cancel.model_validate(WHO)],
        "take_case": [TakeCase.model_validate(WHO)],
        "admit_ticket": [
            messages.AdmitTicket(**WHO, ticket_id=number, what=what)
            for number in ids
            for what in Intent
        ],
        "reject_ticket": [messages.RejectTicket(**WHO, ticket_id=number) for number in ids],
        "release_on_behalf": [ReleaseOnBehalf(staff=name, reason="letter") for name in names],
        "retry_commit": [messages.RetryCommit.model_validate(WHO)],
    }


def works(lever: str, case: Case, message: Any, now: datetime) -> bool:
    try:
        getattr(levers, lever)(case, message, now)
    except RuleBroken:
        return False
    return True


def allowed(case: Case, now: datetime) -> set[str]:
    return {
        lever
        for lever, sent in every_message(case, now).items()
        if any(works(lever, case, message, now) for message in sent)
    }


def listed(text: str) -> dict[str, dict[str, str]]:
    """The levers that a text offers, with the JSON to paste."""
    _, _, there = text.partition("### What staff can do now")
    lines = re.findall(r"^- \*\*(\w+)\*\*.*?`(\{.*\})`$", there, re.MULTILINE)
    assert len(lines) == there.count("\n- ")
    return {lever: json.loads(example) for lever, example in lines}


NO = (SlotState.REFUSED, SlotState.WITHDRAWN, SlotState.LAPSED)


def agree(case: Case, now: datetime) -> None:
    """The details tell what the status, the list and the rules say."""
    text, shown, attributes = details(case, now), views.status(case), views.attributes(case)
    _, words = read(text)
    words = words.replace("\u200b", "")
    assert text.startswith(f"## {attributes.TransferState}: {MEANS[case.state]}\n")
    assert shown.summary in words or len(shown.summary) > 300
    for slot, view in shown.slots.items():
        line = next(line for line in text.splitlines() if line.startswith(f"- **{slot.value}**"))
        assert f": {view.state.value}" in line
        assert (f"ticket {view.ticket_id}" in line) is (view.ticket_id is not None)
        if slot.value in shown.waiting_on and case.hold is None and "mediation" not in line:
            assert "AUTHORIZED" not in line
    clock = shown.next_deadline
    assert (clock.at if clock else None) == attributes.NextDeadline
    assert bool(re.search(r"^\*\*(If nothing comes|Next):", text, re.MULTILINE)) is bool(clock)
    if clock:
        assert f"{clock.at:%Y-%m-%d %H:%M} UTC: {clock.what}" in words
    assert set(listed(text)) == allowed(case, now)
    for lever, example in listed(text).items():
        kind = inspect.signature(getattr(levers, lever), eval_str=True).parameters["action"]
        assert works(lever, case, kind.annotation.model_validate_json(json.dumps(example)), now)
    assert len(text) <= MAX_DETAILS
    for party in Party:
        page = tracking_page(case, party, now, now)
        assert (page.mark is Mark.OVER) is (case.is_terminal and case.state is not State.COMPLETED)
        for step in page.steps:
            state = shown.slots[step.slot].state
            assert (step.mark is Mark.DONE) is (state is SlotState.AUTHORIZED)
            assert (step.mark is Mark.NO) is (state in NO)
            if step.own and page.mark is Mark.YOURS:
                assert step.slot.value in attributes.WaitingOn


@pytest.mark.parametrize("state", list(State))
def test_the_details_say_what_status_list_and_rules_say(state: State) -> None:
    """And what the parties are shown: one truth; every lever that works is offered, no other."""
    case = EVERY_STATE[state][0]()
    assert case.state is state
    agree(case, at(days=2))
    assert (listed(details(case, at(days=2))) == {}) is (
        state in TERMINAL or state is State.COMMITTING
    )


@settings(max_examples=60)
@given(HISTORIES)
def test_they_agree_at_every_step_of_every_history(history: list[Act]) -> None:
    """Whatever happened before."""
    for step in play(history).steps:
        agree(step.after, step.now)


def test_there_is_an_offer_for_every_lever_there_is() -> None:
    """A new lever has to be offered where it works."""
    rules = {
        name
        for name, rule in vars(levers).items()
        if inspect.isfunction(rule)
        and rule.__module__ == levers.__name__
        and list(inspect.signature(rule).parameters) == ["case", "action", "now"]
    }
    assert LEVERS.keys() == rules
    assert MEANS.keys() == set(State)


def test_what_is_offered_follows_the_policy_and_who_proposed() -> None:
    """The second person is another one, whatever the first is called."""
    assert "release_on_behalf" not in listed(details(mediating(), at(hours=2)))
    case = mediating(staff_release="two_person")
    first = listed(details(case, at(hours=2)))["release_on_behalf"]
    case = levers.release_on_behalf(case, ReleaseOnBehalf(**first), at(hours=2))
    second = listed(details(case, at(hours=2)))["release_on_behalf"]
    assert first["staff"] != second["staff"]
    assert "**your name proposes to release it** since 2026-03-02 11:00 UTC: why" in details(
        case, at(hours=2)
    )


# -- what each part says -----------------------------------------------------------------------
def test_a_mediation_says_who_mediates_and_what_clears_it() -> None:
    """With the old reseller's own words."""
    text = f"{REFUSE_TEXT} Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: 1001, 1002"
    case = submit(opened(), ticket(Slot.RELEASE, body=text))
    told = details(case, at(hours=2))
    assert "**Mediator:** nobody yet, wanted by 2026-03-03 10:00 UTC." in told
    assert "Its reason: PAST_DUE_BALANCE: 120.00 EUR, invoices 1001, 1002." in told
    assert "It may stop the transfer until these invoices are paid." in told
    assert "A fresh release by Acme Hosting clears it." in told
    case = levers.take_case(case, TakeCase.model_validate(WHO), at(hours=2))
    assert "**Mediator:** sue." in details(case, at(hours=2))


def test_a_rejected_ticket_has_its_code_and_its_fix() -> None:
    """Until staff have read it, an unclear one stands among those to read."""
    case = submit(opened(), ticket(Slot.ACCEPT, "8", delegated=True))
    assert (
        "- 8 by Globex (accept), 2026-03-02 10:00 UTC. DELEGATED_SESSION: Log in as yourself,"
    ) in details(case, at(hours=2))
    case = submit(opened(), ticket(Slot.AUTHORIZE, "7", subject="Hi", body="hm | hm"))
    told = details(case, at(hours=2))
    assert "Ticket 7 by Example Ltd (authorize): Hi\n\n> hm &#124; hm" in told
    assert "do not count" not in told
    reject = messages.RejectTicket(**WHO, ticket_id="7")
    told = details(levers.reject_ticket(case, reject, at(hours=2)), at(hours=2))
    assert "- 7 by Example Ltd (authorize), 2026-03-02 11:00 UTC. TEXT_AMBIGUOUS: Staff" in told
    case = submit(opened(), ticket(Slot.ACCEPT, "9", account="C-666"))
    assert "- 9, 2026-03-02 10:00 UTC. WRONG_ACCOUNT: File it" in details(case, at(hours=2))


def test_a_hold_a_stuck_commit_and_an_end_say_why() -> None:
    """And that nothing changes what is over."""
    told = details(held(opened()), at(hours=3))
    assert "**On hold** since 2026-03-02 11:00 UTC by sue, LEGAL_HOLD: court order" in told
    assert "its clock is stopped" in told
    told = details(stuck(), at(days=2))
    assert "**The commit is stuck** since 2026-03-04 09:00 UTC: the database is away" in told
    told = details(cancelled(opened()), at(days=2))
    assert "**It is over** (OTHER: they called). Nothing changes it any more." in told
    told = details(opened(facts(new=GLOBEX.model_copy(update={"suspended": True}))), at())
    assert "- NEW_SUSPENDED: " in told


# -- bounded -----------------------------------------------------------------------------------
def test_they_are_bounded_whatever_was_written_and_the_levers_stay() -> None:
    """Whole parts are left out, and the reader is told where the rest is."""
    wild = "[*_<`" * 400
    wild_name = Account(id="x", name=wild[:200])
    case = ready().having(commit_at=None)
    for number in range(21):
        when = at(hours=2, minutes=number)
        slot = list(Slot)[number % 3]
        case = submit(case, ticket(slot, f"T{number}", when, body=wild, subject=wild[:300]))
    case = case.having(
        old=wild_name,
        new=wild_name,
        customer=wild_name,
        findings=tuple(Finding(code=wild[:200], fix=wild) for _ in range(30)),
    )
    text = details(case, at(hours=3))
    assert len(case.doubts) > 7
    assert MAX_DETAILS * 0.5 < len(text) <= MAX_DETAILS
    assert "There is more: see the query `status`." in text
    assert {"reject_ticket", "hold", "cancel"} <= set(listed(text))
    kinds, _ = read(text)
    assert not {"html_inline", "html_block", "image", "link_open", "fence"} & set(kinds)
    over = cancelled(ready()).having(findings=case.findings, outcome_reason=wild)
    assert len(details(over, at(hours=3))) <= MAX_DETAILS
    hold = Hold(staff=wild[:200], reason=wild[:2000], code=StopCode.OTHER)
    assert len(details(levers.hold(ready(), hold, at(hours=3)), at(hours=3))) <= MAX_DETAILS


# -- what is said once, and the timeline -------------------------------------------------------
def test_what_was_asked_for_is_told_without_a_worker() -> None:
    """Who asked, from whom to whom, the charges, where to look, and every state."""
    text = asked_for(opened(requested_by="[ann](http://e)"))
    assert text.startswith(
        "Asked for by **&#91;ann&#93;(http:\u200b//e)** at 2026-03-02 09:00 UTC."
    )
    assert "Example Ltd (C-1), from Acme Hosting (acme) to Globex (globex)." in text
    assert "Charges: business, 12.50 EUR a month." in text
    assert "link_open" not in read(text)[0]
    assert all(f"- `{state.value}`: {MEANS[state]}" in text for state in State)


def test_everything_that_can_happen_has_its_words_in_the_timeline() -> None:
    """A new code of evidence needs some."""
    core = Path(views.__file__).parent
    written = {
        code
        for source in core.glob("*.py")
        for code in re.findall(r"\.noting\(\s*\"([A-Z_]+)\"", source.read_text(encoding="utf-8"))
    }
    assert len(written) > 15
    ends = {state.value for state in TERMINAL}
    assert (written | ends | notices.RULES.keys()) - HAPPENED.keys() == set()


def test_the_timeline_says_each_thing_once_and_by_whom() -> None:
    """Plain text: the timeline shows asterisks as they are."""
    case = submit(opened(), ticket(Slot.ACCEPT))
    assert happened(case, case.evidence) == (
        "the transfer was asked for; all three are asked; Globex agreed"
    )
    unknown = Evidence(seq=1, at=at(), who="x", code="NEW_CODE")
    assert happened(case, (unknown, unknown)) == "NEW_CODE"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://desk.example/t/9?id=9", "ticket [9](https://desk.example/t/9?id=9)"),
        ("javascript:alert(1)", "ticket 9"),
        ("https://e.example/)![x](http://e", "ticket 9"),
        ("", "ticket 9"),
    ],
)
def test_the_ticket_behind_a_yes_is_a_link_where_its_address_is_plain(url: str, shown: str) -> None:
    yes = ticket(Slot.ACCEPT, "9").model_copy(update={"url": url})
    text = details(submit(opened(), yes), at(hours=2))
    line = next(line for line in text.splitlines() if line.startswith("- **accept**"))
    assert line.endswith(shown)
