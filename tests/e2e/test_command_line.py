"""Every command: once for people, once for scripts, and what it says when it cannot."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, Ran, accounts_file, eventually, free_port

DONE, FAILED, USAGE, REFUSED, AWAY = range(5)
READ, OVER, UMLAUT = "read.example", "over.example", "bücher-e2e.example"
DOMAINS = (
    *(READ, OVER, UMLAUT, "again.example", "from.example", "dry.example", "held.example"),
    *("doubt.example", "silent.example", "stuck.example", "watched.example", "ended.example"),
    *("down.example", "told.example", "filed.example", "json.example", "stopped.example"),
)
TRACKER = {"TRANSFER_RT_TOKEN": "hush", "TRANSFER_OWN_AUTHORS": "transfer"}
IN_TEMPORAL = ["search attributes", "workers", "reconciliation"]
ALL_OF_TEMPORAL = ["Temporal", "clock", "search attributes", "workers", "versions"]
NOBODY = f"127.0.0.1:{free_port()}"
TICKET: dict[str, str] = {}
"""Tickets that the fixture filed, by slot."""


@pytest.fixture(scope="module")
def panel(install: Callable[..., Installation]) -> Generator[Installation]:
    """An installation with a worker, a transfer that waits, and one that is over."""
    panel = install().set_up(DOMAINS)
    panel.sink.start()
    worker = panel.working()
    panel.done("start", READ, "--to", "globex")
    TICKET["release"] = panel.ring(READ, "release")
    panel.done("start", OVER, "--to", "globex", **panel.policy(grace="0s"))
    for slot in ("release", "authorize", "accept"):
        panel.ring(OVER, slot)
    panel.reaches("COMPLETED", OVER)
    panel.authorized(READ, "release")
    panel.all_told(READ, OVER)
    yield panel
    assert worker.stop() == DONE


def one_line(ran: Ran) -> str:
    """What a command said on stderr, which must be one line; nothing is on stdout."""
    assert (ran.out, ran.err.count("\n")) == ("", 1), ran
    return ran.err


# -- reading -----------------------------------------------------------------------------------
READING = {
    "list": ["list"],
    "show": ["show", READ],
    "watch": ["watch", OVER],
    "evidence": ["evidence", READ],
    "accounts show": ["accounts", "show", READ],
    "desk list": ["desk", "list"],
    "desk show": ["desk", "show", "1001"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize("command", READING.values(), ids=READING)
def test_a_reading_command_prints_one_json_document_and_nothing_else(
    panel: Installation, command: list[str]
) -> None:
    """Scripts read stdout."""
    ran = panel.done(*command, "--json")
    assert ran.document
    assert ran.err == ""
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("command", READING.values(), ids=READING)
def test_a_reading_command_prints_text_for_people(panel: Installation, command: list[str]) -> None:
    """No JSON, and no colour where there is no terminal."""
    ran = panel.done(*command)
    assert ran.words
    assert ran.err == ""
    assert "\x1b" not in ran.out
    with pytest.raises(json.JSONDecodeError):
        json.loads(ran.out)


def test_show_says_who_is_waited_for_and_what_happens_next(panel: Installation) -> None:
    """By any of the customer's names."""
    words = panel.done("show", READ.upper() + ".").words
    assert "waiting for The people of read.example to authorize by" in words
    assert "Next: remind" in words
    assert f"AUTHORIZED │ {TICKET['release']}" in words


def test_show_has_what_the_contract_promises(panel: Installation) -> None:
    """The fields that scripts rely on."""
    status = panel.done("show", READ, "--json").document
    assert status["transfer_id"] == "transfer-read.example"
    assert (status["state"], status["escalated"], status["commit_at"]) == ("AWAITING", False, None)
    assert (status["old_reseller"], status["new_reseller"]) == ("acme", "globex")
    assert status["waiting_on"] == ["authorize", "accept"]
    assert status["slots"]["release"]["ticket_id"] == TICKET["release"]
    assert status["next_deadline"].keys() == {"at", "what"}
    assert status["customer_domain"] in status["summary"]


