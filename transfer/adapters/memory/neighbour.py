"""What can be away."""

from __future__ import annotations

from transfer.errors import Unreachable


class Neighbour:
    """Set ``away``, and it is unreachable until it is unset."""

    def __init__(self) -> None:
        self.away = False

    def reach(self) -> None:
        """Raise ``Unreachable`` while away."""
        if self.away:
            raise Unreachable(f"{type(self).__name__} is away. Try again.")
