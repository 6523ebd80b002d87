"""Random histories: what people, staff, clocks and a bad network may do to a transfer.

A history is a list of acts. Each act changes a small world (the ticket system, the account store,
the time) and then does what the workflow does: judge what rang, ring the clocks, and where a
commit is due, read everything once more. A failing test prints the history as a story.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import note
from hypothesis import strategies as st

from tests.core.builders import (
    ACCOUNT_OF,
    ACME,
    EXAMPLE,
    GLOBEX,
    MONDAY,
    PERSON_OF,
    PROCEDURE,
    REFUSE_TEXT,
    WITHDRAW_TEXT,
    facts,
    received,
)
from transfer import clocks, commit, levers, opening, submissions
from transfer.case import Case, State
from transfer.errors import RuleBroken
from transfer.messages import (
    AdmitTicket,
    BillingOrder,
    Cancel,
    ExtendDeadline,
    Hold,
    RejectTicket,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    Survey,
    TakeCase,
    TicketReading,
    Which,
)
from transfer.parties import Facts, Party, Slot
from transfer.tickets import Channel, Intent, Ticket

STRANGER = "initech"
TEXTS = {
    "release": PROCEDURE[Slot.RELEASE][1],
    "authorize": PROCEDURE[Slot.AUTHORIZE][1],
    "accept": PROCEDURE[Slot.ACCEPT][1],
    "refuse": REFUSE_TEXT,
    "withdraw": WITHDRAW_TEXT,
    "unclear": "Hello, about the transfer of example.com: well.",
    "another domain": PROCEDURE[Slot.RELEASE][1].replace("example.com", "example.org"),
    "another reseller": PROCEDURE[Slot.AUTHORIZE][1].replace("Globex", "Initech"),
}
NOES = {REFUSE_TEXT, WITHDRAW_TEXT}


@dataclass
class World:
    """Everything outside the case, as it is now. ``past`` holds older revisions of tickets."""

    case: Case
    now: datetime = MONDAY
    tickets: dict[str, Ticket] = field(default_factory=dict)
    past: list[Ticket] = field(default_factory=list)
    served: dict[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=facts)
    charges_changed_at: datetime | None = None
    steps: list[Step] = field(default_factory=list)

    def reading(self, number: str, ticket: Ticket | None = None) -> TicketReading:
        """A ticket read back, now or as it was."""
        there = ticket or self.tickets.get(number)
        author = there.author.id if there else ""
        on_record = bool(there) and author in {person.id for person in PERSON_OF.values()}
        return TicketReading(
            ticket_id=number, ticket=there, on_record=on_record, used_by=self.served.get(number)
        )

    def survey(self) -> Survey:
        """Everything read once more."""
        return Survey(facts=self.facts, readings=tuple(self.reading(n) for n in self.tickets))


@dataclass(frozen=True)
class Step:
    """One change of the case: what caused it, and what it was before and after."""

    cause: str
    before: Case
    after: Case
    now: datetime
    order: BillingOrder | None = None
    tickets: tuple[Ticket, ...] = ()
    known: Facts | None = None


@dataclass(frozen=True)
class Act:
    """One thing that somebody does, in words and in effect."""

    says: str
    does: Callable[[World], None]

    def __repr__(self) -> str:
        return self.says


def change(world: World, cause: str, after: Case, order: BillingOrder | None = None) -> None:
    """Take the case after a cause, and keep the step."""
    world.steps.append(
        Step(
            cause,
            world.case,
            after,
            world.now,
            order,
            tuple(world.tickets.values()),
            world.facts,
        )
    )
    world.case = after
    for record in after.slots:
        if record.ticket_id:
            world.served[record.ticket_id] = after.key


# -- what people do ----------------------------------------------------------------------------
def file(
    who: Slot | str, text: str, person: Slot, flaw: str, rings: bool, ago: int, by_mail: bool
) -> Act:
    """File a ticket some hours ago; its doorbell may be lost."""
    account = ACCOUNT_OF[who] if isinstance(who, Slot) else who

    def does(world: World) -> None:
        number = f"T{len(world.tickets) + len(world.past) + 1}"
        when = world.now - timedelta(hours=ago)
        world.tickets[number] = Ticket(
            id=number,
            account=account,
            author=PERSON_OF[person],
            administrator=flaw != "no administrator",
            delegated=flaw == "delegated",
            channel=Channel.MAIL if by_mail else Channel.PANEL,
            body=TEXTS[text],
            created_at=when,
            updated_at=when,
        )
        if rings:
            ring_for(world, number)

    how = f"{flaw or 'well'}, {ago} h ago, by {'mail' if by_mail else 'panel'}"
    bell = "and rings" if rings else "and its signal is lost"
    return Act(f"{PERSON_OF[person].id} files '{text}' for {account} ({how}) {bell}", does)


def in_person(slot: Slot, no: str, rings: bool, ago: int) -> Act:
    """A party files what it was asked for, or a no, as it should."""
    return file(slot, no or slot.value, slot, "", rings, ago, False)


def ring_for(world: World, number: str, rung: Intent | None = None) -> None:
    """Ring the doorbell for a ticket as it is now."""
    reading = world.reading(number)
    after, _ = submissions.submitted(world.case, reading, world.now, rung=rung)
    change(world, f"a doorbell for {number}", after)


def numbered(world: World, pick: int) -> str | None:
    """One of the tickets there are."""
    numbers = list(world.tickets)
    return numbers[pick % len(numbers)] if numbers else None


def edit(pick: int, text: str, rings: bool) -> Act:
    """Change a ticket's text."""

    def does(world: World) -> None:
        if number := numbered(world, pick):
            before = world.tickets[number]
            world.past.append(before)
            changed = {"body": TEXTS[text], "updated_at": world.now}
            world.tickets[number] = before.model_copy(
                update=changed | {"revision": before.revision + 1}
            )
            if rings:
                ring_for(world, number)

    return Act(f"ticket #{pick} becomes '{text}'{', rings' if rings else ', unheard'}", does)


