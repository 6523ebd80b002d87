"""Real fakes: every port in memory, held to the same suite as the database.

Set ``away`` and the neighbour is unreachable until it is unset. Everything else is public as well,
for tests to look into and to change behind the service's back.
"""

from __future__ import annotations

from transfer.adapters.memory.accounts import MemoryAccounts
from transfer.adapters.memory.arrivals import MemoryArrivals
from transfer.adapters.memory.desk import MemoryDesk
from transfer.adapters.memory.figures import MemoryFigures
from transfer.adapters.memory.ledger import MemoryLedger
from transfer.adapters.memory.meter import MemoryMeter
from transfer.adapters.memory.overview import MemoryOverview
from transfer.adapters.memory.staff import MemoryMailer, MemoryStaffQueue
from transfer.adapters.memory.tracking import MemoryTracking

__all__ = [
    "MemoryAccounts",
    "MemoryArrivals",
    "MemoryDesk",
    "MemoryFigures",
    "MemoryLedger",
    "MemoryMailer",
    "MemoryMeter",
    "MemoryOverview",
    "MemoryStaffQueue",
    "MemoryTracking",
]
