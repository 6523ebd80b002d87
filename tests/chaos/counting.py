"""Counting: what came of it all, and what of that should not be.

Nothing here is told by the code under test alone: the desk's tickets, the billing table and the
mail server's own file are read as they are; what a transfer says of itself is held against them.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.client import WorkflowExecutionStatus

from tests.chaos.found import Found, Transfer
from tests.chaos.people import NEW, OLD, Filed, Lived
from tests.chaos.plan import WORKERS, Says
from tests.chaos.town import GAVE_UP, Failed, Row, Town
from tests.e2e.installation import customer_of
from transfer.attributes import TRANSFER_STATE
from transfer.case import TERMINAL, State
from transfer.parties import Party, Slot
from transfer.policy import Policy

Mails = Counter[tuple[str, str]]
"""How many mails there are, by event and reader: each party has one administrator, staff one."""
_SLOT, _REJECTED, _LATE = "in a slot", "rejected", "answered late"
_PLACES = {
    "AUTHORIZED": _SLOT,
    "SLOT_REFUSED": _SLOT,
    "SLOT_WITHDRAWN": _SLOT,
    "REJECTED": _REJECTED,
    "FOREIGN_TICKET": _REJECTED,
    "LATE": _LATE,
    "TOO_LATE": _LATE,
    "AMBIGUOUS": "with staff",
}
"""Where a ticket is, by the code of the last evidence about it."""
_NO_MISTAKES = (
    "transfer.errors.Unreachable: ",
    "CancelledError: Activity cancelled",
    "'NoneType' object has no attribute 'getpeername'",  # anyio, of one reset as soon as it is made
)
"""Errors of activities while a neighbour is away, or takes longer than a look may."""
_ON_A_MAILS_WAY = (
    *("postgresql", "smtp", *WORKERS),
    *(f"{who} to {whom}" for who in WORKERS for whom in ("postgresql", "smtp")),
)
UNRECORDED_FOR = 5.0
"""Seconds that may pass from a mail's arrival until the fault that kept it from being noted."""


@dataclass
class Count:
    """What was counted, and what of it is wrong."""

    found: Found
    wrong: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def say(self, what: str, *about: Lived | Transfer) -> None:
        """Something is wrong. What people did, and what transfers say of themselves, follows."""
        self.wrong.append("\n  ".join([what, *(_story(one) for one in about)]))


def counted(town: Town, lived: Sequence[Lived], there: Found) -> Count:
    """Count everything, and say what is wrong."""
    count = Count(there)
    _nobody_made_a_mistake(count, town)
    for look in (_ends_as_it_should, _billing_is_whole, _tickets_are_somewhere):
        for one in sorted(lived, key=lambda one: (one.story.kind, one.story.domain)):
            look(count, one)
    _nothing_else_is_there(count, lived)
    for transfer in itertools.chain(*there.transfers.values()):
        _evidence_is_kept(count, transfer)
    count.counted["transfers begun in vain, and found INVALID"] = len(there.in_vain)
    _mails_arrived(count, town)
    return count


def _nobody_made_a_mistake(count: Count, town: Town) -> None:
    there = count.found
    for cause, times in there.task_failures.items():
        count.counted[f"workflow tasks failed: {cause}"] += times
        if ": " in cause:
            count.say(f"{times} workflow tasks failed by a mistake: {cause}")
    for file, text in town.logs().items():
        lines = () if GAVE_UP in text else text.splitlines()
        for line in filter(_is_mistake, lines):
            count.say(f"{file} speaks of a mistake: {line[:2500]}")
    count.wrong += there.mute


def _nothing_else_is_there(count: Count, lived: Sequence[Lived]) -> None:
    """What nobody asked for is as wrong as what is gone."""
    there, domains = count.found, [one.story.domain for one in lived]
    for what, asked_for, is_there in (
        (
            "tickets",
            {ticket for one in lived for ticket in one.tickets},
            {t.id for t in there.tickets},
        ),
        ("transfers", {f"transfer-{domain}" for domain in domains}, set(there.transfers)),
        ("customers in billing", {customer_of(domain) for domain in domains}, set(there.billing)),
    ):
        if is_there != asked_for:
            gone, strange = sorted(asked_for - is_there), sorted(is_there - asked_for)
            count.say(f"{what}: gone are {gone}, and nobody asked for {strange}")


