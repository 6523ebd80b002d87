"""What every command shares: how it speaks, how it fails, and how it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python
from rich import markup
from rich.console import Console
from rich.table import Table
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import (
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from transfer import tracing
from transfer.connection import is_away
from transfer.errors import InputInvalid, RuleBroken, TransferError, Unreachable
from transfer.masking import masked_trace, visible

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)

out = Console(highlight=False)
"""People and pipes: tables and colour on a terminal only."""
err = Console(stderr=True, highlight=False)


_COPIED = frozenset({"Transfer", "State", "Slot", "Ticket", "Code", "Reseller", "Rejected"})
"""Columns that people copy from."""


class Exit(IntEnum):
    """Exit codes, as scripts rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    AWAY = 4


_EXPECTED = (
    TransferError,
    OSError,
    RPCError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)


_CODES: dict[type[TransferError], Exit] = {
    RuleBroken: Exit.REFUSED,
    InputInvalid: Exit.USAGE,
    Unreachable: Exit.AWAY,
}
"""Of an error and of its subclasses; every other one is a failure."""


class Refused(RuleBroken):
    """A rule said no, and its codes have been printed."""


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a command's coroutine to its end."""
    return asyncio.run(_traced(coroutine))


async def _traced(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Hand over what it was traced by, however it ends."""
    try:
        return await coroutine
    finally:
        tracing.stop()


def escape(text: str) -> str:
    """A text that brings no markup of its own, and nothing that a terminal would obey."""
    return markup.escape(visible(text.expandtabs()))


def say(text: str) -> None:
    """One line for people. What comes from outside is text and nothing else."""
    out.print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """One line for people beside what a script reads, on stderr."""
    err.print(escape(text), soft_wrap=True)


def document(value: BaseModel | Iterable[BaseModel] | dict[str, Any] | list[Any]) -> None:
    """One JSON document on stdout, and nothing else there."""
    text = json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=2)
    # JSON escapes most of what a terminal would obey; C1 controls and changes of direction not.
    unseen = {one for one in set(text) - {"\n"} if not one.isprintable()}
    sys.stdout.write(text.translate({ord(one): json.dumps(one)[1:-1] for one in unseen}) + "\n")


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table for people; nothing in it is taken for markup.

    What people copy (ids, codes, states) is never folded, however narrow the terminal is.
    """
    drawn = Table(title=escape(title) if title else None, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold", no_wrap=column in _COPIED)
    for row in rows:
        drawn.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    out.print(drawn)


def exit_code(error: BaseException) -> tuple[Exit, str]:
    """The exit code of an error, and its one line: what happened and what to do."""
    if isinstance(error, WorkflowUpdateFailedError) and isinstance(error.cause, ApplicationError):
        name = error.cause.type or "refused"
        text = error.cause.message.removeprefix(f"{name}: ")
        return next((c for kind, c in _CODES.items() if name in _names(kind)), Exit.FAILED), (
            f"{name}: {text}"
        )
    if isinstance(error, WorkflowUpdateRPCTimeoutOrCancelledError):
        return Exit.AWAY, (
            "No worker answered in time, so it may still be done later. Look with:"
            " python starter.py show"
        )
    if isinstance(error, RPCError):
        return _of_rpc(error)
    if isinstance(error, WorkflowQueryFailedError | WorkflowQueryRejectedError):
        return Exit.FAILED, f"The transfer could not answer: {error}"
    return next((c for kind, c in _CODES.items() if isinstance(error, kind)), Exit.FAILED), (
        str(error) or type(error).__name__
    )


def leave(command: Callable[[], object]) -> NoReturn:
    """Run a command line to its end and leave the process with its exit code.

    The SDK's threads can abort the interpreter while it shuts down, and then a good run would end
    with a signal instead of its exit code. So this leaves without that shutdown.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without umlauts gets \\xfc
            stream.reconfigure(errors="backslashreplace")
    code = finished(command)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more
            stream.flush()
    time.sleep(0.05)  # the SDK's threads drop their references to Python objects
    os._exit(code)


def finished(command: Callable[[], object]) -> int:
    """Run a command line to its end and return its exit code; what went wrong is one line."""
    try:
        _unpacked(command)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else Exit.FAILED
    except KeyboardInterrupt:
        return 130
    except Refused:
        return Exit.REFUSED
    except _EXPECTED as error:
        code, text = exit_code(error)
        err.print(escape(text), soft_wrap=True)
        return code
    except Exception:  # noqa: BLE001 - a bug of ours: shown whole, and still a clean exit code
        err.print(escape(masked_trace(traceback.format_exc())), soft_wrap=True)
        return Exit.FAILED
    return Exit.DONE


def _unpacked(command: Callable[[], object]) -> None:
    """Run it; of a group with one error in it, that error is what happened."""
    try:
        command()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def _of_rpc(error: RPCError) -> tuple[Exit, str]:
    said = error.message.rstrip(".")
    if is_away(error):
        return Exit.AWAY, "Temporal or its worker does not answer. Run: python starter.py doctor"
    if any(one.Is(NamespaceNotFoundFailure.DESCRIPTOR) for one in error.grpc_status.details):
        return Exit.AWAY, f"Temporal says: {said}. Create it, or set TEMPORAL_NAMESPACE."
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
        return Exit.AWAY, f"Temporal or its worker is too busy: {said}. Try again in a minute."
    if error.status is RPCStatusCode.NOT_FOUND:
        return Exit.FAILED, f"{said}. See the open ones with: python starter.py list"
    return Exit.FAILED, f"Temporal refused: {said}. Run: python starter.py doctor"


def _names(kind: type[TransferError]) -> set[str]:
    return {kind.__name__, *(name for sub in kind.__subclasses__() for name in _names(sub))}


def checked(kind: type[_Model], **values: object) -> _Model:
    """A message from what was typed.

    Raises:
        InputInvalid: a value does not fit; the message names it.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise InputInvalid(f"{problems}.") from None
