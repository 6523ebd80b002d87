"""The commands behind ``starter.py``: one module for each thing that people do."""

from transfer.commands.app import app, leave

__all__ = ["app", "leave"]