def _is_mistake(line: str) -> bool:
    """Whether a line of a log tells of more than a neighbour that is away."""
    if not line.startswith("{"):
        return line.startswith("Traceback")
    said = json.loads(line)
    error = str(said.get("exception", ""))
    foreseen = any(name in error for name in _NO_MISTAKES)
    return said["level"] in ("error", "critical") or bool(error and not foreseen)


def _ends_as_it_should(count: Count, lived: Lived) -> None:
    story = lived.story
    transfers = count.found.of(lived)
    count.counted["transfers"] += 1
    if len(transfers) != 1:
        count.say(f"there are {len(transfers)} transfers", lived, *transfers)
    if not transfers:
        return
    last = transfers[-1]
    state = last.state
    count.counted[f"  {story.kind}: {state.value}"] += 1
    if state not in story.ends:
        wanted = " or ".join(sorted(end.value for end in story.ends))
        count.say(f"it should be {wanted}, and is {state.value}", lived, last)
        return
    if state not in TERMINAL and frozenset(last.status.waiting_on) != story.waits:
        waiting = sorted(last.status.waiting_on)
        count.say(f"it should wait for {sorted(story.waits)}, and waits for {waiting}", lived, last)
    shown = last.run.typed_search_attributes.get(TRANSFER_STATE)
    if shown != state.value:
        count.say(f"it is {state.value}, and the list shows {shown}", lived, last)
    runs, ended = WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED
    if last.run.status is not (ended if state in TERMINAL else runs):
        count.say(f"it is {state.value}, and its workflow {last.run.status}", lived, last)
    if story.kind == "regretted":
        _is_regretted_in_time(count, lived, last)


def _is_regretted_in_time(count: Count, lived: Lived, transfer: Transfer) -> None:
    """A no that was on record before grace was over counts; one filed after the re-check cannot."""
    back = next(one for one in lived.tickets.values() if one.says is Says.BACK)
    ready = [event.at for event in transfer.events if event.code == "READY"]
    policy = Policy.model_validate(lived.story.policy)
    over = policy.after(ready[-1], policy.grace) if ready else back.known_at
    if transfer.state is State.COMPLETED and back.known_at < over:
        count.say(f"it was taken back at {back.known_at}, before grace was over", lived, transfer)


def _billing_is_whole(count: Count, lived: Lived) -> None:
    """From the beginning to an open end without gap or overlap; moved once, or not at all."""
    domain = lived.story.domain
    rows = count.found.billing.get(customer_of(domain), [])
    completed = [
        transfer for transfer in count.found.of(lived) if transfer.state is State.COMPLETED
    ]
    gaps = [
        (before["ends_at"], after["starts_at"])
        for before, after in itertools.pairwise(rows)
        if before["ends_at"] != after["starts_at"]
    ]
    if gaps or not rows or rows[-1]["ends_at"] is not None:
        count.say(f"billing has gaps or overlaps: {rows}", lived)
    resellers = [row["reseller"] for row in rows]
    if resellers != ([OLD.id, NEW.id] if completed else [OLD.id]):
        count.say(f"billed are {resellers}, {len(completed)} were completed", lived)
    elif completed:
        count.counted["billing moved"] += 1
        committing = [e.at for e in completed[0].events if e.code == "COMMITTING"]
        if rows[1]["transfer_key"] != completed[0].key or rows[1]["starts_at"] not in committing:
            count.say(f"billing moved by {rows[1]}", lived, *completed)


