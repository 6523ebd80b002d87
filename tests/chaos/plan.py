"""The plan: from a seed, what people do with each transfer, and what fails when. Nothing else.

Expectations are made so that no clock decides them: what ends a transfer is filed when all that
could open another one has been heard of. The one exception, a yes that is taken back while billing
is about to move, is judged by the instants that the evidence has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from transfer.case import State
from transfer.parties import Slot
from transfer.tickets import Channel

WORKERS = ("worker-1", "worker-2")
PROGRAMS = (*WORKERS, "gateway", "temporal", "postgresql", "smtp")
"""What is killed with -9 and stopped."""
LINKS = (
    *(f"{who} to {whom}" for who in WORKERS for whom in ("temporal", "postgresql", "smtp")),
    "gateway to temporal",
    "gateway to postgresql",
    "desk to gateway",
)
"""What is cut off: who cannot reach whom."""
TRACKER = "request-tracker"
TRACKER_LINKS = (*(f"{who} to {TRACKER}" for who in (*WORKERS, "gateway")),)
"""Beside them where tickets are in a Request Tracker."""


class Fault(StrEnum):
    """How something fails."""

    KILL = "killed with -9"
    STOP = "stopped"
    REFUSE = "refuses"
    HANG = "hangs"
    RESET = "resets"


@dataclass(frozen=True)
class Failure:
    """One fault: when it begins, in seconds since the load began, and how long it takes."""

    at: float
    target: str
    fault: Fault
    seconds: float


class Begin(StrEnum):
    """How a transfer is begun."""

    CLIENT = "client"
    COMMAND = "command"
    TICKET = "ticket"


class Told(StrEnum):
    """How the gateway is told of a ticket."""

    ONCE = "announced"
    TWICE = "announced twice at once, as one event"
    AGAIN = "announced twice, as two events"
    NEVER = "never announced"


class Says(StrEnum):
    """What a ticket's text says."""

    YES = "yes"
    NO = "no"
    BACK = "taken back"
    UNCLEAR = "unclear"
    ELSE = "another domain"


@dataclass(frozen=True)
class File:
    """A party files a ticket, or somebody who may not does."""

    slot: Slot
    says: Says = Says.YES
    told: Told = Told.ONCE
    stranger: bool = False
    delegated: bool = False
    channel: Channel = Channel.PANEL
    pause: float = 0.0


@dataclass(frozen=True)
class Edit:
    """A party changes what its last ticket says."""

    slot: Slot
    says: Says
    told: Told = Told.ONCE
    pause: float = 0.0


@dataclass(frozen=True)
class Heard:
    """Wait until all tickets filed so far are in the evidence."""

    pause: float = 0.0


@dataclass(frozen=True)
class Lever:
    """Staff pull a lever; ``admit_ticket`` is about the last ticket of ``slot``."""

    name: str
    slot: Slot | None = None
    pause: float = 0.0


Step = File | Edit | Heard | Lever


