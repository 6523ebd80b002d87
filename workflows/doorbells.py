"""Doorbells: how tickets are announced to a transfer.

Handlers only take a ticket's id into the inbox. The main method works the inbox off, so nothing
that comes early, late or while an activity runs is lost, and no two handlers interleave. What
cannot be read is counted and otherwise ignored: no payload may stop a transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from transfer.case import Case
from transfer.errors import InputInvalid
from transfer.inbox import Inbox
from transfer.messages import Doorbell, Submission, SubmissionAnswer
from transfer.tickets import Intent

NOTHING = RawValue(Payload())
"""What a handler gets that was sent no argument."""
MAX_PAYLOAD = 65_536
"""Bytes of an argument that are looked at."""
MAX_RINGS_PER_RUN = 2_000
"""Signals after which a new run begins: a server refuses the 10,001st of one run."""
MAX_LOGGED = 20
"""Signals that cannot be read and get a line in the log; the others are counted only."""

_Message = TypeVar("_Message", bound=BaseModel)


def decoded(kind: type[_Message], body: RawValue) -> _Message:
    """Read an argument, whatever it is.

    Raises:
        InputInvalid: it is not one JSON object of this kind; the message names the fields.
    """
    payload = body.payload
    if payload.metadata.get("encoding") != b"json/plain" or len(payload.data) > MAX_PAYLOAD:
        raise InputInvalid(f"Send one JSON object with {', '.join(kind.model_fields)}.")
    if rb"\u0000" in payload.data:  # no database keeps it, and the evidence could not be written
        raise InputInvalid("Send it without NUL characters.")
    try:
        return kind.model_validate_json(payload.data)
    except ValidationError as error:
        fields = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'object'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)[:5]
        )
        raise InputInvalid(f"{fields}. Send {', '.join(kind.model_fields)}.") from None


class Doorbells:
    """The signals, and the one update for senders that can wait."""

    _case: Case
    _inbox: Inbox

    def __init__(self) -> None:
        self._rings = 0
        self._ignored = 0
        self._callers: dict[str, int] = {}
        self._answers: dict[str, SubmissionAnswer] = {}

    @workflow.signal(description='The old reseller filed its release: {"ticket_id": "1041"}')
    def release(self, body: RawValue = NOTHING) -> None:
        """A ticket that releases the customer was filed."""
        self._ring(Intent.RELEASE, body)

    @workflow.signal(description='The customer filed its authorization: {"ticket_id": "1042"}')
    def authorize(self, body: RawValue = NOTHING) -> None:
        """A ticket that authorizes the transfer was filed."""
        self._ring(Intent.AUTHORIZE, body)

    @workflow.signal(description='The new reseller filed its acceptance: {"ticket_id": "1043"}')
    def accept(self, body: RawValue = NOTHING) -> None:
        """A ticket that accepts the customer was filed."""
        self._ring(Intent.ACCEPT, body)

    @workflow.signal(description='A party filed a refusal: {"ticket_id": "1044"}')
    def refuse(self, body: RawValue = NOTHING) -> None:
        """A ticket that refuses the transfer was filed."""
        self._ring(Intent.REFUSE, body)

    @workflow.signal(description='A party withdrew its authorization: {"ticket_id": "1045"}')
    def withdraw(self, body: RawValue = NOTHING) -> None:
        """A ticket that withdraws an authorization was filed."""
        self._ring(Intent.WITHDRAW, body)

    @workflow.signal(dynamic=True, description="Any other name is counted, and changes nothing")
    def unknown_signal(self, name: str, args: Sequence[RawValue]) -> None:
        """A signal by a name nobody knows."""
        self.ignore(name, "unknown signal")

    @workflow.update(
        description='File a ticket and wait for the answer: {"what": "accept", "ticket_id": "1043"}'
    )
    async def submit(self, body: RawValue = NOTHING) -> SubmissionAnswer:
        """Hand in a ticket, and get the slot, or the code and the fix of its rejection."""
        submission = decoded(Submission, body)
        ticket_id = submission.ticket_id
        self._rings += 1
        self._inbox.put(submission.what, ticket_id, workflow.now(), awaited=True)
        self._callers[ticket_id] = self._callers.get(ticket_id, 0) + 1
        await workflow.wait_condition(lambda: ticket_id in self._answers)
        answer = self._answers[ticket_id]
        self._callers[ticket_id] -= 1
        if not self._callers[ticket_id]:
            del self._callers[ticket_id], self._answers[ticket_id]
        return answer

    @submit.validator
    def _check_submit(self, body: RawValue = NOTHING) -> None:
        decoded(Submission, body)
        if self._inbox.is_full:
            raise InputInvalid("Too many tickets wait to be read. Try again in a minute.")
        if self._is_long:  # a new run begins when all callers have their answers
            raise InputInvalid("Too many signals came in. Try again in a minute.")

    @property
    def _is_long(self) -> bool:
        """Whether this run has taken so much in that the next one should begin."""
        info = workflow.info()
        return self._rings >= MAX_RINGS_PER_RUN or info.is_continue_as_new_suggested()

    def ignore(self, name: str, why: str) -> None:
        """Count a signal that cannot be read. It changes nothing else."""
        self._rings += 1
        self._ignored += 1
        if self._ignored <= MAX_LOGGED:
            workflow.logger.warning("signal_ignored", extra={"signal": name[:80], "why": why[:200]})

    def _ring(self, what: Intent, body: RawValue) -> None:
        try:
            doorbell = decoded(Doorbell, body)
        except InputInvalid as error:
            self.ignore(what.value, str(error))
            return
        self._rings += 1
        self._inbox.put(what, doorbell.ticket_id, workflow.now())

    def _answer(self, ticket_id: str, answer: SubmissionAnswer) -> None:
        if ticket_id in self._callers:
            self._answers[ticket_id] = answer