def test_list_filters_by_state_by_who_is_waited_for_and_by_escalation(panel: Installation) -> None:
    """Each filter alone and together."""

    def listed(*options: str) -> set[str]:
        return {row["transfer_id"] for row in panel.done("list", *options, "--json").document}

    read, over = f"transfer-{READ}", f"transfer-{OVER}"
    assert {read, over} <= listed()
    assert over in listed("--state", "COMPLETED")
    assert read not in listed("--state", "COMPLETED")
    assert read in listed("--waiting-on", "accept")
    assert read not in listed("--waiting-on", "release")
    assert read not in listed("--escalated")
    assert listed("--state", "COMPLETED", "--waiting-on", "accept") == set()
    assert "No transfer fits." in panel.done("list", "--state", "WITHDRAWN").out


def test_evidence_goes_into_a_file(panel: Installation, tmp_path: Path) -> None:
    """The same document that --json prints."""
    path = tmp_path / "evidence.json"
    assert "events to" in panel.done("evidence", OVER, "--out", str(path)).words
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written == panel.done("evidence", OVER, "--json").document
    assert [row["code"] for row in written][-1] == "COMPLETED"
    both = panel.done("evidence", OVER, "--out", str(path), "--json").document
    assert both["events"] == len(written)
    refused = panel.run("evidence", OVER, "--out", str(tmp_path / "no" / "folder"))
    assert (refused.code, "No such file" in one_line(refused)) == (USAGE, True)


def test_watch_stops_after_its_time(panel: Installation) -> None:
    """With the status as it is then."""
    ran = panel.done("watch", READ, "--timeout", "0")
    assert "RECEIVED to globex" in ran.words
    assert "waiting for" in ran.words


def test_watch_ends_when_the_transfer_ends(panel: Installation) -> None:
    """It tells everything on the way."""
    domain = "watched.example"
    panel.done("start", domain, "--to", "globex")
    watching = panel.program("watch", domain)
    watching.has_said("OPENED")
    panel.done("staff", "cancel", domain, "--by", "sam", "--reason", "the customer has gone")
    assert watching.ended() == DONE
    assert "CANCELLED" in watching.log
    assert "cancelled (the customer has gone)" in watching.log


# -- starting ----------------------------------------------------------------------------------
def test_the_same_start_again_prints_the_open_transfer(panel: Installation) -> None:
    """For people and for scripts; nothing is started twice."""
    again = ["start", "again.example", "--to", "globex"]
    first = panel.done(*again, "--by", "olga", "--json").document
    assert first["outcome"] == "started"
    second = panel.done(*again, "--json").document
    assert second["outcome"] == "open"
    assert {k: second[k] for k in ("transfer_id", "run_id")} == {
        k: first[k] for k in ("transfer_id", "run_id")
    }
    by_alias = panel.done("start", "again.example", "--to", "Globex Corporation")
    assert "transfer-again.example to globex is open already" in by_alias.out


def test_another_reseller_is_refused_while_a_transfer_is_open(panel: Installation) -> None:
    """With the transfer's id, so that staff can find it."""
    panel.done("start", "again.example", "--to", "globex")
    other = panel.run("start", "again.example", "--to", "initech", "--json")
    assert other.code == REFUSED
    (finding,) = other.document["findings"]
    assert finding["code"] == "TRANSFER_ALREADY_OPEN(transfer-again.example)"
    both = panel.run("start", "again.example", "--to", "asleep", "--json")
    assert both.code == REFUSED
    codes = [finding["code"] for finding in both.document["findings"]]
    assert codes == ["NEW_SUSPENDED", "TRANSFER_ALREADY_OPEN(transfer-again.example)"]
    wrong = panel.run("start", "again.example", "--to", "globex", "--from", "initech")
    assert (wrong.code, "NOT_CURRENT_RESELLER" in wrong.out) == (REFUSED, True)


def test_the_claimed_old_reseller_is_checked(panel: Installation) -> None:
    """By id, name or alias; never trusted."""
    wrong = panel.run("start", "from.example", "--to", "globex", "--from", "initech")
    assert (wrong.code, "NOT_CURRENT_RESELLER" in wrong.out) == (REFUSED, True)
    assert "from.example" not in panel.states()
    panel.done("start", "from.example", "--to", "globex", "--from", "acme hosting")


