"""docs/security.md: every control has its module and its tests, and they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.security.test_settings import WRONG
from transfer.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
HEAD = "| threat | control | where | test |"


class Row(NamedTuple):
    """A threat, and what stands in its way."""

    threat: str
    control: str
    where: tuple[str, ...]
    tests: tuple[str, ...]


def section(name: str) -> str:
    """What stands below a heading."""
    return PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]


def rows() -> list[Row]:
    """The table of threats."""
    head, rule, *lines = section("Threats").strip().splitlines()
    assert (head, rule) == (HEAD, "| --- | --- | --- | --- |")
    found: list[Row] = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert len(cells) == 4, line
        named = [tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells]
        found.append(Row(cells[0], cells[1], named[2], named[3]))
    return found


ROWS = rows()


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.threat[:60])
def test_every_threat_has_a_control_a_module_and_a_test_that_exist(row: Row) -> None:
    assert row.threat
    assert row.control
    assert row.where, "where it is done"
    for path in row.where:
        assert (ROOT / path).is_file(), path
    assert row.tests, "what proves it"
    for test in row.tests:
        path, _, name = test.partition("::")
        assert path.startswith("tests/"), test
        assert Path(path).name.startswith("test_"), "pytest collects it"
        assert name.startswith("test_"), test
        assert name in names_in(path), test


def test_no_threat_is_told_twice_and_none_is_lost() -> None:
    threats = [row.threat for row in ROWS]
    assert len(set(threats)) == len(threats)
    told = " ".join(threats).lower()
    for subject in (
        *("webhook", "forged from", "reseller", "two parties", "staff", "link", "replayed"),
        *("old yes", "mail header", "html", "markdown", "log line", "sql", "terminal"),
        *("look-alike", "flood", "wedges", "ciphertext", "codec server", "runs temporal"),
        *("secret", "package", "neighbour that hangs", "time of an answer"),
    ):
        assert subject in told, subject


def test_every_secret_setting_is_on_the_page_and_tried_wrongly() -> None:
    secret = {
        name.upper()
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert set(re.findall(r"`TRANSFER_(\w+)`", section("Secrets"))) == secret
    tried = {name for values, _ in WRONG.values() for name in values}
    assert secret - tried == {"RT_TOKEN"}, "which has no form that could be wrong"


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        path, _, anchor = target.partition("#")
        if path:
            assert (ROOT / "docs" / path).is_file(), target
        else:
            assert f"\n## {anchor.title()}\n" in PAGE, target
