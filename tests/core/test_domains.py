"""Domain names: compared as A-labels only."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.domains import MAX_LENGTH, display, to_a_label
from transfer.errors import DomainInvalid


@pytest.mark.parametrize(
    ("typed", "a_label"),
    [
        ("example.com", "example.com"),
        ("  Example.COM ", "example.com"),
        ("example.com.", "example.com"),
        ("example。com", "example.com"),
        ("straße.de", "xn--strae-oqa.de"),
        ("STRASSE.de", "strasse.de"),
        ("exämple.example", "xn--exmple-cua.example"),
        ("exa\u0308mple.example", "xn--exmple-cua.example"),
        ("XN--EXMPLE-CUA.EXAMPLE", "xn--exmple-cua.example"),
        ("a.b.c.example", "a.b.c.example"),
        ("123.example", "123.example"),
        ("exam\u200bple.com", "example.com"),
    ],
)
def test_a_domain_is_normalised_to_its_a_label(typed: str, a_label: str) -> None:
    """Case, spaces, one trailing dot and the way of typing an umlaut do not count."""
    assert to_a_label(typed) == a_label


@pytest.mark.parametrize(
    "typed",
    [
        "",
        ".",
        "localhost",
        "com.",
        "example.com..",
        "example..com",
        ".example.com",
        "http://example.com",
        "https://example.com/path",
        "example.com/path",
        "ann@example.com",
        "ex ample.com",
        "ex_ample.com",
        "-example.com",
        "example-.com",
        "192.0.2.1",
        "example.123",
        "xn--zzzzzz.com",
        "☃.com",
        "exam\nple.com",
        "a" * 64 + ".com",
        "a." * 126 + "com",
        "a" * 5000,
    ],
)
def test_what_is_not_a_domain_is_refused_with_a_fix(typed: str) -> None:
    """URLs, mail addresses, numbers and single labels are not domains."""
    with pytest.raises(DomainInvalid) as caught:
        to_a_label(typed)
    assert "Check" in str(caught.value) or "Give" in str(caught.value)


def test_the_longest_domain_has_253_characters() -> None:
    """RFC 1035."""
    longest = ".".join(["a" * 61] * 4 + ["abcde"])
    assert len(longest) == MAX_LENGTH
    assert to_a_label(longest + ".") == longest
    with pytest.raises(DomainInvalid):
        to_a_label("a" + longest)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("example.com", "example.com"),
        ("xn--strae-oqa.de", "straße.de (xn--strae-oqa.de)"),
        ("xn--zzzzzz.com", "xn--zzzzzz.com"),
        ("not a domain", "not a domain"),
    ],
)
def test_people_read_the_u_label_with_the_a_label_beside_it(stored: str, shown: str) -> None:
    """What is stored and no valid name is shown as it is."""
    assert display(stored) == shown


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=300), st.text("aßäI-.。xn1 ", max_size=40), st.from_regex(r"\S+\.\w+")
    )
)
def test_any_text_is_a_stable_a_label_or_is_refused(text: str) -> None:
    """Normalising twice is normalising once, and nothing but ``DomainInvalid`` is ever raised."""
    try:
        a_label = to_a_label(text)
    except DomainInvalid:
        return
    assert to_a_label(a_label) == a_label
    assert a_label.isascii()
    assert len(a_label) <= MAX_LENGTH
    assert a_label in display(a_label)


def test_all_tables_are_loaded_with_the_module() -> None:
    """Not at the first name beyond ASCII, in the midst of a workflow task."""
    look = "import sys, transfer.domains; sys.exit('idna.uts46data' not in sys.modules)"
    subprocess.run([sys.executable, "-c", look], check=True, timeout=30)