def close(pick: int, rings: bool) -> Act:
    """Somebody closes a ticket."""

    def does(world: World) -> None:
        if number := numbered(world, pick):
            world.tickets[number] = world.tickets[number].model_copy(update={"open": False})
            if rings:
                ring_for(world, number)

    return Act(f"ticket #{pick} is closed{', rings' if rings else ', unheard'}", does)


def vanish(pick: int) -> Act:
    """A ticket is deleted."""

    def does(world: World) -> None:
        if number := numbered(world, pick):
            world.past.append(world.tickets.pop(number))

    return Act(f"ticket #{pick} vanishes", does)


def ring_again(pick: int, rung: Intent) -> Act:
    """A doorbell is repeated, or comes late, under any name."""

    def does(world: World) -> None:
        if number := numbered(world, pick):
            ring_for(world, number, rung)

    return Act(f"ticket #{pick} rings (again) as '{rung.value}'", does)


def ring_for_the_past(pick: int) -> Act:
    """A reading of an older revision arrives late."""

    def does(world: World) -> None:
        if world.past:
            old = world.past[pick % len(world.past)]
            reading = world.reading(old.id, old)
            after, _ = submissions.submitted(world.case, reading, world.now)
            change(world, f"a late reading of {old.id}, revision {old.revision}", after)

    return Act(f"old revision #{pick} is read late", does)


def ring_for_nothing(number: str, rung: Intent) -> Act:
    """A doorbell for a ticket that does not exist."""
    return Act(f"'{rung.value}' rings for {number}", lambda world: ring_for(world, number, rung))


def agree() -> Act:
    """All three file what they should."""

    def does(world: World) -> None:
        for slot in Slot:
            file(slot, slot.value, slot, "", True, 0, False).does(world)

    return Act("all three agree", does)


# -- what staff, operators and clocks do -------------------------------------------------------
def pull(name: str, make: Callable[[World], Case]) -> Act:
    """Pull a lever; a rule may forbid it."""

    def does(world: World) -> None:
        try:
            after = make(world)
        except RuleBroken:
            return
        change(world, f"staff: {name}", after)

    return Act(f"staff: {name}", does)


