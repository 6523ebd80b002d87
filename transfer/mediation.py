"""Mediation: staff talk to an old reseller that refuses, withdraws or is silent."""

from __future__ import annotations

from datetime import datetime

from transfer.case import Case, Mediation


def escalated(case: Case, why: str, now: datetime, detail: str = "") -> Case:
    """The case in mediation. One that is already open keeps its owner and its clocks."""
    if case.mediation is not None:
        return case
    policy = case.policy
    opened = Mediation(
        opened_at=now,
        why=why,
        first_touch_by=policy.after(now, policy.first_touch),
        second_level_at=policy.after(now, policy.second_level),
    )
    return case.having(mediation=opened, commit_at=None).noting(
        "MEDIATION", "transfer", now, detail=f"{why} {detail}".strip()
    )
