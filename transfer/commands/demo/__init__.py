"""The demo: two transfers on real counterparts, from nothing, and nothing left behind."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from transfer.commands.console import run, say
from transfer.commands.demo.stack import Stack, raised
from transfer.commands.demo.story import tell

__all__ = ["demo"]


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
    stack_only: Annotated[
        bool, typer.Option("--stack-only", help="Start everything; tell no story.")
    ] = False,
) -> None:
    """Start everything on this machine and move a customer, with all that can happen on the way."""
    for name in (signal.SIGINT, signal.SIGTERM):  # started in the background, both may be ignored
        signal.signal(name, raised)
    with Stack(keep=keep) as stack:
        stack.starter("setup")
        stack.starter("accounts", "load", str(stack.sample))
        if not stack_only:
            run(tell(stack))
        if keep:
            stack.explain()
            stack.wait()
        else:
            say("All of it is stopped and removed. To look around: make demo KEEP=1")
