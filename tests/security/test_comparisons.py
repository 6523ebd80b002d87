"""Signatures and keys are compared in constant time, all of them, and by nothing else."""

from __future__ import annotations

import ast
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.signatures import RtSignatures, Signatures
from transfer.links import Links
from transfer.parties import Party

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SECRETS = [
    "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xkIG9sZA==",
]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is compared in constant time, as it is done."""
    seen: list[Any] = []
    original = hmac.compare_digest

    def spy(a: Any, b: Any) -> bool:
        seen.append(a)
        return original(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    return seen


def test_a_webhooks_signature_is(compared: list[Any]) -> None:
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(datetime.now(UTC).timestamp())),
        "webhook-signature": "v1,bm8gc2lnbmF0dXJlIG9mIGFueWJvZHkgYXQgYWxsIQ==",
    }
    assert not Signatures([SecretStr(one) for one in SECRETS]).verify(headers, b"{}")
    assert len(compared) == len(SECRETS)


def test_a_hooks_signature_is(compared: list[Any]) -> None:
    signatures = RtSignatures([SecretStr(one) for one in SECRETS], clock=lambda: NOW)
    headers = {"x-rt-signature": f"t={int(NOW.timestamp())},v1={'0' * 64}"}
    assert not signatures.verify(headers, b"{}")
    assert len(compared) == len(SECRETS)


def test_a_links_signature_is(compared: list[Any]) -> None:
    links = Links(["k" * 32, "l" * 32], "https://transfers.example", timedelta(days=1))
    token = links.to("transfer-example.com/1", Party.CUSTOMER, NOW).rsplit("/", 1)[1]
    assert links.read(token[:-2] + "xx", NOW) is None
    assert len(compared) == 2


def test_nothing_else_compares_what_is_secret() -> None:
    """With == an answer comes the later, the more of a guess is right."""
    words = {
        "secret",
        "secrets",
        "signature",
        "signed",
        "digest",
        "bearer",
        "password",
        "hexdigest",
    }
    found = []
    for path in [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("transfer/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare):
                continue
            if not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                continue
            names = {
                one.id if isinstance(one, ast.Name) else one.attr
                for one in ast.walk(node)
                if isinstance(one, ast.Name | ast.Attribute)
            }
            if names & words:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert found == []