def test_a_dry_run_starts_nothing_and_says_what_a_start_would(panel: Installation) -> None:
    """Also that another transfer is open."""
    dry = panel.done("start", "dry.example", "--to", "globex", "--dry-run", "--json").document
    assert dry == {"outcome": "possible", "findings": []}
    assert (
        "Nothing stands against"
        in panel.done("start", "dry.example", "--to", "globex", "--dry-run").out
    )
    assert "dry.example" not in panel.states()
    panel.done("start", "dry.example", "--to", "globex")
    other = panel.run("start", "dry.example", "--to", "initech", "--dry-run")
    assert (other.code, "TRANSFER_ALREADY_OPEN(transfer-dry.example)" in other.out) == (
        REFUSED,
        True,
    )
    same = panel.done("start", "dry.example", "--to", "globex", "--dry-run", "--json").document
    assert same["outcome"] == "open"


@pytest.mark.parametrize(
    ("domain", "to", "codes"),
    [
        ("nobody.example", "globex", ["UNKNOWN_DOMAIN"]),
        ("not a domain", "globex", ["DOMAIN_INVALID"]),
        ("carl@example.com", "globex", ["DOMAIN_INVALID"]),
        ("[bold]x[/bold]", "globex", ["DOMAIN_INVALID"]),
        ("ended.example", "globx", ["UNKNOWN_RESELLER"]),
        ("nobody.example", "globx", ["UNKNOWN_DOMAIN", "UNKNOWN_RESELLER"]),
        ("ended.example", "ACME", ["SAME_RESELLER"]),
        ("ended.example", "asleep", ["NEW_SUSPENDED"]),
        ("ended.example", "penniless", ["NEW_NO_BILLING_ACCOUNT"]),
        (OVER, "initech", ["IN_COOLDOWN"]),
    ],
)
def test_a_start_is_refused_with_every_code_and_its_fix(
    panel: Installation, domain: str, to: str, codes: list[str]
) -> None:
    """Exit code 3, for people and for scripts."""
    ran = panel.run("start", domain, "--to", to, "--json")
    assert ran.code == REFUSED
    assert [finding["code"] for finding in ran.document["findings"]] == codes
    assert all(finding["fix"] for finding in ran.document["findings"])
    told = panel.run("start", domain, "--to", to)
    assert told.code == REFUSED
    assert all(code in told.out for code in codes)


# -- tickets -----------------------------------------------------------------------------------
def test_a_sender_that_waits_gets_the_slot_or_the_code_and_the_fix(panel: Installation) -> None:
    """And a signal only says that it was sent."""
    domain = "told.example"
    panel.done("start", domain, "--to", "globex")
    wrong = panel.done(
        *("desk", "file", "--account", "acme", "--by", "ann", "--subject", "Transfer Customer"),
        *("--body", "I would like to request that exampel.com is to be transferred to Globex."),
    ).out.strip()
    refused = panel.run("ticket", domain, "release", wrong, "--wait")
    assert (refused.code, "DOMAIN_MISMATCH" in refused.out) == (REFUSED, True)
    in_json = panel.run("ticket", domain, "release", wrong, "--wait", "--json")
    assert in_json.code == REFUSED
    assert (in_json.document["accepted"], in_json.document["code"]) == (False, "DOMAIN_MISMATCH")
    right = panel.file(domain, "release")
    assert "release is AUTHORIZED" in panel.done("ticket", domain, "release", right, "--wait").out
    customers = panel.file(domain, "authorize")
    signalled = panel.done("ticket", domain, "authorize", customers, "--json").document
    assert signalled == {"outcome": "signalled", "transfer_id": f"transfer-{domain}"}
    panel.authorized(domain, "release", "authorize")


def test_a_ticket_for_a_transfer_that_is_over_is_late(panel: Installation) -> None:
    """Not unknown: the transfer is there, and nothing changes it."""
    for options in ([], ["--wait"]):
        ran = panel.run("ticket", OVER, "withdraw", TICKET["release"], *options)
        assert ran.code == REFUSED
        assert one_line(ran).startswith("LATE: transfer-over.example is COMPLETED since")


def test_the_desk_files_shows_edits_closes_and_lists(panel: Installation) -> None:
    """Each for people and for scripts; filing rings nobody's doorbell."""
    filed = panel.done(
        *("desk", "file", "--account", "acme", "--by", "ann", "--for", "release"),
        *("filed.example", "--to", "globex", "--via", "mail", "--delegated", "--json"),
    ).document
    assert (filed["channel"], filed["delegated"], filed["open"]) == ("mail", True, True)
    ticket = filed["id"]
    assert "filed.example" in panel.done("desk", "show", ticket).words
    edited = panel.done("desk", "edit", ticket, "--body", "never mind", "--json").document
    assert (edited["body"], edited["revision"]) == ("never mind", filed["revision"] + 1)
    assert f"{ticket} is at revision" in panel.done("desk", "close", ticket).out
    shown = panel.done("desk", "show", ticket, "--json").document
    assert (shown["ticket"]["open"], shown["replies"]) == (False, [])
    listed = panel.done("desk", "list", "--account", "acme", "--json").document
    assert listed[0]["id"] == ticket or ticket in [row["id"] for row in listed]
    assert {row["account"] for row in listed} == {"acme"}