def lever(name: str, staff: str, pick: int, what: Intent) -> Act:
    """One of staff's levers."""
    who = {"staff": staff, "reason": "so it is"}

    def number(world: World) -> str:
        doubts = world.case.doubts
        return doubts[pick % len(doubts)].ticket.id if doubts else "none"

    def later(world: World) -> datetime:
        return world.now + timedelta(days=7 * (pick + 1))

    makers: dict[str, Callable[[World], Case]] = {
        "hold": lambda w: levers.hold(w.case, Hold.model_validate(who), w.now),
        "resume": lambda w: levers.resume(w.case, Resume(**who), w.now),
        "cancel": lambda w: levers.cancel(w.case, Cancel.model_validate(who), w.now),
        "take": lambda w: levers.take_case(w.case, TakeCase(**who), w.now),
        "release": lambda w: levers.release_on_behalf(w.case, ReleaseOnBehalf(**who), w.now),
        "retry": lambda w: levers.retry_commit(w.case, RetryCommit(**who), w.now),
        "admit": lambda w: levers.admit_ticket(
            w.case, AdmitTicket(**who, ticket_id=number(w), what=what), w.now
        ),
        "reject": lambda w: levers.reject_ticket(
            w.case, RejectTicket(**who, ticket_id=number(w)), w.now
        ),
        "extend": lambda w: levers.extend_deadline(
            w.case,
            ExtendDeadline(**who, until=later(w), which=list(Which)[pick % len(Which)]),
            w.now,
        ),
    }
    detail = f" as {what.value}" if name == "admit" else ""
    return pull(f"{staff} {name}{detail}", makers[name])


def record(kind: str) -> Act:
    """Something changes in the account store."""
    changed: dict[str, Callable[[Facts], Facts]] = {
        "all is well": lambda f: facts(customer=f.customer),
        "the price rises": lambda f: facts(customer=_dearer(f)),
        "the customer is under legal hold": lambda f: facts(
            customer=(f.customer or EXAMPLE).model_copy(update={"legal_hold": True})
        ),
        "the new reseller is suspended": lambda f: facts(
            customer=f.customer, new=GLOBEX.model_copy(update={"suspended": True})
        ),
        "another reseller is on record": lambda f: facts(
            customer=f.customer, old=ACME.model_copy(update={"id": "initech"})
        ),
    }

    def does(world: World) -> None:
        world.facts = changed[kind](world.facts)

    return Act(f"on record: {kind}", does)


def _dearer(known: Facts) -> object:
    customer = known.customer or EXAMPLE
    price = customer.charges.price + Decimal(1)
    charges = customer.charges.model_copy(update={"price": price})
    return customer.model_copy(update={"charges": charges})


def wait(hours: int, commit_works: bool) -> Act:
    """Time passes; every clock that is due rings, and a commit may be due."""

    def does(world: World) -> None:
        until = world.now + timedelta(hours=hours)
        while (clock := clocks.next_clock(world.case)) and clock.at <= until:
            world.now = max(world.now, clock.at)
            if not clocks.commit_is_due(world.case, world.now):
                change(world, f"clock: {clock.tick.value}", clocks.rung(world.case, world.now))
            elif not try_to_commit(world, commit_works):
                break
        world.now = until

    return Act(f"{hours} h pass{'' if commit_works else '; the database is away'}", does)


def sleep_long(hours: int) -> Act:
    """The worker is away, and wakes up late."""

    def does(world: World) -> None:
        world.now += timedelta(hours=hours)
        change(world, "clocks, late", clocks.rung(world.case, world.now))
        if clocks.commit_is_due(world.case, world.now):
            try_to_commit(world, works=True)

    return Act(f"the worker is away for {hours} h", does)


def try_to_commit(world: World, works: bool) -> bool:
    """Do what the workflow does when a commit is due. False: nothing more to do for now."""
    if world.case.committing_since is None:
        change(world, "re-check", commit.rechecked(world.case, world.survey(), world.now))
    if world.case.committing_since is None:
        return True
    order = commit.order(world.case)
    if works:
        change(world, "commit", commit.committed(world.case, world.now), order)
    else:
        change(world, "commit fails", commit.stuck(world.case, "away", world.now), order)
    return works


def during_grace(happens: list[Act], how: str) -> Act:
    """All three agree, something happens before the commit, and its instant comes."""

    def does(world: World) -> None:
        if how != "late":
            agree().does(world)
        wait(1, commit_works=True).does(world)
        for act in happens:
            act.does(world)
        if how == "late":
            agree().does(world)
        wait(26, commit_works=True).does(world)
        if how == "twice":
            wait(26, commit_works=True).does(world)

    return Act(f"all agree; meanwhile ({how}) {happens}; the grace is over", does)


def stand_in(slot: Slot, person: Slot, ago: int) -> Act:
    """Somebody files a party's ticket who may be another party's person."""
    return file(slot, slot.value, person, "", True, ago, False)


def look_for_lost() -> Act:
    """A survey finds tickets that nobody rang for."""

    def does(world: World) -> None:
        readings = world.survey().readings
        change(world, "survey", submissions.found(world.case, readings, world.now))

    return Act("a survey looks for lost tickets", does)