@dataclass(frozen=True)
class Story:
    """What people do with one transfer, and how it has to stand when all is quiet.

    ``ends`` are the states that are right; ``waits`` is who has to act then.
    """

    domain: str
    kind: str
    begin: Begin
    at: float
    steps: tuple[Step, ...]
    ends: frozenset[State]
    waits: frozenset[str] = frozenset()
    policy: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Everything that happens in a run."""

    seed: int
    stories: tuple[Story, ...]
    failures: tuple[Failure, ...]


def planned(seed: int, transfers: int, seconds: float, *, tracker: bool = False) -> Plan:
    """The plan of a seed: the same again for the same numbers."""
    author = random.Random(f"stories {seed}")  # noqa: S311 - it has to repeat itself
    kinds = _kinds(
        author, transfers, [kind for kind in _KINDS if kind not in _EDITED or not tracker]
    )
    least = 1.2 if tracker else 0.0  # Request Tracker dates by whole seconds
    stories = tuple(
        _story(author, number, kind, seconds, least) for number, kind in enumerate(kinds, 1)
    )
    return Plan(seed, stories, _failures(seed, seconds, tracker=tracker))


# -- what people do ------------------------------------------------------------------------------
GRACE = "2s"
_OPENERS = (Slot.RELEASE, Slot.AUTHORIZE)
_DECIDES = (Slot.AUTHORIZE, Slot.ACCEPT)
"""Whose no ends a transfer."""


@dataclass
class _Draft:
    """A story as it is being written."""

    steps: list[Step]
    ends: tuple[State, ...] = (State.COMPLETED,)
    waits: tuple[str, ...] = ()
    by_ticket: bool = True
    policy: dict[str, str] = field(default_factory=dict)


def _kinds(author: random.Random, transfers: int, known: Sequence[str]) -> list[str]:
    """Each kind at least once, where there is room; the rest by how often they happen."""
    kinds = [*known][:transfers]
    weights = [_KINDS[kind][0] for kind in known]
    kinds += author.choices(known, weights, k=transfers - len(kinds))
    author.shuffle(kinds)
    return kinds


def _story(author: random.Random, number: int, kind: str, seconds: float, least: float) -> Story:
    draft = _KINDS[kind][1](author)
    begins = [Begin.CLIENT, Begin.TICKET] if draft.by_ticket else [Begin.CLIENT]
    begin = Begin.COMMAND if number % 20 == 10 and not draft.policy else author.choice(begins)
    slowest = min(6.0, seconds / 12)
    steps = tuple(_in_its_time(author, step, least, slowest) for step in draft.steps)
    at = author.uniform(0, 0.65 * seconds)
    domain = f"chaos-{number:03d}.example"
    ends, waits = frozenset(draft.ends), frozenset(draft.waits)
    return Story(domain, kind, begin, at, steps, ends, waits, {"grace": GRACE} | draft.policy)


def _in_its_time(author: random.Random, step: Step, least: float, slowest: float) -> Step:
    pause = least + (step.pause or author.uniform(0, slowest))
    if isinstance(step, File | Edit):
        step = replace(step, told=author.choices([*Told], [58, 10, 8, 24])[0])
    return replace(step, pause=pause)


def _shuffled(author: random.Random, slots: Sequence[Slot] = tuple(Slot)) -> list[Slot]:
    return author.sample(slots, len(slots))


def _yeses(author: random.Random, *without: Slot) -> list[Step]:
    return [File(slot) for slot in _shuffled(author) if slot not in without]


def _agreed(author: random.Random) -> _Draft:
    return _Draft(_yeses(author))


def _twice(author: random.Random) -> _Draft:
    steps = _yeses(author)
    steps.insert(author.randrange(4), File(author.choice([*Slot])))
    return _Draft(steps)


def _clumsy(author: random.Random) -> _Draft:
    slot = author.choice([*Slot])
    wrong = author.choice(
        [
            File(slot, stranger=True),
            File(slot, delegated=True),
            File(slot, channel=Channel.MAIL),
            File(slot, Says.ELSE),
        ]
    )
    return _Draft([wrong, *_yeses(author)])


def _admitted(author: random.Random) -> _Draft:
    slot = author.choice([*Slot])
    steps = [*_yeses(author, slot), File(slot, Says.UNCLEAR)]
    author.shuffle(steps)
    return _Draft([*steps, Heard(), Lever("admit_ticket", slot)], by_ticket=False)


def _unclear(author: random.Random) -> _Draft:
    slot = author.choice([*Slot])
    steps = [*_yeses(author, slot), File(slot, Says.UNCLEAR)]
    author.shuffle(steps)
    return _Draft(steps, (State.AWAITING,), (slot.value, "staff"), by_ticket=False)


def _mended(author: random.Random) -> _Draft:
    slot = author.choice([*Slot])
    steps = [File(slot, Says.UNCLEAR), *_yeses(author, slot)]
    steps.insert(author.randrange(1, 4), Edit(slot, Says.YES))
    return _Draft(steps, by_ticket=False)


def _undone(author: random.Random) -> _Draft:
    slot = author.choice([*Slot])
    steps = [File(slot), Edit(slot, Says.UNCLEAR), *_yeses(author, slot)]
    return _Draft(steps, (State.AWAITING,), (slot.value, "staff"), by_ticket=False)


def _refused(author: random.Random) -> _Draft:
    slot = author.choice(_DECIDES)
    others = [other for other in _OPENERS if other is not slot]
    steps: list[Step] = [File(author.choice(others)), Heard(), File(slot, Says.NO)]
    return _Draft(steps, (State.REFUSED,))


def _withdrawn(author: random.Random) -> _Draft:
    slot = author.choice(_DECIDES)
    other = author.choice([opener for opener in _OPENERS if opener is not slot])
    said: list[Step] = [File(one) for one in _shuffled(author, (slot, other))]
    return _Draft([*said, Heard(), File(slot, Says.BACK)], (State.WITHDRAWN,))


def _mediated(author: random.Random) -> _Draft:
    refuses = File(Slot.RELEASE, author.choice([Says.NO, Says.BACK]))
    steps: list[Step] = [File(Slot.AUTHORIZE), Heard(), refuses]
    return _Draft(steps, (State.MEDIATION,), ("release", "accept", "staff"))


def _persuaded(author: random.Random) -> _Draft:
    refuses = File(Slot.RELEASE, Says.NO)
    return _Draft(
        [File(Slot.AUTHORIZE), Heard(), refuses, *_yeses(author, Slot.AUTHORIZE)],
    )


def _incomplete(author: random.Random) -> _Draft:
    slot = author.choice([*Slot])
    return _Draft(_yeses(author, slot), (State.AWAITING,), (slot.value,))


def _held(author: random.Random) -> _Draft:
    *first, last = _yeses(author)
    return _Draft([*first, Heard(), Lever("hold"), last], (State.ON_HOLD,), ("staff",))


def _resumed(author: random.Random) -> _Draft:
    *first, last = _yeses(author)
    return _Draft([*first, Heard(), Lever("hold"), last, Lever("resume")])


def _cancelled(author: random.Random) -> _Draft:
    *first, _ = _yeses(author)
    return _Draft([*first, Heard(), Lever("cancel")], (State.CANCELLED,))


def _regretted(author: random.Random) -> _Draft:
    """Taken back about when grace is over, half of them in time."""
    back = File(author.choice(_DECIDES), Says.BACK, pause=author.uniform(0.5, 3.5))
    return _Draft([*_yeses(author), Heard(pause=0.01), back], (State.COMPLETED, State.WITHDRAWN))


def _silent(author: random.Random) -> _Draft:
    return _Draft(
        _yeses(author, Slot.RELEASE),
        (State.MEDIATION,),
        ("release", "staff"),
        by_ticket=False,
        policy={"release_deadline": "2s"},
    )


_KINDS: dict[str, tuple[int, Callable[[random.Random], _Draft]]] = {
    "agreed": (36, _agreed),
    "filed twice": (8, _twice),
    "clumsy": (8, _clumsy),
    "unclear, admitted": (5, _admitted),
    "unclear": (4, _unclear),
    "mended": (5, _mended),
    "undone": (4, _undone),
    "refused": (4, _refused),
    "withdrawn": (4, _withdrawn),
    "mediated": (3, _mediated),
    "mediated, released": (4, _persuaded),
    "incomplete": (4, _incomplete),
    "held": (3, _held),
    "held, resumed": (4, _resumed),
    "cancelled": (3, _cancelled),
    "regretted": (6, _regretted),
    "silent": (3, _silent),
}


_EDITED = ("mended", "undone")
"""What nobody can do in a Request Tracker: change what was said."""


# -- what fails ----------------------------------------------------------------------------------
_EVERY = 1.0
"""Seconds from one fault to the next, on average."""


def _failures(seed: int, seconds: float, *, tracker: bool) -> tuple[Failure, ...]:
    """Faults until the end of the time, never two at once of the same target.

    By turns a program and a link, each dealt from a shuffled pack: so each fault happens about as
    often as any other one.
    """
    dealer = random.Random(f"failures {seed}")  # noqa: S311 - it has to repeat itself
    programs = [*PROGRAMS, *((TRACKER,) if tracker else ())]
    links = [*LINKS, *(TRACKER_LINKS if tracker else ())]
    packs = [
        _Pack(dealer, programs, (Fault.KILL, Fault.STOP)),
        _Pack(dealer, links, (Fault.REFUSE, Fault.HANG, Fault.RESET)),
    ]
    found: list[Failure] = []
    free_at: dict[str, float] = {}
    at, longest = dealer.uniform(0.5, 1.5), min(14.0, seconds / 4)
    while at < seconds - 0.5:
        target, fault = packs[len(found) % 2].dealt()
        begins = max(at, free_at.get(target, 0.0))
        most = 2.5 if fault is Fault.KILL else longest
        lasts = min(dealer.triangular(0.3, most, 0.3), seconds - begins)  # mostly short
        if lasts > 0:
            found.append(Failure(round(begins, 2), target, fault, round(lasts, 2)))
            free_at[target] = begins + lasts + 1.5
        at += dealer.uniform(0.2, 2 * _EVERY - 0.2)
    return tuple(sorted(found, key=lambda one: one.at))


class _Pack:
    """Every fault of some targets, in a random order; when it is empty, another one."""

    def __init__(
        self, dealer: random.Random, targets: Sequence[str], faults: Sequence[Fault]
    ) -> None:
        self._dealer = dealer
        self._all = [(target, fault) for target in targets for fault in faults]
        self._left: list[tuple[str, Fault]] = []

    def dealt(self) -> tuple[str, Fault]:
        """The next one."""
        if not self._left:
            self._left = self._dealer.sample(self._all, len(self._all))
        return self._left.pop()