# -- staff -------------------------------------------------------------------------------------
BY_SAM = ("--by", "sam", "--reason", "he said so")


def test_staff_hold_resume_extend_and_cancel(panel: Installation) -> None:
    """Each lever answers with the status after it; each becomes evidence."""
    domain = "held.example"
    panel.done("start", domain, "--to", "globex")
    held = panel.done("staff", "hold", domain, *BY_SAM, "--code", "FRAUD_SUSPECTED", "--json")
    assert held.document["state"] == "ON_HOLD"
    again = panel.run("staff", "hold", domain, *BY_SAM)
    assert (again.code, one_line(again)[:18]) == (REFUSED, "NotAllowedInState:")
    assert "Done: resume, by sam." in panel.done("staff", "resume", domain, *BY_SAM).out
    too_late = panel.run("staff", "extend", domain, *BY_SAM, "--until", "2099-01-01")
    assert (too_late.code, one_line(too_late)[:19]) == (REFUSED, "DeadlineNotAllowed:")
    now = panel.done("show", domain, "--json").document["expires_at"]
    later = f"{now[:17]}59Z"
    extended = panel.done("staff", "extend", domain, *BY_SAM, "--until", later, "--json").document
    assert extended["expires_at"] == later
    assert panel.done("staff", "cancel", domain, *BY_SAM, "--json").document["state"] == "CANCELLED"
    over = panel.run("staff", "hold", domain, *BY_SAM)
    assert over.code == REFUSED
    assert one_line(over).startswith("NotAllowedInState: ")
    assert "is CANCELLED" in over.err
    codes = [row["code"] for row in panel.done("evidence", domain, "--json").document]
    assert codes == ["RECEIVED", "OPENED", "HELD", "RESUMED", "EXTENDED", "CANCELLED"]


def test_staff_decide_what_an_unclear_ticket_says(panel: Installation) -> None:
    """They admit one and reject another."""
    domain = "doubt.example"
    panel.done("start", domain, "--to", "globex")

    def unclear() -> str:
        filed = panel.done(
            *("desk", "file", "--account", "acme", "--by", "ann", "--subject", f"{domain}?"),
            *("--body", f"What is it about {domain}? Globex may have it, or not."),
        )
        ticket = filed.out.strip()
        answer = panel.run("ticket", domain, "release", ticket, "--wait", "--json").document
        assert answer["code"] == "TEXT_AMBIGUOUS"
        return ticket

    first, second = unclear(), unclear()
    nothing = panel.run("staff", "admit", domain, "77777", *BY_SAM, "--what", "release")
    assert (nothing.code, one_line(nothing)[:16]) == (REFUSED, "NothingToDecide:")
    told = panel.run("staff", "reject", domain, first, *BY_SAM)
    assert told.code in (DONE, REFUSED)  # the later ticket may have taken its place
    admitted = panel.done("staff", "admit", domain, second, *BY_SAM, "--what", "release", "--json")
    assert admitted.document["slots"]["release"]["state"] == "AUTHORIZED"


def test_two_of_staff_release_for_a_silent_reseller_where_policy_allows_it(
    panel: Installation,
) -> None:
    """By default it does not."""
    forbidden = panel.run("staff", "release", READ, *BY_SAM)
    assert (forbidden.code, one_line(forbidden)[:22]) == (REFUSED, "StaffReleaseForbidden:")
    domain = "silent.example"
    policy = panel.policy(release_deadline="1s", staff_release="two_person")
    panel.done("start", domain, "--to", "globex", **policy)
    early = panel.run("staff", "take", READ, "--by", "sam")
    assert (early.code, one_line(early)[:18]) == (REFUSED, "NotAllowedInState:")
    panel.reaches("MEDIATION", domain)
    assert (
        panel.done("staff", "take", domain, "--by", "sam", "--json").document["mediator"] == "sam"
    )
    assert "Done: release on behalf" in panel.done("staff", "release", domain, *BY_SAM).out
    alone = panel.run("staff", "release", domain, *BY_SAM)
    assert (alone.code, one_line(alone)[:19]) == (REFUSED, "SecondPersonNeeded:")
    both = panel.done("staff", "release", domain, "--by", "tess", "--reason", "so do I", "--json")
    assert both.document["slots"]["release"]["state"] == "AUTHORIZED"


