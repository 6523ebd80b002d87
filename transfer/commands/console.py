"""What every command shares: how it speaks, how it fails, and how it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from temporalio.client import (
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from transfer.errors import InputInvalid, NotFound, RuleBroken, TransferError, Unreachable
from transfer.temporal import is_away

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)

out = Console(highlight=False)
"""People and pipes: tables and colour on a terminal only."""
err = Console(stderr=True, highlight=False)


class Exit(IntEnum):
    """Exit codes, as scripts rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    AWAY = 4


_EXPECTED = (
    TransferError,
    RPCError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)


class Refused(RuleBroken):
    """A rule said no, and its codes have been printed."""


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a command's coroutine to its end."""
    return asyncio.run(coroutine)


def say(text: str) -> None:
    """One line for people. What comes from outside cannot bring markup of its own."""
    out.print(escape(text), soft_wrap=True)


def document(value: BaseModel | Iterable[BaseModel] | dict[str, Any] | list[Any]) -> None:
    """One JSON document on stdout, and nothing else there."""
    sys.stdout.write(json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=2) + "\n")


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table for people; nothing in it is taken for markup."""
    drawn = Table(title=escape(title) if title else None, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    out.print(drawn)


def exit_code(error: BaseException) -> tuple[Exit, str]:
    """The exit code of an error, and its one line: what happened and what to do."""
    if isinstance(error, WorkflowUpdateFailedError) and isinstance(error.cause, ApplicationError):
        name = error.cause.type or "refused"
        text = error.cause.message.removeprefix(f"{name}: ")
        rules = _names(RuleBroken)
        return (Exit.REFUSED if name in rules else Exit.FAILED), f"{name}: {text}"
    if isinstance(error, WorkflowUpdateRPCTimeoutOrCancelledError):
        return Exit.AWAY, "No worker answers. Start one with: python worker.py"
    if isinstance(error, RPCError):
        return _of_rpc(error)
    if isinstance(error, WorkflowQueryFailedError | WorkflowQueryRejectedError):
        return Exit.FAILED, f"The transfer could not answer: {error}"
    codes: dict[type[TransferError], Exit] = {
        RuleBroken: Exit.REFUSED,
        InputInvalid: Exit.USAGE,
        NotFound: Exit.FAILED,
        Unreachable: Exit.AWAY,
    }
    code = next((code for kind, code in codes.items() if isinstance(error, kind)), Exit.FAILED)
    return code, str(error)


def leave(command: Callable[[], object]) -> NoReturn:
    """Run a command line to its end and leave the process with its exit code.

    The SDK's threads can abort the interpreter while it shuts down, and then a good run would end
    with a signal instead of its exit code. So this leaves without that shutdown.
    """
    code: int
    try:
        command()
        code = Exit.DONE
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else Exit.FAILED
    except KeyboardInterrupt:
        code = 130
    except Refused:
        code = Exit.REFUSED
    except _EXPECTED as error:
        code, text = exit_code(error)
        err.print(escape(text), soft_wrap=True)
    except Exception:  # noqa: BLE001 - a bug of ours: shown whole, and still a clean exit code
        err.print_exception()
        code = Exit.FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(0.05)  # the SDK's threads drop their references to Python objects
    os._exit(code)


def _of_rpc(error: RPCError) -> tuple[Exit, str]:
    if is_away(error):
        return Exit.AWAY, "Temporal or its worker does not answer. Run: python starter.py doctor"
    if error.status is RPCStatusCode.NOT_FOUND:
        return Exit.FAILED, f"{error.message}. See the open ones with: python starter.py list"
    return Exit.FAILED, f"Temporal refused: {error.message}"


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
