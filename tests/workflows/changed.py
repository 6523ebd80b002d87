"""The next version of the transfer: it looks twice, at its beginning and at its end.

Once with the change behind guards, as CONTRIBUTING.md asks, later on without the way before, and
once, much later or much too early, without any guard.
"""

from __future__ import annotations

from temporalio import workflow

from transfer import views
from workflows.customer_transfer import CustomerTransfer, Start

BEGINNING, END = "looks-twice", "looks-back"
"""The guards' ids."""


class _LooksTwice(CustomerTransfer):
    """It takes every transfer for one that looked twice, unless a version knows better."""

    def _is_new(self, guard: str) -> bool:
        return True

    async def _open(self) -> None:
        if self._is_new(BEGINNING):
            await self._survey("Look a first time")
        await super()._open()

    async def _conclude(self) -> None:
        if self._is_new(END):
            await self._survey("Look back")
        await super()._conclude()


@workflow.defn(name="CustomerTransfer")
class Guarded(_LooksTwice):
    """What a transfer began without, it goes on without."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        super().__init__(start)

    def _is_new(self, guard: str) -> bool:
        return workflow.patched(guard)

    @workflow.run
    async def run(self, start: Start) -> views.Outcome:
        """See ``CustomerTransfer``."""
        return await super().run(start)


@workflow.defn(name="CustomerTransfer")
class Deprecated(_LooksTwice):
    """No transfer is open any more that began without."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        super().__init__(start)

    def _is_new(self, guard: str) -> bool:
        workflow.deprecate_patch(guard)
        return True

    @workflow.run
    async def run(self, start: Start) -> views.Outcome:
        """See ``CustomerTransfer``."""
        return await super().run(start)


@workflow.defn(name="CustomerTransfer")
class Unguarded(_LooksTwice):
    """No guard at all."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: Start) -> views.Outcome:
        """See ``CustomerTransfer``."""
        return await super().run(start)