def test_invoices_that_are_paid_clear_the_refusal_that_names_them(panel: Installation) -> None:
    """Recorded by one command; the transfer hears of it and asks the old reseller once more."""
    domain = "owing.example"
    panel.load([domain])
    assert panel.done("accounts", "paid", domain, "R-7").words == "Recorded as paid to acme: R-7."
    panel.done("start", domain, "--to", "globex")
    reason = "Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: R-8, R-9"
    filed = panel.done(
        *("desk", "file", "--account", "acme", "--by", "ann"),
        *("--subject", "Refuse Customer Transfer"),
        *("--body", f"We refuse the transfer of {domain} from Acme to Globex.\n{reason}"),
    )
    ticket = filed.out.strip()
    panel.done("ticket", domain, "refuse", ticket)
    panel.reaches("MEDIATION", domain)
    eventually(
        lambda: "SLOT_REFUSED" in panel.run("evidence", domain).out, "the refusal is in evidence"
    )
    rung = panel.done("accounts", "paid", domain, "R-8", "r-9")
    assert f"looks at its refusal, ticket {ticket}, once more" in rung.words
    panel.reaches("AWAITING", domain)
    eventually(
        lambda: "looks at" not in panel.done("accounts", "paid", domain, "R-8").words,
        "there is no refusal any more",
    )
    nobody = panel.run("accounts", "paid", "nobody.example", "R-1")
    assert (nobody.code, one_line(nobody)[:32]) == (FAILED, "No customer has nobody.example. ")


def test_staff_retry_a_stuck_commit(panel: Installation) -> None:
    """Billing moves once what stood against it is gone."""
    domain = "stuck.example"
    early = panel.run("staff", "retry", READ, "--by", "sam")
    assert (early.code, one_line(early)[:18]) == (REFUSED, "NotAllowedInState:")
    panel.query(
        "CREATE TRIGGER stuck BEFORE INSERT ON billing_assignments"
        f" WHEN NEW.transfer_key LIKE '%{domain}/%' BEGIN SELECT RAISE(ABORT, 'billed twice'); END"
    )
    panel.done("start", domain, "--to", "globex", **panel.policy(grace="0s"))
    for slot in ("release", "authorize", "accept"):
        panel.ring(domain, slot)
    panel.reaches("COMMIT_STUCK", domain)
    assert [row["reseller"] for row in panel.billing(domain)] == ["acme"]
    assert f"{domain} │ COMMIT_STUCK !" in panel.done("list", "--escalated").words
    panel.query("DROP TRIGGER stuck")
    panel.done("staff", "retry", domain, "--by", "sam")
    panel.reaches("COMPLETED", domain)
    panel.moved_once(domain)
    panel.all_told(domain)


# -- accounts ----------------------------------------------------------------------------------
def test_the_same_accounts_again_change_nothing(panel: Installation) -> None:
    """After a transfer has moved a customer, that customer's old line is refused."""
    file = accounts_file(panel.folder, [READ, "new.example"])
    first = panel.done("accounts", "load", str(file), "--json").document
    assert first["added"] == ["C-new-example"]
    again = panel.done("accounts", "load", str(file))
    assert "0 added, 0 updated, 7 unchanged." in again.out
    moved = panel.run("accounts", "load", str(accounts_file(panel.folder, [OVER])))
    assert moved.code == USAGE
    assert "transfer" in one_line(moved)


def test_every_error_of_an_accounts_file_is_told_at_once(
    panel: Installation, tmp_path: Path
) -> None:
    """With its line; and nothing is half-loaded."""
    file = accounts_file(tmp_path, ["half.example", "whole.example"])
    text = file.read_text(encoding="utf-8")
    text = text.replace('domains = ["half.example"]', 'domains = ["no domain"]')
    text = text.replace('id = "initech"', 'id = ""').replace("plan =", "plans =", 1)
    file.write_text(text, encoding="utf-8")
    ran = panel.run("accounts", "load", str(file))
    assert (ran.code, ran.out) == (USAGE, "")
    assert ran.err.count("line ") >= 3
    assert ran.err.count("line ") == ran.err.count("\n")
    unknown = panel.run("accounts", "show", "whole.example")
    assert (unknown.code, "No customer has whole.example" in one_line(unknown)) == (FAILED, True)


