"""What people, staff, clocks and a bad network may do to a transfer, as acts in a small world.

Each act changes the world (the ticket system, the account store, the time) and then does what the
workflow does: judge what rang, ring the clocks, and where a commit is due, read everything once
more. ``histories`` puts them together at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

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
)
from transfer import clocks, commit, levers, mediation, submissions
from transfer.case import Case
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
    StaffAction,
    Survey,
    TakeCase,
    TicketReading,
    Which,
)
from transfer.parties import Facts, Slot, fold
from transfer.tickets import Channel, Intent, Ticket

STRANGER = "initech"
TEXTS = {
    "release": PROCEDURE[Slot.RELEASE][1],
    "authorize": PROCEDURE[Slot.AUTHORIZE][1],
    "accept": PROCEDURE[Slot.ACCEPT][1],
    "refuse": REFUSE_TEXT,
    "withdraw": WITHDRAW_TEXT,
    "unclear": "Hi, about the transfer of example.com: [well](http://evil.example) <b>\r\n\x1b[1m",
    "another domain": PROCEDURE[Slot.RELEASE][1].replace("example.com", "example.org"),
    "another reseller": PROCEDURE[Slot.AUTHORIZE][1].replace("Globex", "Initech"),
    "a look-alike domain": PROCEDURE[Slot.AUTHORIZE][1].replace("example.com", "ex\u0430mple.com"),
    "refuse until paid": f"{REFUSE_TEXT} Reason: PAST_DUE_BALANCE. Amount: 120 EUR. Invoices: R-1.",
}
NOES = {REFUSE_TEXT, WITHDRAW_TEXT, TEXTS["refuse until paid"]}
OWED = "R-1"
"""The invoice that is unpaid, where the old reseller says so."""
OURS = {*ACCOUNT_OF.values()}


@dataclass
class World:
    """Everything outside the case, as it is now.

    ``past`` holds older revisions of tickets, ``left`` people who administer nothing any more,
    ``paid`` the invoices that are recorded as paid.
    """

    case: Case
    now: datetime = MONDAY
    tickets: dict[str, Ticket] = field(default_factory=dict)
    past: list[Ticket] = field(default_factory=list)
    served: dict[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=facts)
    left: set[str] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    acts: list[tuple[int, Act]] = field(default_factory=list)

    def let(self, act: Act) -> None:
        """Let an act happen."""
        self.acts.append((len(self.steps), act))
        act.does(self)

    def reading(self, number: str, ticket: Ticket | None = None) -> TicketReading:
        """A ticket read back, now or as it was."""
        there = ticket or self.tickets.get(number)
        author = there.author.id if there else ""
        administrators = {person.id for person in PERSON_OF.values()} - self.left
        on_record = bool(there) and author in administrators
        return TicketReading(
            ticket_id=number, ticket=there, on_record=on_record, used_by=self.served.get(number)
        )

    def survey(self) -> Survey:
        """Everything read once more: what stands, and what names the domain and is not too old."""
        standing = {record.ticket_id for record in self.case.slots}
        since = self.case.received_at - timedelta(days=30)
        about = {
            ticket.id
            for ticket in self.tickets.values()
            if ticket.account in OURS
            and "example.com" in ticket.body
            and ticket.created_at >= since
        }
        found = [self.tickets[number] for number in self.tickets if number in standing | about]
        order = [ACCOUNT_OF[slot] for slot in Slot]  # as the activity reads them
        found.sort(key=lambda ticket: (ticket.id not in standing, order.index(ticket.account)))
        numbers = [ticket.id for ticket in found]
        return Survey(facts=self.facts, readings=tuple(self.reading(n) for n in numbers))


@dataclass(frozen=True)
class Pull:
    """A lever that was pulled: which, with what, and the rule that forbade it."""

    name: str
    action: StaffAction
    refused: str = ""


@dataclass(frozen=True)
class Step:
    """One change of the case: what caused it, and what it was before and after.

    ``heard`` are the tickets that were read back for it, in their order, and ``rung`` is what the
    doorbell claimed; ``pulled`` is staff's lever, without effect where a rule forbade it.
    """

    cause: str
    before: Case
    after: Case
    now: datetime
    order: BillingOrder | None = None
    tickets: tuple[Ticket, ...] = ()
    known: Facts | None = None
    heard: tuple[TicketReading, ...] = ()
    pulled: Pull | None = None
    rung: Intent | None = None
    left: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Act:
    """One thing that somebody does, in words and in effect."""

    says: str
    does: Callable[[World], None]

    def __repr__(self) -> str:
        return self.says


def change(
    world: World,
    cause: str,
    after: Case,
    order: BillingOrder | None = None,
    heard: tuple[TicketReading, ...] = (),
    pulled: Pull | None = None,
    rung: Intent | None = None,
) -> None:
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
            heard,
            pulled,
            rung,
            frozenset(world.left),
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
        number = f"{7001 + len(world.tickets) + len(world.past)}"
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
    change(world, f"a doorbell for {number}", after, heard=(reading,), rung=rung)
    cleared = submissions.cleared(after, world.paid, world.now)
    if cleared != after:
        change(world, "what was owed is paid", cleared)


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
            cause = f"a late reading of {old.id}, revision {old.revision}"
            change(world, cause, after, heard=(reading,))

    return Act(f"old revision #{pick} is read late", does)


def overtake(pick: int, text: str) -> Act:
    """A ticket is changed and rings; a reading from before comes only after that."""

    def does(world: World) -> None:
        edit(pick, text, rings=True).does(world)
        ring_for_the_past(len(world.past) - 1).does(world)

    return Act(f"ticket #{pick} becomes '{text}', and is read before its past", does)


def ring_all() -> Act:
    """Somebody rings for every ticket there is, once more."""

    def does(world: World) -> None:
        for number in tuple(world.tickets):
            ring_for(world, number, Intent.AUTHORIZE)

    return Act("every ticket rings again", does)


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
def lever(name: str, staff: str, pick: int, what: Intent) -> Act:
    """One of staff's levers; a rule may forbid it."""
    who = {"staff": staff, "reason": "so it is"}

    def number(world: World) -> str:
        doubts = world.case.doubts
        return doubts[pick % len(doubts)].ticket.id if doubts else "none"

    def later(world: World) -> datetime:
        return world.now + timedelta(days=7 * (pick + 1))

    makers: dict[str, Callable[[World], StaffAction]] = {
        "hold": lambda _: Hold.model_validate(who),
        "resume": lambda _: Resume(**who),
        "cancel": lambda _: Cancel.model_validate(who),
        "take": lambda _: TakeCase(**who),
        "release": lambda _: ReleaseOnBehalf(**who),
        "retry": lambda _: RetryCommit(**who),
        "admit": lambda w: AdmitTicket(**who, ticket_id=number(w), what=what),
        "reject": lambda w: RejectTicket(**who, ticket_id=number(w)),
        "extend": lambda w: ExtendDeadline(
            **who, until=later(w), which=list(Which)[pick % len(Which)]
        ),
    }
    detail = f" as {what.value}" if name == "admit" else ""

    def does(world: World) -> None:
        action = makers[name](world)
        try:
            after = LEVERS[name](world.case, action, world.now)
        except RuleBroken as refusal:
            pulled = Pull(name, action, type(refusal).__name__)
            change(world, f"not allowed: {staff} {name}", world.case, pulled=pulled)
        else:
            change(world, f"staff: {staff} {name}", after, pulled=Pull(name, action))

    return Act(f"staff: {staff} {name}{detail}", does)


