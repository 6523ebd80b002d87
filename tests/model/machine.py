"""Random histories, a rule for each thing that happens: the model follows, and must agree."""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from unittest import mock

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.core import histories
from tests.core.acts import Act, World
from tests.core.builders import MONDAY
from tests.model.beliefs import Model
from tests.model.invariants import check, check_end
from transfer import judging
from transfer.reading import read
from transfer.tickets import Claim, Ticket


@contextmanager
def reading_each_text_once() -> Generator[None]:
    """Remember what each text says, which takes most of a history's time and is always the same."""
    remembered = functools.lru_cache(maxsize=1000)(read)

    def read_once(ticket: Ticket, known: Iterable[str]) -> Claim | None:
        told = {"id": "1", "created_at": MONDAY, "updated_at": MONDAY, "revision": 1, "url": ""}
        once = ticket.model_copy(update=told)
        return remembered(once, tuple(known))  # pyright: ignore[reportArgumentType] - it is frozen

    with mock.patch.object(judging, "read", read_once):
        yield


class Transfer(RuleBasedStateMachine):
    """One transfer. A counterexample prints what was done, and what came of it as a story."""

    world: World
    model: Model
    followed: int

    @initialize(two_person=st.sampled_from([True, True, False]))
    def it_is_opened(self, two_person: bool) -> None:
        """Start it; staff may release for the old reseller, or not."""
        self.world = histories.begin(two_person=two_person)
        opening = self.world.steps[0]
        self.model = Model(opening.now, self.world.facts, two_person=two_person)
        self.followed = 1

    @rule(act=histories.FILINGS)
    def somebody_files(self, act: Act) -> None:
        """A party, a stranger, somebody in another's place, by mail, without the right to."""
        self._let(act)

    @rule(act=histories.CHANGES)
    def a_ticket_changes(self, act: Act) -> None:
        """It is edited, closed, or gone."""
        self._let(act)

    @rule(act=histories.BELLS)
    def it_rings(self, act: Act) -> None:
        """Again, under a wrong name, for nothing; or somebody looks for what never rang."""
        self._let(act)

    @rule(act=histories.LATE_READINGS)
    def a_reading_comes_late(self, act: Act) -> None:
        """Of a ticket that was changed since."""
        self._let(act)

    @rule(act=histories.PULLS)
    def staff_pull_a_lever(self, act: Act) -> None:
        """Whether they may or not."""
        self._let(act)

    @rule(act=histories.RECORDS)
    def something_changes_on_record(self, act: Act) -> None:
        """Charges, suspensions, the reseller, an administrator, a payment."""
        self._let(act)

    @rule(act=histories.ALL_AGREE)
    def everybody_files(self, act: Act) -> None:
        """As they were asked to."""
        self._let(act)

    @rule(act=histories.GRACES)
    def all_agree_but(self, act: Act) -> None:
        """And something happens before billing moves."""
        self._let(act)

    @rule(act=histories.WAITS)
    def time_passes(self, act: Act) -> None:
        """An hour or weeks; the worker or the database may be away."""
        self._let(act)

    @invariant()
    def it_is_as_believed(self) -> None:
        """Follow each change there was, and compare."""
        with self._told_as_a_story():
            for step in self.world.steps[self.followed :]:
                self.followed += 1
                self.model.follow(step)
                check(step, self.model)

    def teardown(self) -> None:
        """Wherever it was left, it is in order."""
        if hasattr(self, "world"):
            with self._told_as_a_story():
                check_end(self.world)

    def _let(self, act: Act) -> None:
        with self._told_as_a_story(to_its_end=True):
            self.world.let(act)

    @contextmanager
    def _told_as_a_story(self, *, to_its_end: bool = False) -> Generator[None]:
        try:
            yield
        except Exception:
            note("\n" + histories.story(self.world, None if to_its_end else self.followed))
            raise