@pytest.mark.parametrize("content", [b"\x00\xff", b"[[resellers", b"", b"id,name\n1"])
def test_a_file_that_is_no_accounts_file_is_an_error(
    panel: Installation, tmp_path: Path, content: bytes
) -> None:
    """Whatever is in it."""
    path = tmp_path / "accounts.toml"
    path.write_bytes(content)
    assert panel.run("accounts", "load", str(path)).code == (USAGE if content else DONE)


# -- what cannot be ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["start", READ],
        ["start", READ, "--to"],
        ["start", "", "--to", "globex"],
        ["start", READ, "--to", ""],
        ["start", "x" * 2000, "--to", "globex"],
        ["start", READ, "--to", "globex", "--by", "x" * 3000],
        ["list", "--state", "NONSENSE"],
        ["list", "--waiting-on", "nobody"],
        ["ticket", READ, "give", "1001"],
        ["ticket", READ, "release", "two words"],
        ["staff", "hold", READ, "--by", "", "--reason", "r"],
        ["staff", "hold", READ, "--by", "sam"],
        ["staff", "hold", READ, "--by", "sam", "--reason", "r", "--code", "MOOD"],
        ["staff", "extend", READ, "--by", "sam", "--reason", "r", "--until", "tomorrow"],
        ["staff", "admit", READ, "1 2", "--by", "s", "--reason", "r", "--what", "release"],
        ["accounts", "load", "/nowhere/accounts.toml"],
        ["accounts", "load", "/"],
        ["desk", "show", "two words"],
        ["desk", "file", "--account", "acme", "--by", "ann", "--for", "release", READ],
        ["desk", "file", "--account", "acme", "--by", "ann", "--body", "b"],
        ["desk", "file", "--account", "acme", "--by", "", "--subject", "s", "--body", "b"],
        ["watch", READ, "--timeout", "soon"],
    ],
    ids=" ".join,
)
def test_wrong_usage_leaves_with_2(panel: Installation, command: list[str]) -> None:
    """And says on stderr what is wrong."""
    ran = panel.run(*command)
    assert (ran.code, ran.out) == (USAGE, "")
    assert ran.err


@pytest.mark.parametrize(
    "settings",
    [
        {"TRANSFER_DATABASE_URL": "mysql://somewhere"},
        {"TRANSFER_SMTP_URL": "nonsense"},
        {"TRANSFER_MAIL_FROM": "nobody"},
        {"TRANSFER_TICKETS_URL": "rt+https://later.example"},
        {"TRANSFER_LOG_LEVEL": "LOUD"},
        {"TRANSFER_MAX_CACHED_WORKFLOWS": "-1"},
        {"TRANSFER_POLICY_FILE": "/nowhere/policy.toml"},
        {"TEMPORAL_PROFILE": "nonsense"},
        {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere/cert.pem"},
    ],
    ids="".join,
)
def test_a_wrong_setting_is_named_in_one_line(
    panel: Installation, settings: dict[str, str]
) -> None:
    """Exit code 2."""
    ran = panel.run("start", READ, "--to", "globex", **settings)
    assert ran.code == USAGE
    said = one_line(ran)
    assert any(name in said or value in said for name, value in settings.items()) or (
        "URL is not understood" in said
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('grace = "soon"', "grace:"),
        ('gracious = "1h"', "unknown gracious"),
        ("grace =", "policy.toml"),
        ('time_zone = "Europe/Atlantis"', "time_zone:"),
    ],
)
def test_a_wrong_policy_file_is_named_with_its_key(
    panel: Installation, tmp_path: Path, content: str, told: str
) -> None:
    """Exit code 2; nothing is started by half a policy."""
    path = tmp_path / "policy.toml"
    path.write_text(content, encoding="utf-8")
    ran = panel.run("start", READ, "--to", "globex", TRANSFER_POLICY_FILE=str(path))
    assert ran.code == USAGE
    assert told in one_line(ran)