def _tickets_are_somewhere(count: Count, lived: Lived) -> None:
    """Each ticket that was filed is in one place, and in one only."""
    transfers = count.found.of(lived)
    for ticket_id, filed in lived.tickets.items():
        count.counted["tickets"] += 1
        places = _places(count.found, transfers, lived, filed)
        for place in places:
            count.counted[f"  tickets {place}"] += 1
        if len(places) != 1:
            what = f"ticket {ticket_id} ({filed.step.slot.value}, {filed.says})"
            row = count.found.parked.get(ticket_id)
            count.say(f"{what} is {places or 'nowhere'}; parked: {row}", lived, *transfers)


def _places(there: Found, transfers: Sequence[Transfer], lived: Lived, filed: Filed) -> list[str]:
    ticket_id, parked = filed.ticket.id, there.parked.get(filed.ticket.id)
    said = [
        event.code
        for transfer in transfers
        for event in transfer.events
        if event.ticket_id == ticket_id and event.code in _PLACES
    ]
    places = [_PLACES[said[-1]]] if said else []
    # Who was answered has its answer; announced again after the end, it is parked beside.
    is_answered = places in ([_LATE], [_REJECTED])
    if parked and parked["picked_up_at"] is None and not is_answered:
        places.append("parked")
    if places:
        return places
    if _is_overtaken(lived, filed, parked):
        return ["overtaken by a newer one"]
    kept = itertools.chain(*(there.evidence.get(transfer.key, ()) for transfer in transfers))
    if any(row["ticket_id"] == ticket_id and _PLACES.get(row["code"]) == _SLOT for row in kept):
        return ["in a slot by a workflow task that was lost, and over before it was read again"]
    if parked and any(_ended_as_it_began(one, parked) for one in transfers):
        return ["picked up by a transfer that a no ended as it began"]
    return []


def _is_overtaken(lived: Lived, filed: Filed, parked: Row | None) -> bool:
    """Whether its account said yes or no in a newer one, so that it was nothing new when found.

    One that was announced to a transfer is answered, whatever came after it.
    """
    was_announced = filed.announced and not (parked and parked["picked_up_at"])
    return not was_announced and any(
        one.step.slot is filed.step.slot
        and one.is_a_word
        and one.ticket.created_at > filed.ticket.created_at
        for one in lived.tickets.values()
    )


def _ended_as_it_began(transfer: Transfer, parked: Row) -> bool:
    """Whether a transfer picked up a parked ticket, and was over at that very instant."""
    opened = [event.at for event in transfer.events if event.code == "OPENED"]
    ended = [event.at for event in transfer.events if event.code in TERMINAL]
    return bool(opened) and opened == ended and parked["picked_up_at"] in opened


def _evidence_is_kept(count: Count, transfer: Transfer) -> None:
    """All that a transfer knows is in the database, too; more is what a lost task wrote."""
    numbers = [event.seq for event in transfer.events]
    if numbers != [*range(1, len(numbers) + 1)]:
        count.say(f"its evidence has the numbers {numbers}", transfer)
    kept = {(row["seq"], row["mark"]) for row in count.found.evidence.get(transfer.key, [])}
    told = {(event.seq, event.mark) for event in transfer.events}
    count.counted["pieces of evidence"] += len(told)
    count.counted["pieces of evidence by workflow tasks that were lost"] += len(kept - told)
    if missing := told - kept:
        count.say(f"of its evidence, {sorted(missing)} are not kept", transfer)