# -- histories ---------------------------------------------------------------------------------
_slots = st.sampled_from(list(Slot))
_intents = st.sampled_from(list(Intent))
_picks = st.integers(0, 6)
_honest = st.builds(
    in_person,
    _slots,
    st.sampled_from(["", "", "", "", "refuse", "withdraw", "unclear"]),
    st.sampled_from([True, True, False]),
    st.sampled_from([0, 0, 1, 5, 48]),
)
_any_ticket = st.builds(
    file,
    st.one_of(_slots, st.just(STRANGER)),
    st.sampled_from(sorted(TEXTS)),
    _slots,
    st.sampled_from(["", "", "", "delegated", "no administrator"]),
    st.booleans(),
    st.sampled_from([0, 1, 5, 48, 800]),
    st.sampled_from([False, False, False, True]),
)
_levers = st.builds(
    lever,
    st.sampled_from(
        [
            *("hold", "resume", "resume", "take", "release", "release", "retry", "admit", "admit"),
            *("reject", "reject", "extend", "extend", "cancel"),
        ]
    ),
    st.sampled_from(["sue", "tom"]),
    _picks,
    _intents,
)
_records = st.sampled_from(
    [
        *("all is well", "all is well", "the price rises", "the customer is under legal hold"),
        *("the new reseller is suspended", "another reseller is on record"),
    ]
)
_waits = st.builds(wait, st.sampled_from([1, 12, 25, 25, 48, 200, 400]), st.booleans())
_one_by_one = st.one_of(
    st.just(Act("nothing happens", lambda _: None)),  # what a history shrinks to
    _honest,
    _honest,
    _any_ticket,
    st.builds(stand_in, _slots, _slots, st.sampled_from([0, 3])),
    st.builds(edit, _picks, st.sampled_from(sorted(TEXTS)), st.booleans()),
    st.builds(close, _picks, st.booleans()),
    st.builds(vanish, _picks),
    st.builds(ring_again, _picks, _intents),
    st.builds(ring_for_the_past, _picks),
    st.builds(ring_for_nothing, st.sampled_from(["404", "405"]), _intents),
    _levers,
    _levers,
    st.builds(record, _records),
    st.builds(look_for_lost),
)
_trouble = st.one_of(
    st.builds(
        in_person,
        _slots,
        st.sampled_from(["refuse", "withdraw", "unclear", ""]),
        st.just(False),
        st.just(0),
    ),
    st.builds(record, _records),
    st.builds(edit, st.integers(0, 2), st.sampled_from(sorted(TEXTS)), st.just(False)),
    st.builds(close, st.integers(0, 2), st.just(False)),
    st.builds(vanish, st.integers(0, 2)),
)
_meanwhile = st.lists(st.one_of(_trouble, _trouble, _one_by_one), min_size=1, max_size=4)
ACTS = st.one_of(
    _one_by_one,
    _one_by_one,
    st.builds(agree),
    st.builds(during_grace, _meanwhile, st.sampled_from(["once", "twice", "late"])),
    st.builds(during_grace, _meanwhile, st.just("twice")),
    _waits,
    st.builds(sleep_long, st.sampled_from([30, 100, 300])),
)
HISTORIES = st.lists(ACTS, min_size=6, max_size=18)


def play(history: list[Act], two_person: bool = True) -> World:
    """Open a transfer and let a history happen to it."""
    policy = {"staff_release": "two_person"} if two_person else {}
    case = received(**policy)
    world = World(case)
    change(world, "opening", opening.opened(case, world.facts, world.now))
    for act in history:
        act.does(world)
    note("\n" + story(world))
    return world


def story(world: World) -> str:
    """What happened, a line each."""
    return "\n".join(
        f"{step.now:%d %b %H:%M}  {step.cause:<40} {step.before.state.value:>12} -> "
        f"{step.after.state.value:<12} "
        + " ".join(f"{r.slot.value}:{r.state.value}" for r in step.after.slots)
        for step in world.steps
    )


def parties_of(step: Step) -> dict[Party, str]:
    """The three accounts."""
    return {party: step.after.account(party).id for party in Party}


def orders(world: World) -> list[tuple[Step, BillingOrder]]:
    """Every step at which billing would have moved."""
    return [(step, step.order) for step in world.steps if step.order is not None]


def re_checks_passed(world: World) -> list[Step]:
    """Every re-check after which billing is moved."""
    return [s for s in world.steps if s.cause == "re-check" and s.after.state is State.COMMITTING]