@pytest.mark.parametrize(
    "command",
    [
        ["show", "nobody.example"],
        ["watch", "nobody.example"],
        ["evidence", "nobody.example"],
        ["accounts", "show", "nobody.example"],
        ["ticket", "nobody.example", "release", "1001"],
        ["staff", "hold", "nobody.example", *BY_SAM],
        ["desk", "show", "99999"],
        ["desk", "edit", "99999", "--body", "b"],
        ["desk", "close", "99999"],
        ["desk", "file", "--account", "nobody", "--by", "x", "--subject", "s", "--body", "b"],
    ],
    ids=" ".join,
)
def test_what_does_not_exist_is_one_line(panel: Installation, command: list[str]) -> None:
    """Exit code 1."""
    ran = panel.run(*command)
    assert ran.code == FAILED
    assert one_line(ran)


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", READ],
        ["watch", READ],
        ["ticket", READ, "release", "1001"],
        ["staff", "hold", READ, *BY_SAM],
        ["start", READ, "--to", "globex"],
    ],
    ids=" ".join,
)
def test_temporal_away_is_one_line(panel: Installation, command: list[str]) -> None:
    """Exit code 4, also where it is there and the namespace is not."""
    ran = panel.run(*command, TEMPORAL_ADDRESS=NOBODY)
    assert ran.code == AWAY
    assert NOBODY in one_line(ran)
    elsewhere = panel.run(*command, TEMPORAL_NAMESPACE="nowhere")
    assert elsewhere.code == AWAY
    assert "TEMPORAL_NAMESPACE" in one_line(elsewhere)


@pytest.mark.parametrize(
    "command",
    [
        ["start", READ, "--to", "globex"],
        ["accounts", "show", READ],
        ["evidence", READ],
        ["desk", "list"],
        ["setup"],
    ],
    ids=" ".join,
)
def test_the_database_away_is_one_line(panel: Installation, command: list[str]) -> None:
    """Exit code 4: nobody listens there, or there is no folder for its file."""
    urls = [f"postgresql://someone:hush@{NOBODY}/transfer", "sqlite:////proc/none/transfer.db"]
    for url in urls:
        ran = panel.run(*command, TRANSFER_DATABASE_URL=url)
        assert ran.code == AWAY
        assert "hush" not in one_line(ran)


def test_show_needs_no_database(panel: Installation) -> None:
    """Temporal alone knows where a transfer is."""
    away = {"TRANSFER_DATABASE_URL": "sqlite:////proc/none/transfer.db"}
    assert panel.done("show", READ, "--json", **away).document["state"] == "AWAITING"
    assert "Whether the notices arrived is not known" in panel.done("show", READ, **away).out


@pytest.mark.timeout(150)
def test_with_the_worker_down_nothing_hangs_and_nothing_is_done_later(
    panel: Installation, install: Callable[..., Installation]
) -> None:
    """What needs a worker says so, exit code 4; the rest works; the lever is not pulled later."""
    seen, watched, held, told = domains = [f"down{number}.example" for number in range(4)]
    alone = install().set_up(domains)
    worker = alone.working()
    alone.sink.start()
    for domain in domains:
        alone.done("start", domain, "--to", "globex")
    alone.all_told(*domains)
    worker.send(signal.SIGSTOP)
    ticket = alone.file(told, "release")
    asking = [
        alone.program("show", seen),
        alone.program("watch", watched),
        alone.program("staff", "hold", held, *BY_SAM),
        alone.program("ticket", told, "release", ticket, "--wait"),
    ]
    assert set(alone.states().values()) == {"AWAITING"}
    assert alone.done("evidence", seen, "--json").document
    alone.ring(seen, "accept")
    assert alone.done("start", seen, "--to", "globex", "--json").document["outcome"] == "open"
    ends = [(program.ended(), program.log) for program in asking]
    assert [code for code, _ in ends] == [AWAY] * 4, ends
    assert all(log.count("\n") == 1 and "worker" in log for _, log in ends), ends
    worker.send(signal.SIGCONT)
    alone.authorized(seen, "accept")
    for domain, waiting in ((held, 3), (told, 3), (seen, 2)):
        status = alone.done("show", domain, "--json").document
        assert (status["state"], len(status["waiting_on"])) == ("AWAITING", waiting)
    assert worker.stop() == DONE


# -- looking after -----------------------------------------------------------------------------
def test_setup_may_be_run_again(panel: Installation) -> None:
    """It changes nothing then."""
    words = panel.done("setup").words
    assert "The database's schema is current. Temporal knows all names." in words
    assert panel.done("setup").words == words


