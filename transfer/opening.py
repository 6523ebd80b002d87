"""Opening a transfer: the preflight, and what is asked of whom by when.

The preflight finds all that is wrong at once, and is repeated right before the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from transfer import domains
from transfer.case import Authorization, Case, Finding, State
from transfer.errors import DomainInvalid
from transfer.mediation import escalated
from transfer.messages import TransferRequest
from transfer.parties import CustomerRecord, Facts, Party, Person, Slot


def preflight(request: TransferRequest, facts: Facts, now: datetime) -> tuple[Finding, ...]:
    """Return everything that stands against this transfer, each with a code and the fix."""
    return tuple(_findings(request, facts, now))


def transfer_id(primary_domain: str) -> str:
    """The workflow id of a customer's transfer: one open transfer a customer, by construction."""
    return f"transfer-{primary_domain}"


def opened(case: Case, facts: Facts, now: datetime) -> Case:
    """The case after its preflight: INVALID with all findings, or open with three requests.

    A suspended old reseller cannot file a ticket: its slot goes straight to mediation.
    """
    findings = preflight(case.request, facts, now)
    if facts.customer and case.transfer_id != transfer_id(facts.customer.domains[0]):
        findings += (_wrong_id(facts.customer.domains[0]),)
    errors = [finding for finding in findings if not finding.warning]
    case = case.having(findings=findings)
    if errors or not (facts.customer and facts.old and facts.new):
        codes = ", ".join(finding.code for finding in errors)
        return case.ended(State.INVALID, "preflight", now, code=codes, reason=codes)
    policy = case.policy
    expires_at = policy.after(now, policy.lifetime)
    case = case.having(
        domain=facts.customer.domains[0],
        customer=facts.customer.account,
        old=facts.old.account,
        new=facts.new.account,
        charges=facts.customer.charges,
        expires_at=expires_at,
        extendable_to=policy.after(now, policy.lifetime_cap),
        slots=tuple(requested(slot, case, now, expires_at) for slot in Slot),
    ).noting("OPENED", case.request.requested_by, now, detail=f"{facts.old.id} to {facts.new.id}")
    if facts.old.suspended:
        case = escalated(case, "OLD_SUSPENDED", now)
    return case


def requested(slot: Slot, case: Case, now: datetime, expires_at: datetime) -> Authorization:
    """A slot that its party is asked for now, with its deadline and reminders as instants."""
    policy = case.policy
    length = policy.release_deadline if slot is Slot.RELEASE else policy.party_deadline
    deadline = min(policy.after(now, length), expires_at)
    return Authorization(
        slot=slot,
        deadline=deadline,
        requested_at=now,
        reminders=policy.reminders(now, deadline),
    )


# -- what stands against it, a party at a time -------------------------------------------------
def _findings(request: TransferRequest, facts: Facts, now: datetime) -> Iterator[Finding]:
    if facts.customer is None:
        yield _no_customer(request.domain)
    yield from _against_new(request, facts)
    if facts.customer is not None:
        yield from _against_old(request, facts, facts.customer)
        yield from _against_customer(facts.customer, now)
    if facts.open_transfer:
        yield Finding(
            code="TRANSFER_ALREADY_OPEN",
            fix=f"{facts.open_transfer} is open. Show it, or cancel it first.",
        )


def _no_customer(domain: str) -> Finding:
    try:
        known_as = domains.display(domains.to_a_label(domain))
    except DomainInvalid as error:
        return Finding(code="DOMAIN_INVALID", fix=str(error))
    return Finding(
        code="UNKNOWN_DOMAIN", fix=f"No customer has {known_as}. Check it with the customer."
    )


def _against_new(request: TransferRequest, facts: Facts) -> Iterator[Finding]:
    new = facts.new
    if new is None:
        yield _unknown_reseller(request.new_reseller)
        return
    if facts.old is not None and new.id == facts.old.id:
        yield Finding(code="SAME_RESELLER", fix=f"{new.name} is the customer's reseller already.")
    if new.suspended:
        yield Finding(
            code="NEW_SUSPENDED",
            fix=f"{new.name} is suspended and cannot accept customers until that is lifted.",
        )
    if not new.billing_account:
        yield Finding(
            code="NEW_NO_BILLING_ACCOUNT",
            fix=f"{new.name} has no billing account. It needs one before it can be charged.",
        )
    yield from _contactable(Party.NEW, new.administrators)


def _against_old(
    request: TransferRequest, facts: Facts, customer: CustomerRecord
) -> Iterator[Finding]:
    old = facts.old
    if old is None:
        yield _unknown_reseller(customer.reseller)
        return
    if request.old_reseller and not old.account.goes_by(request.old_reseller):
        yield Finding(
            code="NOT_CURRENT_RESELLER",
            fix=f"The reseller of record is {old.name}. Start again without --from, or with it.",
        )
    if old.suspended:
        yield Finding(
            code="OLD_SUSPENDED",
            fix=f"{old.name} is suspended and cannot release: staff mediate from the start.",
            warning=True,
        )
    else:
        yield from _contactable(Party.OLD, old.administrators)


def _against_customer(customer: CustomerRecord, now: datetime) -> Iterator[Finding]:
    yield from _contactable(Party.CUSTOMER, customer.administrators)
    if customer.suspended:
        yield Finding(code="CUSTOMER_SUSPENDED", fix="Lift the customer's suspension first.")
    if customer.terminating:
        yield Finding(code="CUSTOMER_TERMINATING", fix="The customer's contract is being ended.")
    if customer.legal_hold:
        yield Finding(code="LEGAL_HOLD", fix="The account is under legal hold. Ask legal staff.")
    if customer.locked_until is not None and customer.locked_until > now:
        until = f"{customer.locked_until:%Y-%m-%d %H:%M} UTC"
        yield Finding(
            code="IN_COOLDOWN",
            fix=f"The customer was moved recently and is locked until {until}. Start again then.",
        )


def _wrong_id(primary_domain: str) -> Finding:
    return Finding(
        code="TRANSFER_ALREADY_OPEN",
        fix=f"This customer's only transfer is {transfer_id(primary_domain)}. Start that one.",
    )


def _unknown_reseller(name: str) -> Finding:
    return Finding(
        code="UNKNOWN_RESELLER",
        fix=f"No reseller goes by {name[:80]!r}. Give its id, its name or an alias.",
    )


def _contactable(party: Party, administrators: Iterable[Person]) -> Iterable[Finding]:
    if not any(person.email for person in administrators):
        yield Finding(
            code=f"NO_ADMIN_CONTACT({party.value})",
            fix=f"The {party.value.replace('_', ' ')} has no administrator with a mail address.",
        )
