"""The error tree, and the base of every value."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from transfer import errors
from transfer.parties import Account, Charges
from transfer.values import MAX_LINE, Instant, Line, Value, one_line


def tree(root: type[errors.TransferError]) -> list[type[errors.TransferError]]:
    """An error and everything below it, in the order of the source."""
    return [root, *(leaf for sub in root.__subclasses__() for leaf in tree(sub))]


OURS = [e for e in tree(errors.TransferError) if e.__module__ == "transfer.errors"]


def test_the_error_tree_is_drawn_as_it_is() -> None:
    """Each class once, at its depth."""
    drawn = re.findall(r"^    ([│├└─ ]*)(\w+) {2,}\w", errors.__doc__ or "", re.MULTILINE)
    depth = {error: len(error.__mro__) - len(errors.TransferError.__mro__) for error in OURS}
    assert {(len(lines) // 4, name) for lines, name in drawn} == {
        (depth[error], error.__name__) for error in OURS
    }


def test_every_error_says_whether_trying_again_helps() -> None:
    """Temporal matches exact names, so that all that do not help are listed."""
    names = errors.non_retryable_names()
    assert {e.__name__ for e in OURS if e.retryable} == {"TicketNotFound", "Unreachable"}
    assert {e.__name__ for e in OURS if not e.retryable} <= set(names)
    assert "Unreachable" not in names
    assert names == sorted(names)


def test_all_errors_of_an_accounts_file_come_at_once() -> None:
    """One line each."""
    error = errors.AccountsFileInvalid(["line 1", "line 2"])
    assert error.errors == ["line 1", "line 2"]
    assert str(error) == "line 1\nline 2"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Ann\r\nBcc: all@x", "Ann Bcc: all@x"),
        ("  a\tb\x00c\u202ed  ", "a b c d"),
        ("Ümläut 字", "Ümläut 字"),
        ("x" * 500, "x" * MAX_LINE),
    ],
)
def test_what_a_stranger_calls_itself_becomes_one_short_line(text: str, line: str) -> None:
    """Mail headers and log lines have one line each."""
    assert TypeAdapter(Line).validate_python(text) == line
    assert one_line(text)[:MAX_LINE] == line


def test_an_instant_is_utc_inside() -> None:
    """So that what is printed as UTC is UTC."""
    instant = TypeAdapter[datetime](Instant)
    read = instant.validate_python("2026-03-02T11:00:00+02:00")
    assert (read, read.tzinfo) == (datetime(2026, 3, 2, 9, tzinfo=UTC), UTC)
    for wrong in ("2026-03-02T11:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-05:00"):
        with pytest.raises(ValidationError):
            instant.validate_python(wrong)


def test_a_value_is_frozen_and_ignores_what_it_does_not_know() -> None:
    """Transfers live for weeks across deploys."""

    class Point(Value):
        x: int

    point = Point.model_validate({"x": 1, "later": 2})
    with pytest.raises(ValidationError):
        point.x = 2  # type: ignore[misc]


def test_names_are_compared_without_case_width_spacing_and_end_dots() -> None:
    """People write a name in many ways; another name stays another."""
    account = Account(id="acme", name="Acme Hosting Ltd.", aliases=("ＡＣＭＥ Hosting",))
    for name in ("ACME", " acme hosting  ltd", '"Acme Hosting"', "Acme Hosting Ltd"):
        assert account.goes_by(name)
    for name in ("", "Acme Hosting GmbH", "cme", "globex"):
        assert not account.goes_by(name)
    assert str(account) == "Acme Hosting Ltd."
    assert str(Account(id="acme")) == "acme"


def test_charges_are_shown_by_the_month() -> None:
    """As the new reseller accepts them."""
    charges = Charges.model_validate({"plan": "business", "price": "12.50", "currency": "EUR"})
    assert str(charges) == "business, 12.50 EUR a month"