LEVERS: dict[str, Callable[[Case, Any, datetime], Case]] = {
    "hold": levers.hold,
    "resume": levers.resume,
    "cancel": levers.cancel,
    "take": levers.take_case,
    "release": levers.release_on_behalf,
    "retry": levers.retry_commit,
    "admit": levers.admit_ticket,
    "reject": levers.reject_ticket,
    "extend": levers.extend_deadline,
}


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


def leave(person: Slot) -> Act:
    """Somebody administers nothing any more."""
    who = PERSON_OF[person].id
    return Act(f"{who} is no administrator any more", lambda world: world.left.add(who))


def pay() -> Act:
    """What the old reseller was owed is paid, and what it had refused for that is read again."""

    def does(world: World) -> None:
        world.paid.add(fold(OWED))
        if owed := mediation.owed(world.case):
            ring_for(world, owed.ticket_id)

    return Act(f"invoice {OWED} is paid", does)


def _dearer(known: Facts) -> object:
    customer = known.customer or EXAMPLE
    price = customer.charges.price + Decimal(1)
    charges = customer.charges.model_copy(update={"price": price})
    return customer.model_copy(update={"charges": charges})


def wait(hours: int, commit_works: bool) -> Act:
    """Time passes; every clock that is due rings, and a commit may be due."""

    def does(world: World) -> None:
        until = world.now + timedelta(hours=hours)
        enough = len(world.steps) + 200  # a clock that never stops is the model's to find
        while (
            len(world.steps) < enough
            and (clock := clocks.next_clock(world.case))
            and clock.at <= until
        ):
            world.now = max(world.now, clock.at)
            if not clocks.commit_is_due(world.case, world.now):
                ring_clocks(world, f"clock: {clock.tick.value}")
            elif not try_to_commit(world, commit_works):
                break
        world.now = until

    return Act(f"{hours} h pass{'' if commit_works else '; the database is away'}", does)


