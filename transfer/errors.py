"""Every rule that can be broken, one class each.

::

    TransferError                      what a person asked for is not possible; nothing changed
    ├── RuleBroken                     the rules of the trade say no
    │   ├── NotAllowedInState          this lever does not work in the present state
    │   ├── NothingToDecide            staff named a ticket that waits for no decision
    │   ├── DeadlineNotAllowed         the new deadline is in the past, earlier, or past the cap
    │   ├── StaffReleaseForbidden      the policy does not let staff release for the old reseller
    │   └── SecondPersonNeeded         the same staff member proposed and confirmed
    ├── InputInvalid                   what was sent cannot be read
    │   ├── DomainInvalid              not a domain name
    │   ├── DurationInvalid            not a duration like "24h" or "5bd"
    │   └── AccountsFileInvalid        the accounts file has errors; nothing was loaded
    ├── NotFound                       what was named does not exist
    │   ├── UnknownAccount             neither a reseller nor a customer
    │   └── TicketNotFound             the ticket system has no such ticket (yet)
    ├── MailRefused                    the mail server will never take this mail
    ├── BillingConflict                another owner is on record; nothing was overwritten
    └── Unreachable                    a neighbour is away; trying again can help

Nothing branches on the text of a message: it branches on the class, or on its name across the
wire. ``retryable`` says whether trying again can help without a person doing something first.
"""

from __future__ import annotations

from typing import ClassVar


class TransferError(Exception):
    """What was asked for is not possible. Nothing has changed; the message says what to do."""

    retryable: ClassVar[bool] = False


class RuleBroken(TransferError):
    """The rules of the trade say no."""


class NotAllowedInState(RuleBroken):
    """This lever does not work in the transfer's present state."""


class NothingToDecide(RuleBroken):
    """Staff named a ticket that waits for no decision."""


class DeadlineNotAllowed(RuleBroken):
    """The new deadline is in the past, earlier than the present one, or past the cap."""


class StaffReleaseForbidden(RuleBroken):
    """The policy does not let staff release in the old reseller's place."""


class SecondPersonNeeded(RuleBroken):
    """The same staff member proposed and confirmed."""


class InputInvalid(TransferError):
    """What was sent cannot be read."""


class DomainInvalid(InputInvalid):
    """Not a domain name."""


class DurationInvalid(InputInvalid):
    """Not a duration such as ``24h`` or ``5bd``."""


class AccountsFileInvalid(InputInvalid):
    """The accounts file has errors: ``errors`` holds one line each. Nothing was loaded."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class NotFound(TransferError):
    """What was named does not exist."""


class UnknownAccount(NotFound):
    """Neither a reseller nor a customer goes by this name."""


class TicketNotFound(NotFound):
    """The ticket system has no such ticket, or not yet: hooks can be faster than commits."""

    retryable = True


class MailRefused(TransferError):
    """The mail server will never take this mail (5xx): a wrong address, a full policy."""


class BillingConflict(TransferError):
    """Another owner is on record at the commit. Nothing was overwritten; staff must look."""


class Unreachable(TransferError):
    """A neighbour (database, mail server, ticket system) is away. Trying again can help."""

    retryable = True


def non_retryable_names() -> list[str]:
    """Class names that Temporal must not retry: it matches exact leaf names, so all are listed."""

    def tree(cls: type[TransferError]) -> list[type[TransferError]]:
        return [cls, *(leaf for sub in cls.__subclasses__() for leaf in tree(sub))]

    # Of this module alone: what a command line adds for itself never crosses the wire.
    return sorted(
        cls.__name__
        for cls in tree(TransferError)
        if not cls.retryable and cls.__module__ == __name__
    )
