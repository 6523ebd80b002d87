"""Domain names, compared as A-labels only (UTS 46, STD3 rules, non-transitional)."""

from __future__ import annotations

import functools

import idna

# At the first name beyond ASCII it would come otherwise: in the midst of a workflow task.
import idna.uts46data  # pyright: ignore[reportUnusedImport]

from transfer.errors import DomainInvalid

MAX_LENGTH = 253
"""Longest domain name in its A-label form, in characters (RFC 1035)."""


def to_a_label(text: str) -> str:
    """Return the canonical, lower-case A-label form of a domain name.

    Spaces around it and one trailing dot are stripped. Python's own ``idna`` codec is not used:
    it maps ``straße.de`` to ``strasse.de``, which is somebody else's domain.

    Raises:
        DomainInvalid: not a domain name of at least two labels, or its last label is a number.
    """
    name = text.strip()
    if len(name) > 4 * MAX_LENGTH:
        raise DomainInvalid("A domain name has at most 253 characters. Check what was typed.")
    try:
        mapped = idna.uts46_remap(name, std3_rules=True, transitional=False)
        a_label = idna.encode(mapped.removesuffix("."), std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise DomainInvalid(
            f"{name[:80]!r} is not a domain name. Give one like example.com, without http://."
        ) from error
    labels = a_label.split(".")
    if len(labels) < 2 or not all(labels):
        raise DomainInvalid(f"{name[:80]!r} lacks its ending. Give the whole domain name.")
    if labels[-1].isdigit():
        raise DomainInvalid(f"{name[:80]!r} ends in a number. Give a domain name, not an address.")
    return a_label


@functools.lru_cache(maxsize=1000)
def display(a_label: str) -> str:
    """Return the name as people read it: the U-label with the A-label beside it where they differ.

    A stored name that is not valid IDNA is shown as it is.
    """
    try:
        u_label = idna.decode(a_label)
    except (idna.IDNAError, UnicodeError):
        return a_label
    return a_label if u_label == a_label else f"{u_label} ({a_label})"