def sleep_long(hours: int) -> Act:
    """The worker is away, and wakes up late."""

    def does(world: World) -> None:
        world.now += timedelta(hours=hours)
        ring_clocks(world, "clocks, late")
        if clocks.commit_is_due(world.case, world.now):
            try_to_commit(world, works=True)

    return Act(f"the worker is away for {hours} h", does)


def ring_clocks(world: World, cause: str) -> None:
    """Ring what is due; before silence has an effect, tickets are looked for that nobody rang."""
    if clocks.takes_silence(world.case, clocks.rung(world.case, world.now)):
        look(world)
    change(world, cause, clocks.rung(world.case, world.now))


def look(world: World) -> None:
    """Read everything, and find what nobody rang for."""
    readings = world.survey().readings
    change(world, "survey", submissions.found(world.case, readings, world.now), heard=readings)


def try_to_commit(world: World, works: bool) -> bool:
    """Do what the workflow does when a commit is due. False: nothing more to do for now."""
    if world.case.committing_since is None:
        survey = world.survey()
        after = commit.rechecked(world.case, survey, world.now)
        change(world, "re-check", after, heard=survey.readings)
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


def during_outage(happens: list[Act]) -> Act:
    """All three agree, but billing cannot be moved for a while."""

    def does(world: World) -> None:
        agree().does(world)
        wait(25, commit_works=False).does(world)
        for act in happens:
            act.does(world)
        wait(25, commit_works=True).does(world)

    return Act(f"all agree, and the database is away; meanwhile {happens}; it is back", does)


def during_hold(happens: list[Act], hours: int) -> Act:
    """Staff hold it, something happens, and they resume it."""

    def does(world: World) -> None:
        for act in (lever("hold", "sue", 0, Intent.REFUSE), wait(hours, True), *happens):
            act.does(world)
        lever("resume", "tom", 0, Intent.REFUSE).does(world)
        wait(1, commit_works=True).does(world)

    return Act(f"it is held for {hours} h; meanwhile {happens}; it is resumed", does)


def dearer(ago: int) -> Act:
    """All agree, the price rises, and the new reseller accepts again, maybe what it was before."""

    def does(world: World) -> None:
        agree().does(world)
        record("the price rises").does(world)
        wait(25, commit_works=True).does(world)
        stand_in(Slot.ACCEPT, Slot.ACCEPT, ago).does(world)
        wait(26, commit_works=True).does(world)

    return Act(f"all agree, and the price rises; what came {ago} h ago is accepted", does)


def staff_release(first: str, second: str) -> Act:
    """The old reseller refuses; one of staff proposes to release in its place, one confirms."""

    def does(world: World) -> None:
        in_person(Slot.RELEASE, "refuse", True, 0).does(world)
        for staff in (first, second):
            lever("release", staff, 0, Intent.RELEASE).does(world)

    return Act(f"it is refused; {first} proposes to release, {second} confirms", does)


def stand_in(slot: Slot, person: Slot, ago: int) -> Act:
    """Somebody files a party's ticket who may be another party's person."""
    return file(slot, slot.value, person, "", True, ago, False)


def flawed(slot: Slot, flaw: str) -> Act:
    """All is well but for one thing."""
    by_mail = flaw == "by mail"
    return file(slot, slot.value, slot, "" if by_mail else flaw, True, 0, by_mail)


def look_for_lost() -> Act:
    """A survey finds tickets that nobody rang for."""
    return Act("a survey looks for lost tickets", look)