# -- mails ---------------------------------------------------------------------------------------
def _mails_arrived(count: Count, town: Town) -> None:
    """Each mail of the outbox arrived; one that came again could not be noted the first time."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for kept in count.found.mails:
        times[kept.id, kept.to.casefold()].append(kept.at)
    expected = set[tuple[str, str]]()
    for row in count.found.deliveries:
        if row["state"] != "SENT":
            count.say(
                f"a notice is {row['state']}: {row['event']} to {row['reader']} of {row['key']}:"
                f" {row['last_error']}"
            )
        if row["mail"]:
            mail = json.loads(row["mail"])
            expected.add((mail["message_id"], mail["to"].casefold()))
            count.counted["mails"] += 1
        else:
            count.counted["replies"] += 1
    for missing in expected - times.keys():
        count.say(f"a mail did not arrive: {missing}")
    for strange in times.keys() - expected:
        count.say(f"a mail arrived that was in no outbox: {strange}")
    _repeats_are_explained(count, town, times)
    told = defaultdict[str, Mails](Counter)
    for row in count.found.deliveries:
        if row["mail"]:
            told[row["key"]][row["event"], row["reader"]] += 1
    for transfer in itertools.chain(*count.found.transfers.values()):
        _is_told_once(count, transfer, told[transfer.key])
        _is_told_at_all(count, transfer, told[transfer.key])


def _repeats_are_explained(
    count: Count, town: Town, times: dict[tuple[str, str], list[float]]
) -> None:
    """A mail comes again only if it could not be noted that it had come."""
    not_noted = _not_noted(town)
    for (message_id, to), at in times.items():
        for first, again in itertools.pairwise(at):
            if any(_explains(fault, first) for fault in town.failed):
                count.counted["mails that came again, after a fault"] += 1
            elif message_id.strip("<").partition("@")[0] in not_noted:
                count.counted["mails that came again, as the database was too busy"] += 1
            else:
                count.say(f"mail {message_id} to {to} came at {first}, and at {again}: for nothing")


def _is_told_once(count: Count, transfer: Transfer, told: Mails) -> None:
    """One mail for each event and reader, but for what a workflow task that was lost had told."""
    own = {(event.seq, event.mark, event.at) for event in transfer.events}
    happened = Counter(event.code for event in transfer.events)
    lost = {
        row["code"]
        for row in count.found.evidence.get(transfer.key, [])
        if (row["seq"], row["mark"], row["at"]) not in own
    }
    for (event, reader), mails in told.items():
        if mails > happened[event] and event in lost:
            count.counted["mails of what a lost workflow task had told"] += mails - happened[event]
        elif mails > happened[event]:
            count.say(f"{reader} got {mails} mails of {event}", transfer)


def _is_told_at_all(count: Count, transfer: Transfer, told: Mails) -> None:
    """All parties hear of the end; who is waited for has heard something."""
    state = transfer.state
    if state in TERMINAL and transfer.status.slots:  # without any, it never asked anybody
        for party in Party:
            count.counted["parties told of the end"] += 1
            if not told[state.value, party.value]:
                count.say(f"{party.value} has no mail of the end", transfer)
    readers = {reader for _, reader in told}
    for who in transfer.status.waiting_on:
        count.counted["people waited for"] += 1
        reader = who if who == "staff" else Slot(who).party.value
        if reader not in readers and state is not State.ON_HOLD:  # who holds it knows of that
            count.say(f"it waits for {who}, who has no mail", transfer)


def _not_noted(town: Town) -> set[str]:
    """The deliveries of which a worker says itself that it could not note them."""
    lines = (line for text in town.logs().values() for line in text.splitlines())
    said = (json.loads(line) for line in lines if '"notice_not_recorded"' in line)
    return {line["delivery"] for line in said}


def _explains(failed: Failed, first: float) -> bool:
    """Whether a fault can have kept a worker from noting that a mail had arrived."""
    is_on_the_way = failed.failure.target in _ON_A_MAILS_WAY
    return is_on_the_way and failed.began < first + UNRECORDED_FOR and failed.ended > first - 1


# -- stories -------------------------------------------------------------------------------------
def _story(one: Lived | Transfer) -> str:
    """What people did, or what happened by the transfer itself."""
    if isinstance(one, Transfer):
        happened = " ".join(
            f"{event.code}{f'[{event.ticket_id}]' if event.ticket_id else ''}@{event.at:%M:%S.%f}"
            for event in one.events
        )
        return f"{one.key}: {happened}"
    filed = ", ".join(
        f"{filed.ticket.id} {filed.step.slot.value} {filed.says} ({filed.step.told})"
        for filed in one.tickets.values()
    )
    story = one.story
    levers = f"; levers {', '.join(one.levers)}" if one.levers else ""
    return f"{story.domain} ({story.kind}, begun by {story.begin}; filed {filed}{levers})"
