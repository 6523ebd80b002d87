"""Request Tracker 5, by its REST2 interface."""

from transfer.adapters.rt.client import RtClient
from transfer.adapters.rt.mapping import mapping
from transfer.adapters.rt.staff_queue import RtStaffQueue
from transfer.adapters.rt.tickets import RtTickets

__all__ = ["RtClient", "RtStaffQueue", "RtTickets", "mapping"]
