"""The operators' command line: start transfers, watch them, steer them."""

from __future__ import annotations

from typing import NoReturn

from transfer.commands import app, leave


def cli() -> NoReturn:
    """Run the command line, and leave with its exit code."""
    leave(app)


if __name__ == "__main__":
    cli()