def test_the_doctor_finds_nothing_wrong(panel: Installation) -> None:
    """Everything is named."""
    checks = panel.done("doctor", "--json").document
    assert {check["health"] for check in checks} == {"ok"}


@pytest.mark.parametrize(
    ("settings", "wrong", "code"),
    [
        (
            {"TEMPORAL_ADDRESS": NOBODY},
            [*ALL_OF_TEMPORAL, "reconciliation", "encryption"],
            AWAY,
        ),
        (
            {"TEMPORAL_NAMESPACE": "nowhere"},
            [*ALL_OF_TEMPORAL, "reconciliation", "encryption"],
            AWAY,
        ),
        (
            {"TEMPORAL_NAMESPACE": "default"},  # it is there, and nobody has set it up
            IN_TEMPORAL,
            FAILED,
        ),
        ({"TRANSFER_DATABASE_URL": "sqlite:////tmp/nowhere/none.db"}, ["database"], AWAY),
        ({"TRANSFER_DATABASE_URL": f"postgresql://a:hush@{NOBODY}/x"}, ["database"], AWAY),
        ({"TRANSFER_TICKETS_URL": f"rt+http://{NOBODY}/", **TRACKER}, ["ticket system"], FAILED),
        ({"TRANSFER_TICKETS_URL": f"rt+http://{NOBODY}/"}, ["ticket system"], FAILED),
        ({"TRANSFER_SMTP_URL": f"smtp://{NOBODY}"}, ["mail server"], FAILED),
        ({"TRANSFER_SMTP_URL": "nonsense"}, ["mail server"], FAILED),
        ({"TRANSFER_POLICY_FILE": "/nowhere/policy.toml"}, ["policy"], FAILED),
        ({"TRANSFER_WEBHOOK_SECRET": "whsec_hush"}, ["webhook secrets"], FAILED),
        ({"TRANSFER_RT_HOOK_SECRET": "hush"}, ["webhook secrets"], FAILED),
        ({"TRANSFER_PUBLIC_URL": "https://transfers.example"}, ["tracking page"], FAILED),
        (
            {"TRANSFER_PUBLIC_URL": "https://x.example", "TRANSFER_TRACKING_KEYS": "hush"},
            ["tracking page"],
            FAILED,
        ),
    ],
)
def test_the_doctor_says_what_is_wrong(
    panel: Installation, settings: dict[str, str], wrong: list[str], code: int
) -> None:
    """Each finding alone, with what to do; the others are still looked at."""
    ran = panel.run("doctor", "--json", **settings)
    assert ran.code == code
    found = {check["what"]: check for check in ran.document}
    assert [what for what, check in found.items() if check["health"] == "wrong"] == wrong
    assert ran.err == f"{len(wrong)} of {len(found)} checks failed; see above.\n"
    assert "hush" not in ran.out


@pytest.mark.parametrize(("seconds", "where"), [(90, "ahead of"), (-90, "behind")])
def test_the_doctor_says_when_clocks_differ(
    panel: Installation, monkeypatch: pytest.MonkeyPatch, seconds: int, where: str
) -> None:
    async def ahead(_client: object) -> timedelta:
        return timedelta(seconds=seconds)

    monkeypatch.setattr("transfer.commands.diagnosis.clock_ahead", ahead)
    ran = panel.run("doctor", "--json")
    (clock,) = (check for check in ran.document if check["what"] == "clock")
    assert ran.code == FAILED
    assert f"Temporal's clock is 90 s {where} this machine's" in clock["found"]


def test_a_misspelt_key_in_temporals_own_settings_is_said(panel: Installation) -> None:
    """Rather than read as if it were not there, and the wrong namespace taken."""
    profile = panel.folder / "misspelt.toml"
    profile.write_text('[profile.default]\nnamspace = "transfers"\n')
    ran = panel.run("list", TEMPORAL_CONFIG_FILE=str(profile))
    assert ran.code == USAGE
    assert "unknown field `namspace`" in ran.words
    assert "Mend temporal.toml" in ran.words


def test_help_is_there_for_every_command(panel: Installation) -> None:
    """Without settings, and without anything running."""
    words = panel.done("--help").words
    for command in ("start", "list", "show", "watch", "ticket", "staff", "evidence", "accounts"):
        assert command in words
    assert "retry" in panel.done("staff", "--help").words
