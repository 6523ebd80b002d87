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
from typing import Any

from hypothesis import note
from hypothesis import strategies as st

from tests.core.builders import (
    ACCOUNT_OF,
    ACME,
    EXAMPLE,
    GLOBEX,
    KEY,
    MONDAY,
    PERSON_OF,
    PROCEDURE,
    REFUSE_TEXT,
    WITHDRAW_TEXT,
    facts,
    request,
)
from transfer import clocks, commit, levers, mediation, opening, submissions
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


# -- histories ---------------------------------------------------------------------------------
_slots = st.sampled_from(list(Slot))
_intents = st.sampled_from(list(Intent))
_picks = st.integers(0, 6)
_late = st.sampled_from([0, 3])
_honest = st.builds(
    in_person,
    _slots,
    st.sampled_from(["", "", "", "", "refuse", "withdraw", "unclear", "refuse until paid"]),
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
_stops = st.builds(
    lever,
    st.sampled_from(["cancel", "hold", "retry", "extend"]),
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
_flaws = st.sampled_from(["delegated", "no administrator", "by mail"])
FILINGS = st.one_of(
    *(_honest, _honest, _honest, _any_ticket, _any_ticket),
    st.builds(stand_in, _slots, _slots, _late),
    st.builds(flawed, _slots, _flaws),
)
CHANGES = st.one_of(
    st.builds(edit, _picks, st.sampled_from(sorted(TEXTS)), st.booleans()),
    st.builds(overtake, _picks, st.sampled_from(sorted(TEXTS))),
    st.builds(close, _picks, st.booleans()),
    st.builds(vanish, _picks),
)
BELLS = st.one_of(
    st.builds(ring_again, _picks, _intents),
    st.builds(ring_for_nothing, st.sampled_from(["404", "405"]), _intents),
    st.builds(ring_all),
    st.builds(look_for_lost),
)
LATE_READINGS = st.builds(ring_for_the_past, _picks)
_staff = st.sampled_from(["sue", "tom"])
PULLS = st.one_of(
    *[_levers] * 6,
    st.builds(staff_release, _staff, _staff),
    st.builds(during_hold, st.lists(FILINGS, max_size=2), st.sampled_from([1, 48, 800])),
)
RECORDS = st.one_of(st.builds(record, _records), st.builds(leave, _slots), st.builds(pay))
_nothing = st.just(Act("nothing happens", lambda _: None))  # what a history shrinks to
_any_act = st.one_of(_nothing, FILINGS, FILINGS, CHANGES, BELLS, LATE_READINGS, PULLS, RECORDS)
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
_meanwhile = st.lists(st.one_of(_trouble, _trouble, _any_act), min_size=1, max_size=4)
GRACES = st.one_of(
    st.builds(during_grace, _meanwhile, st.sampled_from(["once", "twice", "late"])),
    st.builds(during_grace, _meanwhile, st.just("twice")),
    st.builds(during_grace, _meanwhile, st.just("twice")),
    st.builds(during_outage, st.lists(st.one_of(FILINGS, BELLS, _stops), min_size=1, max_size=3)),
    st.builds(dearer, st.sampled_from([0, 5])),
)
ALL_AGREE = st.builds(agree)
WAITS = st.one_of(_waits, _waits, st.builds(sleep_long, st.sampled_from([30, 100, 300])))
ACTS = st.one_of(_any_act, _any_act, _any_act, ALL_AGREE, GRACES, WAITS)
HISTORIES = st.lists(ACTS, min_size=6, max_size=18)


def begin(*, two_person: bool = True, now: datetime = MONDAY) -> World:
    """Open a transfer."""
    policy = {"staff_release": "two_person"} if two_person else {}
    case = Case.received(request(**policy), "transfer-example.com", KEY, now)
    world = World(case, now)
    change(world, "opening", opening.opened(case, world.facts, world.now))
    return world


def play(history: list[Act], two_person: bool = True) -> World:
    """Open a transfer and let a history happen to it."""
    world = begin(two_person=two_person)
    for act in history:
        world.let(act)
    note("\n" + story(world))
    return world


def story(world: World, until: int | None = None) -> str:
    """What happened: a line for each act, and below it one for each change, up to ``until``."""
    acts = iter([*world.acts, (len(world.steps) + 1, Act("", lambda _: None))])
    lines: list[str] = []
    upcoming = next(acts)
    for number, step in enumerate(world.steps[:until]):
        while upcoming[0] <= number:
            lines.append(f"- {upcoming[1].says}")
            upcoming = next(acts)
        lines.append(
            f"    {step.now:%d %b %H:%M}  {step.cause:<36} {step.before.state.value:>12} -> "
            f"{step.after.state.value:<12} "
            + " ".join(f"{r.slot.value}:{r.state.value}" for r in step.after.slots)
        )
    while upcoming[1].says:
        lines.append(f"- {upcoming[1].says}")
        upcoming = next(acts)
    return "\n".join(lines)


def orders(world: World) -> list[tuple[Step, BillingOrder]]:
    """Every step at which billing would have moved."""
    return [(step, step.order) for step in world.steps if step.order is not None]
